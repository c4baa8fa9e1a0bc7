"""Best of n: several samples of one prompt, of which a feedback model chooses. Pure.

A round robin: each sample is compared with each other one, in both orders, each comparison under
a principle of its own (the paper draws one a label, arXiv 2212.08073, section 4.1), and a sample's
score is the mean probability that it is preferred. A knockout would ask 2(n − 1) questions where
this asks n(n − 1), 6 against 12 for four samples; but its winner depends on who met whom, it judges
each loser once, and small feedback models are wrong often enough that one judgement is no ground to
drop a sample. A question is one token, and half of its prompt is shared in the server's cache.

Samples of the same words are one candidate, so d different texts take d(d − 1) questions, and one
text takes none. What cannot be read is left out of the mean and counted, never taken for a tie; a
label within the tie margin counts a half for each; between equal scores the earlier sample stays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from cai_core.pipeline.comparison_records import FormedComparison, build_comparison_id
from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import Prompt, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Two samples of one prompt that are compared.

    Attributes:
        first, second: sample numbers, the lower one first; `first` is response A.
        place: of the match among all pairs of n samples; the same however many texts differ.
    """

    first: int
    second: int
    place: int
    comparison: FormedComparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a match came to.

    Attributes:
        prob_first: that the first is preferred, in [0, 1]; 1/2 for a tie; None where unparsed.
    """

    first: int
    second: int
    prob_first: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one sample stands.

    Attributes:
        same_as: the earlier sample that says the very same; None for a candidate.
        score: mean probability that it is preferred, in [0, 1]; None where no match was readable.
        matches: how many of its matches were readable.
    """

    sample: int
    same_as: int | None
    score: float | None
    matches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOfN:
    """The outcome of a round robin.

    Attributes:
        winner: the sample that is chosen; None where nothing could be read, or there is no sample.
        unparsed: matches that could not be read.
    """

    standings: tuple[Standing, ...]
    winner: int | None
    unparsed: int


def list_candidates(texts: Mapping[int, str]) -> dict[int, int | None]:
    """Each sample, in order → the earlier one of the same text, None where there is none.

    White space at the ends and its form do not make another text.
    """
    first: dict[str, int] = {}
    found: dict[int, int | None] = {}
    for sample in sorted(texts):
        earlier = first.setdefault(" ".join(texts[sample].split()), sample)
        found[sample] = None if earlier == sample else earlier
    return found


def form_matches(prompt: Prompt, texts: Mapping[int, str], n: int, run_id: str) -> list[Match]:
    """The round robin of the samples that differ.

    Args:
        texts: sample number → its text, of those that there are; numbers are below `n`.
    """
    candidates = [sample for sample, same in list_candidates(texts).items() if same is None]
    places = {pair: place for place, pair in enumerate(combinations(range(n), 2))}
    return [
        Match(
            first=first,
            second=second,
            place=places[first, second],
            comparison=_form(prompt, texts, first, second, run_id),
        )
        for first, second in combinations(candidates, 2)
    ]


def read_label(match: Match, label: LabelRecord) -> Judged:
    """What a label says of the match: its probability, a half for a tie, None where unparsed."""
    prob = None if label.verdict is Verdict.UNPARSED else label.prob_a
    if label.verdict is Verdict.TIE:
        prob = 0.5
    return Judged(first=match.first, second=match.second, prob_first=prob)


def choose_best(candidates: Mapping[int, int | None], judged: Sequence[Judged]) -> BestOfN:
    """The sample with the highest mean; of equal ones the earlier.

    One candidate wins unjudged. Where a candidate has no readable match it cannot win; where none
    has, nobody does.

    Args:
        candidates: as `list_candidates`.
    """
    told: dict[int, list[float]] = {s: [] for s, same in candidates.items() if same is None}
    for one in judged:
        if one.prob_first is not None:
            told[one.first].append(one.prob_first)
            told[one.second].append(1.0 - one.prob_first)
    # fsum is exact, so no order of the samples changes a mean.
    scores = {s: math.fsum(probs) / len(probs) if probs else None for s, probs in told.items()}
    standings = tuple(
        Standing(
            sample=sample,
            same_as=same,
            score=scores[sample if same is None else same],
            matches=len(told[sample if same is None else same]),
        )
        for sample, same in candidates.items()
    )
    return BestOfN(
        standings=standings,
        winner=_choose(scores),
        unparsed=sum(one.prob_first is None for one in judged),
    )


def _choose(scores: Mapping[int, float | None]) -> int | None:
    if len(scores) == 1:
        return next(iter(scores))
    known = [(score, -sample) for sample, score in scores.items() if score is not None]
    return -max(known)[1] if known else None


def _form(
    prompt: Prompt, texts: Mapping[int, str], first: int, second: int, run_id: str
) -> FormedComparison:
    sources = [{"run": run_id, "chain": f"{prompt.prompt_id}/{s}"} for s in (first, second)]
    # Not of the run: the same samples are judged by the same principles in every run.
    places = [{"chain": source["chain"]} for source in sources]
    return FormedComparison(
        comparison_id=build_comparison_id(prompt.prompt_id, places[0], places[1]),
        prompt_id=prompt.prompt_id,
        prompt_kind=prompt.kind,
        tags=prompt.tags,
        conversation=prompt.conversation,
        response_a=texts[first],
        response_b=texts[second],
        source_a=sources[0],
        source_b=sources[1],
    )
