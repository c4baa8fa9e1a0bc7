"""Charts as SVG, drawn here: no script, no font, no colour that the page's style does not name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cai_core.reports.signs import escape_html

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 720, 210, 90, 24, 26
# Letters that fit into the margin.
_LETTERS = 30
_MARKS = 4


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval.

    Attributes:
        label: at its left. shown: at its right.
        style: which of the models, from 0; or how a change is meant.
    """

    label: str
    value: float
    low: float
    high: float
    shown: str
    style: int | str


@dataclass(frozen=True, slots=True)
class Group:
    """Values under one heading."""

    title: str
    intervals: tuple[Interval, ...]


def draw_values(groups: Sequence[Group], *, highest: float, percent: bool) -> str:
    """Values from 0 to `highest`, a line for each, in groups."""
    ticks = [highest * step / 4 for step in range(5)]
    told = [f"{100 * tick:.0f} %" if percent else f"{tick:g}" for tick in ticks]
    return _draw(groups, 0.0, highest, list(zip(ticks, told, strict=True)))


def draw_changes(intervals: Sequence[Interval], *, percent: bool) -> str:
    """Changes around zero; the scale is the largest one's."""
    most = max((max(abs(one.low), abs(one.high)) for one in intervals), default=0.0) or 0.1
    edge = _round_up(most)
    ticks = [-edge, -edge / 2, 0.0, edge / 2, edge]
    told = [f"{100 * tick:+.3g}" if percent else f"{tick:+.3g}" for tick in ticks]
    told[2] = "0"
    return _draw([Group("", tuple(intervals))], -edge, edge, list(zip(ticks, told, strict=True)))


def shorten(text: str, letters: int = _LETTERS) -> str:
    """The text's beginning and end, where it does not fit."""
    if len(text) <= letters:
        return text
    half = (letters - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def open_svg(width: float, height: float, parts: Sequence[str]) -> str:
    """The drawing; hidden from readers of screens, who are told in words."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'aria-hidden="true" focusable="false">{"".join(parts)}</svg>'
    )


def write_text(x: float, y: float, text: str, style: str) -> str:
    """A line of text at a place."""
    return f'<text x="{x:g}" y="{y:g}" class="{style}">{escape_html(text)}</text>'


def _draw(
    groups: Sequence[Group], low: float, high: float, ticks: Sequence[tuple[float, str]]
) -> str:
    def place(value: float) -> float:
        inside = min(max(value, low), high)
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * (inside - low) / (high - low), 2)

    rows = sum(len(one.intervals) + bool(one.title) for one in groups)
    height = _TOP + _ROW * rows + 8
    parts = []
    for tick, told in ticks:
        style = "zero" if tick == 0 else "grid"
        at = place(tick)
        parts.append(f'<line x1="{at}" y1="{_TOP}" x2="{at}" y2="{height - 6}" class="{style}"/>')
        parts.append(write_text(at, _TOP - 9, told, "tick"))
    y = _TOP + _ROW / 2
    for group in groups:
        if group.title:
            parts.append(write_text(0, y + 4, shorten(group.title, 40), "head"))
            y += _ROW
        for one in group.intervals:
            parts.append(write_text(10 if group.title else 0, y + 4, shorten(one.label), "label"))
            parts.append(
                f'<line x1="{place(one.low)}" y1="{y:g}" x2="{place(one.high)}" y2="{y:g}" '
                f'class="bar {_name_style(one.style)}"/>'
            )
            parts.append(_draw_mark(place(one.value), y, one.style))
            parts.append(write_text(_WIDTH - _RIGHT + 12, y + 4, one.shown, "label"))
            y += _ROW
    return open_svg(_WIDTH, height, parts)


def _name_style(style: int | str) -> str:
    return f"m{style % _MARKS}" if isinstance(style, int) else style


def _draw_mark(x: float, y: float, style: int | str) -> str:
    """A shape for each model: colour is never the only difference."""
    name = f'class="mark {_name_style(style)}"'
    match style if isinstance(style, str) else style % _MARKS:
        case 0 | "same":
            return f'<circle cx="{x:g}" cy="{y:g}" r="5" {name}/>'
        case 1:
            return f'<rect x="{x - 5:g}" y="{y - 5:g}" width="10" height="10" {name}/>'
        case 2 | "better":
            points = f"{x:g},{y - 6:g} {x + 6:g},{y + 5:g} {x - 6:g},{y + 5:g}"
        case "worse":
            points = f"{x:g},{y + 6:g} {x + 6:g},{y - 5:g} {x - 6:g},{y - 5:g}"
        case _:
            points = f"{x:g},{y - 6:g} {x + 6:g},{y:g} {x:g},{y + 6:g} {x - 6:g},{y:g}"
    return f'<polygon points="{points}" {name}/>'


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999999)
