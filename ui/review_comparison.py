"""A comparison to be judged: which of two responses is better."""

from __future__ import annotations

from typing import Any

import streamlit as st

from cai_core.actions.comparison_reviews import discard_comparison, vote_comparison
from cai_core.errors import CaiError
from cai_core.evaluation.review_queue import Tab, find_first_shown
from cai_core.jobs.label_study import LabelStudy
from cai_core.records import AccessRole
from cai_core.workspace.review_fields import MAX_REASON
from cai_core.workspace.review_votes import Vote, VoteChoice
from ui import services
from ui.harm import shows_harmful
from ui.labels_list import is_held
from ui.look import build_card
from ui.review_address import PICK, read
from ui.review_buttons import (
    find_seconds,
    is_shown,
    move_buttons,
    note_exposure,
    pick_buttons,
    refuse,
)
from ui.review_data import QueueView
from ui.review_drafts import draft_area, read_draft
from ui.review_sides import build_conversation, build_last, build_pair, build_told

PICKS: dict[str, tuple[str, str | None]] = {
    "left": ("Left is better", None),
    "right": ("Right is better", None),
    "tie": ("Tie", None),
    "bad": ("Both bad", None),
}


def show_comparison(view: QueueView, study: LabelStudy, item: str, tab: Tab) -> None:
    """Render it, and what may be said of it."""
    me, queue = services.actor().name, view.queue
    place = study.by_id.get(item)
    one = None if place is None else study.examined[place]
    first = find_first_shown(queue.queue_id, item, me)
    held = one is not None and is_held(one)
    shown = not held or shows_harmful() or is_shown(item)
    told = tab == "submitted" or not queue.blind
    if one is None:
        words = "The run has no label of this comparison any more. Discard it, or go on."
        st.html(build_card("note", "No such comparison", words))
    else:
        if held and shown:
            note_exposure(view, item)
        st.html(build_conversation(one))
        st.html(build_pair(one, first, told=told, blurred=not shown))
        if told:
            st.html(build_told(study, one, view, me=me))
    if not services.actor().role.includes(AccessRole.REVIEWER):
        return
    picked, ready = _find_pick(view, item, first), shown and one is not None
    pick_buttons(PICKS, picked, ready=ready)
    reason_field(view, item)
    look = {"blind": queue.blind, "shown_first": first, "exposed": held and shown}
    move_buttons(
        view,
        item,
        tab,
        picked=bool(picked),
        ready=ready,
        submit=lambda: submit_comparison(queue.queue_id, item, picked, **look),
        discard=lambda: _discard(queue.queue_id, item, **look),
    )


def reason_field(view: QueueView, item: str) -> None:
    """Why; filled with what the reviewer has said before."""
    before = view.find_vote(item)
    draft_area(
        "Reason, if you like",
        # A field of its own for each: after Ctrl+Enter the keys are the page's again.
        f"review_reason_{item}",
        "" if before is None else before.reason,
        height=70,
        max_chars=MAX_REASON,
    )


def read_reason(item: str) -> str:
    """What stands in that field."""
    return read_draft(f"review_reason_{item}")


def build_last_comparison(study: LabelStudy, vote: Vote) -> str:
    """What was just said, beside the AI label, as HTML."""
    place = study.by_id.get(vote.comparison)
    return build_last(vote, None if place is None else study.examined[place])


def submit_comparison(
    queue: str, item: str, picked: str, *, blind: bool, shown_first: str, exposed: bool
) -> bool:
    """Keep what is picked; False where nothing was kept."""
    if picked not in PICKS:
        return False  # the key was struck twice: nothing is picked of the next one yet
    other = "B" if shown_first == "A" else "A"
    choices = {"left": shown_first, "right": other, "tie": "tie", "bad": "both bad"}
    try:
        vote_comparison(
            services.actor(),
            services.workspace(),
            queue=queue,
            comparison=item,
            choice=VoteChoice(choices[picked]),
            reason=read_reason(item),
            blind=blind,
            shown_first=shown_first,
            seconds=find_seconds(item),
            exposed=exposed,
        )
    except CaiError as error:
        return refuse(error)
    return True


def _discard(queue: str, item: str, **look: Any) -> bool:
    told = {**look, "reason": read_reason(item), "seconds": find_seconds(item)}
    try:
        discard_comparison(
            services.actor(), services.workspace(), queue=queue, comparison=item, **told
        )
    except CaiError as error:
        return refuse(error)
    return True


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
