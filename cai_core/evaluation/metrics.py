"""Pure metrics. An empty denominator is None, never 0."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share of yes among n outcomes that come in clusters, with a 95 % interval.

    Attributes:
        rate, low, high: in [0, 1].
        n: outcomes. clusters: groups of outcomes that stand or fall together (intents, say).
    """

    rate: float
    low: float
    high: float
    n: int
    clusters: int

    def __str__(self) -> str:
        return f"{self.rate:.1%} [{self.low:.1%}, {self.high:.1%}] (n = {self.n})"


def compute_clustered_rate(outcomes: Iterable[tuple[Hashable, bool]]) -> Rate | None:
    """The rate of (cluster, yes) outcomes; None when there are none.

    The interval is Wilson's score interval (Wilson 1927) with the effective sample size n/deff,
    where deff is the ratio of the cluster-robust variance of the mean to the binomial one (Kish
    1965, section 5.4). Where every outcome agrees deff cannot be estimated, and the number of
    clusters, the most careful choice, stands in for the effective sample size.
    """
    groups: dict[Hashable, list[bool]] = defaultdict(list)
    for cluster, yes in outcomes:
        groups[cluster].append(yes)
    n = sum(map(len, groups.values()))
    if n == 0:
        return None
    rate = sum(map(sum, groups.values())) / n
    low, high = compute_wilson(rate, _effective_n(groups, rate, n))
    return Rate(rate=rate, low=low, high=high, n=n, clusters=len(groups))


def compute_wilson(rate: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % score interval for a rate seen in n > 0 (effective) outcomes."""
    z2 = Z_95**2
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    # At the ends the bound is the rate itself; floating point must not step past it.
    return max(0.0, min(centre - half, rate)), min(1.0, max(centre + half, rate))


def _effective_n(groups: dict[Hashable, list[bool]], rate: float, n: int) -> float:
    clusters = len(groups)
    binomial = rate * (1 - rate) / n
    if binomial == 0 or clusters == 1:
        return float(clusters)
    residuals = (sum(group) - rate * len(group) for group in groups.values())
    robust = clusters / (clusters - 1) * sum(r * r for r in residuals) / n**2
    # Never more than n: luck in one sample is no evidence that clustering helps.
    return min(float(n), n * binomial / robust) if robust else float(n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The second rate minus the first, both of the same n cases, with a 95 % interval.

    Attributes:
        difference, low, high: in [-1, 1].
        n: cases. clusters: groups of cases that stand or fall together.
    """

    difference: float
    low: float
    high: float
    n: int
    clusters: int

    def __str__(self) -> str:
        told = (
            f"{100 * self.difference:+.1f} points [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"
        )
        return f"{told} (n = {self.n})"


def compute_paired_difference(
    cases: Iterable[tuple[Hashable, bool, bool]],
) -> Difference | None:
    """How much more often the second is true than the first; None without cases.

    Args:
        cases: (cluster, first, second) of each case.

    The interval is normal, with the cluster-robust variance of the mean difference (Liang and
    Zeger 1986, for a mean). With one cluster, or where no case differs, nothing can be estimated
    and Wilson's half width for no event in as many cases as there are clusters stands in.
    """
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for cluster, first, second in cases:
        groups[cluster].append(int(second) - int(first))
    n = sum(map(len, groups.values()))
    if n == 0:
        return None
    mean, clusters = sum(map(sum, groups.values())) / n, len(groups)
    robust = sum((sum(group) - mean * len(group)) ** 2 for group in groups.values()) / n**2
    if clusters > 1 and robust > 0:
        half = Z_95 * math.sqrt(robust * clusters / (clusters - 1))
    else:
        half = compute_wilson(0.0, clusters)[1]
    return Difference(
        difference=mean,
        low=max(-1.0, mean - half),
        high=min(1.0, mean + half),
        n=n,
        clusters=clusters,
    )
