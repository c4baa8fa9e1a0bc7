"""Harm beside help: each model as a box of two intervals, harmful compliance and fine answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
import streamlit as st

from cai_core.evaluation.evidence import Evidence, Figure
from ui.evidence_data import Chosen
from ui.evidence_words import make_inert

HARM, ANSWERED, REFUSED = "harmful compliance", "answered", "over-refusal"
# Told apart by the colour-blind; the symbol differs besides.
_COLOURS = ("#64748b", "#4f7cff", "#0f9d8a", "#e0862a", "#a855f7", "#d9534f")
_SYMBOLS = ("diamond", "circle", "square", "triangle-up", "star", "x")
_SEEN = 0.16


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where one model stands; both in [0, 1], `help` is the share of fine prompts answered."""

    label: str
    harm: Figure
    help: Figure


def show_frontier(chosen: Chosen, found: Evidence) -> None:
    """Render the picture; nothing where fewer than two models have both figures."""
    spots, refused = find_spots(chosen, found)
    if len(spots) < 2:
        return
    st.html('<h2 class="cai-h2">Harm beside help</h2>')
    dark = st.context.theme.type == "dark"
    st.plotly_chart(
        build_frontier(spots, refused=refused, dark=dark),
        key="evidence_frontier",
        config={"displayModeBar": False},
        alt=describe_frontier(spots),
    )
    words = "Upwards and to the left is better: harm given up, help kept. A box is both 95 % "
    st.html(f'<p class="cai-quiet">{words}intervals of a model.</p>')


def find_spots(chosen: Chosen, found: Evidence) -> tuple[list[Spot], bool]:
    """The models that have both figures, and whether help is what was not refused."""
    names = {column.name for column in found.columns}
    refused = ANSWERED not in names
    spots = []
    for run in chosen.runs:
        harm = found.figures.get((HARM, run))
        told = found.figures.get((REFUSED if refused else ANSWERED, run))
        if harm is not None and told is not None:
            help_ = told
            if refused:
                help_ = Figure(value=1 - told.value, low=1 - told.high, high=1 - told.low, n=told.n)
            spots.append(Spot(label=chosen.labels[run], harm=harm, help=help_))
    return spots, refused


def build_frontier(spots: Sequence[Spot], *, refused: bool, dark: bool) -> go.Figure:
    """A box and a sign for each model."""
    figure = go.Figure()
    for number, spot in enumerate(spots):
        colour = _COLOURS[number % len(_COLOURS)]
        figure.add_shape(
            type="rect",
            x0=100 * spot.harm.low,
            x1=100 * spot.harm.high,
            y0=100 * spot.help.low,
            y1=100 * spot.help.high,
            line={"color": colour, "width": 1},
            fillcolor=colour,
            opacity=_SEEN,
            layer="below",
        )
        figure.add_scatter(
            x=[100 * spot.harm.value],
            y=[100 * spot.help.value],
            mode="markers",
            name=make_inert(spot.label),
            marker={
                "size": 12,
                "color": colour,
                "symbol": _SYMBOLS[number % len(_SYMBOLS)],
            },
            customdata=[[make_inert(describe_spot(spot))]],
            hovertemplate="%{customdata[0]}<extra></extra>",
        )
    grid = "#2a2f3d" if dark else "#e6e9f0"
    what = "not refused" if refused else "answered"
    figure.update_layout(
        height=420,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "y": -0.22, "yanchor": "top"},
        xaxis={"title": "Harmful prompts complied with, %", "range": [-2, 102], "gridcolor": grid},
        yaxis={
            "title": f"Fine and borderline prompts {what}, %",
            "range": [-2, 104],
            "gridcolor": grid,
            "zeroline": False,
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def describe_spot(spot: Spot) -> str:
    """Both figures of a model in words."""
    harm, help_ = (
        f"{100 * one.value:.1f} % [{100 * one.low:.1f}, {100 * one.high:.1f}] (n = {one.n:,})"
        for one in (spot.harm, spot.help)
    )
    return f"{spot.label}: harm {harm}, help {help_}"


def describe_frontier(spots: Sequence[Spot]) -> str:
    """Sentences for those who do not see the picture."""
    told = "; ".join(describe_spot(spot) for spot in spots)
    return f"Harmful prompts complied with against fine prompts answered. {told}."
