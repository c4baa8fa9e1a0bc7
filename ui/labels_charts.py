"""The labels page's charts: how sure the labels are, how right, and how they lean to a place."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import streamlit as st

from cai_core.evaluation.label_quality import CalibrationBin, LabelQuality
from ui.labels_address import follow_bin

_VIOLET, _ORANGE = "#8b5cf6", "#e0862a"


def show_charts(quality: LabelQuality, run: str) -> None:
    """Draw the three, side by side where there is room; a bar or a point leads to its labels."""
    dark = st.context.theme.type == "dark"
    with st.container(horizontal=True, key="labels_charts"):
        _show(
            "Confidence: how far from even, |p − ½|",
            build_histogram(quality.confidence, 0.0, 0.5, "|p − ½|", dark=dark),
            describe_histogram("Confidence", quality.confidence, 0.0, 0.5),
            f"labels_confidence_{run}",
            "confidence",
            tuple(range(len(quality.confidence))),
        )
        _show(
            "Calibration: how sure, and how often right",
            build_calibration(quality.calibration, dark=dark),
            describe_calibration(quality.calibration, quality.calibration_error),
            f"labels_calibration_{run}",
            "confidence",
            tuple(bin_.number for bin_ in quality.calibration),
        )
        _show(
            "Position bias: below 0 for the second, above for the first",
            build_histogram(quality.biases, -1.0, 1.0, "position bias", dark=dark),
            describe_histogram("Position bias", quality.biases, -1.0, 1.0),
            f"labels_bias_{run}",
            "bias",
            tuple(range(len(quality.biases))),
        )


def build_histogram(
    counts: Sequence[int], low: float, high: float, unit: str, *, dark: bool
) -> go.Figure:
    """Labels in each of the equal bins from low to high."""
    width = (high - low) / len(counts)
    edges = [low + width * number for number in range(len(counts))]
    figure = go.Figure()
    figure.add_bar(
        x=[edge + width / 2 for edge in edges],
        y=list(counts),
        width=0.92 * width,
        marker={"color": _VIOLET},
        customdata=[[edge, edge + width] for edge in edges],
        hovertemplate="%{customdata[0]:.2f} to %{customdata[1]:.2f}: %{y} labels<extra></extra>",
    )
    return _lay_out(figure, unit, "labels", dark=dark)


def build_calibration(bins: Sequence[CalibrationBin], *, dark: bool) -> go.Figure:
    """Mean confidence against how often it was right; the dashed line is what it should be."""
    figure = go.Figure()
    figure.add_scatter(
        x=[bin_.predicted for bin_ in bins],
        y=[bin_.right for bin_ in bins],
        mode="markers",
        marker={"color": _VIOLET, "size": 9},
        error_y={
            "type": "data",
            "array": [bin_.high - bin_.right for bin_ in bins],
            "arrayminus": [bin_.right - bin_.low for bin_ in bins],
            "thickness": 1.2,
        },
        customdata=[bin_.n for bin_ in bins],
        hovertemplate="says %{x:.2f}, right %{y:.2f}, n = %{customdata}<extra></extra>",
        name="labels",
    )
    figure.add_scatter(
        x=[0.5, 1.0],
        y=[0.5, 1.0],
        mode="lines",
        line={"color": _ORANGE, "dash": "dash"},
        hoverinfo="skip",
        name="as it should be",
    )
    figure = _lay_out(figure, "probability of the preferred", "share right", dark=dark)
    figure.update_xaxes(range=[0.48, 1.02])
    figure.update_yaxes(range=[0.0, 1.05])
    return figure


def describe_histogram(name: str, counts: Sequence[int], low: float, high: float) -> str:
    """A sentence for those who do not see the chart."""
    if not sum(counts):
        return f"{name}: no labels."
    width = (high - low) / len(counts)
    most = max(range(len(counts)), key=counts.__getitem__)
    return (
        f"{name} of {sum(counts):,} labels: {counts[0]:,} in the lowest bin, {counts[-1]:,} in the "
        f"highest, most ({counts[most]:,}) between {low + most * width:.2f} and "
        f"{low + (most + 1) * width:.2f}."
    )


def describe_calibration(bins: Sequence[CalibrationBin], error: float | None) -> str:
    """The same for the calibration."""
    if not bins or error is None:
        return "Calibration: no label has a truth to compare with."
    told = "; ".join(f"says {b.predicted:.2f}, right {b.right:.2f}, n = {b.n}" for b in bins)
    return f"Calibration error {error:.3f}. {told}."


def _show(
    title: str,
    figure: go.Figure,
    words: str,
    key: str,
    field: str,
    numbers: tuple[int, ...],
) -> None:
    with st.container(gap=None):
        st.html(f'<span class="cai-field">{title}</span>')
        st.plotly_chart(
            figure,
            key=key,
            config={"displayModeBar": False},
            alt=words,
            on_select=lambda: follow_bin(key, field, numbers),
            selection_mode="points",
        )


def _lay_out(figure: go.Figure, x: str, y: str, *, dark: bool) -> go.Figure:
    grid = "#2a2f3d" if dark else "#e6e9f0"
    figure.update_layout(
        height=240,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        showlegend=False,
        dragmode=False,
        xaxis={"title": x, "gridcolor": grid, "zeroline": False},
        yaxis={"title": y, "gridcolor": grid, "rangemode": "tozero"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure
