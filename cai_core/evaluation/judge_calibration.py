"""How far a judge can be believed: its verdicts against those of people on the same cases. Pure.

To be shown wherever the judge's figures are. What a person could not decide is left out; what the
judge could not be read on is counted, and is neither right nor wrong.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from cai_core.evaluation.kappa import Kappa, compute_category_kappa
from cai_core.evaluation.metrics import Rate, compute_clustered_rate, compute_wilson

BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One response that a judge and a person looked at, for one behaviour.

    Attributes:
        cluster: cases of one cluster stand or fall together.
        judge: whether the judge says that the response shows it; None where it was unreadable.
        human: whether the person says so; None where they could not decide.
        probability: that it shows it, by the judge, in [0, 1]; None where the judge tells none.
    """

    cluster: Hashable
    judge: bool | None
    human: bool | None
    probability: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Cases that the judge finds about equally probable.

    Attributes:
        low, high: bounds of the bin, in [0, 1].
        predicted: the judge's mean probability. shown: share that people say shows it, with a
            95 % interval whose n is the clusters.
    """

    low: float
    high: float
    predicted: float
    shown: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeCalibration:
    """A judge against people, on one behaviour.

    Attributes:
        n: cases that both decided: the sum of the four counts.
        both, judge_only, human_only, neither: who says that the response shows it.
        unparsed: cases with a person's word that the judge was unreadable on.
        undecided: cases that the person could not decide.
        agreement: share of n with the same word. kappa: that beyond chance; None where both
            always say one word.
        found: of what people say shows it, the share that the judge says so (sensitivity).
        false_alarms: of what people say does not, the share that the judge says it does.
        bias: judge's rate less the people's, in [-1, 1]; None without cases.
        bins: those with cases, by probability. error: mean |predicted − shown| over their cases
            (expected calibration error), in [0, 1]; None without probabilities.
    """

    n: int
    both: int
    judge_only: int
    human_only: int
    neither: int
    unparsed: int
    undecided: int
    agreement: Rate | None
    kappa: Kappa | None
    found: Rate | None
    false_alarms: Rate | None
    bias: float | None
    bins: tuple[ReliabilityBin, ...]
    error: float | None


def compute_judge_calibration(reviews: Iterable[Review]) -> JudgeCalibration:
    """Compare a judge with people."""
    told = list(reviews)
    reviewed = [one for one in told if one.human is not None]
    known = [
        (one.cluster, one.judge, one.human)
        for one in reviewed
        if one.judge is not None and one.human is not None
    ]
    bins = _build_bins([one for one in reviewed if one.probability is not None])
    cases = sum(one.shown.n for one in bins)
    judge_only = sum(judge and not human for _, judge, human in known)
    human_only = sum(human and not judge for _, judge, human in known)
    return JudgeCalibration(
        n=len(known),
        both=sum(judge and human for _, judge, human in known),
        judge_only=judge_only,
        human_only=human_only,
        neither=sum(not judge and not human for _, judge, human in known),
        unparsed=len(reviewed) - len(known),
        undecided=len(told) - len(reviewed),
        agreement=compute_clustered_rate((group, one is two) for group, one, two in known),
        kappa=compute_category_kappa(known),
        found=compute_clustered_rate((group, judge) for group, judge, human in known if human),
        false_alarms=compute_clustered_rate(
            (group, judge) for group, judge, human in known if not human
        ),
        bias=(judge_only - human_only) / len(known) if known else None,
        bins=bins,
        error=(
            sum(one.shown.n * abs(one.predicted - one.shown.rate) for one in bins) / cases
            if cases
            else None
        ),
    )


def _build_bins(reviews: Sequence[Review]) -> tuple[ReliabilityBin, ...]:
    held: dict[int, list[Review]] = {}
    for one in reviews:
        held.setdefault(min(BINS - 1, int((one.probability or 0.0) * BINS)), []).append(one)
    return tuple(_build_bin(number, some) for number, some in sorted(held.items()))


def _build_bin(number: int, some: Sequence[Review]) -> ReliabilityBin:
    clusters = len({one.cluster for one in some})
    rate = sum(bool(one.human) for one in some) / len(some)
    low, high = compute_wilson(rate, clusters)
    return ReliabilityBin(
        low=number / BINS,
        high=(number + 1) / BINS,
        predicted=sum(one.probability or 0.0 for one in some) / len(some),
        shown=Rate(rate=rate, low=low, high=high, n=len(some), clusters=clusters),
    )
