"""What is looked for between the two runs: what counts as a difference, and which pairs."""

from __future__ import annotations

from dataclasses import asdict

import streamlit as st

from cai_core.evaluation.principle_effect import compute_summed_rate
from cai_core.workspace.index.side_views import STATUSES, SideFilter, SidePage
from ui.explorer_filter import MAX_VALUE, WORDS
from ui.harm import show_harmful_toggle
from ui.labels_words import describe_rate
from ui.look import escape
from ui.side_address import PLAIN, STEPS, change, is_set

ASPECTS = {
    "final": "Final text",
    "findings": "What critiques found",
    "response": "Initial response",
    "label": "Label",
    "confidence": "P(A), by 0.1 or more",
}
_RATES = {
    "final": "final texts differ",
    "findings": "critiques find something else",
    "response": "initial responses differ",
    "label": "labels differ",
    "confidence": "P(A) moved by 0.1 or more",
}
_STATUS = {
    "": "All",
    "differ": "Only changed",
    "same": "Same",
    "left": "Only left",
    "right": "Only right",
}
_BY = {"comparison": "the same two responses", "prompt": "prompt alone"}
_VERDICTS = {"A": "A", "B": "B", "tie": "tie", "unparsed": "unparsed", "pending": "no label"}


def side_fields(chosen: SideFilter, page: SidePage) -> bool:
    """Render the fields; a change goes into the address, and back to the first page.

    Returns:
        Whether harmful text is shown.
    """
    with st.container(horizontal=True, vertical_alignment="bottom", key="side_aspects"):
        _segments("Changed means", "on", list(page.aspects), page.on, ASPECTS)
        if page.holds == "labels":
            _segments("Brought together by", "by", list(_BY), page.by, _BY)
    with st.container(horizontal=True, vertical_alignment="bottom", key="side_filters"):
        st.text_input(
            "Search",
            key=_set("side_q", chosen.text),
            max_chars=MAX_VALUE,
            icon=":material/search:",
            placeholder="Words in a prompt or a response",
            on_change=_follow,
            args=("q",),
        )
        kinds = {kind: f"{WORDS['kind'][kind]} ({count:,})" for kind, count in page.kinds}
        _select("Prompt kind", "kind", kinds, chosen.kind)
        changes = {
            f"{left} > {right}": f"{_word(page, left)} → {_word(page, right)} ({count:,})"
            for (left, right), count in page.changes
        }
        label = "Label, left → right" if page.holds == "labels" else "Problems found, left → right"
        _select(label, "change", changes, chosen.change)
    counts = page.counts
    words = {
        "": f"All ({sum(counts.values()):,})",
        **{name: f"{_STATUS[name]} ({counts[name]:,})" for name in ("differ", "same")},
        **{name: f"{_STATUS[name]} ({counts[name]:,})" for name in STATUSES[2:]},
    }
    _segments("Pairs", "show", list(words), chosen.show, words, hidden=True)
    with st.container(horizontal=True, vertical_alignment="center", key="side_head"):
        st.html(f'<div class="cai-quiet cai-total" role="status">{build_rate(page)}</div>')
        _toggle("Every step", STEPS)
        _toggle("Without marks", PLAIN)
        return show_harmful_toggle()


def build_rate(page: SidePage) -> str:
    """How often the pairs differ, with n and interval."""
    if not page.sums.n:
        return "Nothing is on both sides: no pair can be compared."
    sums = asdict(page.sums)
    rate = compute_summed_rate(clusters=sums.pop("prompts"), **sums)
    return f"{escape(_RATES[page.on].capitalize())}: {escape(describe_rate(rate))}"


def _word(page: SidePage, word: str) -> str:
    return _VERDICTS.get(word, word or "other") if page.holds == "labels" else word


def _segments(
    label: str,
    name: str,
    options: list[str],
    value: str,
    words: dict[str, str],
    *,
    hidden: bool = False,
) -> None:
    st.segmented_control(
        label,
        options,
        format_func=lambda one: words[one],
        key=_set(f"side_{name}", value),
        required=True,
        label_visibility="collapsed" if hidden else "visible",
        on_change=_follow,
        args=(name,),
    )


def _select(label: str, name: str, options: dict[str, str], value: str) -> None:
    if value:
        options = {**options, value: options.get(value, f"{value} (0)")}
    st.selectbox(
        label,
        list(options),
        index=None,
        format_func=lambda one: options.get(one, one),
        key=_set(f"side_{name}", value or None),
        placeholder="Any",
        on_change=_follow,
        args=(name,),
    )


def _toggle(label: str, name: str) -> None:
    st.toggle(label, key=_set(f"side_{name}", is_set(name)), on_change=_switch, args=(name,))


def _set(key: str, value: object) -> str:
    st.session_state[key] = value
    return key


def _follow(name: str) -> None:
    change(**{name: (st.session_state[f"side_{name}"] or "").strip()})


def _switch(name: str) -> None:
    if st.session_state[f"side_{name}"]:
        st.query_params[name] = "yes"
    else:
        st.query_params.pop(name, None)
