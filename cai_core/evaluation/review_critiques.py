"""What the votes of a queue of critiques come to: verdict rates, reviewers, disputes. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType

from cai_core.evaluation.metrics import Rate, compute_clustered_rate
from cai_core.evaluation.review_pairs import Pairs, compare_reviewers
from cai_core.records import CritiqueVerdict
from cai_core.workspace.review_critiques import CritiqueVote
from cai_core.workspace.review_queues import QueuedRound

Rates = Mapping[CritiqueVerdict, Rate]
_NO_LOOKS: Mapping[str, Collection[str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipleRates:
    """Verdicts on a principle's critiques: how many, and the share of each word."""

    principle: str
    n: int
    rates: Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class CritiqueReviewer:
    """What one reviewer did.

    Attributes:
        votes, discarded: critiques. edited: revisions of theirs.
        exposed: critiques whose harmful text they saw not blurred.
        seconds: median of a vote, None without votes.
        right: share of the votes that say `right`.
    """

    reviewer: str
    votes: int
    discarded: int
    edited: int
    exposed: int
    seconds: float | None
    right: Rate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CritiqueAgreement:
    """Votes of a queue of critiques, measured; what was put aside is in no share.

    Attributes:
        counts: votes by verdict. discarded: votes that put a critique aside.
        critiques: that somebody judged. edited: of them, those with a person's revision.
        rates: share of each verdict; a chain is one cluster. Empty without votes.
        principles: those with most votes first.
        pairs: of each two reviewers with critiques in common.
        disputed: items on which no verdict has more than half of two or more votes, in the
            queue's order.
    """

    counts: Mapping[CritiqueVerdict, int]
    discarded: int
    critiques: int
    edited: int
    rates: Rates
    principles: tuple[PrincipleRates, ...]
    pairs: Pairs
    reviewers: tuple[CritiqueReviewer, ...]
    disputed: tuple[str, ...]


def measure_critiques(
    votes: Iterable[CritiqueVote],
    rounds: Sequence[QueuedRound],
    *,
    reviewers: Collection[str] = (),
    looks: Mapping[str, Collection[str]] = _NO_LOOKS,
) -> CritiqueAgreement:
    """Measure a queue's votes, one a reviewer and critique.

    Args:
        rounds: the queue's.
        reviewers: take the votes of these alone; empty takes all.
        looks: reviewer → what they saw harmful text of; those of their votes count besides.
    """
    chosen = [vote for vote in votes if not reviewers or vote.reviewer in reviewers]
    given = [(vote, vote.verdict) for vote in chosen if vote.verdict is not None]
    counts = Counter(verdict for _, verdict in given)
    return CritiqueAgreement(
        counts={verdict: counts[verdict] for verdict in CritiqueVerdict},
        discarded=len(chosen) - len(given),
        critiques=len({vote.item for vote, _ in given}),
        edited=len({vote.item for vote, _ in given if vote.revision}),
        rates=_measure_rates(given),
        principles=_measure_principles(given, rounds),
        pairs=compare_reviewers(
            (vote.item, vote.chain, vote.reviewer, verdict) for vote, verdict in given
        ),
        reviewers=tuple(
            _describe(who, chosen, looks.get(who, ()))
            for who in sorted({vote.reviewer for vote in chosen})
        ),
        disputed=_list_disputed(given, rounds),
    )


_Given = tuple[CritiqueVote, CritiqueVerdict]


def _measure_rates(given: Sequence[_Given]) -> dict[CritiqueVerdict, Rate]:
    rates = {}
    for word in CritiqueVerdict:
        rate = compute_clustered_rate((vote.chain, verdict is word) for vote, verdict in given)
        if rate is not None:
            rates[word] = rate
    return rates


def _measure_principles(
    given: Iterable[_Given], rounds: Iterable[QueuedRound]
) -> tuple[PrincipleRates, ...]:
    principles = {one.item: one.principle for one in rounds}
    parts: dict[str, list[_Given]] = defaultdict(list)
    for vote, verdict in given:
        if vote.item in principles:
            parts[principles[vote.item]].append((vote, verdict))
    ranked = sorted(parts.items(), key=lambda part: (-len(part[1]), part[0]))
    return tuple(
        PrincipleRates(principle=name, n=len(some), rates=_measure_rates(some))
        for name, some in ranked
    )


def _describe(
    reviewer: str, chosen: Iterable[CritiqueVote], looks: Collection[str]
) -> CritiqueReviewer:
    mine = [vote for vote in chosen if vote.reviewer == reviewer]
    given = [vote for vote in mine if vote.verdict is not None]
    return CritiqueReviewer(
        reviewer=reviewer,
        votes=len(given),
        discarded=len(mine) - len(given),
        edited=sum(bool(vote.revision) for vote in given),
        exposed=len({vote.item for vote in mine if vote.exposed} | set(looks)),
        seconds=median(vote.seconds for vote in given) if given else None,
        right=compute_clustered_rate(
            (vote.chain, vote.verdict is CritiqueVerdict.RIGHT) for vote in given
        ),
    )


def _list_disputed(given: Iterable[_Given], rounds: Iterable[QueuedRound]) -> tuple[str, ...]:
    told: dict[str, Counter[CritiqueVerdict]] = defaultdict(Counter)
    for vote, verdict in given:
        told[vote.item][verdict] += 1
    disputed = {item for item, some in told.items() if 2 * max(some.values()) <= some.total()}
    return tuple(one.item for one in rounds if one.item in disputed)
