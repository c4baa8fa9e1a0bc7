"""The critiques' list: one card a critique–revision round."""

from __future__ import annotations

import streamlit as st

from cai_core.records import AccessRole, CritiqueVerdict, Finding
from cai_core.workspace.index.reviews import OPEN
from cai_core.workspace.index.views import RoundFilter, RoundPage, RoundView
from ui import services
from ui.explorer_filter import EXPLORER, WORDS, build_params
from ui.explorer_links import CHAIN, PLAYGROUND, REVIEW, Place, go_button
from ui.explorer_parts import (
    EXCERPT,
    STYLE,
    build_excerpt,
    build_principle,
    build_row,
    show_no_match,
)
from ui.look import build_badge, escape
from ui.review_address import CRITIQUES as QUEUE_OF_CRITIQUES
from ui.review_address import NEW

__all__ = ["EXCERPT", "FINDING_BADGES", "STYLE", "show_no_rounds", "show_queue_link", "show_rounds"]

_QUEUE = ":material/how_to_reg:"
FINDING_BADGES = {
    Finding.FOUND: build_badge("problem found"),
    Finding.NOT_TOUCHED: build_badge("principle not touched", quiet=True),
    Finding.UNPARSED: build_badge("unparsed", quiet=True, dashed=True),
    None: build_badge("direct revision", quiet=True),
}


def build_round(round_: RoundView, *, show_harmful: bool) -> str:
    """One round as HTML: what was asked, what the critique found, what became of the text."""
    blurred = round_.objected and not show_harmful
    texts = _critique(round_) + _revision(round_, blurred)
    return build_row(f"Round {round_.round}", round_.prompt, _facts(round_), texts)


def show_rounds(page: RoundPage, *, show_harmful: bool) -> None:
    """The cards of one page, each with its button."""
    for round_ in page.rounds:
        place = f"{round_.chain}_{round_.round}"
        with st.container(horizontal=True, wrap=False, key=f"round_{place}"):
            st.html(build_round(round_, show_harmful=show_harmful))
            st.button(
                "Open chain",
                key=f"open_{place}",
                icon=":material/right_panel_open:",
                on_click=open_chain,
                args=(round_.chain,),
            )


def show_no_rounds(*, filtered: bool) -> None:
    """What stands where the list would be, with the one way on."""
    if filtered:
        show_no_match(EXPLORER)
        return
    st.html(
        '<div class="cai-empty"><b>Nothing to read yet.</b> Every critique and revision that a '
        "model writes here, in the playground or in a run, is listed on this page.</div>"
    )
    if st.button("Run a first chain", key="empty_run", type="primary"):
        st.switch_page(PLAYGROUND)


def show_queue_link(chosen: RoundFilter) -> None:
    """The way to a queue in which people judge these rounds' critiques, for who may make one."""
    if services.actor().role.includes(AccessRole.REVIEWER):
        place = Place(page=REVIEW, params={NEW: QUEUE_OF_CRITIQUES, **build_params(chosen)})
        go_button(place, "Review queue of these", key="queue_of_these", icon=_QUEUE)


def open_chain(chain: str) -> None:
    """Put the chain into the address; the page then opens its drawer."""
    st.query_params[CHAIN] = chain


def build_review_badge(round_: RoundView) -> str:
    """What people say of a critique, as a badge; nothing where nobody did."""
    if round_.review == OPEN:
        return ""
    words = WORDS["review"].get(round_.review, round_.review).lower()
    people = "1 person" if round_.reviewers == 1 else f"{round_.reviewers} people"
    told = f"{people}: {words}"
    return (
        f'<span class="cai-human">{build_badge(told, quiet=round_.review == CritiqueVerdict.RIGHT)}'
        "</span>"
    )


def _facts(round_: RoundView) -> str:
    badges = [build_badge(WORDS["kind"].get(round_.kind, round_.kind), quiet=True)]
    badges += [build_badge(name) for name in _list_marks(round_)]
    if round_.recorded:
        badges.append(build_badge("recorded", quiet=True, dashed=True))
    names = (f"Round {round_.round}", round_.constitution, round_.model, round_.run)
    others = "".join(f"<span>{escape(name)}</span>" for name in names)
    told = FINDING_BADGES[round_.finding] + build_review_badge(round_)
    return f"{build_principle(round_.principle)}{told}{''.join(badges)}{others}"


def _critique(round_: RoundView) -> str:
    if round_.critique is None:
        return ""
    return build_excerpt("critique", "Critique", round_.critique)


def _revision(round_: RoundView, blurred: bool) -> str:
    if round_.revision is None:
        return build_excerpt("revision", "No revision", "The chain ended before it.")
    title = "Revision" if round_.changed else "Revision: unchanged"
    return build_excerpt("revision", title, round_.revision, blurred=blurred)


def _list_marks(round_: RoundView) -> list[str]:
    marks = round_.marks
    notes = len(marks.notes)
    named = {"saved": marks.saved, "flagged": marks.flagged}
    found = [name for name, is_set in named.items() if is_set]
    return [*found, f"{notes} {'note' if notes == 1 else 'notes'}"] if notes else found
