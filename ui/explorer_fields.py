"""What the explorers' filters share: the address holds a filter, the fields only show it.

Every run of a page reads the address first and puts its values into the fields; a changed field
writes the address. So a link, the Back button and the fields can never disagree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from ui.pictures_switch import VIEW

# Longer than any search, and than any name or folder that a filter would choose.
MAX_VALUE = 500
_HASH = re.compile(r"[0-9a-f]{4,64}")
# What a database refuses.
_REFUSED = re.compile(r"[\x00\ud800-\udfff]")
Facets = Mapping[str, tuple[tuple[str, int], ...]]
# What fields of the filter that no widget shows are called.
_UNSEEN = {"constitution_hash": "version", "category": "category of harm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explorer:
    """How one list is filtered, and what its page is called.

    Attributes:
        page: its name in the address.
        row, rows: what is listed, as one says it.
        params: text field of the filter → its name in the address.
        selects: field → label, of the fields with a list to choose from.
        words: field → value → what is shown for it; there are no other values.
        uncounted: of `selects`, those that the index does not count.
        placeholder: of the field for words.
        parse: from an address to the filter; what cannot be a value is ignored.
        build: the inverse.
        read_more: fields of the filter that the page shows by itself, as the widgets have them.
        describe_more: those in words, as (name, value).
    """

    page: str
    row: str
    rows: str
    params: Mapping[str, str]
    selects: Mapping[str, str]
    words: Mapping[str, Mapping[str, str]]
    uncounted: frozenset[str]
    placeholder: str
    parse: Callable[[Mapping[str, str]], Any]
    build: Callable[[Any], dict[str, str]]
    read_more: Callable[[], dict[str, Any]] = dict
    describe_more: Callable[[Any], list[tuple[str, str]]] = field(default=lambda _: [])


def parse_texts(
    params: Mapping[str, str], names: Mapping[str, str], words: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """The text fields that an address asks for; what cannot be a value of its field is left out.

    Args:
        names, words: as `Explorer.params` and `Explorer.words`.
    """
    return {
        name: value
        for name, param in names.items()
        if (value := params.get(param, "").strip()) and _may_be(name, value, words)
    }


def build_texts(chosen: object, names: Mapping[str, str]) -> dict[str, str]:
    """The address's part for the text fields of a filter; empty ones are left out."""
    return {param: value for name, param in names.items() if (value := getattr(chosen, name))}


def build_options(explorer: Explorer, name: str, chosen: str, facets: Facets) -> dict[str, str]:
    """Value → what a select shows for it: words, and how many rows there are of it."""
    words = explorer.words.get(name, {})
    if name in explorer.uncounted:
        return dict(words)
    counts = {value: count for value, count in facets.get(name, ()) if value}
    if chosen:
        counts.setdefault(chosen, 0)
    return {value: f"{words.get(value, value)} ({count:,})" for value, count in counts.items()}


def describe_filter(explorer: Explorer, chosen: Any) -> str:
    """A filter in words, e.g. `finding: Unparsed; words: "lock"`; empty where it asks nothing."""
    told = []
    for name in explorer.params:
        if not (value := getattr(chosen, name)):
            continue
        if name == "text":
            told.append(("words", f'"{value}"'))
        else:
            shown = explorer.words.get(name, {}).get(value, value)
            told.append((explorer.selects.get(name, _UNSEEN.get(name, name)).lower(), shown))
    return "; ".join(f"{name}: {value}" for name, value in (*told, *explorer.describe_more(chosen)))


def filter_fields(
    explorer: Explorer,
    chosen: Any,
    facets: Facets,
    *,
    beside: Callable[[Callable[[], None]], None] = lambda _: None,
    below: Callable[[Callable[[], None]], None] = lambda _: None,
) -> None:
    """Render the fields; a change goes into the address, and back to the first page.

    Args:
        beside, below: render more fields beside the words and below all; each is given the
            function that their change calls.
    """

    def change() -> None:
        _apply(explorer)

    with st.container(horizontal=True, vertical_alignment="bottom", key="filter_text_row"):
        st.text_input(
            "Search",
            key=put("text", chosen.text),
            max_chars=MAX_VALUE,
            icon=":material/search:",
            placeholder=explorer.placeholder,
            on_change=change,
        )
        beside(change)
        st.button(
            "Clear filters",
            key="filter_clear",
            icon=":material/filter_alt_off:",
            on_click=clear_filter,
            disabled=chosen == type(chosen)(),
        )
    with st.container(horizontal=True, key="filter_selects"):
        for name, label in explorer.selects.items():
            value = getattr(chosen, name)
            options = build_options(explorer, name, value, facets)
            st.selectbox(
                label,
                list(options),
                index=None,
                format_func=lambda v, options=options: options.get(v, v),
                key=put(name, value or None),
                placeholder="Any",
                filter_mode="contains",
                on_change=change,
            )
    below(change)


def clear_filter() -> None:
    """Back to every row."""
    st.query_params.clear()


def put(name: str, value: Any) -> str:
    """Give a field its value; returns its key."""
    key = f"filter_{name}"
    st.session_state[key] = value
    return key


def _apply(explorer: Explorer) -> None:
    # Of the address only what has no field of its own stays: the constitution's version, say, and
    # the view. The page's key and the open record belong to what was listed before.
    before = explorer.parse(st.query_params)
    values: dict[str, Any] = {
        name: (st.session_state.get(f"filter_{name}") or "").strip()
        for name in ("text", *explorer.selects)
    }
    chosen = replace(before, **values, **explorer.read_more())
    kept = {VIEW: view} if (view := st.query_params.get(VIEW)) else {}
    st.query_params.from_dict({**explorer.build(chosen), **kept})


def _may_be(name: str, value: str, words: Mapping[str, Mapping[str, str]]) -> bool:
    if len(value) > MAX_VALUE or _REFUSED.search(value):
        return False
    if name == "constitution_hash":
        return _HASH.fullmatch(value) is not None
    return name not in words or value in words[name]
