"""The address of the page “Side by side”: which runs, which pairs, what counts as a difference."""

from __future__ import annotations

import re
from collections.abc import Mapping

import streamlit as st

from cai_core.workspace.index.side_align import KINDS
from cai_core.workspace.index.side_views import (
    CHAIN_ASPECTS,
    LABEL_ASPECTS,
    STATUSES,
    SideFilter,
)
from ui.explorer_filter import MAX_VALUE
from ui.explorer_links import PLAYGROUND, Place

COMPARE_PAGE = PLAYGROUND.with_name("compare.py")
LEFT, RIGHT, AFTER = "left", "right", "after"
# Of the page, not of the filter: every step opened, and words that differ not marked.
STEPS, PLAIN = "steps", "plain"
# Field of `SideFilter` → its name in the address.
_NAMES = {
    "left": LEFT,
    "right": RIGHT,
    "on": "on",
    "show": "show",
    "kind": "kind",
    "change": "change",
    "text": "q",
    "by": "by",
}
_ALLOWED = {
    "on": frozenset((*CHAIN_ASPECTS, *LABEL_ASPECTS)),
    "show": frozenset(STATUSES),
    "kind": frozenset(KINDS),
    "by": frozenset(("comparison", "prompt")),
}
# What a database refuses.
_REFUSED = re.compile(r"[\x00\ud800-\udfff]")


def find_compare_place(left: str = "", right: str = "") -> Place:
    """The page with these runs on its sides; empty ones are to be chosen there."""
    told = {LEFT: left, RIGHT: right}
    return Place(page=COMPARE_PAGE, params={name: run for name, run in told.items() if run})


def parse_side_filter(params: Mapping[str, str]) -> SideFilter:
    """The filter that an address asks for; what cannot be a value of its field is ignored."""
    values = {
        field: value
        for field, name in _NAMES.items()
        if (value := params.get(name, "").strip())
        and len(value) <= MAX_VALUE
        and not _REFUSED.search(value)
        and value in _ALLOWED.get(field, frozenset({value}))
    }
    return SideFilter(**{"left": "", "right": "", **values})


def build_side_params(chosen: SideFilter) -> dict[str, str]:
    """The address that asks for the filter; `parse_side_filter` is the inverse."""
    return {name: value for field, name in _NAMES.items() if (value := getattr(chosen, field))}


def is_set(name: str) -> bool:
    """Whether the address turns STEPS or PLAIN on."""
    return st.query_params.get(name) == "yes"


def change(**told: str) -> None:
    """Change parts of the address by their names there; back to the first page. For callbacks.

    An open chain and a replay belong to what was listed before.
    """
    kept = {**st.query_params.to_dict(), **told}
    for name in (AFTER, "chain", "replay"):
        if name not in told:
            kept.pop(name, None)
    st.query_params.from_dict({name: value for name, value in kept.items() if value})
