"""How good a run's labels are, before anyone trains on them. Pure; an empty denominator is None.

Numbers about the feedback model leave out people's labels and those by construction. A share and
the labels with its trait (`label_traits`) are the same ones, so each number has its examples.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from cai_core.evaluation.kappa import Kappa, compute_kappa
from cai_core.evaluation.label_traits import (
    BIAS_BINS,
    CONFIDENCE_BINS,
    ExaminedLabel,
    Trait,
    Truth,
    TruthSource,
    examine_labels,
    find_bias_bin,
    find_confidence_bin,
)
from cai_core.evaluation.metrics import Rate, compute_clustered_rate, compute_wilson
from cai_core.pipeline.label_counts import list_leads
from cai_core.pipeline.label_records import LabelRecord, LabelSource
from cai_core.pipeline.labels import TIE_MARGIN
from cai_core.records import Verdict

_MODEL: LabelSource = "feedback-model"


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """Labels of like confidence that have a truth.

    Attributes:
        number: of the confidence's bin, from 0.
        predicted: mean probability of the response that is thought the better, in [1/2, 1].
        right: how often it is, in [0, 1]; a true tie counts half, as it does in the probability.
        low, high: 95 % Wilson interval of `right` with the clusters as its n, which is careful.
        n: labels. clusters: groups of them.
    """

    number: int
    predicted: float
    right: float
    low: float
    high: float
    n: int
    clusters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthBias:
    """Whether longer responses are preferred.

    Attributes:
        longer: share of the labels that prefer A or B, between responses of different length, in
            which the longer one is preferred. in_truth: the same of the truth, where there is one.
        correlation: of the lead in words with prob_a − 1/2, in [-1, 1]; about zero and not about
            the means, since which response is A is a coin's toss.
        equal: labels that prefer A or B between responses of one length; in none of the above.
    """

    longer: Rate | None
    in_truth: Rate | None
    correlation: float | None
    equal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipleQuality:
    """The feedback model's labels about one principle, others perhaps asked about besides.

    Attributes:
        accuracy: agreement with the truth.
        ties: share of its readable labels. unparsed: labels.
        confidence: mean |prob_a − 1/2|, in [0, 1/2].
    """

    principle: str
    n: int
    accuracy: Rate | None
    ties: Rate | None
    unparsed: int
    confidence: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelQuality:
    """What a run's labels are like.

    Attributes:
        n: labels of any source. verdicts, sources: counted.
        unparsed: share of those that the feedback model was asked for.
        same_position: of those whose orders each say more than a tie, the share that prefers the
            same place in both, whoever stands there.
        position_bias: mean, in [-1, 1]. both_orders: labels that it is the mean of.
        near_ties: share of readable labels whose confidence is below `NEAR_TIE`.
        confidence: labels in each bin of |prob_a − 1/2|. biases: in each bin of position bias.
        accuracy: share of the labels with a truth whose verdict is it; an unparsed one is wrong.
            accuracy_decided: where the truth is no tie; accuracy_ties: where it is one.
        truths: where they are from.
        calibration: bins that have labels. calibration_error: mean |predicted − right| over them,
            weighted by their labels.
        principle_kappas: of each two principles that were asked about the same comparisons.
        other_kappa: with another run's labels of the same comparisons.
    """

    n: int
    verdicts: Mapping[Verdict, int]
    sources: Mapping[LabelSource, int]
    unparsed: Rate | None
    same_position: Rate | None
    position_bias: float | None
    both_orders: int
    near_ties: Rate | None
    confidence: tuple[int, ...]
    biases: tuple[int, ...]
    accuracy: Rate | None
    accuracy_decided: Rate | None
    accuracy_ties: Rate | None
    truths: Mapping[TruthSource, int]
    calibration: tuple[CalibrationBin, ...]
    calibration_error: float | None
    principles: tuple[PrincipleQuality, ...]
    principle_kappas: Mapping[tuple[str, str], Kappa]
    other_kappa: Kappa | None
    length: LengthBias


def measure_labels(labels: Iterable[LabelRecord], truths: Mapping[str, Truth]) -> LabelQuality:
    """Measure labels that nothing but their truths (by comparison id) is known of."""
    return measure_examined(examine_labels(labels, truths))


def measure_examined(examined: Sequence[ExaminedLabel]) -> LabelQuality:
    """Measure labels."""
    asked = [one for one in examined if one.label.label_source == _MODEL]
    readable = [one for one in asked if one.confidence is not None]
    biases = [one.label.position_bias for one in asked if one.label.position_bias is not None]
    judged = [one for one in examined if one.truth is not None]
    ties = [one for one in judged if one.truth and one.truth.verdict is Verdict.TIE]
    decided = [one for one in judged if one.truth and one.truth.verdict is not Verdict.TIE]
    calibration = _calibrate([one for one in readable if one.truth is not None])
    error = sum(bin_.n * abs(bin_.predicted - bin_.right) for bin_ in calibration)
    return LabelQuality(
        n=len(examined),
        verdicts=Counter(one.label.verdict for one in examined),
        sources=Counter(one.label.label_source for one in examined),
        unparsed=compute_clustered_rate((one.group, one.confidence is None) for one in asked),
        same_position=_share("same-position", filter(_decides_both, asked)),
        position_bias=math.fsum(biases) / len(biases) if biases else None,
        both_orders=len(biases),
        near_ties=_share("near-tie", readable),
        confidence=_count_bins(map(find_confidence_bin, readable), CONFIDENCE_BINS),
        biases=_count_bins(map(find_bias_bin, asked), BIAS_BINS),
        accuracy=_measure_accuracy(judged),
        accuracy_decided=_measure_accuracy(decided),
        accuracy_ties=_measure_accuracy(ties),
        truths=Counter(one.truth.by for one in judged if one.truth is not None),
        calibration=calibration,
        calibration_error=error / sum(bin_.n for bin_ in calibration) if calibration else None,
        principles=_measure_principles(asked),
        principle_kappas=_compare_principles(asked),
        other_kappa=compute_kappa(
            (one.group, one.label.verdict, one.other) for one in examined if one.other is not None
        ),
        length=_measure_length(asked),
    )


def _decides_both(one: ExaminedLabel) -> bool:
    leads = list_leads(one.label)
    return len(leads) == 2 and all(abs(lead) >= TIE_MARGIN for lead in leads)


def _share(trait: Trait, some: Iterable[ExaminedLabel]) -> Rate | None:
    return compute_clustered_rate((one.group, trait in one.traits) for one in some)


def _measure_accuracy(judged: Iterable[ExaminedLabel]) -> Rate | None:
    return compute_clustered_rate((one.group, "wrong" not in one.traits) for one in judged)


def _count_bins(numbers: Iterable[int | None], count: int) -> tuple[int, ...]:
    found = Counter(numbers)
    return tuple(found[number] for number in range(count))


def _calibrate(judged: Sequence[ExaminedLabel]) -> tuple[CalibrationBin, ...]:
    bins: dict[int, list[ExaminedLabel]] = {}
    for one in judged:
        if (number := find_confidence_bin(one)) is not None:
            bins.setdefault(number, []).append(one)
    return tuple(_build_bin(number, some) for number, some in sorted(bins.items()))


def _build_bin(number: int, some: Sequence[ExaminedLabel]) -> CalibrationBin:
    clusters = len({one.group for one in some})
    right = math.fsum(map(_tell_right, some)) / len(some)
    low, high = compute_wilson(right, clusters)
    predicted = math.fsum(0.5 + (one.confidence or 0.0) for one in some) / len(some)
    return CalibrationBin(
        number=number,
        predicted=predicted,
        right=right,
        low=low,
        high=high,
        n=len(some),
        clusters=clusters,
    )


def _tell_right(one: ExaminedLabel) -> float:
    """1 where the more probable response is truly better, 1/2 at a true tie or an even label."""
    prob, truth = one.label.prob_a, one.truth
    if prob is None or prob == 0.5 or truth is None or truth.verdict is Verdict.TIE:
        return 0.5
    return float((prob > 0.5) == (truth.verdict is Verdict.A))


def _measure_principles(asked: Iterable[ExaminedLabel]) -> tuple[PrincipleQuality, ...]:
    found: dict[str, list[ExaminedLabel]] = {}
    for one in asked:
        for principle in one.label.principle_ids:
            found.setdefault(principle, []).append(one)
    return tuple(_measure_principle(name, some) for name, some in sorted(found.items()))


def _measure_principle(principle: str, some: Sequence[ExaminedLabel]) -> PrincipleQuality:
    readable = [one for one in some if one.confidence is not None]
    told = [one.confidence for one in readable if one.confidence is not None]
    return PrincipleQuality(
        principle=principle,
        n=len(some),
        accuracy=_measure_accuracy(one for one in some if one.truth is not None),
        ties=compute_clustered_rate(
            (one.group, one.label.verdict is Verdict.TIE) for one in readable
        ),
        unparsed=len(some) - len(readable),
        confidence=math.fsum(told) / len(told) if told else None,
    )


def _compare_principles(asked: Iterable[ExaminedLabel]) -> dict[tuple[str, str], Kappa]:
    found: dict[tuple[str, str], list[tuple[str, Verdict, Verdict]]] = {}
    for one in asked:
        for two in combinations(sorted(one.by_principle), 2):
            verdicts = (one.by_principle[two[0]], one.by_principle[two[1]])
            found.setdefault(two, []).append((one.group, *verdicts))
    kappas = {two: compute_kappa(pairs) for two, pairs in sorted(found.items())}
    return {two: kappa for two, kappa in kappas.items() if kappa is not None}


def _measure_length(asked: Sequence[ExaminedLabel]) -> LengthBias:
    decided = [one for one in asked if one.label.verdict in (Verdict.A, Verdict.B)]
    unequal = [one for one in decided if one.length_lead]
    points = [
        (one.length_lead, one.label.prob_a - 0.5) for one in asked if one.label.prob_a is not None
    ]
    products = math.fsum(lead * lean for lead, lean in points)
    norm = math.sqrt(
        math.fsum(lead * lead for lead, _ in points) * math.fsum(lean * lean for _, lean in points)
    )
    return LengthBias(
        longer=_share("longer", unequal),
        in_truth=compute_clustered_rate(
            (one.group, (one.length_lead > 0) == (one.truth.verdict is Verdict.A))
            for one in asked
            if one.length_lead and one.truth and one.truth.verdict is not Verdict.TIE
        ),
        correlation=max(-1.0, min(1.0, products / norm)) if norm else None,
        equal=len(decided) - len(unequal),
    )
