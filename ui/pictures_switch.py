"""The switch between an explorer's list and its pictures; the address holds it."""

from __future__ import annotations

import streamlit as st

VIEW, PICTURES = "view", "pictures"
_LABELS = {"list": "List", PICTURES: "Pictures"}


def show_switch(key: str) -> bool:
    """Render it; whether pictures are asked for."""
    shown = PICTURES if st.query_params.get(VIEW) == PICTURES else "list"
    st.session_state[key] = shown
    st.segmented_control(
        "Show as",
        list(_LABELS),
        format_func=_LABELS.__getitem__,
        key=key,
        required=True,
        label_visibility="collapsed",
        on_change=_choose,
        args=(key,),
    )
    return shown == PICTURES


def _choose(key: str) -> None:
    if st.session_state[key] == PICTURES:
        st.query_params[VIEW] = PICTURES
    else:
        st.query_params.pop(VIEW, None)
