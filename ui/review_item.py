"""The review itself: one comparison after the other, by mouse or by keys alone."""

from __future__ import annotations

import time

import streamlit as st

from cai_core.actions.comparison_reviews import claim_comparison, claim_next
from cai_core.errors import CaiError
from cai_core.evaluation.label_traits import ExaminedLabel
from cai_core.evaluation.review_queue import TABS, Tab, find_first_shown
from cai_core.jobs.label_study import LabelStudy
from cai_core.records import AccessRole
from cai_core.workspace.review_votes import MAX_REASON, VoteChoice
from ui import services
from ui.constitution_address import describe_count, leave_message, show_message
from ui.harm import shows_harmful
from ui.labels_list import is_held
from ui.look import build_card, escape
from ui.review_address import ITEM, LAST, PICK, TAB, change, go_to_view, read
from ui.review_buttons import BEGUN, PICKS, SHOWN, move_buttons, pick_buttons, undo_button
from ui.review_data import QueueView
from ui.review_sides import build_conversation, build_last, build_pair, build_told
from ui.review_words import build_bar, describe_progress

_TABS: dict[Tab, str] = {
    "pending": "Pending",
    "submitted": "Submitted",
    "discarded": "Discarded",
}


def show_review(view: QueueView, study: LabelStudy) -> None:
    """Render the queue's tabs and the comparison that the address names, or the next one."""
    tab: Tab = next((one for one in TABS if one == read(TAB)), "pending")
    _show_progress(view, tab)
    show_message("review")
    may = services.actor().role.includes(AccessRole.REVIEWER)
    if not may:
        words = "Reviewing takes the role reviewer. Ask an admin for it."
        st.html(build_card("note", "You may look", words))
    item = _find_item(view, tab) if may or tab != "pending" else None
    if tab == "pending":
        _show_last(view, study)
    if item is None:
        _show_end(view, tab)
        return
    place = study.by_id.get(item)
    if place is None:
        words = "The run has no label of this comparison any more. Discard it, or go on."
        st.html(build_card("note", "No such comparison", words))
    one = None if place is None else study.examined[place]
    _show_item(view, study, item, one, tab)


def _show_progress(view: QueueView, tab: Tab) -> None:
    tabs, actor = view.tabs, services.actor().name
    mine = len(tabs["submitted"]) + len(tabs["discarded"])
    every = mine + len(tabs["pending"])
    st.html(
        build_bar(mine, every)
        + f'<div class="cai-quiet" role="status">{mine:,} of {every:,} judged by you '
        f"({escape(actor)}), {len(tabs['pending']):,} left · "
        f"{describe_progress(view.queue, view.standing)} in all</div>"
    )
    st.session_state["review_tab"] = tab
    st.segmented_control(
        "Comparisons",
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
    """The comparison to show. A pending one is claimed, so that nobody else is given it."""
    asked, queue = read(ITEM), view.queue.queue_id
    if tab != "pending":
        some = view.tabs[tab]
        return asked if asked in some else (some[-1] if some else None)
    try:
        if asked and claim_comparison(
            services.actor(), services.workspace(), queue=queue, comparison=asked
        ):
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


def _show_last(view: QueueView, study: LabelStudy) -> None:
    vote = view.find_vote(read(LAST)) if read(LAST) else None
    if vote is not None:
        place = study.by_id.get(vote.comparison)
        st.html(build_last(vote, None if place is None else study.examined[place]))


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


def _show_item(
    view: QueueView, study: LabelStudy, item: str, one: ExaminedLabel | None, tab: Tab
) -> None:
    me, queue = services.actor().name, view.queue
    first = find_first_shown(queue.queue_id, item, me)
    held = one is not None and is_held(one)
    shown = not held or shows_harmful() or item in st.session_state.get(SHOWN, ())
    told = tab == "submitted" or not queue.blind
    if st.session_state.get(BEGUN, ("",))[0] != item:
        st.session_state[BEGUN] = (item, time.time())
    some = view.tabs[tab]
    number = some.index(item) + 1 if item in some else 1
    words = f"{number:,} of {describe_count(len(some), f'{tab} comparison')}"
    st.html(f'<div class="cai-quiet cai-total">{words}</div>')
    if one is not None:
        st.html(build_conversation(one))
        st.html(build_pair(one, first, told=told, blurred=not shown))
        if told:
            st.html(build_told(study, one, view, me=me))
    picked = _find_pick(view, item, first)
    ready = shown and one is not None
    if services.actor().role.includes(AccessRole.REVIEWER):
        pick_buttons(picked, ready=ready)
        # A field of its own for each: after Ctrl+Enter the keys are the page's again.
        reason_key = f"review_reason_{item}"
        if reason_key not in st.session_state and (before := view.find_vote(item)):
            st.session_state[reason_key] = before.reason
        st.text_area(
            "Reason, if you like",
            key=reason_key,
            height=70,
            max_chars=MAX_REASON,
        )
        move_buttons(view, item, first, picked, tab, ready=ready, exposed=held and shown)


def _find_pick(view: QueueView, item: str, first: str) -> str:
    """What is picked: as the address says, else as the reviewer voted."""
    if read(PICK) in PICKS:
        return read(PICK)
    vote = view.find_vote(item)
    if vote is None or vote.verdict is None:
        return ""
    if vote.choice in (VoteChoice.A, VoteChoice.B):
        return "left" if vote.choice.value == first else "right"
    return "tie" if vote.choice is VoteChoice.TIE else "bad"
