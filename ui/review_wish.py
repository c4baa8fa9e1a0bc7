"""How many of what a filter finds, and how they are reviewed: the fields that every queue has."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from cai_core.evaluation.review_queue import choose_sample_size
from cai_core.workspace.review_queues import MAX_NAME, MAX_OVERLAP
from ui.constitution_address import describe_count
from ui.review_address import NAME, OPEN, OVERLAP, WIDTH, read, read_number

# Of the 95 % interval, in points.
_WIDTHS = (5, 10, 15, 20, 30)
_FIRST_WIDTH = 10
_ALL, _SAMPLE = "All of them", "A random sample"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the form asks for besides the filter; `points` is None for all of them."""

    points: int | None
    overlap: int
    blind: bool
    name: str

    def as_settings(self) -> dict[str, Any]:
        """The same as the actions take it."""
        return {
            "name": self.name,
            "width": None if self.points is None else self.points / 100,
            "overlap": self.overlap,
            "blind": self.blind,
            # A queue is a draw of its own; its file keeps the seed.
            "seed": secrets.randbelow(2**31) if self.points is not None else 0,
        }


def show_wish(
    found: int, thing: str, apply: Callable[[], None], *, is_least: bool = False, hidden: str
) -> Wish:
    """Render the fields.

    Args:
        found: how many the filter finds; `is_least` where there are more.
        thing: what they are, in the singular.
        apply: writes the changed fields into the address.
        hidden: what a blind queue hides until the vote, as the subject of a sentence.
    """
    asked = read_number(WIDTH, 100)
    points = asked if asked in _WIDTHS else None
    overlap = min(MAX_OVERLAP, max(1, read_number(OVERLAP, MAX_OVERLAP + 1) or 1))
    st.html('<h2 class="cai-part">How many</h2>')
    st.segmented_control(
        "How many",
        [_ALL, _SAMPLE],
        key=put("review_how", _ALL if points is None else _SAMPLE),
        required=True,
        label_visibility="collapsed",
        on_change=apply,
    )
    every = f"{found:,}+ {thing}s" if is_least else describe_count(found, thing)
    words = f"{every} in the queue."
    if points is not None:
        st.select_slider(
            "Width of the 95 % interval, in points",
            _WIDTHS,
            key=put("review_points", points),
            on_change=apply,
            help="Of any share that the reviewers come to, from its lower end to its upper one.",
        )
        size = choose_sample_size(points / 100, found)
        about = "About " if is_least else ""
        words = (
            f"{about}{size:,} of {every}, drawn at random: at a share of 50 %, the worst case, "
            f"± {points / 2:g} points."
        )
    st.html(f'<div class="cai-quiet" role="status">{words}</div>')
    st.html('<h2 class="cai-part">How</h2>')
    with st.container(horizontal=True, vertical_alignment="bottom", key="review_how_fields"):
        st.number_input(
            "Reviewers for each",
            1,
            MAX_OVERLAP,
            key=put("review_overlap", overlap),
            on_change=apply,
            help="Two or more show how far people agree with each other.",
        )
        st.text_input(
            "Name",
            key=put("review_name", read(NAME)[:MAX_NAME]),
            max_chars=MAX_NAME,
            on_change=apply,
        )
        st.toggle(
            "Blind",
            key=put("review_blind", not read(OPEN)),
            on_change=apply,
            help=f"{hidden} show after a vote only.",
        )
    return Wish(points=points, overlap=overlap, blind=not read(OPEN), name=read(NAME))


def read_wish() -> dict[str, str]:
    """What the address says of these fields as they stand. For callbacks."""
    state = st.session_state
    told = {NAME: (state.get("review_name") or "").strip()}
    if state.get("review_how") == _SAMPLE:
        told[WIDTH] = str(state.get("review_points") or _FIRST_WIDTH)
    if (state.get("review_overlap") or 1) > 1:
        told[OVERLAP] = str(state["review_overlap"])
    if not state.get("review_blind", True):
        told[OPEN] = "1"
    return told


def put(key: str, value: object) -> str:
    """Make a field show this; its key."""
    st.session_state[key] = value
    return key
