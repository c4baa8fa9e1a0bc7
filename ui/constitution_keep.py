"""What the edit pane's fields and buttons do to a draft. Callbacks: they draw nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from cai_core.actions.constitutions import discard_draft
from cai_core.errors import CaiError
from cai_core.workspace import draft_edit
from cai_core.workspace.drafts import Draft, build_draft_principle
from ui import services
from ui.constitution_address import go, leave_message
from ui.constitution_undo import change_and_remember

_FAULTS, _DRAWN = "constitution_faults", "constitution_drawn"


@dataclass(frozen=True, slots=True)
class Fault:
    """A field's change that could not be kept.

    Attributes:
        key: of the principle, None for the constitution's own fields.
        value: what was typed.
        message: why it could not be kept.
    """

    draft_id: str
    key: str | None
    field: str
    value: Any
    message: str


def faults() -> dict[str, Fault]:
    """What this session could not keep yet, by widget key."""
    held: dict[str, Fault] = st.session_state.setdefault(_FAULTS, {})
    return held


def keep_field(draft_id: str, key: str | None, field: str, widget_key: str) -> None:
    """Put what a widget holds into the draft's file; what cannot be put there is remembered."""
    keep_value(draft_id, key, field, widget_key, _read(field, st.session_state[widget_key]))


def note_drawn(draft_id: str, key: str | None, field: str, widget_key: str, value: Any) -> None:
    """Remember what a widget is drawn with, so that `keep_missed` sees what a person changed."""
    drawn: dict[str, tuple[str, str | None, str, Any]] = st.session_state.setdefault(_DRAWN, {})
    drawn[widget_key] = (draft_id, key, field, _read(field, value))


def keep_missed() -> None:
    """Keep what was changed and no callback kept. Before the draft is read.

    Reading the session is where Streamlit ends a run that a newer one replaces, inside of callbacks
    too; the newer run does not call them again. So two fields left in quick succession would lose
    the first.
    """
    for widget_key, (draft_id, key, field, value) in list(st.session_state.get(_DRAWN, {}).items()):
        if widget_key not in st.session_state:
            st.session_state[_DRAWN].pop(widget_key, None)
            continue
        now = _read(field, st.session_state[widget_key])
        if now != value:
            keep_value(draft_id, key, field, widget_key, now)


def _read(field: str, value: Any) -> Any:
    """A widget's value as the draft holds it."""
    match field:
        case "tags":
            return tuple(value or ())
        case "weight":
            return 1.0 if value is None else float(value)
        case "enabled":
            return bool(value)
    return value or ""


def keep_value(draft_id: str, key: str | None, field: str, widget_key: str, value: Any) -> None:
    """Put a field's value into the draft's file, or remember that it is not there."""

    def change(draft: Draft) -> Draft:
        if key is None:
            return replace(draft, **{field: value})
        if draft.principle(key) is None:
            raise CaiError("This principle was deleted in another tab.")
        changed = (
            replace(p, **{field: value}) if p.key == key else p  # one field of one principle
            for p in draft.principles
        )
        return replace(draft, principles=tuple(changed))

    try:
        change_and_remember(draft_id, f"changed the {field.replace('_', ' ')}", change)
    except CaiError as error:
        faults()[widget_key] = Fault(draft_id, key, field, value, str(error))
    else:
        faults().pop(widget_key, None)


def add_principle(draft_id: str) -> None:
    """Append an empty principle, and choose it."""
    new = build_draft_principle()
    if change_whole(draft_id, "added one", lambda d: draft_edit.insert_after(d, "", new)):
        go(draft=draft_id, principle=new.key)


def duplicate_principle(draft_id: str, key: str) -> None:
    """Put a copy behind the principle, and choose it."""
    copies: list[str] = []

    def change(draft: Draft) -> Draft:
        principle = draft.principle(key)
        if principle is None:
            return draft
        copy = draft_edit.copy_principle(draft, principle)
        copies.append(copy.key)
        return draft_edit.insert_after(draft, key, copy)

    if change_whole(draft_id, "duplicated one", change) and copies:
        go(draft=draft_id, principle=copies[0])


def move_principle(draft_id: str, key: str, step: int) -> None:
    """Move the principle up (−1) or down (1); at the end of the list it stays."""
    change_whole(draft_id, "moved one", lambda d: draft_edit.move_principle(d, key, step))


def delete_principle(draft_id: str, key: str) -> None:
    """Delete the principle, and choose its neighbour."""
    places: list[int] = []

    def change(draft: Draft) -> Draft:
        places.extend(i for i, p in enumerate(draft.principles) if p.key == key)
        return draft_edit.delete_principle(draft, key)

    kept = change_whole(draft_id, "deleted one", change)
    if kept is not None and places:
        rest = kept.principles
        near = rest[min(places[0], len(rest) - 1)].key if rest else ""
        go(draft=draft_id, **({"principle": near} if near else {}))


def split_principle(draft_id: str, key: str, at: int) -> None:
    """Make two of the principle, behind its sentence number `at`."""
    change_whole(draft_id, "split one", lambda d: draft_edit.split_principle(d, key, at))


def merge_principle(draft_id: str, key: str, other_widget: str) -> None:
    """Join the principle that a widget names to this one."""
    other = str(st.session_state.get(other_widget) or "")
    change_whole(draft_id, "merged two", lambda d: draft_edit.merge_principles(d, key, other))


def discard(draft: Draft) -> None:
    """Throw the draft away, and go back to its constitution."""
    try:
        discard_draft(services.actor(), services.workspace(), draft.draft_id)
    except CaiError as error:
        leave_message("error", "Not discarded", str(error))
        return
    leave_message("note", "Draft discarded", "Saved versions are as they were.")
    leave_draft(draft)


def leave_draft(draft: Draft) -> None:
    """Go to the constitution that the draft was begun from."""
    go(**({"constitution": draft.name} if draft.base_hash else {}))


def leave_gone_draft() -> None:
    """Go to the list, and forget what could not be kept in a draft that is no more."""
    faults().clear()
    go()


def change_whole(draft_id: str, words: str, change: Callable[[Draft], Draft]) -> Draft | None:
    """Change the draft; None, with a message left, where that could not be kept."""
    try:
        return change_and_remember(draft_id, words, change)
    except CaiError as error:
        leave_message("error", "Not changed", str(error))
        return None
