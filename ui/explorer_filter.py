"""The explorer's filter: the address holds it, the fields only show it.

Every run of the page reads the address first and puts its values into the fields; a changed field
writes the address. So a link, the Back button and the fields can never disagree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import streamlit as st

from cai_core.records import Finding, PromptKind
from cai_core.workspace.index.views import RoundFilter

# Longer than any search, and than any name or folder that a filter would choose.
MAX_VALUE = 500
# Field of `RoundFilter` → its name in the address.
PARAMS = {
    "text": "q",
    "constitution": "constitution",
    "constitution_hash": "version",
    "principle": "principle",
    "finding": "finding",
    "kind": "kind",
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
    "mark": "Mark",
    "model": "Model",
    "run": "Run",
}
_RECORDED, _WITHOUT = "recorded", "no"
_HASH = re.compile(r"[0-9a-f]{4,64}")
# What a database refuses.
_REFUSED = re.compile(r"[\x00\ud800-\udfff]")
Facets = Mapping[str, tuple[tuple[str, int], ...]]


def parse_filter(params: Mapping[str, str]) -> RoundFilter:
    """The filter that an address asks for; what cannot be a value of its field is ignored."""
    values = {
        field: value
        for field, name in PARAMS.items()
        if (value := params.get(name, "").strip()) and _may_be(field, value)
    }
    return RoundFilter(**values, recorded=params.get(_RECORDED) != _WITHOUT)


def build_params(chosen: RoundFilter) -> dict[str, str]:
    """The address that asks for the filter; `parse_filter` is the inverse."""
    values = asdict(chosen)
    params = {name: values[field] for field, name in PARAMS.items() if values[field]}
    return params if chosen.recorded else {**params, _RECORDED: _WITHOUT}


def build_options(field: str, chosen: str, facets: Facets) -> dict[str, str]:
    """Value → what a select shows for it: words, and how many rounds there are of it."""
    words = WORDS.get(field, {})
    if field == "mark":  # the index does not count by mark
        return dict(words)
    counts = {value: count for value, count in facets.get(field, ()) if value}
    if chosen:
        counts.setdefault(chosen, 0)
    return {value: f"{words.get(value, value)} ({count:,})" for value, count in counts.items()}


def filter_fields(chosen: RoundFilter, facets: Facets) -> None:
    """Render the fields; a change goes into the address, and back to the first page."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="filter_text_row"):
        st.text_input(
            "Search",
            key=_show("text", chosen.text),
            max_chars=MAX_VALUE,
            icon=":material/search:",
            placeholder="Words in a prompt, response, critique or revision",
            on_change=_apply,
        )
        st.toggle(
            "Recorded chains",
            key=_show("recorded", chosen.recorded),
            on_change=_apply,
            help="Chains that ship with the workbench, made with its demo model.",
        )
        st.button(
            "Clear filters",
            key="filter_clear",
            icon=":material/filter_alt_off:",
            on_click=clear_filter,
            disabled=chosen == RoundFilter(),
        )
    with st.container(horizontal=True, key="filter_selects"):
        for field, label in _SELECTS.items():
            value = getattr(chosen, field)
            options = build_options(field, value, facets)
            st.selectbox(
                label,
                list(options),
                index=None,
                format_func=lambda v, options=options: options.get(v, v),
                key=_show(field, value or None),
                placeholder="Any",
                filter_mode="contains",
                on_change=_apply,
            )


def clear_filter() -> None:
    """Back to every round."""
    st.query_params.clear()


def _apply() -> None:
    # Of the address only what has no field of its own stays: the constitution's version. The
    # page's key and the open chain belong to what was listed before.
    before = parse_filter(st.query_params)
    values: dict[str, Any] = {
        field: st.session_state.get(f"filter_{field}") or "" for field in ("text", *_SELECTS)
    }
    chosen = replace(before, **values, recorded=bool(st.session_state["filter_recorded"]))
    st.query_params.from_dict(build_params(chosen))


def _show(field: str, value: str | bool | None) -> str:
    key = f"filter_{field}"
    st.session_state[key] = value
    return key


def _may_be(field: str, value: str) -> bool:
    if len(value) > MAX_VALUE or _REFUSED.search(value):
        return False
    if field == "constitution_hash":
        return _HASH.fullmatch(value) is not None
    return field not in WORDS or value in WORDS[field]
