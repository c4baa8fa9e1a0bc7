"""One measure over the evaluations in order of time, against the baseline."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import streamlit as st

from cai_core.evaluation.measures import KEEPS, MEASURES, get_measure
from ui.drift_address import LINE, choose, read
from ui.drift_data import Cell, Evaluation, MatrixRow
from ui.drift_matrix import describe_change

_BLUE, _RED = "#4f7cff", "#d9534f"
# A name below a point of the chart.
_LONGEST = 18
_KEY = "drift_line"


def show_timeline(
    baseline: Evaluation, rows: Sequence[MatrixRow], evaluations: Sequence[Evaluation]
) -> None:
    """Render the choice of a measure and its chart.

    Args:
        evaluations: in order of time.
    """
    told = {name for row in rows for name in row.cells}
    names = [*(name for name in MEASURES if name in told)]
    names += sorted(name for name in told if name.startswith(KEEPS))
    if not names:
        return
    asked = read(LINE)
    st.html('<h2 class="cai-h2">Over time</h2>')
    st.session_state[_KEY] = measure = asked if asked in names else names[0]
    st.selectbox("Measure", names, key=_KEY, on_change=choose, args=(LINE, _KEY))
    cells = {row.run: row.cells.get(measure) for row in rows}
    points = [(one, cells.get(one.run)) for one in evaluations if one.run in cells]
    dark = st.context.theme.type == "dark"
    st.plotly_chart(
        build_timeline(measure, baseline, points, evaluations, dark=dark),
        key="drift_timeline",
        config={"displayModeBar": False},
        alt=describe_timeline(measure, baseline, points),
    )


def build_timeline(
    measure: str,
    baseline: Evaluation,
    points: Sequence[tuple[Evaluation, Cell | None]],
    evaluations: Sequence[Evaluation],
    *,
    dark: bool,
) -> go.Figure:
    """Δ with its paired interval, the baseline at 0, and what the gate allows."""
    known = [(one, cell) for one, cell in points if cell is not None]
    scale = 100 if get_measure(measure).unit == "points" else 1
    order = {one.run: place for place, one in enumerate(evaluations)}
    figure = go.Figure()
    figure.add_scatter(
        x=[order[one.run] for one, _ in known],
        y=[scale * cell.change.difference for _, cell in known],
        mode="lines+markers" if len(known) > 1 else "markers",
        line={"color": _BLUE},
        marker={
            "size": 10,
            "symbol": ["x" if cell.word == "fail" else "circle" for _, cell in known],
            "color": [_RED if cell.word == "fail" else _BLUE for _, cell in known],
        },
        error_y={
            "type": "data",
            "array": [scale * (cell.change.high - cell.change.difference) for _, cell in known],
            "arrayminus": [scale * (cell.change.difference - cell.change.low) for _, cell in known],
            "thickness": 1.2,
            "color": _BLUE,
        },
        customdata=[
            [_make_inert(one.name), *describe_change(measure, cell), cell.word]
            for one, cell in known
        ],
        hovertemplate="%{customdata[0]}: %{customdata[1]} %{customdata[2]}, %{customdata[3]}"
        "<extra></extra>",
    )
    if baseline.run in order:
        figure.add_scatter(
            x=[order[baseline.run]],
            y=[0],
            mode="markers",
            marker={"size": 11, "symbol": "diamond", "color": "#8a92a3"},
            hovertemplate=f"{_make_inert(baseline.name)}: the baseline<extra></extra>",
        )
    figure.add_hline(y=0, line={"color": "#8a92a3", "width": 1})
    allowed = next((cell.allowed for _, cell in known if cell.allowed is not None), None)
    if allowed is not None:
        worse = 1 if get_measure(measure).better == "lower" else -1
        figure.add_hline(
            y=scale * worse * allowed,
            line={"color": _RED, "dash": "dash", "width": 1},
            annotation_text="the loss that passes",
            annotation_position="top left",
        )
    grid = "#2a2f3d" if dark else "#e6e9f0"
    drawn = {baseline.run, *(one.run for one, _ in known)}
    shown = [one for one in evaluations if one.run in drawn]
    figure.update_layout(
        height=300,
        margin={"l": 10, "r": 10, "t": 20, "b": 10},
        showlegend=False,
        xaxis={
            "tickvals": [order[one.run] for one in shown],
            "ticktext": [_name(one, baseline) for one in shown],
            "gridcolor": grid,
        },
        yaxis={"title": f"Δ {_unit(measure)}", "gridcolor": grid, "zeroline": False},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def describe_timeline(
    measure: str, baseline: Evaluation, points: Sequence[tuple[Evaluation, Cell | None]]
) -> str:
    """Sentences for those who do not see the chart."""
    told = [
        f"{one.name}: {' '.join(describe_change(measure, cell))}, {cell.word}"
        for one, cell in points
        if cell is not None
    ]
    words = "; ".join(told) or "nothing measured"
    return f"{measure} less that of the baseline {baseline.name}, in order of time. {words}."


def _unit(measure: str) -> str:
    unit = get_measure(measure).unit
    return "of 4" if unit == "scale" else unit


def _name(one: Evaluation, baseline: Evaluation) -> str:
    name = one.name if len(one.name) <= _LONGEST else f"{one.name[: _LONGEST - 1]}…"
    return _make_inert(name + (" (baseline)" if one.run == baseline.run else ""))


def _make_inert(text: str) -> str:
    """Plotly reads a few tags in its labels, links among them."""
    return text.replace("&", "&amp;").replace("<", "&lt;")
