"""The agreement's charts: over time, and by the AI label's confidence; points lead to rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from cai_core.evaluation.label_traits import CONFIDENCE_BINS
from cai_core.evaluation.metrics import Rate
from cai_core.evaluation.review_agreement import Agreement, PartAgreement, TimePoint
from ui.review_address import BIN, PART, change
from ui.review_words import BLUE_DARK, BLUE_LIGHT


def show_charts(told: Agreement, queue: str) -> None:
    """Draw both, side by side where there is room."""
    dark = st.context.theme.type == "dark"
    with st.container(horizontal=True, key="review_charts"):
        if told.over_time:
            _show(
                "Agreement with the AI label over time",
                build_line(told.over_time, dark=dark),
                describe_line(told.over_time),
                f"review_time_{queue}",
                PART,
                [str(number) for number in range(len(told.over_time))],
            )
        if told.bins:
            _show(
                "… by the AI label’s confidence, |p − ½|",
                build_bins(told.bins, dark=dark),
                describe_bins(told.bins),
                f"review_bins_{queue}",
                BIN,
                [part.name for part in told.bins],
            )


def build_line(points: Sequence[TimePoint], *, dark: bool) -> go.Figure:
    """Share of the votes that agree, in the order in which they were given."""
    figure = _begin([point.at for point in points], [point.rate for point in points], dark=dark)
    figure.update_traces(mode="lines+markers" if len(points) > 1 else "markers")
    figure.update_xaxes(title="when they voted", type="date")
    return figure


def build_bins(bins: Sequence[PartAgreement], *, dark: bool) -> go.Figure:
    """Share of the votes that agree, by the bin of the label's confidence."""
    width = 0.5 / CONFIDENCE_BINS
    middles = [(int(part.name) + 0.5) * width for part in bins]
    figure = _begin(middles, [part.rate for part in bins], dark=dark)
    figure.update_traces(mode="markers")
    figure.update_xaxes(title="confidence", range=[-0.01, 0.51])
    return figure


def describe_line(points: Sequence[TimePoint]) -> str:
    """A sentence for those who do not see the chart."""
    told = "; ".join(f"{point.rate.rate:.0%} of {point.rate.n}" for point in points)
    return f"Agreement with the AI label over time, the oldest votes first: {told}."


def describe_bins(bins: Sequence[PartAgreement]) -> str:
    """The same for the bins."""
    width = 0.5 / CONFIDENCE_BINS
    told = "; ".join(
        f"{int(part.name) * width:.2f} to {(int(part.name) + 1) * width:.2f}: "
        f"{part.rate.rate:.0%} of {part.rate.n}"
        for part in bins
    )
    return f"Agreement by the AI label’s confidence: {told}."


def _begin(x: Sequence[Any], rates: Sequence[Rate], *, dark: bool) -> go.Figure:
    colour, grid = (BLUE_DARK, "#2a2f3d") if dark else (BLUE_LIGHT, "#e6e9f0")
    figure = go.Figure()
    figure.add_scatter(
        x=list(x),
        y=[rate.rate for rate in rates],
        marker={"color": colour, "size": 9},
        line={"color": colour},
        error_y={
            "type": "data",
            "array": [rate.high - rate.rate for rate in rates],
            "arrayminus": [rate.rate - rate.low for rate in rates],
            "thickness": 1.2,
        },
        customdata=[rate.n for rate in rates],
        hovertemplate="%{y:.0%} agree, n = %{customdata}<extra></extra>",
    )
    figure.update_layout(
        height=240,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        showlegend=False,
        dragmode=False,
        xaxis={"gridcolor": grid, "zeroline": False},
        yaxis={
            "title": "share that agree",
            "gridcolor": grid,
            "range": [-0.04, 1.05],
            "tickformat": ".0%",
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def _show(
    title: str, figure: go.Figure, words: str, key: str, name: str, values: Sequence[str]
) -> None:
    with st.container(gap=None):
        st.html(f'<span class="cai-field">{title}</span>')
        st.plotly_chart(
            figure,
            key=key,
            config={"displayModeBar": False},
            alt=words,
            on_select=lambda: _follow(key, name, values),
            selection_mode="points",
        )


def _follow(key: str, name: str, values: Sequence[str]) -> None:
    selection: Any = st.session_state.get(key) or {}
    points = selection.get("selection", {}).get("points", [])
    at = next((one["point_index"] for one in points), None)
    if at is not None and at < len(values):
        change({PART: "", BIN: "", name: values[at]})
