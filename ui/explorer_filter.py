"""The filter of the critiques: its fields, its words, and its address."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from cai_core.records import CritiqueVerdict, Finding, PromptKind
from cai_core.workspace.index.reviews import DISPUTED, OPEN
from cai_core.workspace.index.views import RoundFilter
from ui import explorer_fields
from ui.explorer_fields import MAX_VALUE, Explorer, Facets, clear_filter, parse_texts, put
from ui.look import escape

__all__ = ["DIRECT", "EXPLORER", "MAX_VALUE", "PARAMS", "WORDS", "clear_filter"]

# Field of `RoundFilter` → its name in the address.
PARAMS = {
    "text": "q",
    "constitution": "constitution",
    "constitution_hash": "version",
    "principle": "principle",
    "finding": "finding",
    "kind": "kind",
    "round": "round",
    "category": "category",
    "changed": "changed",
    "review": "review",
    "mark": "mark",
    "model": "model",
    "run": "run",
}
DIRECT = "direct"
WORDS: dict[str, dict[str, str]] = {
    "finding": {
        Finding.FOUND.value: "Problem found",
        Finding.NOT_TOUCHED.value: "Not touched",
        Finding.UNPARSED.value: "Unparsed",
        DIRECT: "Direct revision",
    },
    "kind": {
        PromptKind.RED_TEAM.value: "Red-team",
        PromptKind.HELPFUL.value: "Helpful",
        PromptKind.BORDERLINE.value: "Borderline",
        PromptKind.UNKNOWN.value: "Other",
    },
    "changed": {
        "yes": "Text changed",
        "no": "Text unchanged",
        "none": "No revision",
    },
    "review": {
        OPEN: "Not judged yet",
        CritiqueVerdict.RIGHT.value: "Right",
        CritiqueVerdict.PARTLY.value: "Partly",
        CritiqueVerdict.WRONG.value: "Wrong",
        CritiqueVerdict.NOT_NEEDED.value: "Not needed",
        DISPUTED: "People differ",
    },
    "mark": {
        "saved": "Saved",
        "flagged": "Flagged",
        "noted": "With a note",
        "unmarked": "Without a mark",
    },
}
_SELECTS = {
    "constitution": "Constitution",
    "principle": "Principle",
    "finding": "Finding",
    "kind": "Prompt kind",
    "changed": "Revision",
    "review": "Judged by people",
    "mark": "Mark",
    "model": "Model",
    "run": "Run",
}
_RECORDED, _WITHOUT = "recorded", "no"


def parse_filter(params: Mapping[str, str]) -> RoundFilter:
    """The filter that an address asks for; what cannot be a value of its field is ignored."""
    texts = parse_texts(params, PARAMS, WORDS)
    return RoundFilter(**texts, recorded=params.get(_RECORDED) != _WITHOUT)


def build_params(chosen: RoundFilter) -> dict[str, str]:
    """The address that asks for the filter; `parse_filter` is the inverse."""
    params = explorer_fields.build_texts(chosen, PARAMS)
    return params if chosen.recorded else {**params, _RECORDED: _WITHOUT}


def filter_fields(chosen: RoundFilter, facets: Facets) -> None:
    """Render the fields; a change goes into the address, and back to the first page."""

    def beside(change: Callable[[], None]) -> None:
        st.toggle(
            "Recorded chains",
            key=put("recorded", chosen.recorded),
            on_change=change,
            help="Chains that ship with the workbench, made with its demo model.",
        )

    def below(_: Callable[[], None]) -> None:
        asked = {"round": chosen.round, "category of harm": chosen.category}
        if words := ", ".join(f"{name} {value}" for name, value in asked.items() if value):
            st.html(f'<div class="cai-quiet">From a picture: {escape(words)}.</div>')

    explorer_fields.filter_fields(EXPLORER, chosen, facets, beside=beside, below=below)


EXPLORER = Explorer(
    page="critiques",
    row="round",
    rows="rounds",
    params=PARAMS,
    selects=_SELECTS,
    words=WORDS,
    # The index counts what never changes by a person's word, and needs no look at each row.
    uncounted=frozenset({"changed", "review", "mark"}),
    placeholder="Words in a prompt, response, critique or revision",
    parse=parse_filter,
    build=build_params,
    read_more=lambda: {"recorded": bool(st.session_state["filter_recorded"])},
    describe_more=lambda chosen: [] if chosen.recorded else [("recorded chains", "left out")],
)
