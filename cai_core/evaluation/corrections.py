"""p-values of several comparisons, corrected for their number. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979): below α with probability at most α by chance.

    Adjusted p-values in the given order, each in [0, 1] and not below the raw one.
    """
    ranked = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, most = [0.0] * len(p_values), 0.0
    for place, at in enumerate(ranked):
        most = max(most, min(1.0, (len(p_values) - place) * p_values[at]))
        adjusted[at] = most
    return adjusted


def adjust_benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's correction (1995): of those below α a share of α is by chance.

    Adjusted p-values in the given order. For a table that is looked through; a gate takes Holm's.
    """
    ranked = sorted(range(len(p_values)), key=p_values.__getitem__, reverse=True)
    adjusted, least, count = [0.0] * len(p_values), 1.0, len(p_values)
    for place, at in enumerate(ranked):
        least = min(least, p_values[at] * count / (count - place))
        adjusted[at] = least
    return adjusted
