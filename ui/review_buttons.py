"""A review's buttons, each with a key of its own, whatever the queue is made of."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import streamlit as st

from cai_core.actions.review_claims import claim_next, note_look, undo_vote
from cai_core.errors import CaiError
from cai_core.evaluation.review_queue import Tab
from cai_core.records import AccessRole
from ui import services
from ui.constitution_address import leave_message
from ui.review_address import ITEM, LAST, PICK, QUEUE, TAB, change, read
from ui.review_data import QueueView

# Item and when it was first shown; items whose harmful text was asked for.
BEGUN, SHOWN = "review_begun", "review_shown"
_READ_FIRST = "Show the text first: a vote on what was not read is none."


def pick_buttons(picks: Mapping[str, tuple[str, str | None]], picked: str, *, ready: bool) -> None:
    """What may be said.

    Args:
        picks: name in the address → label, and what it means.
        ready: whether anything may be said yet.
    """
    with st.container(horizontal=True, key="review_picks"):
        for number, (pick, (label, meaning)) in enumerate(picks.items(), start=1):
            st.button(
                label,
                key=f"review_pick_{pick}",
                type="primary" if pick == picked else "secondary",
                shortcut=str(number),
                disabled=not ready,
                help=meaning if ready else _READ_FIRST,
                on_click=change,
                args=({PICK: pick},),
            )


def move_buttons(
    view: QueueView,
    item: str,
    tab: Tab,
    *,
    picked: bool,
    ready: bool,
    submit: Callable[[], bool],
    discard: Callable[[], bool],
) -> None:
    """The way on: to the next, with a vote or without, and back.

    Args:
        picked: whether something is picked. ready: whether a vote may be given.
        submit, discard: keep a vote; False where it was not kept.
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
            on_click=_say,
            args=(submit, queue, item, tab, "submitted"),
        )
        st.button(
            "Discard",
            key="review_discard",
            shortcut="D",
            help="It cannot be judged. Others may still be given it.",
            on_click=_say,
            args=(discard, queue, item, tab, "discarded"),
        )
        undo_button(view)
        if not ready:
            st.button(
                "Show harmful text",
                key="review_show",
                icon=":material/visibility:",
                shortcut="H",
                help="Of this one alone. That you looked is kept with your vote.",
                on_click=_show_harmful,
                args=(item,),
            )


def undo_button(view: QueueView) -> None:
    """Takes this reviewer's newest vote of the queue back."""
    st.button(
        "Undo",
        key="review_undo",
        icon=":material/undo:",
        shortcut="U",
        disabled=view.find_newest() is None,
        help="Take your newest vote of this queue back.",
        on_click=_undo,
        args=(view.queue.queue_id,),
    )


def begin(item: str) -> None:
    """Remember when this one was shown first."""
    if st.session_state.get(BEGUN, ("",))[0] != item:
        st.session_state[BEGUN] = (item, time.time())


def find_seconds(item: str) -> float:
    """How long it has been shown."""
    begun = st.session_state.get(BEGUN, ("", 0.0))
    return time.time() - begun[1] if begun[0] == item else 0.0


def is_shown(item: str) -> bool:
    """Whether its harmful text was asked for."""
    return item in st.session_state.get(SHOWN, ())


def note_exposure(view: QueueView, item: str) -> None:
    """Keep that this reviewer sees harmful text of it, once; a viewer is counted nowhere."""
    actor = services.actor()
    if item in view.looks.get(actor.name, ()) or not actor.role.includes(AccessRole.REVIEWER):
        return
    try:
        note_look(actor, services.workspace(), queue=view.queue.queue_id, item=item)
    except CaiError as error:
        leave_message("error", "Your look was not kept", str(error), place="review")


def refuse(error: CaiError) -> bool:
    """Tell that a vote was not kept."""
    leave_message("error", "Not kept", str(error), place="review")
    return False


def _show_harmful(item: str) -> None:
    st.session_state[SHOWN] = {*st.session_state.get(SHOWN, ()), item}


def _say(keep: Callable[[], bool], queue: str, item: str, tab: Tab, stays_in: Tab) -> None:
    """Keep a vote, and go on to the next one."""
    if not keep():
        return
    st.session_state.pop(BEGUN, None)
    if tab == "pending":
        _go_on(queue, item, last=item)
    elif tab == stays_in:
        change({PICK: ""})
    else:
        change({TAB: stays_in, ITEM: item, PICK: ""})


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


def _undo(queue: str) -> None:
    try:
        item = undo_vote(services.actor(), services.workspace(), queue=queue)
    except CaiError as error:
        leave_message("error", "Not taken back", str(error), place="review")
        return
    change({QUEUE: queue, TAB: "", ITEM: item, PICK: "", LAST: ""})
