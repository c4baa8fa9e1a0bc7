"""The review's buttons, each with a key of its own, and what they do."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from cai_core.actions.comparison_reviews import (
    claim_next,
    discard_comparison,
    undo_vote,
    vote_comparison,
)
from cai_core.errors import CaiError
from cai_core.evaluation.review_queue import Tab
from cai_core.workspace.review_votes import VoteChoice
from ui import services
from ui.constitution_address import leave_message
from ui.review_address import ITEM, LAST, PICK, QUEUE, TAB, change, read
from ui.review_data import QueueView

PICKS = {
    "left": "Left is better",
    "right": "Right is better",
    "tie": "Tie",
    "bad": "Both bad",
}
# Comparison and when it was first shown; comparisons whose harmful text was asked for.
BEGUN, SHOWN = "review_begun", "review_shown"
_READ_FIRST = "Show the text first: a vote on what was not read is none."


def pick_buttons(picked: str, *, ready: bool) -> None:
    """What may be said; `ready` is whether it may be said yet."""
    with st.container(horizontal=True, key="review_picks"):
        for number, (pick, label) in enumerate(PICKS.items(), start=1):
            st.button(
                label,
                key=f"review_pick_{pick}",
                type="primary" if pick == picked else "secondary",
                shortcut=str(number),
                disabled=not ready,
                help=None if ready else _READ_FIRST,
                on_click=change,
                args=({PICK: pick},),
            )


def move_buttons(
    view: QueueView,
    item: str,
    first: str,
    picked: str,
    tab: Tab,
    *,
    ready: bool,
    exposed: bool,
) -> None:
    """The way on: to the next, with a vote or without, and back.

    Args:
        first: the record's response on the left.
        picked: a key of PICKS, or empty.
        ready: whether a vote may be given. exposed: whether harmful text is shown.
    """
    queue = view.queue.queue_id
    with st.container(horizontal=True, key="review_moves"):
        for label, key, backwards in (("Previous", "Left", True), ("Next", "Right", False)):
            st.button(
                label,
                key=f"review_{label.lower()}",
                shortcut=key,
                on_click=_move,
                args=(view, item, tab),
                kwargs={"backwards": backwards},
            )
        st.button(
            "Submit",
            key="review_submit",
            type="primary",
            shortcut="Mod+Enter",
            disabled=not (ready and picked),
            on_click=_submit,
            args=(queue, item, first, picked),
            kwargs={"blind": view.queue.blind, "exposed": exposed, "tab": tab},
        )
        st.button(
            "Discard",
            key="review_discard",
            shortcut="D",
            help="It cannot be judged. Others may still be given it.",
            on_click=_discard,
            args=(queue, item, first),
            kwargs={"blind": view.queue.blind, "exposed": exposed, "tab": tab},
        )
        undo_button(view)
        if not ready:
            st.button(
                "Show harmful text",
                key="review_show",
                icon=":material/visibility:",
                shortcut="H",
                help="Of this comparison alone. That you looked is kept with your vote.",
                on_click=_show_harmful,
                args=(item,),
            )


def undo_button(view: QueueView) -> None:
    """Takes this reviewer's newest vote of the queue back."""
    newest = view.find_newest()
    st.button(
        "Undo",
        key="review_undo",
        icon=":material/undo:",
        shortcut="U",
        disabled=newest is None,
        help="Take your newest vote of this queue back.",
        on_click=_undo,
        args=(view.queue.queue_id,),
    )


def _show_harmful(item: str) -> None:
    st.session_state[SHOWN] = {*st.session_state.get(SHOWN, ()), item}


def _move(view: QueueView, item: str, tab: Tab, *, backwards: bool) -> None:
    if tab != "pending":
        some = view.tabs[tab]
        at = some.index(item) + (-1 if backwards else 1) if item in some else 0
        change({ITEM: some[at % len(some)], PICK: ""})
        return
    _go_on(view.queue.queue_id, item, backwards=backwards)


def _go_on(queue: str, item: str, *, backwards: bool = False, last: str = "") -> None:
    try:
        found = claim_next(
            services.actor(),
            services.workspace(),
            queue=queue,
            after=item,
            backwards=backwards,
        )
    except CaiError as error:
        leave_message("error", "Not claimed", str(error), place="review")
        return
    if found is None and not last:
        leave_message("note", "This is the last one", "No other is left for you.", place="review")
        return
    change({ITEM: found or "", PICK: "", LAST: last or read(LAST)})


def _submit(
    queue: str, item: str, first: str, picked: str, *, blind: bool, exposed: bool, tab: Tab
) -> None:
    """Keep what is picked, and go on to the next one."""
    if picked not in PICKS:
        return  # the key was struck twice: nothing is picked of the next one yet
    other = "B" if first == "A" else "A"
    choices = {"left": first, "right": other, "tie": "tie", "bad": "both bad"}
    told = _describe_look(item, first, blind=blind, exposed=exposed)
    try:
        vote_comparison(
            services.actor(),
            services.workspace(),
            queue=queue,
            comparison=item,
            choice=VoteChoice(choices[picked]),
            **told,
        )
    except CaiError as error:
        leave_message("error", "Not kept", str(error), place="review")
        return
    _leave(queue, item, tab, stays_in="submitted")


def _discard(queue: str, item: str, first: str, *, blind: bool, exposed: bool, tab: Tab) -> None:
    told = _describe_look(item, first, blind=blind, exposed=exposed)
    try:
        discard_comparison(
            services.actor(), services.workspace(), queue=queue, comparison=item, **told
        )
    except CaiError as error:
        leave_message("error", "Not kept", str(error), place="review")
        return
    _leave(queue, item, tab, stays_in="discarded")


def _describe_look(item: str, first: str, *, blind: bool, exposed: bool) -> dict[str, Any]:
    """What is kept with a vote, besides what it says."""
    begun = st.session_state.get(BEGUN, ("", 0.0))
    return {
        "reason": st.session_state.get(f"review_reason_{item}") or "",
        "blind": blind,
        "shown_first": first,
        "seconds": time.time() - begun[1] if begun[0] == item else 0.0,
        "exposed": exposed,
    }


def _leave(queue: str, item: str, tab: Tab, *, stays_in: Tab) -> None:
    st.session_state.pop(BEGUN, None)
    if tab == "pending":
        _go_on(queue, item, last=item)
    elif tab == stays_in:
        change({PICK: ""})
    else:
        change({TAB: stays_in, ITEM: item, PICK: ""})


def _undo(queue: str) -> None:
    try:
        comparison = undo_vote(services.actor(), services.workspace(), queue=queue)
    except CaiError as error:
        leave_message("error", "Not taken back", str(error), place="review")
        return
    change({QUEUE: queue, TAB: "", ITEM: comparison, PICK: "", LAST: ""})
