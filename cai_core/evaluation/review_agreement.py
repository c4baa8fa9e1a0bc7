"""How far people agree with the AI label and with each other, and where they do not. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType

from cai_core.evaluation.kappa import Kappa, compute_kappa
from cai_core.evaluation.label_traits import ExaminedLabel, find_confidence_bin
from cai_core.evaluation.metrics import Rate, compute_clustered_rate
from cai_core.evaluation.review_pairs import Pairs, compare_reviewers
from cai_core.pipeline.human_labels import settle_verdict
from cai_core.records import Verdict
from cai_core.workspace.review_votes import Vote, VoteChoice

# Of the line over time: fewer votes say nothing, more points than these nobody reads. Ours.
_MOST_POINTS, _LEAST_VOTES = 12, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PartAgreement:
    """Votes and AI labels of a part of the comparisons: one principle's, or one bin's.

    Attributes:
        name: the principle's id; the bin's number, from 0.
        rate: share of the votes whose verdict is the AI label's.
        kappa: None where it is not defined.
    """

    name: str
    rate: Rate
    kappa: Kappa | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewerFacts:
    """What one reviewer did.

    Attributes:
        votes, discarded: comparisons. exposed: those whose harmful text they saw not blurred.
        seconds: median of a vote, None without votes.
        left: share of the votes for A or B that went to the response on the left.
        rate: agreement with the AI label.
    """

    reviewer: str
    votes: int
    discarded: int
    exposed: int
    seconds: float | None
    left: Rate | None
    rate: Rate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePoint:
    """Agreement with the AI label of some votes that follow each other.

    Attributes:
        at: of the last of them. comparisons: what they are about, each once.
    """

    at: str
    rate: Rate
    comparisons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputedComparison:
    """Where reviewers disagree among themselves, or with the AI label.

    Attributes:
        place: of its label in the run.
        among: no verdict has more than half of the votes.
        with_ai: the people's verdict is not the AI label's.
    """

    comparison: str
    place: int
    votes: tuple[Vote, ...]
    ai: Verdict
    among: bool
    with_ai: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Votes of a queue, measured. Votes and labels that say nothing are in no share.

    Attributes:
        choices: votes counted, discards too. comparisons: that somebody voted on.
        unknown: votes on comparisons that the run has no label of.
        rate, kappa: of votes and AI labels; what several say of one prompt is one cluster.
        principles: the ones with most votes first. bins: of the label's confidence, as
            `find_confidence_bin` numbers them.
        pairs: of each two reviewers with comparisons in common, those with most first.
        over_time: the oldest first.
        disputed: in the run's order.
    """

    choices: Counter[VoteChoice]
    comparisons: int
    unknown: int
    rate: Rate | None
    kappa: Kappa | None
    principles: tuple[PartAgreement, ...]
    bins: tuple[PartAgreement, ...]
    pairs: Pairs
    reviewers: tuple[ReviewerFacts, ...]
    over_time: tuple[TimePoint, ...]
    disputed: tuple[DisputedComparison, ...]


_Judged = tuple[Vote, ExaminedLabel]
_NO_LOOKS: Mapping[str, Collection[str]] = MappingProxyType({})


def measure_agreement(
    votes: Sequence[Vote],
    examined: Sequence[ExaminedLabel],
    *,
    reviewers: Collection[str] = (),
    looks: Mapping[str, Collection[str]] = _NO_LOOKS,
) -> Agreement:
    """Measure a queue's votes, one a reviewer and comparison.

    Args:
        examined: the run's labels; a person's own label is no AI label and not compared with.
        reviewers: take the votes of these alone; empty takes all.
        looks: reviewer → what they saw harmful text of; those of their votes count besides.
    """
    chosen = [vote for vote in votes if not reviewers or vote.reviewer in reviewers]
    known = {one.label.comparison_id: one for one in examined}
    placed = [(vote, known[vote.comparison]) for vote in chosen if vote.comparison in known]
    given = [(vote, one) for vote, one in placed if vote.verdict is not None]
    judged = [(vote, one) for vote, one in given if _has_ai_label(one)]
    return Agreement(
        choices=Counter(vote.choice for vote in chosen),
        comparisons=len({vote.comparison for vote in chosen if vote.verdict is not None}),
        unknown=len(chosen) - len(placed),
        rate=_measure_rate(judged),
        kappa=_measure_kappa(judged),
        principles=_measure_principles(judged),
        bins=_measure_bins(judged),
        pairs=_compare_reviewers(given),
        reviewers=tuple(
            _describe(who, placed, looks.get(who, ()))
            for who in sorted({vote.reviewer for vote, _ in placed})
        ),
        over_time=_follow(judged),
        disputed=_list_disputed(given),
    )


def _has_ai_label(one: ExaminedLabel) -> bool:
    return one.label.label_source != "human" and one.label.verdict is not Verdict.UNPARSED


def _agrees(vote: Vote, one: ExaminedLabel) -> bool:
    return vote.verdict is one.label.verdict


def _measure_rate(judged: Iterable[_Judged]) -> Rate | None:
    return compute_clustered_rate((one.group, _agrees(vote, one)) for vote, one in judged)


def _measure_kappa(judged: Iterable[_Judged]) -> Kappa | None:
    return compute_kappa(
        (one.group, vote.verdict, one.label.verdict) for vote, one in judged if vote.verdict
    )


def _measure_part(name: str, judged: Sequence[_Judged]) -> PartAgreement:
    rate = _measure_rate(judged)
    assert rate is not None  # a part is made of votes
    return PartAgreement(name=name, rate=rate, kappa=_measure_kappa(judged))


def _measure_principles(judged: Iterable[_Judged]) -> tuple[PartAgreement, ...]:
    parts: dict[str, list[_Judged]] = defaultdict(list)
    for vote, one in judged:
        for name in dict.fromkeys(one.label.principle_ids):
            parts[name].append((vote, one))
    ranked = sorted(parts.items(), key=lambda part: (-len(part[1]), part[0]))
    return tuple(_measure_part(name, some) for name, some in ranked)


def _measure_bins(judged: Iterable[_Judged]) -> tuple[PartAgreement, ...]:
    parts: dict[int, list[_Judged]] = defaultdict(list)
    for vote, one in judged:
        if (number := find_confidence_bin(one)) is not None:
            parts[number].append((vote, one))
    return tuple(_measure_part(str(number), some) for number, some in sorted(parts.items()))


def _compare_reviewers(given: Iterable[_Judged]) -> Pairs:
    return compare_reviewers(
        (vote.comparison, one.group, vote.reviewer, vote.verdict)
        for vote, one in given
        if vote.verdict is not None
    )


def _describe(reviewer: str, placed: Iterable[_Judged], looks: Collection[str]) -> ReviewerFacts:
    mine = [(vote, one) for vote, one in placed if vote.reviewer == reviewer]
    given = [(vote, one) for vote, one in mine if vote.verdict is not None]
    sided = [(vote, one) for vote, one in given if vote.choice in (VoteChoice.A, VoteChoice.B)]
    return ReviewerFacts(
        reviewer=reviewer,
        votes=len(given),
        discarded=len(mine) - len(given),
        exposed=len({vote.comparison for vote, _ in mine if vote.exposed} | set(looks)),
        seconds=median(vote.seconds for vote, _ in given) if given else None,
        left=compute_clustered_rate(
            (one.group, vote.choice.value == vote.shown_first) for vote, one in sided
        ),
        rate=_measure_rate((vote, one) for vote, one in given if _has_ai_label(one)),
    )


def _follow(judged: Iterable[_Judged]) -> tuple[TimePoint, ...]:
    """Votes in the order in which they were given, in parts of one size."""
    order = sorted(judged, key=lambda told: told[0].moment)
    if not order:
        return ()
    size = max(_LEAST_VOTES, math.ceil(len(order) / _MOST_POINTS))
    points = []
    for start in range(0, len(order), size):
        some = order[start : start + size]
        rate = _measure_rate(some)
        assert rate is not None
        told = tuple(dict.fromkeys(vote.comparison for vote, _ in some))
        points.append(TimePoint(at=some[-1][0].at, rate=rate, comparisons=told))
    return tuple(points)


def _list_disputed(given: Iterable[_Judged]) -> tuple[DisputedComparison, ...]:
    told: dict[str, list[_Judged]] = defaultdict(list)
    for vote, one in given:
        told[vote.comparison].append((vote, one))
    found = []
    for comparison, some in told.items():
        one = some[0][1]
        people = settle_verdict(vote.verdict for vote, _ in some if vote.verdict is not None)
        with_ai = _has_ai_label(one) and people is not None and people is not one.label.verdict
        if people is None or with_ai:
            found.append(
                DisputedComparison(
                    comparison=comparison,
                    place=one.place,
                    votes=tuple(vote for vote, _ in some),
                    ai=one.label.verdict,
                    among=people is None,
                    with_ai=with_ai,
                )
            )
    return tuple(sorted(found, key=lambda one: one.place))
