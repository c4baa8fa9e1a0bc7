"""Cohen's kappa: how far two labellers agree beyond what chance would give. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from cai_core.evaluation.metrics import compute_clustered_rate
from cai_core.records import Verdict

_MIRRORED = {Verdict.A: Verdict.B, Verdict.B: Verdict.A}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kappa:
    """Agreement of two labellers on n comparisons, with a 95 % interval.

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


def compute_kappa(pairs: Iterable[tuple[Hashable, Verdict, Verdict]]) -> Kappa | None:
    """Kappa of two labellers' (cluster, first verdict, second verdict) of each comparison.

    Which response is called A is a coin's toss, so each pair counts as it is and mirrored: the
    result is the same whichever comparisons are swapped. The interval is that of the agreement
    with the chance agreement taken as known (Cohen 1960), by `compute_clustered_rate`.

    Returns:
        None without pairs, and where both always say the same one word: chance then explains all.
    """
    told = list(pairs)
    rate = compute_clustered_rate((group, one is other) for group, one, other in told)
    if rate is None:
        return None
    first = _count_both_ways(one for _, one, _ in told)
    second = _count_both_ways(other for _, _, other in told)
    chance = sum(first[verdict] * second[verdict] for verdict in first) / (2 * len(told)) ** 2
    if chance == 1.0:
        return None
    kappa, low, high = (
        max(-1.0, (share - chance) / (1.0 - chance)) for share in (rate.rate, rate.low, rate.high)
    )
    return Kappa(
        kappa=kappa, low=low, high=high, agreed=rate.rate, n=rate.n, clusters=rate.clusters
    )


def _count_both_ways(verdicts: Iterable[Verdict]) -> Counter[Verdict]:
    return Counter(way for one in verdicts for way in (one, mirror_verdict(one)))
