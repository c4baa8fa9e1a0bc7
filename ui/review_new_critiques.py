"""The form that makes a queue of critiques: any filter of the page Critiques, or a sample of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from cai_core.actions.critique_queues import make_critique_queue
from cai_core.errors import CaiError
from cai_core.workspace.index.views import RoundFilter
from cai_core.workspace.review_rounds import MOST_ROUNDS, find_rounds
from ui import services
from ui.constitution_address import leave_message, show_message
from ui.explorer_fields import MAX_VALUE, build_options, describe_filter
from ui.explorer_filter import EXPLORER, build_params, parse_filter
from ui.look import build_error, escape
from ui.review_address import CRITIQUES, NEW, QUEUE, go
from ui.review_wish import Wish, put, read_wish, show_wish

_SELECTS = {
    "constitution": "Constitution",
    "principle": "Principle",
    "finding": "Finding",
    "kind": "Prompt kind",
    "model": "Model",
    "run": "Run",
}


def show_new_critiques() -> None:
    """Render the form."""
    chosen = parse_filter(st.query_params)
    try:
        page = services.index().list_rounds(chosen, limit=1)
        if not page.total and chosen == RoundFilter():
            services.index().ingest()  # a server that has just started may not have looked yet
            page = services.index().list_rounds(chosen, limit=1)
    except CaiError as error:
        st.html(build_error("The critiques cannot be listed", str(error)))
        return
    if not page.total and chosen == RoundFilter():
        st.html(
            '<div class="cai-empty"><b>No critiques yet.</b> A run of chains, or the playground, '
            "writes them.</div>"
        )
        return
    st.html('<h2 class="cai-part">Which critiques</h2>')
    with st.container(horizontal=True, key="review_fields"):
        for field, label in _SELECTS.items():
            value = getattr(chosen, field)
            options = build_options(EXPLORER, field, value, page.facets)
            st.selectbox(
                label,
                list(options),
                index=None,
                format_func=lambda one, options=options: options.get(one, one),
                key=put(f"review_c_{field}", value or None),
                placeholder="Any",
                on_change=_apply,
            )
        st.text_input(
            "Words in a prompt, response, critique or revision",
            key=put("review_c_text", chosen.text),
            max_chars=MAX_VALUE,
            on_change=_apply,
        )
    others = replace(chosen, **dict.fromkeys((*_SELECTS, "text"), ""))
    if words := describe_filter(EXPLORER, others):
        st.html(f'<div class="cai-quiet">From the page Critiques: {escape(words)}.</div>')
    hidden = "Principle, models, what the critique found and others’ votes"
    wish = show_wish(page.total, "round", _apply, is_least=page.total_is_least, hidden=hidden)
    words = (
        "Rounds that were revised without a critique are left out. A queue holds up to "
        f"{MOST_ROUNDS:,}; a sample may be drawn from more, which takes a second for every 10,000."
    )
    st.html(f'<div class="cai-quiet">{words}</div>')
    show_message("review_new")
    if st.button("Make the queue", key="review_make", type="primary", disabled=not page.total):
        _make(chosen, wish)


def _make(chosen: RoundFilter, wish: Wish) -> None:
    place, settings = st.empty(), wish.as_settings()
    try:
        with st.spinner("Reading the rounds …", show_time=True):
            found = find_rounds(
                services.index().list_rounds,
                chosen,
                seed=None if wish.points is None else settings["seed"],
                report=lambda count: place.caption(f"{count:,} read"),
            )
        queue = make_critique_queue(
            services.actor(),
            services.workspace(),
            found=found,
            selection=describe_filter(EXPLORER, chosen),
            **settings,
        )
    except CaiError as error:
        leave_message("error", "Not made", str(error), place="review_new")
        st.rerun()
    go(**{QUEUE: queue.queue_id})
    st.rerun()


def _apply() -> None:
    """A changed field goes into the address."""
    state = st.session_state
    values: dict[str, Any] = {
        field: (state.get(f"review_c_{field}") or "").strip() for field in (*_SELECTS, "text")
    }
    chosen = replace(parse_filter(st.query_params), **values)
    go(**{NEW: CRITIQUES, **read_wish(), **build_params(chosen)})
