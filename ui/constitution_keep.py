"""What the edit pane's fields and buttons do to a draft. Callbacks: they draw nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from cai_core.actions.constitutions import change_draft, discard_draft
from cai_core.errors import CaiError
from cai_core.workspace.drafts import Draft, DraftPrinciple, build_draft_principle
from ui import services
from ui.constitution_address import go, leave_message

_FAULTS = "constitution_faults"


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
    value = st.session_state[widget_key]
    keep_value(draft_id, key, field, widget_key, tuple(value) if field == "tags" else value or "")


def keep_value(draft_id: str, key: str | None, field: str, widget_key: str, value: Any) -> None:
    """Put a field's value into the draft's file, or remember that it is not there."""

    def change(draft: Draft) -> Draft:
        if key is None:
            return replace(draft, **{field: value})
        if draft.principle(key) is None:
            raise CaiError("This principle was deleted in another tab.")
        return _with(
            draft, [replace(p, **{field: value}) if p.key == key else p for p in draft.principles]
        )

    try:
        change_draft(services.actor(), services.workspace(), draft_id, change)
    except CaiError as error:
        faults()[widget_key] = Fault(draft_id, key, field, value, str(error))
    else:
        faults().pop(widget_key, None)


def add_principle(draft_id: str) -> None:
    """Append an empty principle, and choose it."""
    new = build_draft_principle()
    if _change(draft_id, lambda draft: _with(draft, [*draft.principles, new])):
        go(draft=draft_id, principle=new.key)


def duplicate_principle(draft_id: str, key: str) -> None:
    """Put a copy behind the principle, and choose it."""
    copies: list[DraftPrinciple] = []

    def change(draft: Draft) -> Draft:
        rest: list[DraftPrinciple] = []
        for principle in draft.principles:
            rest.append(principle)
            if principle.key == key:
                name = f"{principle.id[:59]}-copy" if principle.id else ""
                copies.append(build_draft_principle(replace(principle, id=name)))
                rest.append(copies[-1])
        return _with(draft, rest)

    if _change(draft_id, change) and copies:
        go(draft=draft_id, principle=copies[0].key)


def move_principle(draft_id: str, key: str, step: int) -> None:
    """Move the principle up (−1) or down (1); at the end of the list it stays."""

    def change(draft: Draft) -> Draft:
        rest = list(draft.principles)
        place = next((i for i, p in enumerate(rest) if p.key == key), None)
        if place is not None and 0 <= place + step < len(rest):
            rest.insert(place + step, rest.pop(place))
        return _with(draft, rest)

    _change(draft_id, change)


def delete_principle(draft_id: str, key: str) -> None:
    """Delete the principle, remember it for `undo_delete`, and choose its neighbour."""
    removed: list[tuple[int, DraftPrinciple]] = []
    rest: list[DraftPrinciple] = []

    def change(draft: Draft) -> Draft:
        removed.extend((i, p) for i, p in enumerate(draft.principles) if p.key == key)
        rest.extend(p for p in draft.principles if p.key != key)
        return _with(draft, rest)

    if _change(draft_id, change) and removed:
        st.session_state[_removed_key(draft_id)] = removed[0]
        near = rest[min(removed[0][0], len(rest) - 1)].key if rest else ""
        go(draft=draft_id, **({"principle": near} if near else {}))


def removed_principle(draft_id: str) -> DraftPrinciple | None:
    """What this session deleted last, None where nothing is to be undone."""
    held = st.session_state.get(_removed_key(draft_id))
    return held[1] if held else None


def undo_delete(draft_id: str) -> None:
    """Put the principle deleted last back into its place, and choose it."""
    place, principle = st.session_state[_removed_key(draft_id)]

    def change(draft: Draft) -> Draft:
        rest = [p for p in draft.principles if p.key != principle.key]
        rest.insert(place, principle)
        return _with(draft, rest)

    if _change(draft_id, change):
        del st.session_state[_removed_key(draft_id)]
        go(draft=draft_id, principle=principle.key)


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


def _with(draft: Draft, principles: list[DraftPrinciple]) -> Draft:
    return replace(draft, principles=tuple(principles))


def _change(draft_id: str, change: Callable[[Draft], Draft]) -> bool:
    try:
        change_draft(services.actor(), services.workspace(), draft_id, change)
    except CaiError as error:
        leave_message("error", "Not changed", str(error))
        return False
    return True


def _removed_key(draft_id: str) -> str:
    return f"removed_{draft_id}"
