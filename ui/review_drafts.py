"""What a reviewer has typed and not yet given, or taken back: kept while the session lasts.

A field that is not drawn loses what stood in it, and the next item has fields of its own.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

_DRAFTS = "review_drafts"


def draft_area(label: str, key: str, first: str, **settings: Any) -> None:
    """Render a text area that keeps its draft; `first` is what it holds before anybody types."""
    drafts: dict[str, str] = st.session_state.setdefault(_DRAFTS, {})
    if key not in st.session_state:
        st.session_state[key] = drafts.get(key, first)
    drafts[key] = st.text_area(label, key=key, **settings)


def read_draft(key: str) -> str:
    """What stands in the field now. For callbacks, too: the next item is drawn without it."""
    drafts: dict[str, str] = st.session_state.setdefault(_DRAFTS, {})
    if key in st.session_state:
        drafts[key] = str(st.session_state[key] or "")
    return drafts.get(key, "")


def drop_draft(key: str) -> None:
    """Forget what was typed. For callbacks."""
    st.session_state.setdefault(_DRAFTS, {}).pop(key, None)
    st.session_state.pop(key, None)
