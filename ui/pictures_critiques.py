"""Pictures of the rounds that a filter leaves; each point leads to its rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from cai_core.errors import CaiError
from cai_core.evaluation.metrics import compute_wilson
from cai_core.records import CritiqueVerdict, Finding
from cai_core.workspace.index.pictures import RoundPictures, VerdictTime
from cai_core.workspace.index.principles import OutcomeSums
from cai_core.workspace.index.views import RoundFilter
from ui import services
from ui.explorer_filter import WORDS, build_params
from ui.look import LOOKS, build_error
from ui.pictures_charts import (
    MOST_LINES,
    Point,
    Series,
    Unit,
    build_lines,
    build_mean_point,
    build_rate_point,
    build_steps,
    describe,
    is_dark,
    list_targets,
    rate_sums,
    show_picture,
)

_FOUND = Unit(name="share of critiques that found a problem")
_CHANGED = Unit(name="share of words changed")
_WORDS = Unit(name="words", form=",.0f", most=None)
_SAID = Unit(name="share of verdicts")
_CRITIQUE = (LOOKS["critique"].light, LOOKS["critique"].dark)
_REVISION = (LOOKS["revision"].light, LOOKS["revision"].dark)
_RESPONSE = (LOOKS["response"].light, LOOKS["response"].dark)
_VERDICTS = {
    CritiqueVerdict.RIGHT: ("#0f766e", "#5eead4"),
    CritiqueVerdict.PARTLY: ("#a04a06", "#fbbf4d"),
    CritiqueVerdict.WRONG: ("#b42318", "#fda29b"),
    CritiqueVerdict.NOT_NEEDED: ("#4f46e5", "#a5b4fc"),
}


def show_pictures(chosen: RoundFilter) -> None:
    """Draw what is known of every round that the filter leaves."""
    try:
        told = services.index().picture_rounds(chosen)
    except CaiError as error:
        st.html(build_error("The pictures cannot be drawn", str(error)))
        return
    if not told.total:
        st.html('<div class="cai-empty">No round matches: there is nothing to draw.</div>')
        return
    part = " Some are left out: these words take too many texts to look through."
    st.html(
        f'<div class="cai-quiet">Of {told.total:,} rounds.{part if told.is_partial else ""} '
        "Bars are 95 % intervals. Press a point to see its rounds.</div>"
    )

    def open_rows(asks: Mapping[str, Any]) -> None:
        st.query_params.from_dict(build_params(replace(chosen, **asks)))

    dark = is_dark()
    by_principle = build_principles(told.found)
    if by_principle[0].points:
        title = "Problems found, by principle"
        show_picture(
            title,
            build_lines(by_principle, _FOUND, dark=dark),
            describe(title, by_principle, _FOUND),
            "pictures_principles",
            list_targets(by_principle),
            open_rows,
        )
        if len(told.found) > MOST_LINES:
            words = f"The {MOST_LINES} principles with most critiques, of {len(told.found):,}."
            st.html(f'<div class="cai-quiet">{words}</div>')
    else:
        st.html('<div class="cai-quiet">No critique among them has a finding.</div>')
    with st.container(horizontal=True, key="pictures_steps"):
        for title, key, series, unit in (
            ("How much revisions change, by round", "distance", build_distances(told), _CHANGED),
            ("Length, by round", "length", build_lengths(told), _WORDS),
        ):
            if any(one.points for one in series):
                show_picture(
                    title,
                    build_steps(series, unit, across="round", dark=dark),
                    describe(title, series, unit),
                    f"pictures_{key}",
                    list_targets(series),
                    open_rows,
                )
    _show_harm(told, open_rows, dark=dark)
    said = build_verdicts(told.verdicts)
    if said:
        title = "What people say of these critiques, over time"
        show_picture(
            title,
            build_steps(said, _SAID, across="when they said it", dark=dark, dates=True),
            describe(title, said, _SAID),
            "pictures_verdicts",
            list_targets(said),
            open_rows,
        )


def build_principles(found: Mapping[str, OutcomeSums]) -> list[Series]:
    """How often each principle's critiques found a problem, the most frequent finder first."""
    most = sorted(found.items(), key=lambda pair: (-pair[1].n, pair[0]))[:MOST_LINES]
    rates = [(name, rate) for name, sums in most if (rate := rate_sums(sums)) is not None]
    points = [
        build_rate_point(name, rate, {"principle": name, "finding": Finding.FOUND.value})
        for name, rate in sorted(rates, key=lambda pair: (-pair[1].rate, pair[0]))
    ]
    return [Series(name="found a problem", colours=_CRITIQUE, points=points)]


def build_distances(told: RoundPictures) -> list[Series]:
    """Mean share of words that a revision takes out or puts in."""
    points = [
        build_mean_point(one.round, one.distance, {"round": str(one.round)})
        for one in told.rounds
        if one.distance is not None
    ]
    return [Series(name="words changed", colours=_REVISION, points=points)]


def build_lengths(told: RoundPictures) -> list[Series]:
    """Mean words of what was revised, and of the revision."""
    series = []
    for name, colours, field in (
        ("response before", _RESPONSE, "before"),
        ("revision", _REVISION, "after"),
    ):
        means = [(one.round, getattr(one, field)) for one in told.rounds]
        points = [
            build_mean_point(number, mean, {"round": str(number)})
            for number, mean in means
            if mean is not None
        ]
        series.append(Series(name=name, colours=colours, points=points))
    return series


def build_harm(harm: Mapping[str, Mapping[int, OutcomeSums]]) -> list[Series]:
    """How often critiques of the first and of the last round found a problem, by category."""
    numbers = sorted({number for rounds in harm.values() for number in rounds})
    ends = dict.fromkeys((numbers[0], numbers[-1])) if numbers else {}
    names = [name for name in harm if name][:MOST_LINES]
    return [
        Series(
            name=f"round {number}",
            colours=colours,
            points=[
                build_rate_point(name, rate, _ask_harm(name, number))
                for name in names
                if number in harm[name] and (rate := rate_sums(harm[name][number])) is not None
            ],
        )
        for number, colours in zip(ends, (_CRITIQUE, _REVISION), strict=False)
    ]


def build_verdicts(times: Sequence[VerdictTime]) -> list[Series]:
    """Each verdict's share of what people said, in the order in which they said it."""
    series = []
    for verdict, colours in _VERDICTS.items():
        points = []
        for one in times:
            n = sum(one.counts.values())
            share = one.counts.get(verdict.value, 0) / n
            low, high = compute_wilson(share, n)
            asks = {"review": verdict.value}
            points.append(Point(at=one.at, value=share, low=low, high=high, n=n, asks=asks))
        if any(point.value for point in points):
            name = WORDS["review"][verdict.value]
            series.append(Series(name=name, colours=colours, points=points))
    return series


def _ask_harm(category: str, number: int) -> dict[str, str]:
    return {"category": category, "round": str(number), "finding": Finding.FOUND.value}


def _show_harm(told: RoundPictures, open_rows: Any, *, dark: bool) -> None:
    series = build_harm(told.harm)
    if not any(one.points for one in series):
        return
    title = "Problems found, by category of harm"
    show_picture(
        title,
        build_lines(series, _FOUND, dark=dark),
        describe(title, series, _FOUND),
        "pictures_harm",
        list_targets(series),
        open_rows,
    )
    st.html(
        '<div class="cai-quiet">What critiques say of prompts with a category. What judges and the '
        "oracle say of a model’s responses is on the page Drift.</div>"
    )
