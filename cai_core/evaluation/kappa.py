"""Cohen's kappa: how far two labellers agree beyond what chance would give. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from cai_core.evaluation.metrics import Rate, compute_clustered_rate
from cai_core.records import CritiqueVerdict, Verdict

Category = TypeVar("Category", bound=Hashable)
_MIRRORED = {Verdict.A: Verdict.B, Verdict.B: Verdict.A}
# What is said of a comparison, or of a critique, where nothing can be mirrored.
Word = Verdict | CritiqueVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Kappa:
    """Agreement of two labellers on n comparisons (or critiques), with a 95 % interval.

    Attributes:
        kappa, low, high: in [-1, 1]; 0 is chance, 1 is agreement everywhere.
        agreed: share in [0, 1] of the comparisons on which they say the same.
        n: comparisons. clusters: groups of them that stand or fall together.
    """

    kappa: float
    low: float
    high: float
    agreed: float
    n: int
    clusters: int

    def __str__(self) -> str:
        return f"{self.kappa:.2f} [{self.low:.2f}, {self.high:.2f}] (n = {self.n})"


def mirror_verdict(verdict: Verdict) -> Verdict:
    """The verdict of the comparison with its responses in each other's place."""
    return _MIRRORED.get(verdict, verdict)


def compute_kappa(pairs: Iterable[tuple[Hashable, Word, Word]]) -> Kappa | None:
    """Kappa of two labellers' (cluster, first verdict, second verdict) of each comparison.

    Which response is called A is a coin's toss, so each pair counts as it is and mirrored: the
    result is the same whichever comparisons are swapped. The interval is that of the agreement
    with the chance agreement taken as known (Cohen 1960), by `compute_clustered_rate`.

    Returns:
        None without pairs, and where both always say the same one word: chance then explains all.
    """
    told = list(pairs)
    rate = compute_clustered_rate((group, one is other) for group, one, other in told)
    first = _count_both_ways(one for _, one, _ in told)
    second = _count_both_ways(other for _, _, other in told)
    return _build_kappa(rate, first, second)


def compute_category_kappa(pairs: Iterable[tuple[Hashable, Hashable, Hashable]]) -> Kappa | None:
    """Kappa of two labellers' (cluster, first's category, second's) of each case.

    For categories that stand for themselves: yes and no, or a rating. The interval is as
    `compute_kappa`'s.

    Returns:
        None without pairs, and where both always name the same one category.
    """
    told = list(pairs)
    rate = compute_clustered_rate((group, one == other) for group, one, other in told)
    return _build_kappa(
        rate, Counter(one for _, one, _ in told), Counter(other for _, _, other in told)
    )


def _build_kappa(
    rate: Rate | None, first: Counter[Category], second: Counter[Category]
) -> Kappa | None:
    if rate is None:
        return None
    total = sum(first.values()) * sum(second.values())
    chance = sum(first[one] * second[one] for one in first) / total
    if chance == 1.0:
        return None
    kappa, low, high = (
        max(-1.0, (share - chance) / (1.0 - chance)) for share in (rate.rate, rate.low, rate.high)
    )
    return Kappa(
        kappa=kappa, low=low, high=high, agreed=rate.rate, n=rate.n, clusters=rate.clusters
    )


def _count_both_ways(verdicts: Iterable[Word]) -> Counter[Word]:
    return Counter(way for one in verdicts for way in (one, _mirror(one)))


def _mirror(word: Word) -> Word:
    return mirror_verdict(word) if isinstance(word, Verdict) else word
