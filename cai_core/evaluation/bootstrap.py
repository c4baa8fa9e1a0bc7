"""Resampling of whole clusters, seeded: what other prompts would have changed. Pure.

A cluster is a group of cases that stand or fall together (the prompts of one intent, the samples of
one prompt). Whole clusters are drawn with replacement, as many as there are (Davison and Hinkley
1997, section 3.8), and intervals are the percentiles of the drawn statistics.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cai_core.evaluation.metrics import compute_wilson

# Efron and Tibshirani 1993, section 13.3: a thousand or more for percentile intervals.
DRAWS = 2000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean of n values that come in clusters, with a 95 % interval.

    Attributes:
        mean, low, high: in the values' unit.
        n: values. clusters: groups of values that stand or fall together.
    """

    mean: float
    low: float
    high: float
    n: int
    clusters: int


def compute_clustered_mean(
    values: Iterable[tuple[Hashable, float]],
    *,
    span: float = 1.0,
    draws: int = DRAWS,
    seed: int = 0,
) -> Mean | None:
    """The mean of (cluster, value); None when there are none.

    Args:
        span: how far apart two values can be. With one cluster, or where all values are equal,
            nothing can be estimated, and this much of Wilson's half width stands in for it.
        draws: of the bootstrap.
    """
    told = list(values)
    if not told:
        return None
    codes, clusters = number_clusters([cluster for cluster, _ in told])
    numbers = np.array([value for _, value in told], dtype=np.float64)
    mean = float(numbers.mean())
    if clusters == 1 or bool((numbers == numbers[0]).all()):
        half = span * compute_wilson(0.0, clusters)[1]
        low, high = mean - half, mean + half
    else:
        sums = np.bincount(codes, numbers, clusters).astype(np.float64)
        sizes = np.bincount(codes, minlength=clusters).astype(np.float64)
        drawn = draw_means(sums[:, None], sizes[:, None], draws=draws, seed=seed)
        low, high = map(float, compute_percentiles(drawn)[:, 0])
    return Mean(mean=mean, low=low, high=high, n=len(told), clusters=clusters)


def number_clusters(clusters: Sequence[Hashable]) -> tuple[npt.NDArray[np.int64], int]:
    """Each case's cluster as a number from 0, in order of appearance; and how many there are."""
    numbers: dict[Hashable, int] = {}
    codes = [numbers.setdefault(cluster, len(numbers)) for cluster in clusters]
    return np.array(codes, dtype=np.int64), len(numbers)


@lru_cache(maxsize=4)
def draw_weights(clusters: int, draws: int = DRAWS, seed: int = 0) -> npt.NDArray[np.float32]:
    """How often each cluster is drawn. Shape (draws, clusters); each row's sum is `clusters`.

    The same for the same numbers, so that statistics of the same prompts are drawn together.
    """
    rng = np.random.default_rng([2212_08073, seed])
    places = rng.integers(0, clusters, size=(draws, clusters))
    places += np.arange(draws)[:, None] * clusters
    counts = np.bincount(places.ravel(), minlength=draws * clusters)
    weights = counts.reshape(draws, clusters).astype(np.float32)
    weights.setflags(write=False)
    return weights


def draw_means(sums: Floats, sizes: Floats, *, draws: int = DRAWS, seed: int = 0) -> Floats:
    """Means of drawn clusters: shape (draws, columns); nan where a draw held no case.

    Args:
        sums, sizes: of each cluster's values, and how many it has. Shape (clusters, columns).
    """
    weights = draw_weights(len(sums), draws, seed)
    both = np.hstack([sums, sizes]).astype(np.float32)
    drawn = (weights @ both).astype(np.float64)
    columns = sums.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Floats = drawn[:, :columns] / drawn[:, columns:]
    return means


def compute_percentiles(drawn: Floats) -> Floats:
    """The 2.5th and the 97.5th percentile of each column: shape (2, columns)."""
    found: Floats = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
    return found
