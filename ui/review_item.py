"""The review itself: one after the other, by mouse or by keys alone, whatever the queue is of."""

from __future__ import annotations

import streamlit as st

from cai_core.actions.review_claims import claim_item, claim_next
from cai_core.errors import CaiError
from cai_core.evaluation.review_queue import TABS, Tab
from cai_core.jobs.label_study import LabelStudy
from cai_core.records import AccessRole
from ui import services
from ui.constitution_address import describe_count, leave_message, show_message
from ui.look import build_card, escape
from ui.review_address import ITEM, LAST, PICK, TAB, change, go_to_view, read
from ui.review_buttons import begin, undo_button
from ui.review_comparison import build_last_comparison, show_comparison
from ui.review_critique import build_last_critique, show_critique
from ui.review_data import QueueView
from ui.review_words import build_bar, describe_progress, get_thing

_TABS: dict[Tab, str] = {
    "pending": "Pending",
    "submitted": "Submitted",
    "discarded": "Discarded",
}


def show_review(view: QueueView, study: LabelStudy | None) -> None:
    """Render the queue's tabs and what the address names, or the next one.

    Args:
        study: of a queue of comparisons: the labels of its run.
    """
    tab: Tab = next((one for one in TABS if one == read(TAB)), "pending")
    _show_progress(view, tab)
    show_message("review")
    may = services.actor().role.includes(AccessRole.REVIEWER)
    if not may:
        words = f"Reviewing takes the role reviewer. {services.explain(AccessRole.REVIEWER)}"
        st.html(build_card("note", "You may look", words))
    item = _find_item(view, tab) if may or tab != "pending" else None
    if tab == "pending" and read(LAST) and (vote := view.find_vote(read(LAST))) is not None:
        critiques = study is None
        st.html(
            build_last_critique(view, vote) if critiques else build_last_comparison(study, vote)
        )
    if item is None:
        _show_end(view, tab)
        return
    begin(item)
    some = view.tabs[tab]
    number = some.index(item) + 1 if item in some else 1
    words = f"{number:,} of {describe_count(len(some), f'{tab} {get_thing(view.queue)}')}"
    st.html(f'<div class="cai-quiet cai-total">{words}</div>')
    if study is None:
        show_critique(view, item, tab)
    else:
        show_comparison(view, study, item, tab)


def _show_progress(view: QueueView, tab: Tab) -> None:
    tabs, actor = view.tabs, services.actor().name
    mine = len(tabs["submitted"]) + len(tabs["discarded"])
    every = mine + len(tabs["pending"])
    looks = describe_count(view.exposures, "look")
    st.html(
        build_bar(mine, every)
        + f'<div class="cai-quiet" role="status">{mine:,} of {every:,} judged by you '
        f"({escape(actor)}), {len(tabs['pending']):,} left · "
        f"{describe_progress(view.queue, view.standing)} in all · "
        f"{looks} of yours at harmful text</div>"
    )
    st.session_state["review_tab"] = tab
    st.segmented_control(
        "Part of the queue",
        list(TABS),
        format_func=lambda one: f"{_TABS[one]} ({len(tabs[one]):,})",
        key="review_tab",
        required=True,
        label_visibility="collapsed",
        on_change=lambda: change(
            {TAB: st.session_state["review_tab"], ITEM: "", PICK: "", LAST: ""}
        ),
    )


def _find_item(view: QueueView, tab: Tab) -> str | None:
    """What to show. A pending one is claimed, so that nobody else is given it."""
    asked, queue = read(ITEM), view.queue.queue_id
    if tab != "pending":
        some = view.tabs[tab]
        return asked if asked in some else (some[-1] if some else None)
    try:
        if asked and claim_item(services.actor(), services.workspace(), queue=queue, item=asked):
            return asked
        found = claim_next(services.actor(), services.workspace(), queue=queue)
    except CaiError as error:
        leave_message("error", "Not claimed", str(error), place="review")
        show_message("review")
        return None
    if asked and found is not None:
        words = "It is judged, or others look at it. Here is the next one."
        st.html(build_card("note", "That one is taken", words, slim=True))
    change({ITEM: found or "", PICK: ""})
    return found


def _show_end(view: QueueView, tab: Tab) -> None:
    if tab != "pending":
        st.html(f'<div class="cai-empty"><b>Nothing {tab} yet.</b></div>')
        return
    rest = "Others hold what is left." if view.tabs["pending"] else "Nothing is left for you here."
    st.html(f'<div class="cai-empty"><b>Done.</b> {rest}</div>')
    with st.container(horizontal=True):
        st.button(
            "See the agreement",
            key="review_done",
            type="primary",
            shortcut="Mod+Enter",
            on_click=go_to_view,
            args=(view.queue.queue_id, "agreement"),
        )
        undo_button(view)
