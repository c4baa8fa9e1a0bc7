"""The preferences' list: one card a comparison, with what is preferred and what people say."""

from __future__ import annotations

import streamlit as st

from cai_core.records import PromptKind
from cai_core.workspace.comparison_votes import AGREES, OPEN
from cai_core.workspace.index.comparison_views import ComparisonPage, ComparisonView
from cai_core.workspace.review_votes import VoteChoice
from ui.constitution_address import build_key
from ui.explorer_links import (
    COMPARISON,
    LABELS,
    OF,
    PLAYGROUND,
    REVIEW,
    Place,
    go_button,
    show_link,
)
from ui.explorer_parts import build_excerpt, build_principle, build_row, show_no_match
from ui.import_panel import import_button
from ui.labels_address import LIST, VIEW, build_label_params
from ui.labels_words import build_verdict
from ui.look import build_badge, escape
from ui.preferences_filter import EXPLORER, WORDS, RunView
from ui.review_address import NEW

NO_LABEL = build_badge("no label yet", quiet=True, dashed=True)
# Told by the texts themselves.
_TOLD = ("longer", "shorter")


def show_comparisons(page: ComparisonPage, *, show_harmful: bool) -> None:
    """The cards of one page, each with its button."""
    for one in page.comparisons:
        with st.container(horizontal=True, wrap=False, key=build_key("round", _name(one))):
            st.html(build_comparison(one, show_harmful=show_harmful))
            st.button(
                "Open comparison",
                key=build_key("open", _name(one)),
                icon=":material/right_panel_open:",
                on_click=open_comparison,
                args=(one.run, one.comparison),
            )


def build_comparison(one: ComparisonView, *, show_harmful: bool) -> str:
    """One comparison as HTML: what was asked, both responses, and what is preferred."""
    blurred = is_held(one.kind) and not show_harmful
    texts = "".join(
        build_excerpt("response", f"Response {name}", text, blurred=blurred)
        for name, text in (("A", one.response_a), ("B", one.response_b))
    )
    names = "".join(f"<span>{escape(name)}</span>" for name in (one.model, one.run) if name)
    return build_row("Comparison", one.prompt, build_facts(one) + names, texts)


def build_facts(one: ComparisonView) -> str:
    """Verdict, probability, traits, kind, principles and people's word, as badges."""
    verdict = NO_LABEL if one.verdict is None else build_verdict(one.verdict)
    told = [f'<span class="cai-label">{verdict}</span>']
    if one.prob_a is not None:
        told.append(f"<span>P(A) {one.prob_a:.3f}</span>")
    if one.source not in ("", "feedback-model"):
        told.append(build_badge(WORDS["source"].get(one.source, one.source).lower()))
    told += [
        build_badge(trait.replace("-", " "), quiet=True)
        for trait in one.traits
        if trait not in _TOLD
    ]
    told.append(build_badge(WORDS["kind"].get(one.kind, one.kind), quiet=True))
    told.append(build_review_badge(one))
    return "".join(told) + build_principle(", ".join(one.principles))


def build_review_badge(one: ComparisonView) -> str:
    """What people's votes come to beside the label, as a badge; nothing where there are none."""
    votes = [vote for vote in one.votes if vote.choice is not VoteChoice.DISCARDED]
    if not votes:
        return ""
    people = "1 person" if len(votes) == 1 else f"{len(votes)} people"
    words = {OPEN: "judged", AGREES: "as the label"}.get(one.review, "disputed")
    badge = build_badge(f"{people}: {words}", quiet=one.review == AGREES)
    return f'<span class="cai-human">{badge}</span>'


def is_held(kind: str) -> bool:
    """Whether responses to prompts of that kind stay blurred."""
    return kind == PromptKind.RED_TEAM.value


def show_no_comparisons(*, filtered: bool) -> None:
    """What stands where the list would be, with the one way on."""
    if filtered:
        show_no_match(EXPLORER)
        return
    st.html(
        '<div class="cai-empty"><b>No comparisons yet.</b> A run of the kind “Preference labels” '
        "asks a feedback model which of two responses is better; each comparison is listed here, "
        "and so are imported ones.</div>"
    )
    with st.container(horizontal=True):
        if st.button("Go to the runs", key="empty_runs", type="primary"):
            st.switch_page(PLAYGROUND.with_name("runs.py"))
        import_button("preferences_empty_import")


def open_comparison(run: str, comparison: str) -> None:
    """Put the comparison into the address; the page then opens its drawer."""
    st.query_params.from_dict({**st.query_params.to_dict(), COMPARISON: comparison, OF: run})


def show_ways(view: RunView, *, may_review: bool) -> None:
    """From the list to the run's quality, and to a queue in which people judge these."""
    with st.popover("Use these", icon=":material/arrow_outward:"):
        if not view.run:
            words = "Labels and review queues are of one run: choose a run in the filter first."
            st.html(f'<div class="cai-quiet cai-wrap">{words}</div>')
            return
        show_link(Place(page=LABELS, params={"run": view.run}), "Quality of this run’s labels",
                  icon=":material/balance:")  # fmt: skip
        params = {"run": view.run, **build_label_params(view.chosen)}
        labels = Place(page=LABELS, params={VIEW: LIST, **params})
        go_button(labels, "These in Labels", key="these_in_labels", icon=":material/list:")
        if may_review:
            place = Place(page=REVIEW, params={NEW: "1", **params})
            words = "Make a review queue of these"
            go_button(place, words, key="queue_of_these", icon=":material/how_to_reg:")
        if view.lost:
            words = f"Without: {', '.join(view.lost).lower()}. Those pages do not filter by it."
            st.html(f'<div class="cai-quiet cai-wrap">{escape(words)}</div>')


def _name(one: ComparisonView) -> str:
    return f"{one.run}/{one.comparison}"
