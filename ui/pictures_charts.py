"""What the explorers' pictures share: how they look, and from a point to its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from cai_core.evaluation.metrics import Z_95, Rate
from cai_core.evaluation.principle_effect import compute_summed_rate
from cai_core.workspace.index.pictures import Mean
from cai_core.workspace.index.principles import OutcomeSums
from ui.look import make_showable

# More lines of a chart than anybody reads.
MOST_LINES = 40
_LONGEST = 28
_INERT = str.maketrans({"&": "＆", "<": "‹", ">": "›", "$": "＄"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a picture.

    Attributes:
        at: its place on the axis that is no number: a name, a round, a time.
        low, high: 95 % interval of the value.
        n: rows that it is made of.
        asks: fields of the filter that leave these rows.
    """

    at: str | int
    value: float
    low: float
    high: float
    n: int
    asks: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points of one colour.

    Attributes:
        colours: in the light and in the dark theme.
    """

    name: str
    colours: tuple[str, str]
    points: Sequence[Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What the numbers of a picture are.

    Attributes:
        name: of the axis. form: of a number, for Plotly (d3) and Python alike.
        most: the axis ends there; None where the highest point says.
    """

    name: str
    form: str = ".0%"
    most: float | None = 1.0


def rate_sums(sums: OutcomeSums) -> Rate | None:
    """The rate of summed outcomes with its interval; None without any."""
    return compute_summed_rate(
        n=sums.n,
        clusters=sums.prompts,
        yes=sums.yes,
        yes_squared=sums.yes_squared,
        crossed=sums.crossed,
        n_squared=sums.n_squared,
    )


def build_rate_point(at: str | int, rate: Rate, asks: Mapping[str, Any]) -> Point:
    """A rate as a point."""
    return Point(at=at, value=rate.rate, low=rate.low, high=rate.high, n=rate.n, asks=asks)


def build_mean_point(at: str | int, mean: Mean, asks: Mapping[str, Any]) -> Point:
    """A mean as a point; without an interval where one prompt alone is known."""
    half = Z_95 * sqrt(mean.variance) if mean.variance is not None else 0.0
    low = max(0.0, mean.mean - half)
    return Point(at=at, value=mean.mean, low=low, high=mean.mean + half, n=mean.n, asks=asks)


def build_lines(series: Sequence[Series], unit: Unit, *, dark: bool) -> go.Figure:
    """A line for each name, one below the other, with the series' points on it."""
    names = list(dict.fromkeys(str(point.at) for one in series for point in one.points))
    figure = go.Figure()
    for number, one in enumerate(series):
        # Two points of one line must not hide each other.
        shift = 0.16 * (number - (len(series) - 1) / 2)
        ys = [names.index(str(point.at)) + shift for point in one.points]
        _add(figure, one, unit, dark=dark, across=True, places=ys)
    _lay_out(figure, dark=dark, height=110 + 24 * len(names), legend=len(series) > 1)
    figure.update_xaxes(**_axis(unit, series))
    figure.update_yaxes(
        autorange="reversed",
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=[name_line(name) for name in names],
        automargin=True,
    )
    return figure


def build_steps(
    series: Sequence[Series], unit: Unit, *, across: str, dark: bool, dates: bool = False
) -> go.Figure:
    """The series' points from left to right, by round or by time."""
    figure = go.Figure()
    for one in series:
        _add(figure, one, unit, dark=dark, across=False, places=[p.at for p in one.points])
        figure.data[-1].update(mode="lines+markers" if len(one.points) > 1 else "markers")
    _lay_out(figure, dark=dark, height=270, legend=len(series) > 1)
    ticks = {"type": "date"} if dates else {"tickmode": "linear", "dtick": 1}
    figure.update_xaxes(title=across, **ticks)
    figure.update_yaxes(**_axis(unit, series))
    return figure


def describe(title: str, series: Sequence[Series], unit: Unit) -> str:
    """The picture in sentences, for those who do not see it."""
    told = [
        f"{make_showable(one.name)}: "
        + "; ".join(
            f"{make_showable(str(p.at))} {p.value:{unit.form}} "
            f"[{p.low:{unit.form}}, {p.high:{unit.form}}], n = {p.n:,}"
            for p in one.points[:MOST_LINES]
        )
        for one in series
        if one.points
    ]
    return f"{title}, {unit.name}, with 95 % intervals. {'. '.join(told)}."


def show_picture(
    title: str,
    figure: go.Figure,
    words: str,
    key: str,
    targets: Sequence[Sequence[Mapping[str, Any]]],
    open_rows: Callable[[Mapping[str, Any]], None],
) -> None:
    """Draw it under its title; a click on a point opens the point's rows.

    Args:
        words: the picture in words.
        targets: what each point of each series asks for.
    """
    with st.container(gap=None):
        st.html(f'<span class="cai-field">{title}</span>')
        st.plotly_chart(
            figure,
            key=key,
            config={"displayModeBar": False},
            alt=words,
            on_select=lambda: _follow(key, targets, open_rows),
            selection_mode="points",
        )


def find_target(
    selected: Any, targets: Sequence[Sequence[Mapping[str, Any]]]
) -> Mapping[str, Any] | None:
    """What the first selected point asks for; None where no point is selected."""
    for point in (selected or {}).get("selection", {}).get("points", []):
        curve, at = point.get("curve_number", 0), point.get("point_index", -1)
        if 0 <= curve < len(targets) and 0 <= at < len(targets[curve]):
            return targets[curve][at]
    return None


def list_targets(series: Sequence[Series]) -> list[list[Mapping[str, Any]]]:
    """What each point of each series asks for."""
    return [[point.asks for point in one.points] for one in series]


def name_line(name: str) -> str:
    """A name short enough for an axis. Plotly reads markup in labels: its signs get look-alikes."""
    shown = make_showable(name)
    shown = shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
    return shown.translate(_INERT)


def is_dark() -> bool:
    """Whether the browser shows the dark theme."""
    return st.context.theme.type == "dark"


def _add(
    figure: go.Figure, one: Series, unit: Unit, *, dark: bool, across: bool, places: Sequence[Any]
) -> None:
    values = [point.value for point in one.points]
    error = {
        "type": "data",
        "array": [point.high - point.value for point in one.points],
        "arrayminus": [point.value - point.low for point in one.points],
        "thickness": 1.2,
    }
    colour = one.colours[dark]
    told = [[name_line(str(p.at)), f"{p.n:,}", p.low, p.high] for p in one.points]
    number = "x" if across else "y"
    figure.add_scatter(
        x=values if across else list(places),
        y=list(places) if across else values,
        mode="markers",
        name=one.name,
        marker={"color": colour, "size": 9},
        line={"color": colour},
        customdata=told,
        hovertemplate=f"%{{customdata[0]}}: {one.name} %{{{number}:{unit.form}}} "
        f"[%{{customdata[2]:{unit.form}}}, %{{customdata[3]:{unit.form}}}], "
        "n = %{customdata[1]}<extra></extra>",
        **{f"error_{number}": error},
    )


def _axis(unit: Unit, series: Sequence[Series]) -> dict[str, Any]:
    highest = max((point.high for one in series for point in one.points), default=1.0)
    most = unit.most if unit.most is not None else 1.05 * highest
    return {"title": unit.name, "range": [-0.03 * most, 1.03 * most], "tickformat": unit.form}


def _lay_out(figure: go.Figure, *, dark: bool, height: int, legend: bool) -> None:
    grid = "#2a2f3d" if dark else "#e6e9f0"
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        showlegend=legend,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom"},
        dragmode=False,
        xaxis={"gridcolor": grid, "zeroline": False},
        yaxis={"gridcolor": grid, "zeroline": False},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )


def _follow(
    key: str,
    targets: Sequence[Sequence[Mapping[str, Any]]],
    open_rows: Callable[[Mapping[str, Any]], None],
) -> None:
    asked = find_target(st.session_state.get(key), targets)
    if asked is not None:
        open_rows(asked)
