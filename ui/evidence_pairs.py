"""Models against each other on the same prompts: win rates in both orders, and Elo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import plotly.graph_objects as go
import streamlit as st

from cai_core.errors import CaiError
from cai_core.evaluation.elo import EloTable, Rating
from cai_core.evaluation.pairwise import Pairwise, tell_bounds
from cai_core.evaluation.win_rate import WinRate
from cai_core.jobs.evidence_plan import TOKENS, WORLD_TOKENS, build_comparison_plan
from cai_core.jobs.pairwise_study import PairwiseStudy, list_pairwise_runs
from cai_core.jobs.qualifying import is_of_demo_world
from cai_core.records import AccessRole
from ui import services
from ui.constitution_address import show_message
from ui.evidence_address import ANCHOR, PAIR, PAIRS, build_link, choose, read
from ui.evidence_data import Chosen, load_pairs
from ui.evidence_run import choose_feedback, hand_in
from ui.evidence_words import make_inert
from ui.look import build_error, escape
from ui.runs_list import can
from ui.runs_names import list_constitution_names

_BLUE = "#4f7cff"
_MOST = 6
_FEEDBACK, _CONSTITUTION, _REASONS = "evidence_feedback", "evidence_rules", "evidence_reasons"
_FIRST = "harmlessness"


def show_pairs(chosen: Chosen | None) -> None:
    """Render the newest comparisons, or those that the address names, and the way to new ones.

    Args:
        chosen: the evaluations of the table, which new comparisons are between.
    """
    st.html('<h2 class="cai-h2">Against each other</h2>')
    workspace = services.workspace()
    runs = list_pairwise_runs(workspace)
    if not runs:
        words = (
            "No run has compared models yet: a feedback model reads two answers to the same prompt "
            "in both orders and says which is better."
        )
        st.html(f'<div class="cai-empty">{words}</div>')
        _show_new(chosen)
        return
    run = read(PAIRS) if read(PAIRS) in runs else runs[0]
    try:
        study, found = load_pairs(workspace, run, read(ANCHOR))
        study = replace(study, names={**study.names, **_label(study, chosen)})
    except (CaiError, OSError, ValueError) as error:
        st.html(build_error("These comparisons cannot be read", str(error)))
        return
    _choose(runs, run, study, found)
    how = "with its reasons" if study.reasoned else "by the verdict alone, without reasons"
    words = (
        f"{study.judge} compared, {how}, by {study.constitution.partition('@')[0]}: each pair of "
        f"answers in both orders. {len(study.matches):,} comparisons, {found.identical:,} of them "
        "between the same words, which are ties that nobody was asked about."
    )
    st.html(f'<p class="cai-quiet">{escape(words)}</p>')
    st.html(build_pairs(study, found))
    dark = st.context.theme.type == "dark"
    st.plotly_chart(
        build_ratings(found.elo, study.names, dark=dark),
        key="evidence_elo",
        config={"displayModeBar": False},
        alt=describe_ratings(found.elo, study.names),
    )
    for one in found.elo.unrated:
        told = f"{study.names[one.model]} has no rating: {one.reason} (n = {one.games:,})."
        st.html(f'<p class="cai-quiet">{escape(told)}</p>')
    st.html(
        '<p class="cai-quiet">Ratings by Bradley and Terry on Elo’s scale, 95 % intervals over '
        "drawn prompts; 100 points more win 64 % of the comparisons. Only differences are known, "
        "so the anchor stands still.</p>"
    )
    _show_new(chosen)


def _label(study: PairwiseStudy, chosen: Chosen | None) -> dict[str, str]:
    """What the table calls the runs that both have."""
    labels = {} if chosen is None else chosen.labels
    return {run: labels[run] for run in study.order if run in labels}


def build_pairs(study: PairwiseStudy, found: Pairwise) -> str:
    """A row for each pair that was compared; each leads to its comparisons."""
    rows = "".join(
        f'<tr><th scope="row">{escape(study.names[one])}<small>against '
        f"{escape(study.names[other])}</small></th><td>{_build_rate(study, one, other, rate)}</td>"
        f"<td><span>{_tell_counts(rate)}</span></td><td><span>{_tell_bias(rate)}</span></td></tr>"
        for (one, other), rate in found.pairs.items()
    )
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("Model", "Preferred", "Won, tied, lost", "Leaning to the first place")
    )
    return (
        '<div class="cai-evid" role="region" tabindex="0" aria-label="Win rates"><table><thead>'
        f"<tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def build_ratings(elo: EloTable, names: Mapping[str, str], *, dark: bool) -> go.Figure:
    """Each model's rating with its interval, the best on top."""
    told = list(reversed(elo.ratings))
    labels = [make_inert(names[one.model]) for one in told]
    figure = go.Figure()
    figure.add_scatter(
        x=[one.rating for one in told],
        y=labels,
        mode="markers",
        marker={
            "size": 11,
            "color": _BLUE,
            "symbol": ["diamond" if one.model == elo.anchor else "circle" for one in told],
        },
        error_x={
            "type": "data",
            "array": [_bound(one.high - one.rating) for one in told],
            "arrayminus": [_bound(one.rating - one.low) for one in told],
            "color": _BLUE,
            "thickness": 1.4,
        },
        customdata=[[make_inert(describe_rating(one, elo.anchor))] for one in told],
        hovertemplate="%{y}: %{customdata[0]}<extra></extra>",
    )
    anchor = next(one.rating for one in elo.ratings if one.model == elo.anchor)
    figure.add_vline(x=anchor, line={"color": "#8a92a3", "width": 1, "dash": "dot"})
    grid = "#2a2f3d" if dark else "#e6e9f0"
    figure.update_layout(
        height=90 + 42 * len(told),
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={"title": "Rating", "gridcolor": grid},
        yaxis={"automargin": True},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def describe_rating(one: Rating, anchor: str) -> str:
    """`1308 [1272, 1346], n = 440`; the anchor has no interval."""
    if one.model == anchor:
        return f"{one.rating:.0f}, the anchor, n = {one.games:,}"
    return f"{one.rating:.0f} {tell_bounds(one.low, one.high)}, n = {one.games:,}"


def describe_ratings(elo: EloTable, names: Mapping[str, str]) -> str:
    """Sentences for those who do not see the chart."""
    told = "; ".join(
        f"{names[one.model]} {describe_rating(one, elo.anchor)}" for one in elo.ratings
    )
    return f"Ratings, the best first: {told}."


def _choose(runs: list[str], run: str, study: PairwiseStudy, found: Pairwise) -> None:
    keys = {"evidence_pairs": run, "evidence_anchor": found.elo.anchor}
    for key, value in keys.items():
        st.session_state[key] = value
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Comparisons of the run",
            runs,
            key="evidence_pairs",
            on_change=choose,
            args=(PAIRS, "evidence_pairs"),
        )
        st.selectbox(
            "Anchor, at 1000",
            list(study.order),
            format_func=lambda one: study.names[one],
            key="evidence_anchor",
            on_change=choose,
            args=(ANCHOR, "evidence_anchor"),
        )


def _show_new(chosen: Chosen | None) -> None:
    if chosen is None or len(chosen.runs) < 2 or not can(AccessRole.EDITOR):
        return
    count = min(len(chosen.runs), _MOST)
    with st.expander(f"Compare {count} models of the table", icon=":material/compare_arrows:"):
        names = list_constitution_names()
        with st.container(horizontal=True, vertical_alignment="bottom"):
            choose_feedback("Who compares", _FEEDBACK)
            st.selectbox(
                "By the constitution",
                names,
                index=names.index(_FIRST) if _FIRST in names else 0,
                key=_CONSTITUTION,
            )
        st.toggle(
            "With its reasons",
            value=True,
            key=_REASONS,
            help="A chain of thought before each verdict, to be read. Without, a comparison is two "
            "questions of one token.",
        )
        pairs = count * (count - 1) // 2
        words = f"{pairs} pairs of models, every prompt that both answered, both orders."
        st.html(f'<p class="cai-quiet">{words}</p>')
        st.button(
            "Compare",
            key="evidence_compare",
            icon=":material/compare_arrows:",
            on_click=_begin,
            args=(chosen.runs[:count],),
        )
        show_message("evidence_pairs")


def _begin(runs: tuple[str, ...]) -> None:
    state = st.session_state
    feedback, reasoned = str(state.get(_FEEDBACK) or "demo"), bool(state.get(_REASONS))
    try:
        world = is_of_demo_world(feedback.removeprefix("run:"), services.workspace())
    except CaiError:
        world = False
    text = build_comparison_plan(
        runs,
        feedback=feedback,
        constitution=str(state.get(_CONSTITUTION) or _FIRST),
        reasoned=reasoned,
        max_tokens=WORLD_TOKENS if world else TOKENS,
    )
    hand_in(text, place="evidence_pairs")


def _build_rate(study: PairwiseStudy, one: str, other: str, rate: WinRate) -> str:
    if rate.rate is None or rate.low is None or rate.high is None:
        return f'<span class="even">not known, {rate.unparsed:,} unparsed</span>'
    told = f"{100 * rate.rate:.1f} %"
    beside = f"[{100 * rate.low:.1f}, {100 * rate.high:.1f}], n = {rate.n:,}"
    beside += f", {rate.unparsed:,} unparsed" if rate.unparsed else ""
    label = f"{study.names[one]} against {study.names[other]}: {told}; show the comparisons"
    link = escape(build_link(**{PAIRS: study.run, PAIR: f"{one},{other}"}))
    return f'<a href="{link}" aria-label="{escape(label)}"><b>{told}</b><small>{beside}</small></a>'


def _tell_counts(rate: WinRate) -> str:
    ties = "tie" if rate.split == 1 else "ties"
    split = f"<small>{rate.split:,} {ties} went by the place</small>" if rate.split else ""
    return f"{rate.wins:,}, {rate.ties:,}, {rate.losses:,}{split}"


def _tell_bias(rate: WinRate) -> str:
    bias = rate.position_bias
    return "not known" if bias is None else f"{bias:+.2f}".replace("-", "−")


def _bound(width: float) -> float | None:
    """A width that a chart can draw: an end that is not known has none."""
    return width if width < float("inf") else None
