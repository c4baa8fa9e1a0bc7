"""What critiques found, principle by principle, as bars beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import streamlit as st

from cai_core.jobs.principle_study import PrincipleEffect, PrincipleStudy
from ui.look import LOOKS, make_showable

# More bars than anybody reads.
_MOST = 40
_LONGEST = 32


def show_chart(study: PrincipleStudy, key: str) -> None:
    """Draw the principles that were drawn most; nothing where no critique has a finding."""
    told = [effect for effect in study.effects if effect.found is not None]
    ranked = sorted(told, key=lambda effect: -effect.drawn)[:_MOST]
    if not ranked:
        return
    dark = st.context.theme.type == "dark"
    st.html('<span class="cai-field">What critiques found, by principle</span>')
    st.plotly_chart(
        build_bars(ranked, dark=dark),
        key=key,
        config={"displayModeBar": False},
        alt=describe_bars(ranked),
    )
    if len(told) > _MOST:
        words = f"The {_MOST} principles that were drawn most, of {len(told):,}."
        st.html(f'<div class="cai-quiet">{words}</div>')


def build_bars(effects: Sequence[PrincipleEffect], *, dark: bool) -> go.Figure:
    """A bar for each principle: found, not touched and unparsed critiques, the first on top."""
    critique, quiet = LOOKS["critique"], LOOKS["prompt"]
    colour = critique.dark if dark else critique.light
    grey = quiet.dark if dark else quiet.light
    hatch = {"shape": "/", "fgcolor": grey, "bgcolor": "rgba(0,0,0,0)", "size": 5}
    parts = (
        ("problem found", [_count(e, "found") for e in effects], {"color": colour}),
        (
            "not touched",
            [_count(e, "not_touched") for e in effects],
            {"color": "rgba(0,0,0,0)", "line": {"color": colour, "width": 1}},
        ),
        (
            "unparsed",
            [_count(e, "unparsed") for e in effects],
            {"line": {"color": grey, "width": 1}, "pattern": hatch},
        ),
    )
    figure = go.Figure()
    names = [_name(effect) for effect in effects]
    for name, counts, marker in parts:
        figure.add_bar(
            y=list(range(len(names))),
            x=counts,
            name=name,
            orientation="h",
            marker=marker,
            hovertemplate="%{x:,} " + name + "<extra></extra>",
        )
    grid = "#2a2f3d" if dark else "#e6e9f0"
    figure.update_layout(
        barmode="stack",
        bargap=0.35,
        height=90 + 22 * len(names),
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "traceorder": "normal"},
        dragmode=False,
        xaxis={"title": "critiques", "gridcolor": grid, "zeroline": False},
        yaxis={
            "autorange": "reversed",
            "tickmode": "array",
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "automargin": True,
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def describe_bars(effects: Sequence[PrincipleEffect]) -> str:
    """A sentence for those who do not see the chart."""
    told = "; ".join(
        f"{make_showable(e.principle)}: {_count(e, 'found'):,} found, "
        f"{_count(e, 'not_touched'):,} not touched, {_count(e, 'unparsed'):,} unparsed"
        for e in effects
    )
    return f"Critiques by principle. {told}."


def _count(effect: PrincipleEffect, outcome: str) -> int:
    rate = getattr(effect, outcome)
    return 0 if rate is None else round(rate.rate * rate.n)


def _name(effect: PrincipleEffect) -> str:
    """The id, short. Plotly reads markup and LaTeX in labels: their signs get look-alikes."""
    shown = make_showable(effect.principle)
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
    return shown.replace("&", "＆").replace("<", "‹").replace(">", "›").replace("$", "＄")
