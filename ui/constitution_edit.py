"""Editing a draft: its state, the ways out of it, and what of it could not be kept.

The draft's file is the truth; every change is kept at once.
"""

from __future__ import annotations

import streamlit as st

from cai_core.constitution import constitution_hash
from cai_core.records import Constitution
from cai_core.workspace.draft_check import DraftProblem
from cai_core.workspace.drafts import Draft, as_constitution
from ui.constitution_address import describe_count, describe_time, go
from ui.constitution_diff import FIELD_NAMES
from ui.constitution_keep import (
    Fault,
    discard,
    faults,
    keep_value,
    leave_draft,
    leave_gone_draft,
)
from ui.constitution_undo import get_history, redo, undo
from ui.look import build_badge, build_card, build_error, escape
from ui.runs_words import build_table

_STEPS = {"": "Form", "yaml": "YAML"}
# Single letters, which do nothing while a field is being typed in. Keys with Alt or Ctrl would work
# there too, and what is just being typed would be lost: it is kept when the field is left.
_KEYS = (
    ("J, K", "the next principle, the one before"),
    ("U, D", "move it up, down"),
    ("N", "add a principle"),
    ("Z, Y", "undo, redo"),
    ("S", "review and save"),
    ("Tab", "leave a field, which keeps it; letters are keys again"),
    ("Ctrl Enter", "keep what is being typed, and stay"),
)


def edit_bar(
    draft: Draft, problems: tuple[DraftProblem, ...], *, changed: bool, step: str = ""
) -> None:
    """Render the draft's state, and what can be done with it.

    Args:
        step: how it is edited: empty for the form, or `yaml`.
    """
    st.button(
        "Back, keeping the draft",
        key="leave",
        icon=":material/arrow_back:",
        type="tertiary",
        on_click=leave_draft,
        args=(draft,),
        help="The draft stays in the list of open drafts.",
    )
    with st.container(horizontal=True, vertical_alignment="center", key="cn_bar"):
        name = escape(draft.name or "(no name yet)")
        state = build_state(draft, problems, changed=changed)
        st.html(f'<h2 class="cai-h2">{name}</h2>{state}', width="stretch")
        _step_switch(draft, step)
        _undo_buttons(draft)
        with st.popover("Keys", icon=":material/keyboard:", type="tertiary"):
            st.html(build_table(["keys", "what they do"], [list(pair) for pair in _KEYS]))
        with st.popover("Discard", icon=":material/delete:"):
            st.text("The draft is deleted for good. Saved versions stay.")
            st.button("Discard the draft", key="discard", on_click=discard, args=(draft,))
        st.button(
            "Try it",
            key="try",
            icon=":material/science:",
            on_click=go,
            kwargs={"draft": draft.draft_id, "step": "try"},
            help="See what it changes in what a model says, before you save it.",
        )
        st.button(
            "Review and save",
            key="review",
            type="primary",
            icon=":material/difference:",
            shortcut="S",
            on_click=go,
            kwargs={"draft": draft.draft_id, "step": "review"},
        )


def build_state(draft: Draft, problems: tuple[DraftProblem, ...], *, changed: bool) -> str:
    """Whether the draft differs from what it was begun from, and when it was kept."""
    badge = build_badge("unsaved changes") if changed else build_badge("no changes yet", quiet=True)
    kept = f"Draft kept {describe_time(draft.updated_at, clock=True)}"
    count = f" · {describe_count(len(problems), 'problem')} to mend" if problems else ""
    return (
        f'<div role="status" class="cai-note" style="color:var(--cai)">{badge} '
        f'<span class="cai-quiet">{escape(kept + count)}</span></div>'
    )


def is_changed(draft: Draft, base: Constitution | None) -> bool:
    """Whether saving the draft would make a new version."""
    return base is None or constitution_hash(as_constitution(draft)) != base.hash


def check_name(draft: Draft, taken: list[str]) -> tuple[DraftProblem, ...]:
    """A new constitution must not take another's name, nor one that a disk may confuse with it."""
    if draft.base_hash is not None or draft.name.casefold() not in (t.casefold() for t in taken):
        return ()
    words = f"There is a constitution named {draft.name!r} already. Choose another name."
    return (DraftProblem(key=None, field="name", message=words),)


def retry_faults(draft_id: str) -> None:
    """Try again to keep what could not be kept. Before the draft is read."""
    for widget_key, fault in list(faults().items()):
        if fault.draft_id == draft_id:
            keep_value(draft_id, fault.key, fault.field, widget_key, fault.value)


def show_faults(draft: Draft) -> None:
    """Say what is not kept yet; the text itself stands in its field, or here if that is gone."""
    open_faults = [f for f in faults().values() if f.draft_id == draft.draft_id]
    for message in dict.fromkeys(fault.message for fault in open_faults):
        st.html(build_error("Your last change is not kept yet", message))
    _show_typed([f for f in open_faults if f.key and draft.principle(f.key) is None])
    if open_faults:
        st.button("Try again", key="try_again", icon=":material/refresh:")


def show_gone(message: str) -> None:
    """Say that the URL's draft is not here, and what was typed into it last."""
    st.html(build_error("This draft cannot be opened", message))
    _show_typed(list(faults().values()))
    st.button(
        "All constitutions", key="all", icon=":material/arrow_back:", on_click=leave_gone_draft
    )


def _show_typed(lost: list[Fault]) -> None:
    for fault in lost:
        label = FIELD_NAMES.get(fault.field, fault.field.capitalize())
        text = ", ".join(fault.value) if isinstance(fault.value, tuple) else str(fault.value)
        st.html(build_card("note", f"You had just typed: {label}", escape(text)))


def _step_switch(draft: Draft, step: str) -> None:
    key = f"cn_step_{draft.draft_id}"
    # The address is what holds: this widget only shows it, and asks for the other.
    st.session_state[key] = step
    st.segmented_control(
        "Edit as",
        list(_STEPS),
        format_func=lambda s: _STEPS[s],
        key=key,
        required=True,
        label_visibility="collapsed",
        on_change=_switch,
        args=(draft.draft_id, key),
    )


def _switch(draft_id: str, key: str) -> None:
    step = str(st.session_state[key] or "")
    go(draft=draft_id, **({"step": step} if step else {}))


def _undo_buttons(draft: Draft) -> None:
    history = get_history(draft.draft_id)
    for label, icon, shortcut, changes, action in (
        ("Undo", "undo", "Z", history.done, undo),
        ("Redo", "redo", "Y", history.undone, redo),
    ):
        told = f"{label}: {changes[-1].words}." if changes else f"Nothing to {label.lower()}."
        st.button(
            label,
            key=label.lower(),
            icon=f":material/{icon}:",
            type="tertiary",
            disabled=not changes,
            shortcut=shortcut,
            help=told,
            on_click=action,
            args=(draft.draft_id,),
        )
