"""Figures in words: every rate with its interval and its n. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Literal

from cai_core.evaluation.kappa import Kappa
from cai_core.evaluation.metrics import Rate
from cai_core.evaluation.paired import PairedChange

Unit = Literal["points", "scale", "words"]
NONE = "–"
_SHORT = 12
_OF_RATE = {"rate", "low", "high", "n", "clusters"}
_OF_MEAN = {"mean", "low", "high", "n", "clusters"}
_LARGE = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def tell_percent(share: float | None) -> str:
    """A share with one decimal."""
    return NONE if share is None else f"{100 * share:.1f} %"


def tell_value(value: float, unit: Unit) -> str:
    """A mean, without its interval."""
    return tell_percent(value) if unit == "points" else f"{value:.2f}"


def tell_figure(told: Mapping[str, Any] | None) -> str:
    """A rate or a mean of metrics.json, with interval, n, and clusters where they are fewer."""
    if told is None:
        return NONE
    if "rate" in told:
        shown = f"{tell_percent(told['rate'])} [{100 * told['low']:.1f}, {100 * told['high']:.1f}]"
    else:
        shown = f"{told['mean']:.2f} [{told['low']:.2f}, {told['high']:.2f}]"
    groups = f" in {told['clusters']} clusters" if told["clusters"] != told["n"] else ""
    return f"{shown}, n = {told['n']}{groups}"


def tell_rate(rate: Rate | None) -> str:
    """A rate with its interval."""
    return tell_figure(None if rate is None else asdict(rate))


def tell_kappa(kappa: Kappa | None) -> str:
    """A kappa with its interval."""
    if kappa is None:
        return NONE
    return f"{kappa.kappa:.2f} [{kappa.low:.2f}, {kappa.high:.2f}], n = {kappa.n}"


def tell_change(change: PairedChange, unit: Unit) -> str:
    """A paired difference with its interval."""
    if unit == "points":
        found = [100 * value for value in (change.difference, change.low, change.high)]
        return f"{found[0]:+.1f} points [{found[1]:+.1f}, {found[2]:+.1f}]"
    return f"{change.difference:+.2f} [{change.low:+.2f}, {change.high:+.2f}]"


def tell_p(p: float) -> str:
    """A p-value; the smallest ones differ in nothing that matters."""
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def tell_hash(value: str | None) -> str:
    """The beginning of a hash."""
    return NONE if value is None else value[:_SHORT]


def tell_seconds(seconds: float) -> str:
    """A length of time."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def tell_large(number: float | None, unit: str = "") -> str:
    """A large number with three digits."""
    if number is None:
        return NONE
    size, sign = next(((s, w) for s, w in _LARGE if number >= s), (1.0, ""))
    space = " " if sign or unit else ""
    return f"{number / size:.3g}{space}{sign}{unit}"


def list_figures(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """(where, figure) for everything in metrics.json; where is the keys, joined by ` › `."""
    where = " › ".join(path)
    if isinstance(value, Mapping) and value.keys() in (_OF_RATE, _OF_MEAN):
        yield where, tell_figure(value)
    elif isinstance(value, Mapping | list) and value:
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value, start=1)
        for key, inner in pairs:
            yield from list_figures(inner, (*path, str(key)))
    else:
        yield where, _tell_scalar(value)


def _tell_scalar(value: Any) -> str:
    if value is None or value in ({}, []):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
