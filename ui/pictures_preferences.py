"""Pictures of the comparisons that a filter leaves; each point leads to its comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from cai_core.errors import CaiError
from cai_core.records import Verdict
from cai_core.workspace.index.comparison_views import ComparisonFilter
from cai_core.workspace.index.pictures import ComparisonPictures
from cai_core.workspace.index.prepare_labels import PENDING
from cai_core.workspace.index.principles import OutcomeSums
from ui import services
from ui.explorer_links import LABELS, REVIEW, Place, show_link
from ui.labels_charts import build_histogram, describe_histogram
from ui.look import build_error, make_showable
from ui.pictures_charts import (
    MOST_LINES,
    Series,
    Unit,
    build_lines,
    build_rate_point,
    describe,
    is_dark,
    list_targets,
    name_line,
    rate_sums,
    show_picture,
)
from ui.preferences_filter import WORDS, build_params

_LONGER = Unit(name="share that prefers the longer response")
_BLUE = ("#3157c9", "#8fb0ff")
# The verdicts of a bar in the order in which they lie beside each other.
_COLOURS = {
    Verdict.A.value: ("#3157c9", "#8fb0ff"),
    Verdict.B.value: ("#a04a06", "#fbbf4d"),
    Verdict.TIE.value: ("#5b6270", "#a3aab8"),
    Verdict.UNPARSED.value: ("#b42318", "#fda29b"),
    PENDING: ("#c3c8d4", "#454b5c"),
}
Targets = list[list[Mapping[str, Any]]]


def show_pictures(chosen: ComparisonFilter) -> None:
    """Draw what is known of every comparison that the filter leaves."""
    try:
        told = services.index().picture_comparisons(chosen)
    except CaiError as error:
        st.html(build_error("The pictures cannot be drawn", str(error)))
        return
    if not told.total:
        st.html('<div class="cai-empty">No comparison matches: there is nothing to draw.</div>')
        return
    part = " Some are left out: these words take too many texts to look through."
    st.html(
        f'<div class="cai-quiet">Of {told.total:,} comparisons.'
        f"{part if told.is_partial else ''} Press a bar or a point to see its comparisons.</div>"
    )

    def open_rows(asks: Mapping[str, Any]) -> None:
        st.query_params.from_dict(build_params(replace(chosen, **asks)))

    dark = is_dark()
    verdicts = rank_principles(told.verdicts)
    if verdicts:
        title = "Verdicts, by principle"
        show_picture(
            title,
            build_verdicts(verdicts, dark=dark),
            describe_verdicts(verdicts),
            "pictures_verdicts",
            list_verdict_targets(verdicts),
            open_rows,
        )
        if len(told.verdicts) > MOST_LINES:
            words = f"The {MOST_LINES} principles with most comparisons, of {len(told.verdicts):,}."
            st.html(f'<div class="cai-quiet">{words}</div>')
    longer = build_longer(told.longer, chosen.traits)
    if longer[0].points:
        title = "The longer response preferred, by principle"
        show_picture(
            title,
            build_lines(longer, _LONGER, dark=dark),
            describe(title, longer, _LONGER),
            "pictures_longer",
            list_targets(longer),
            open_rows,
        )
    _show_histograms(told, open_rows, dark=dark)
    with st.container(horizontal=True, key="pictures_links"):
        show_link(Place(page=LABELS), "Calibration, run by run", icon=":material/straighten:")
        show_link(Place(page=REVIEW), "Agreement with people over time", icon=":material/groups:")


def rank_principles(verdicts: Mapping[str, Mapping[str, int]]) -> dict[str, Mapping[str, int]]:
    """The principles with most comparisons, those first."""
    ranked = sorted(verdicts.items(), key=lambda pair: (-sum(pair[1].values()), pair[0]))
    return dict(ranked[:MOST_LINES])


def build_verdicts(verdicts: Mapping[str, Mapping[str, int]], *, dark: bool) -> go.Figure:
    """A bar for each principle: its comparisons by verdict."""
    figure = go.Figure()
    names = list(verdicts)
    for verdict in _list_given(verdicts):
        word = WORDS["verdict"][verdict]
        counts = [verdicts[name].get(verdict, 0) for name in names]
        totals = [sum(verdicts[name].values()) for name in names]
        figure.add_bar(
            y=list(range(len(names))),
            x=counts,
            name=word,
            orientation="h",
            marker={"color": _COLOURS[verdict][dark]},
            customdata=[
                [name_line(name), count / total, f"{total:,}"]
                for name, count, total in zip(names, counts, totals, strict=True)
            ],
            hovertemplate="%{customdata[0]}: %{x:,} " + word + " (%{customdata[1]:.0%} of "
            "%{customdata[2]})<extra></extra>",
        )
    grid = "#2a2f3d" if dark else "#e6e9f0"
    figure.update_layout(
        barmode="stack",
        bargap=0.35,
        height=110 + 24 * len(names),
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "traceorder": "normal"},
        showlegend=True,
        dragmode=False,
        xaxis={"title": "comparisons", "gridcolor": grid, "zeroline": False},
        yaxis={
            "autorange": "reversed",
            "tickmode": "array",
            "tickvals": list(range(len(names))),
            "ticktext": [name_line(name) for name in names],
            "automargin": True,
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def describe_verdicts(verdicts: Mapping[str, Mapping[str, int]]) -> str:
    """The bars in sentences."""
    told = "; ".join(
        f"{make_showable(name)}: "
        + ", ".join(
            f"{counts[verdict]:,} {WORDS['verdict'][verdict]}"
            for verdict in _COLOURS
            if counts.get(verdict)
        )
        for name, counts in verdicts.items()
    )
    return f"Comparisons by principle and verdict. {told}."


def list_verdict_targets(verdicts: Mapping[str, Mapping[str, int]]) -> Targets:
    """What each bar asks for."""
    return [
        [{"principle": name, "verdict": verdict} for name in verdicts]
        for verdict in _list_given(verdicts)
    ]


def build_longer(longer: Mapping[str, OutcomeSums], traits: Sequence[str]) -> list[Series]:
    """How often each principle's labels prefer the longer response, the highest first.

    Args:
        traits: that the filter asks for already; they stay.
    """
    asked = tuple(dict.fromkeys((*traits, "longer")))
    most = sorted(longer.items(), key=lambda pair: (-pair[1].n, pair[0]))[:MOST_LINES]
    rates = [(name, rate) for name, sums in most if (rate := rate_sums(sums)) is not None]
    points = [
        build_rate_point(name, rate, {"principle": name, "traits": asked})
        for name, rate in sorted(rates, key=lambda pair: (-pair[1].rate, pair[0]))
    ]
    return [Series(name="longer preferred", colours=_BLUE, points=points)]


def _list_given(verdicts: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [name for name in _COLOURS if any(counts.get(name) for counts in verdicts.values())]


def _show_histograms(told: ComparisonPictures, open_rows: Any, *, dark: bool) -> None:
    with st.container(horizontal=True, key="pictures_bins"):
        for title, field, counts, low, high in (
            ("Confidence: how far from even, |p − ½|", "confidence", told.confidence, 0.0, 0.5),
            (
                "Position bias: below 0 for the second, above for the first",
                "bias",
                told.biases,
                -1.0,
                1.0,
            ),
        ):
            if sum(counts):
                unit = title.partition(":")[0]
                show_picture(
                    title,
                    build_histogram(counts, low, high, unit.lower(), dark=dark),
                    describe_histogram(unit, counts, low, high),
                    f"pictures_{field}",
                    [[{field: number} for number in range(len(counts))]],
                    open_rows,
                )
