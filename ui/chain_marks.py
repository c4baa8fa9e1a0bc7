"""What people say of a chain: saved, flagged, and notes. The drawer and the playground share it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from cai_core.actions.chains import MAX_NOTE, mark_chain
from cai_core.errors import CaiError
from cai_core.records import AccessRole
from cai_core.workspace.index.views import ChainMarks
from ui import services
from ui.look import build_error, escape

_MARKS = (("saved", "Saved"), ("flagged", "Flagged"))


def mark_toggles(chain: str, run: str, marks: ChainMarks, *, at: str) -> None:
    """A switch for each mark, side by side with whatever else the container holds.

    Args:
        chain: row id of the chain's initial response; `run` is the run that holds it.
        at: tells the switches of two chains on one page apart.
    """
    for mark, label in _MARKS:
        # The chain's id is in the key: a fast click must not hit the next chain.
        key = f"{at}_{mark}_{chain}"
        st.session_state[key] = getattr(marks, mark)
        st.toggle(
            label,
            key=key,
            disabled=not _may(),
            on_change=_toggle,
            args=(chain, run, mark, key),
        )


def show_mark_failure() -> None:
    """Why the last mark was not kept, once; below the switches, so that none slips away."""
    if failed := st.session_state.pop(_FAILED, None):
        st.html(build_error("Not kept", failed))


def show_notes(marks: ChainMarks) -> None:
    """Every note, oldest first, with who wrote it and when."""
    for note in marks.notes:
        said = f"{note.get('actor', '')} · {note.get('at', '')}"
        st.html(
            f'<div class="cai-said"><span class="cai-quiet">{escape(said)}</span>'
            f"<p>{escape(note.get('text', ''))}</p></div>"
        )


def note_form(chain: str, run: str, *, at: str) -> None:
    """The field for one more note; nothing for who may not add one."""
    if not _may():
        return
    key = f"{at}_note_{chain}"
    with st.form(f"{at}_note_form_{chain}", border=False):
        st.text_area("Add a note", key=key, max_chars=MAX_NOTE, height=90)
        st.form_submit_button(
            "Add note", icon=":material/add_comment:", on_click=_add_note, args=(chain, run, key)
        )


_FAILED = "mark_failed"


def _may() -> bool:
    return services.actor().role.includes(AccessRole.REVIEWER)


def _toggle(chain: str, run: str, mark: str, key: str) -> None:
    _mark(chain, run, **{mark: bool(st.session_state[key])})


def _add_note(chain: str, run: str, key: str) -> None:
    if _mark(chain, run, note=st.session_state.get(key, "")):
        st.session_state[key] = ""


def _mark(chain: str, run: str, **marks: Any) -> bool:
    """Keep the mark, and let the index see it; False where it could not be kept."""
    try:
        mark_chain(services.actor(), services.workspace(), chain=chain, run=run, **marks)
        services.index().ingest()
    except CaiError as error:
        st.session_state[_FAILED] = str(error)
        return False
    return True
