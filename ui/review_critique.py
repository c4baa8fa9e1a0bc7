"""A critique to be judged: whether it is right, and perhaps a revision of the reviewer's own."""

from __future__ import annotations

from typing import Any

import streamlit as st

from cai_core.actions.critique_queues import discard_critique, vote_critique
from cai_core.errors import CaiError
from cai_core.evaluation.review_queue import Tab
from cai_core.records import AccessRole, CritiqueVerdict
from cai_core.workspace.index.views import ChainView
from cai_core.workspace.review_critiques import MAX_REVISION, CritiqueVote
from ui import services
from ui.chain_reviews import VERDICT_HELP, VERDICTS
from ui.harm import shows_harmful
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
from ui.review_comparison import read_reason, reason_field
from ui.review_data import QueueView
from ui.review_drafts import draft_area, drop_draft, read_draft
from ui.review_round import (
    build_last_round,
    build_round,
    build_round_told,
    find_round,
)

PICKS = {word.value.replace(" ", "-"): word for word in CritiqueVerdict}
_LABELS = {name: (VERDICTS[word], VERDICT_HELP[word]) for name, word in PICKS.items()}
# Items whose revision the reviewer edits, or has chosen to leave as it was.
_EDITING = "review_editing"


def show_critique(view: QueueView, item: str, tab: Tab) -> None:
    """Render the round, and what may be said of its critique."""
    queue = view.queue
    place = queue.by_item.get(item)
    chain = None if place is None else services.index().get_chain(place.chain)
    shown_round = None if chain is None or place is None else find_round(chain, place.round)
    told = tab == "submitted" or not queue.blind
    held = shown_round is not None and shown_round.harmful
    open_ = not held or shows_harmful() or is_shown(item)
    if chain is None or shown_round is None:
        words = "The workspace holds no such round any more. Discard it, or go on."
        st.html(build_card("note", "No such critique", words))
    else:
        if held and open_:
            note_exposure(view, item)
        st.toggle("Show changes", key="diff", persist_state="session")
        with_diff = bool(st.session_state.get("diff"))
        st.html(build_round(chain, shown_round, told=told, blurred=not open_, with_diff=with_diff))
        if told:
            me = services.actor().name
            st.html(build_round_told(view, item, shown_round, me=me, blurred=not open_))
    if not services.actor().role.includes(AccessRole.REVIEWER):
        return
    picked, ready = _find_pick(view, item), open_ and shown_round is not None
    pick_buttons(_LABELS, picked, ready=ready)
    reason_field(view, item)
    model = "" if shown_round is None else shown_round.revision
    if ready and chain is not None:
        _revision_field(view, item, chain, model)
    look = {"blind": queue.blind, "exposed": held and open_}
    move_buttons(
        view,
        item,
        tab,
        picked=bool(picked),
        ready=ready,
        submit=lambda: submit_critique(queue.queue_id, item, picked, model=model, **look),
        discard=lambda: _discard(queue.queue_id, item, **look),
    )


def build_last_critique(view: QueueView, vote: CritiqueVote) -> str:
    """What was just said, and what the queue had hidden until then, as HTML."""
    return build_last_round(view.queue.by_item.get(vote.item), vote)


def submit_critique(
    queue: str, item: str, picked: str, *, model: str, blind: bool, exposed: bool
) -> bool:
    """Keep what is picked; False where nothing was kept.

    Args:
        model: the model's revision: a text that says the same is none of the reviewer's own.
    """
    if picked not in PICKS:
        return False  # the key was struck twice: nothing is picked of the next one yet
    written = read_draft(_field(item)) if _is_editing(item) else ""
    try:
        vote_critique(
            services.actor(),
            services.workspace(),
            queue=queue,
            item=item,
            verdict=PICKS[picked],
            reason=read_reason(item),
            revision="" if written.strip() == model.strip() else written,
            blind=blind,
            seconds=find_seconds(item),
            exposed=exposed,
        )
    except CaiError as error:
        return refuse(error)
    return True


def _revision_field(view: QueueView, item: str, chain: ChainView, model: str) -> None:
    """The reviewer's own text, which begins as the model's."""
    vote = view.find_vote(item)
    before = "" if vote is None else vote.revision
    if before and item not in st.session_state.get(_EDITING, {}):
        _edit(item, True)
    editing = _is_editing(item)
    with st.container(horizontal=True, vertical_alignment="center", key="review_edit_row"):
        st.button(
            "Leave the revision as it is" if editing else "Edit the revision",
            key="review_edit",
            icon=":material/undo:" if editing else ":material/edit_note:",
            shortcut="E",
            help="Your text is kept beside the model’s, and can be exported to fine-tune on.",
            on_click=_edit,
            args=(item, not editing),
        )
    if not editing:
        return
    draft_area(
        "Your revision",
        _field(item),
        before or model,
        height=180,
        max_chars=MAX_REVISION,
        placeholder="What the answer should have been",
    )


def _edit(item: str, editing: bool) -> None:
    if not editing:
        drop_draft(_field(item))
    st.session_state[_EDITING] = {**st.session_state.get(_EDITING, {}), item: editing}


def _is_editing(item: str) -> bool:
    return bool(st.session_state.get(_EDITING, {}).get(item))


def _field(item: str) -> str:
    return f"review_revision_{item}"


def _discard(queue: str, item: str, **look: Any) -> bool:
    told = {**look, "reason": read_reason(item), "seconds": find_seconds(item)}
    try:
        discard_critique(services.actor(), services.workspace(), queue=queue, item=item, **told)
    except CaiError as error:
        return refuse(error)
    return True


def _find_pick(view: QueueView, item: str) -> str:
    """What is picked: as the address says, else as the reviewer voted."""
    if read(PICK) in PICKS:
        return read(PICK)
    vote = view.find_vote(item)
    return "" if vote is None or vote.verdict is None else vote.verdict.value.replace(" ", "-")
