"""Before a draft is saved: what it changes, what stands in the way, and who saved meanwhile."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from cai_core.actions.check import MAX_NOTE
from cai_core.actions.constitutions import change_draft, save_constitution
from cai_core.errors import CaiError
from cai_core.records import Constitution
from cai_core.workspace.draft_check import DraftProblem
from cai_core.workspace.drafts import Draft, as_constitution
from cai_core.workspace.versions import VersionInfo, load_version
from ui import services
from ui.constitution_address import (
    build_facts,
    describe_save,
    describe_version,
    go,
    leave_message,
    show_message,
)
from ui.constitution_diff import build_changes
from ui.constitution_keep import discard
from ui.look import build_card, build_error, escape

_EMPTY = Constitution(name="", description="", principles=())


def show_review(
    draft: Draft,
    base: Constitution | None,
    head: VersionInfo | None,
    problems: tuple[DraftProblem, ...],
) -> None:
    """Render the draft's changes and the form that saves them.

    Args:
        base: what the draft was begun from; None for a new constitution, or where it is lost.
        head: the newest version of the draft's name, None where nobody has saved it.
    """
    st.button(
        "Back to editing",
        key="back",
        icon=":material/arrow_back:",
        type="tertiary",
        on_click=_keep_editing,
        args=(draft.draft_id,),
    )
    theirs = _load_theirs(draft, head)
    changes = build_changes(theirs or base or _EMPTY, as_constitution(draft))
    left, right = st.columns([0.62, 0.38], gap="medium")
    with right, st.container(key="cn_save"):
        if theirs is not None and head is not None:
            _show_conflict(head)
        _save_form(draft, head, problems, changed=bool(changes), conflict=theirs is not None)
    with left:
        if theirs is not None and head is not None:
            _show_both(base, theirs, head, changes)
        else:
            st.html('<h2 class="cai-h2">What you changed</h2>')
            _show_changes(changes, "Nothing but white space differs from the version you began.")


def _load_theirs(draft: Draft, head: VersionInfo | None) -> Constitution | None:
    """What somebody saved since the draft was begun; None where nobody did.

    A new constitution whose name was taken meanwhile is a problem of its name, not a conflict.
    """
    if head is None or draft.base_hash in (None, head.hash):
        return None
    try:
        return load_version(services.workspace(), head.name, head.hash)
    except CaiError as error:
        st.html(build_error("The newest version cannot be read", str(error)))
        return _EMPTY


def _show_conflict(head: VersionInfo) -> None:
    words = (
        f"{describe_save(head)} since you began. Nothing of it is overwritten: compare the two, "
        "then decide."
    )
    st.html(build_card("note", "Somebody saved meanwhile", escape(words)))
    note = f'<div class="cai-wrap">{escape(head.note)}</div>' if head.note else ""
    st.html(f'<div class="cai-note">{note}{build_facts(head)}</div>')


def _show_both(
    base: Constitution | None, theirs: Constitution, head: VersionInfo, changes: list[str]
) -> None:
    st.html('<h2 class="cai-h2">What yours would change in theirs</h2>')
    _show_changes(changes, "Nothing: their version says the same as yours.")
    if base is not None:
        with st.expander(f"What they changed: {describe_version(head)} against where you began"):
            _show_changes(build_changes(base, theirs), "Nothing but white space.")


def _show_changes(changes: list[str], otherwise: str) -> None:
    if changes:
        st.html(f'<div class="cai-list cai-changes">{"".join(changes)}</div>')
    else:
        st.html(f'<p class="cai-lead">{escape(otherwise)}</p>')


def _save_form(
    draft: Draft,
    head: VersionInfo | None,
    problems: tuple[DraftProblem, ...],
    *,
    changed: bool,
    conflict: bool,
) -> None:
    if problems:
        lines = "\n".join(problem.message for problem in problems)
        st.html(build_error("To mend before it can be saved", lines))
    elif changed:
        _note_and_save(draft, head, conflict=conflict)
    with st.container(horizontal=True):
        st.button(
            "Keep editing",
            key="keep_editing",
            icon=":material/edit:",
            on_click=_keep_editing,
            args=(draft.draft_id,),
        )
        if conflict or not changed:
            st.button(
                "Discard mine",
                key="discard_mine",
                icon=":material/delete:",
                on_click=discard,
                args=(draft,),
            )
    show_message("review")


def _note_and_save(draft: Draft, head: VersionInfo | None, *, conflict: bool) -> None:
    key = f"note_{draft.draft_id}"
    st.text_area(
        "Note: what you changed, and why",
        value=draft.note,
        key=key,
        max_chars=MAX_NOTE,
        height=140,
        placeholder="For whoever reads the history later",
        on_change=_keep_note,
        args=(draft.draft_id, key),
    )
    st.button(
        "Save mine on top of theirs" if conflict else "Save as a new version",
        key="save",
        type="primary",
        icon=":material/save:",
        width="stretch",
        on_click=_save,
        args=(draft, head.hash if head else None, key),
    )


def _keep_note(draft_id: str, key: str) -> None:
    note = st.session_state[key] or ""
    try:
        change_draft(
            services.actor(), services.workspace(), draft_id, lambda d: replace(d, note=note)
        )
    except CaiError as error:
        leave_message("error", "The note is not kept yet", str(error), place="review")


def _save(draft: Draft, onto: str | None, note_key: str) -> None:
    note = st.session_state.get(note_key) or ""
    try:
        saved = save_constitution(
            services.actor(), services.workspace(), draft, note=note, onto=onto
        )
    except CaiError as error:
        # A conflict too: the page is drawn again, and shows the newer version beside the draft.
        leave_message("error", "Not saved", str(error), place="review")
        return
    leave_message("note", "Saved", f"{saved.name} has a new version, number {saved.number}.")
    go(constitution=saved.name, version=str(saved.number))


def _keep_editing(draft_id: str) -> None:
    go(draft=draft_id)
