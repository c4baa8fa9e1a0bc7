"""The review page's address: which queue, which view of it, which item, what is picked."""

from __future__ import annotations

import re
from collections.abc import Mapping

import streamlit as st

from ui.explorer_filter import MAX_VALUE
from ui.explorer_links import PLAYGROUND, Place
from ui.labels_address import LABEL, LABELS_PAGE, LIST

REVIEW_PAGE = PLAYGROUND.with_name("review.py")
QUEUE, VIEW, TAB, ITEM, PICK, LAST = "queue", "view", "tab", "item", "pick", "last"
# Of the agreement: reviewers, a point of the line over time, a bin of confidence.
WHO, PART, BIN = "who", "part", "bin"
# Of a queue that is being made, besides the names of `labels_address`.
NEW, WIDTH, OVERLAP, OPEN, NAME = "new", "width", "overlap", "open", "name"
# In the place of NEW's 1: the queue is of critiques.
CRITIQUES = "critiques"
_NUMBER = re.compile(r"[0-9]{1,6}")


def read(name: str) -> str:
    """What the address says; anything may stand there."""
    return st.query_params.get(name, "")[:MAX_VALUE]


def read_number(name: str, below: int) -> int | None:
    """A whole number in [0, below); None where there is none."""
    text = read(name)
    return int(text) if _NUMBER.fullmatch(text) and int(text) < below else None


def go(**wanted: str) -> None:
    """Make the address say this and nothing else. For callbacks."""
    st.query_params.from_dict({name: value for name, value in wanted.items() if value})


def change(changes: Mapping[str, str]) -> None:
    """Change a part of the address; an empty value takes it out."""
    told = {**st.query_params.to_dict(), **changes}
    st.query_params.from_dict({name: value for name, value in told.items() if value})


def go_to_view(queue: str, view: str) -> None:
    """Another view of a queue begins anew. For callbacks."""
    go(**{QUEUE: queue, VIEW: view})


def find_label_place(run: str, comparison: str) -> Place:
    """The drawer of that comparison on the labels page."""
    return Place(page=LABELS_PAGE, params={"run": run, VIEW: LIST, LABEL: comparison})
