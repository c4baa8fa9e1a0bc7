"""What a run will need, before it is handed in: each figure with its formula and its basis.

What is not known is None with the reason, never a number that somebody made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cai_core.jobs.forecast_counts import Plans
from cai_core.jobs.forecast_machine import Machine
from cai_core.jobs.rates import Measured
from cai_core.jobs.spec import RunSpec
from cai_core.training.memory import MemoryPart

# Order in which figures are told, and their unit.
UNITS = {
    "comparisons": "comparisons",
    "rows": "rows",
    "examples": "examples",
    "completions": "completions",
    "steps": "steps",
    "prompt_tokens": "tokens",
    "completion_tokens": "tokens",
    "trained_tokens": "tokens",
    "seconds": "s",
    "memory": "B",
    "disk": "B",
    "cost": "USD",
}
ASSUMED, COUNTED = "assumed", "counted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number.

    Attributes:
        value: in the unit that `UNITS` tells; None where it is not known.
        formula: how it is reckoned, in words, or why it is not known.
        basis: `counted`, `assumed`, `unknown`, or `measured: run …`.
    """

    value: float | None
    formula: str
    basis: str

    @classmethod
    def unknown(cls, why: str) -> Figure:
        """A figure that nobody knows."""
        return cls(value=None, formula=why, basis="unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What one run will need.

    Attributes:
        figures: by a name of `UNITS`; only those that its kind has.
        parts: what its memory is made of.
        on_gpu: the memory is a GPU's.
        disk_peak: bytes while it runs, where that is more than at its end.
        faults: why it cannot work on any machine, e.g. texts longer than the model's context.
        warnings: what may go wrong.
    """

    run_id: str
    kind: str
    figures: Mapping[str, Figure]
    parts: tuple[MemoryPart, ...] = ()
    on_gpu: bool = False
    disk_peak: int = 0
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain form, for JSON; `parse_forecast` is the inverse."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What forecasts are made from, read once for all runs of a plan."""

    plans: Plans
    machine: Machine
    measured: Sequence[Measured] = field(default_factory=tuple)

    @property
    def workspace(self) -> Path:
        """The workspace's folder."""
        return self.plans.workspace

    def count_parameters(self, model: str) -> int | None:
        """Of a model by its name; None where it is not here."""
        shape = self.plans.find_shape(model)
        return None if shape is None else shape.parameters


def build_unknown(spec: RunSpec, why: str) -> Forecast:
    """The forecast of a run of which nothing can be said."""
    names = ("rows", "seconds", "memory", "disk", "cost")
    figures = {name: Figure.unknown(why) for name in names}
    return Forecast(run_id=spec.run_id, kind=spec.kind, figures=figures)


def parse_forecast(document: Mapping[str, Any]) -> Forecast:
    """Read the plain form.

    Raises:
        ValueError: it is none.
    """
    try:
        figures = {name: Figure(**told) for name, told in document["figures"].items()}
        parts = tuple(MemoryPart(**part) for part in document["parts"])
        lists = {name: tuple(document[name]) for name in ("faults", "warnings")}
        return Forecast(**{**document, "figures": figures, "parts": parts, **lists})
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no forecast: {error}") from error


def describe(name: str, value: float | None) -> str:
    """A figure for people: `1.2 GB`, `3 min`, `unknown`."""
    if value is None:
        return "unknown"
    match UNITS[name]:
        case "B":
            return describe_bytes(value)
        case "s":
            return describe_seconds(value)
        case "USD":
            return f"{value:,.2f} USD" if value >= 0.005 or not value else "< 0.01 USD"
    return f"{value:,.0f}"


def describe_bytes(size: float) -> str:
    """`12 MB`, `3.4 GB`."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def describe_seconds(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def describe_line(forecast: Forecast) -> str:
    """The whole forecast on one line."""
    told = []
    for name, figure in _in_order(forecast.figures.items()):
        if name in ("steps", "prompt_tokens") or (name == "cost" and figure.value is None):
            continue
        if name == "seconds":
            told.append(
                "unknown time" if figure.value is None else f"in {describe(name, figure.value)}"
            )
        else:
            told.append(f"{describe(name, figure.value)} {name.replace('_', ' ')}")
    return ", ".join(told)


def describe_formulas(forecast: Forecast) -> list[tuple[str, str, str, str]]:
    """Name, value, formula and basis of each figure; parts of the memory behind it."""
    lines = []
    for name, figure in _in_order(forecast.figures.items()):
        shown = name.replace("_", " ")
        lines.append((shown, describe(name, figure.value), figure.formula, figure.basis))
        if name == "memory":
            lines += [
                (f"· {part.name}", describe_bytes(part.size), part.formula, "")
                for part in forecast.parts
            ]
    return lines


def _in_order(figures: Iterable[tuple[str, Figure]]) -> list[tuple[str, Figure]]:
    order = list(UNITS)
    return sorted(figures, key=lambda pair: order.index(pair[0]))
