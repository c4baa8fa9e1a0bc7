"""Whose votes an agreement is of: the filter by reviewer, in the address."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from ui.constitution_address import build_key
from ui.review_address import BIN, PART, WHO, change, read
from ui.review_data import QueueView


def choose_reviewers(view: QueueView) -> list[str] | None:
    """Render the filter where there is something to choose.

    Returns:
        The names that are chosen, none for everybody; None where nobody has voted.
    """
    names = sorted({vote.reviewer for vote in view.votes})
    if not names:
        st.html('<div class="cai-empty"><b>No votes yet.</b> Agreement shows with the first.</div>')
        return None
    asked = read(WHO).split(",")
    chosen = [name for name in names if build_key("", name)[1:] in asked]
    if len(names) > 1:
        _show(names, chosen)
    return chosen


def _show(names: Sequence[str], chosen: Sequence[str]) -> None:
    st.session_state["review_who"] = list(chosen)
    st.pills(
        "Reviewers",
        names,
        selection_mode="multi",
        key="review_who",
        help="None chosen: everybody.",
        on_change=lambda: change(
            {
                WHO: ",".join(build_key("", name)[1:] for name in st.session_state["review_who"]),
                PART: "",
                BIN: "",
            }
        ),
    )
