"""Undo and redo of a draft's changes, as far as this session made them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import streamlit as st

from cai_core.actions.constitutions import change_draft
from cai_core.errors import CaiError
from cai_core.workspace.drafts import Draft
from ui import services
from ui.constitution_address import go, leave_message

_MOST = 100


@dataclass(frozen=True, slots=True)
class Change:
    """What a draft said before and after one change, and what was done, in words."""

    before: Draft
    after: Draft
    words: str


@dataclass(slots=True)
class History:
    """A draft's changes: those that can be undone, and those that can be done again."""

    done: list[Change] = field(default_factory=list)
    undone: list[Change] = field(default_factory=list)


def get_history(draft_id: str) -> History:
    """This session's changes of a draft."""
    held: History = st.session_state.setdefault(f"history_{draft_id}", History())
    return held


def change_and_remember(draft_id: str, words: str, change: Callable[[Draft], Draft]) -> Draft:
    """Change the draft's file, so that it can be undone. For callbacks.

    Raises:
        CaiError: as `change_draft`.
    """
    before: list[Draft] = []

    def noted(held: Draft) -> Draft:
        before.append(held)
        return change(held)

    kept = change_draft(services.actor(), services.workspace(), draft_id, noted)
    if _strip(kept) != _strip(before[0]):
        history = get_history(draft_id)
        history.done.append(Change(_strip(before[0]), _strip(kept), words))
        del history.done[:-_MOST]
        history.undone.clear()
    return kept


def undo(draft_id: str) -> None:
    """Take the last change back. For callbacks."""
    history = get_history(draft_id)
    if history.done and _restore(draft_id, history.done[-1].after, history.done[-1].before):
        history.undone.append(history.done.pop())


def redo(draft_id: str) -> None:
    """Do what was taken back last again. For callbacks."""
    history = get_history(draft_id)
    if history.undone and _restore(draft_id, history.undone[-1].before, history.undone[-1].after):
        history.done.append(history.undone.pop())


def _restore(draft_id: str, expected: Draft, wanted: Draft) -> bool:
    def change(held: Draft) -> Draft:
        if _strip(held) != expected:
            raise CaiError("This draft was changed in another tab since; that stays as it is.")
        return replace(
            held,
            name=wanted.name,
            description=wanted.description,
            principles=wanted.principles,
        )

    try:
        change_draft(services.actor(), services.workspace(), draft_id, change)
    except CaiError as error:
        leave_message("error", "Not undone", str(error))
        return False
    shown = _find_changed(expected, wanted)
    step = {"step": "yaml"} if st.query_params.get("step") == "yaml" else {}
    go(draft=draft_id, **step, **({"principle": shown} if shown else {}))
    return True


def _find_changed(old: Draft, new: Draft) -> str:
    """Key of the first principle that is another now, or stands elsewhere; empty for none."""
    if old.principles == new.principles:
        return ""
    for place, principle in enumerate(new.principles):
        if place >= len(old.principles) or old.principles[place] != principle:
            return principle.key
    return new.principles[-1].key if new.principles else ""


def _strip(draft: Draft) -> Draft:
    """What a person writes of it: not the note, not who and when."""
    return replace(draft, note="", actor="", updated_at="", authors=(), provenance={})
