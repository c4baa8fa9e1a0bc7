"""What a principle does to responses: rates out of sums, and how much of a text changed. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rapidfuzz.distance import Indel

from cai_core.evaluation.metrics import Difference, Rate, compute_wilson


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeAfter:
    """How often something is true of responses before and after their revision, in pairs."""

    name: str
    before: Rate
    after: Rate
    difference: Difference


def compute_summed_rate(
    *, n: int, clusters: int, yes: int, yes_squared: int, crossed: int, n_squared: int
) -> Rate | None:
    """`metrics.compute_clustered_rate` where only sums over the clusters are known.

    Args:
        n, yes: Σ n_c and Σ y_c over clusters of n_c outcomes, y_c of them yes.
        clusters: how many have outcomes.
        yes_squared, crossed, n_squared: Σ y_c², Σ y_c n_c and Σ n_c².
    """
    if n == 0:
        return None
    rate = yes / n
    binomial = rate * (1 - rate) / n
    effective = float(clusters)
    if binomial and clusters > 1:
        # Σ (y_c − rate · n_c)², multiplied out; rounding must not take it below 0.
        residuals = max(0.0, yes_squared - 2 * rate * crossed + rate**2 * n_squared)
        robust = clusters / (clusters - 1) * residuals / n**2
        effective = min(float(n), n * binomial / robust) if robust > 1e-15 else float(n)
    low, high = compute_wilson(rate, effective)
    return Rate(rate=rate, low=low, high=high, n=n, clusters=clusters)


def compute_words_changed(before: str, after: str) -> float:
    """Words that are taken out or put in, as a share of the words of both texts.

    In [0, 1]: 0 where they are the same words in the same order, 1 where no word stayed.
    """
    return float(Indel.normalized_distance(before.split(), after.split()))
