"""Variety of an evaluation's answers, with intervals: distinct pairs of words. Pure.

A bootstrap draws answers twice, and what is twice there is not distinct: its intervals lie too low.
So the intervals here are of the jackknife, which leaves out one cluster of prompts at a time (Efron
and Tibshirani 1993, section 11.5).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

from cai_core.evaluation.metrics import Z_95
from cai_core.evaluation.text_measures import split_words

# Words of each answer that are looked at, so that long answers do not look monotonous.
VARIED_WORDS = 50
_Grams = Mapping[Hashable, Counter[tuple[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distinct:
    """Different pairs of words as a share of all pairs, with a 95 % interval.

    Attributes:
        share, low, high: in [0, 1]; the two are `share` where there is one cluster alone.
        n: answers. clusters: groups of answers to prompts that ask the same.
    """

    share: float
    low: float
    high: float
    n: int
    clusters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DistinctChange:
    """The second answers' share less the first ones', with a 95 % interval and a normal p-value."""

    difference: float
    low: float
    high: float
    p: float
    n: int
    clusters: int


def compute_distinct_pairs(answers: Sequence[tuple[Hashable, str]]) -> Distinct | None:
    """The share of (cluster, text)s; None where there is no pair of words."""
    grams = _count(answers)
    shares = _leave_out(grams)
    if shares is None:
        return None
    share, without = shares
    half = Z_95 * _deviate(list(without.values()))
    return Distinct(
        share=share,
        low=max(0.0, share - half),
        high=min(1.0, share + half),
        n=len(answers),
        clusters=len(grams),
    )


def compute_distinct_change(
    before: Sequence[tuple[Hashable, str]], after: Sequence[tuple[Hashable, str]]
) -> DistinctChange | None:
    """How the share changed, over answers to the same prompts; None where one side has no pair.

    Args:
        before, after: (cluster, text), of the same clusters.
    """
    counted = _count(before), _count(after)
    told = _leave_out(counted[0]), _leave_out(counted[1])
    if told[0] is None or told[1] is None:
        return None
    (first, one), (second, two) = told[0], told[1]
    common = [two[cluster] - one[cluster] for cluster in one if cluster in two]
    deviation = _deviate(common)
    difference = second - first
    p = 1.0
    if deviation:
        p = 2 * (1 - NormalDist().cdf(abs(difference) / deviation))
    half = Z_95 * deviation
    return DistinctChange(
        difference=difference,
        low=max(-1.0, difference - half),
        high=min(1.0, difference + half),
        p=p,
        n=len(after),
        clusters=len(common),
    )


def _count(answers: Sequence[tuple[Hashable, str]]) -> _Grams:
    grams: dict[Hashable, Counter[tuple[str, str]]] = {}
    for cluster, text in answers:
        words = split_words(text)[:VARIED_WORDS]
        grams.setdefault(cluster, Counter()).update(pairwise(words))
    return grams


def _leave_out(grams: _Grams) -> tuple[float, dict[Hashable, float]] | None:
    """The share of all, and the share without each cluster."""
    whole: Counter[tuple[str, str]] = Counter()
    for counts in grams.values():
        whole.update(counts)
    total = whole.total()
    if not total:
        return None
    without = {}
    for cluster, counts in grams.items():
        left = total - counts.total()
        if left:
            lost = sum(whole[gram] == count for gram, count in counts.items())
            without[cluster] = (len(whole) - lost) / left
    return len(whole) / total, without


def _deviate(values: Sequence[float]) -> float:
    """The jackknife's standard error; 0 of fewer than two."""
    count = len(values)
    if count < 2:
        return 0.0
    mean = math.fsum(values) / count
    return math.sqrt((count - 1) / count * math.fsum((value - mean) ** 2 for value in values))
