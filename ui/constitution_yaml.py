"""A draft as the text of its file: whatever is changed here is in the form, and the other way."""

from __future__ import annotations

import streamlit as st

from cai_core.constitution import parse_constitution
from cai_core.errors import CaiError
from cai_core.workspace.draft_check import dump_by_parts
from cai_core.workspace.draft_edit import take_text
from cai_core.workspace.drafts import Draft, as_constitution
from ui.constitution_keep import change_whole
from ui.look import build_error


def yaml_field(draft: Draft) -> None:
    """Render the draft's YAML; a text that cannot be read stays here and changes nothing."""
    text = dump_by_parts(as_constitution(draft))
    place = f"yaml_{draft.draft_id}"
    turn = st.session_state.get(f"{place}_turn", 0)
    typed, problem = st.session_state.get(f"{place}_typed"), None
    if typed is not None:
        try:
            parse_constitution(typed, "line")
        except CaiError as error:
            problem = str(error)
    shown = typed if problem is not None else text
    if st.session_state.get(f"{place}_{turn}", shown) != shown:
        turn += 1
        st.session_state[f"{place}_turn"] = turn
    if problem is not None:
        st.html(build_error("This text is not in the draft yet", problem.replace("line:", "Line ")))
        st.button(
            "Back to the draft's text",
            key="yaml_reset",
            icon=":material/undo:",
            on_click=_forget,
            args=(place,),
        )
    st.text_area(
        "The constitution's file",
        value=shown,
        key=f"{place}_{turn}",
        height=620,
        help="Ctrl+Enter, or a click elsewhere, takes the text over. Comments are not kept.",
        on_change=_take,
        args=(draft.draft_id, place, f"{place}_{turn}"),
    )


def _take(draft_id: str, place: str, widget_key: str) -> None:
    text = str(st.session_state[widget_key] or "")
    st.session_state[f"{place}_typed"] = text
    try:
        read = parse_constitution(text, "line")
    except CaiError:
        return  # the field says why
    if change_whole(draft_id, "changed the YAML", lambda draft: take_text(draft, read)):
        _forget(place)


def _forget(place: str) -> None:
    st.session_state.pop(f"{place}_typed", None)
