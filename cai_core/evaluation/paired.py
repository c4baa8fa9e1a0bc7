"""What changed between two models on the same cases: difference, 95 % interval, p-value. Pure.

Every figure is that of pairs: a case is one prompt (and sample) that both models answered. Cases of
one cluster stand or fall together: prompts of one intent, samples of one prompt.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from cai_core.evaluation.bootstrap import (
    DRAWS,
    Floats,
    compute_percentiles,
    draw_means,
    number_clusters,
)
from cai_core.evaluation.metrics import compute_wilson

# Up to this sum of absolute differences the sign-flip distribution is computed, beyond it drawn.
_MOST_EXACT = 20_000
_FLIPS = 4999
Method = Literal["Newcombe", "bootstrap", "no difference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedChange:
    """The second model less the first, over the cases that both have, with a 95 % interval.

    Attributes:
        before, after: means over the same cases; rates where the values are yes and no.
        difference, low, high: after − before, in the values' unit.
        p: two-sided, of no change, by `compute_sign_flip`; not corrected for other comparisons.
        rose, fell: cases whose value is higher, or lower, than before.
        n: cases. clusters: groups of cases that stand or fall together.
        method: where the interval comes from, see `compute_paired_changes`.
    """

    before: float
    after: float
    difference: float
    low: float
    high: float
    p: float
    rose: int
    fell: int
    n: int
    clusters: int
    method: Method


def compute_paired_change(
    cases: Iterable[tuple[Hashable, float, float]],
    *,
    span: float = 1.0,
    mid_p: bool = False,
    draws: int = DRAWS,
    seed: int = 0,
) -> PairedChange | None:
    """How (cluster, before, after) changed; None without cases. See `compute_paired_changes`."""
    told = list(cases)
    clusters = [cluster for cluster, _, _ in told]
    before = np.array([first for _, first, _ in told], dtype=np.float64)
    after = np.array([second for _, _, second in told], dtype=np.float64)
    return compute_paired_changes(
        clusters, before, after[:, None], span=span, mid_p=mid_p, draws=draws, seed=seed
    )[0]


def compute_paired_changes(
    clusters: Sequence[Hashable],
    before: Floats,
    after: Floats,
    *,
    span: float = 1.0,
    mid_p: bool = False,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[PairedChange | None, ...]:
    """How each of several models changed against one, on the same cases.

    Yes and no in clusters of one: the interval is the square-and-add one of two score intervals,
    corrected for their correlation (Newcombe 1998, Statistics in Medicine 17:2635, method 10).
    Everything else: percentiles of a bootstrap of whole clusters. With one cluster, or where no
    case differs, `span` times Wilson's bound for no event in as many clusters stands in.

    Args:
        clusters: n of them, one for each case.
        before: the first model's values, shape (n,); nan where it has none.
        after: the others' values, shape (n, models); a case counts where both are known.
        span: how far apart two values can be: 1 for yes and no, 4 for ratings from 0 to 4.
        mid_p: see `compute_sign_flip`.

    Returns:
        One for each model; None where no case is known of both.
    """
    codes, count = number_clusters(clusters)
    known = ~np.isnan(before)[:, None] & ~np.isnan(after)
    deltas = np.where(known, after - before[:, None], 0.0)
    sums, sizes = np.zeros((count, after.shape[1])), np.zeros((count, after.shape[1]))
    np.add.at(sums, codes, deltas)
    np.add.at(sizes, codes, known.astype(np.float64))
    columns = [
        _Column(before[of], after[of, at], sums[:, at], sizes[:, at])
        for at in range(after.shape[1])
        for of in (known[:, at],)
    ]
    to_draw = [at for at, column in enumerate(columns) if column.method == "bootstrap"]
    bounds: dict[int, Floats] = {}
    if to_draw:
        drawn = draw_means(sums[:, to_draw], sizes[:, to_draw], draws=draws, seed=seed)
        bounds = dict(zip(to_draw, compute_percentiles(drawn).T, strict=True))
    return tuple(
        _build_change(column, bounds.get(at), span=span, mid_p=mid_p, seed=seed)
        for at, column in enumerate(columns)
    )


def compute_mcnemar(rose: int, fell: int, *, mid_p: bool = False) -> float:
    """McNemar's exact test of two models' yes and no on the same cases, two-sided.

    Args:
        rose, fell: cases in which only the second, or only the first, says yes.
        mid_p: see `compute_sign_flip`.
    """
    return compute_sign_flip([1] * rose + [-1] * fell, mid_p=mid_p)


def compute_sign_flip(sums: Sequence[float], *, mid_p: bool = False, seed: int = 0) -> float:
    """Two-sided p-value of no change, given each cluster's sum of differences.

    Without a change a cluster's sum is as probable with the other sign (Fisher 1935, section 21).
    Whole numbers are counted exactly; with clusters of one yes or no this is McNemar's exact test.
    For other numbers 4,999 sign flips are drawn, and p is at least 1/5,000.

    Args:
        mid_p: count what is exactly as extreme as what was seen by half (Fagerland et al. 2013,
            BMC Medical Research Methodology 13:91); less careful and nearer to the level. Only
            where the test is exact.
    """
    moved = np.abs(np.array(sums, dtype=np.float64))
    seen, most = abs(math.fsum(sums)), float(moved.sum())
    if not most:
        return 1.0
    if (moved == np.round(moved)).all() and most <= _MOST_EXACT:
        return _flip_exactly(Counter(map(int, moved[moved > 0])), round(seen), mid_p=mid_p)
    # Sums that differ in the last bits alone are equally extreme.
    drawn = np.abs(_draw_signs(len(moved), seed) @ moved.astype(np.float32)) >= seen - 1e-6 * most
    return float(1 + drawn.sum()) / (1 + len(drawn))


def compute_newcombe(both: int, first: int, second: int, neither: int) -> tuple[float, float]:
    """95 % interval of the second rate less the first, of paired yes and no.

    Newcombe 1998, Statistics in Medicine 17:2635, method 10.

    Args:
        both, neither: cases with yes, or no, twice. first, second: yes of that one alone.
    """
    n = both + first + second + neither
    one, two = (both + first) / n, (both + second) / n
    (low_one, high_one), (low_two, high_two) = compute_wilson(one, n), compute_wilson(two, n)
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    excess = float(both * neither - first * second)
    if excess > 0:
        excess = max(excess - n / 2, 0.0)
    phi = excess / math.sqrt(margins) if margins else 0.0

    def add(left: float, right: float) -> float:
        return math.sqrt(max(0.0, left**2 - 2 * phi * left * right + right**2))

    difference = two - one
    low = difference - add(two - low_two, high_one - one)
    return max(-1.0, low), min(1.0, difference + add(high_two - two, one - low_one))


class _Column:
    """One model's known cases beside the first one's."""

    def __init__(self, before: Floats, after: Floats, sums: Floats, sizes: Floats) -> None:
        self.before, self.after, self.sums, self.sizes = before, after, sums, sizes
        self.n, self.clusters = len(before), int((sizes > 0).sum())
        binary = bool(np.isin(before, (0, 1)).all() and np.isin(after, (0, 1)).all())
        differs = bool((before != after).any())
        self.method: Method = "no difference"
        if self.n and binary and self.clusters == self.n:
            self.method = "Newcombe"
        elif self.clusters > 1 and differs:
            self.method = "bootstrap"


def _build_change(
    column: _Column, bounds: Floats | None, *, span: float, mid_p: bool, seed: int
) -> PairedChange | None:
    if not column.n:
        return None
    before, after = column.before, column.after
    difference = float((after - before).mean())
    if column.method == "Newcombe":
        yes, also = before == 1, after == 1
        low, high = compute_newcombe(
            int((yes & also).sum()),
            int((yes & ~also).sum()),
            int((~yes & also).sum()),
            int((~yes & ~also).sum()),
        )
    elif bounds is not None:
        low, high = map(float, bounds)
    else:
        half = span * compute_wilson(0.0, column.clusters)[1]
        low, high = max(-span, difference - half), min(span, difference + half)
    return PairedChange(
        before=float(before.mean()),
        after=float(after.mean()),
        difference=difference,
        low=low,
        high=high,
        p=compute_sign_flip(column.sums.tolist(), mid_p=mid_p, seed=seed),
        rose=int((after > before).sum()),
        fell=int((after < before).sum()),
        n=column.n,
        clusters=column.clusters,
        method=column.method,
    )


def _flip_exactly(sizes: Counter[int], seen: int, *, mid_p: bool) -> float:
    """P(|Σ ±size| ≥ seen), each sign a fair coin; the sum's distribution, size by size."""
    masses = np.ones(1)
    for size, count in sorted(sizes.items()):
        step = np.zeros(2 * size * count + 1)
        step[:: 2 * size] = _binomial(count)
        masses = np.convolve(masses, step)
    middle = len(masses) // 2
    beyond = float(masses[middle + seen :].sum() + masses[: middle - seen + 1].sum())
    same = float(masses[middle + seen] + masses[middle - seen])
    if seen == 0:
        beyond, same = 1.0, float(masses[middle])
    return min(1.0, beyond - same / 2 if mid_p else beyond)


@lru_cache(maxsize=256)
def _binomial(count: int) -> Floats:
    """Probabilities of 0 … count heads of a fair coin."""
    whole = math.lgamma(count + 1) - count * math.log(2)
    return np.array(
        [
            math.exp(whole - math.lgamma(heads + 1) - math.lgamma(count - heads + 1))
            for heads in range(count + 1)
        ]
    )


@lru_cache(maxsize=4)
def _draw_signs(clusters: int, seed: int) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng([2309_00267, seed])
    return (2 * rng.integers(0, 2, size=(_FLIPS, clusters)) - 1).astype(np.float32)
