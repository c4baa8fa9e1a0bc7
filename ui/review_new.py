"""The form that makes a review queue: which comparisons, how many of them, and how.

Every field is in the address, so a link can ask for a queue: the filter's names are those of the
labels page.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass

import streamlit as st

from cai_core.actions.comparison_reviews import MAX_NAME, make_queue
from cai_core.errors import CaiError
from cai_core.evaluation.label_traits import TRAITS, LabelFilter, select_labels
from cai_core.evaluation.review_queue import choose_sample_size
from cai_core.jobs.label_study import LabelStudy
from cai_core.records import AccessRole
from cai_core.workspace.review_queues import MAX_OVERLAP
from ui import services
from ui.constitution_address import describe_count, leave_message, show_message
from ui.explorer_filter import MAX_VALUE
from ui.labels_address import RUN, WORDS, build_label_params, parse_label_filter
from ui.labels_data import list_runs, load_labels
from ui.look import build_card, build_error
from ui.review_address import (
    NAME,
    NEW,
    OPEN,
    OVERLAP,
    QUEUE,
    WIDTH,
    go,
    read,
    read_number,
)

# Of the 95 % interval, in points.
_WIDTHS = (5, 10, 15, 20, 30)
_FIRST_WIDTH = 10
_ALL, _SAMPLE = "All of them", "A random sample"
_SELECTS = {"verdict": "AI label", "principle": "Principle", "kind": "Prompt kind"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the form asks for besides the comparisons; `points` is None for all of them."""

    points: int | None
    overlap: int
    blind: bool
    name: str


def show_new() -> None:
    """Render the form."""
    st.button("All queues", key="review_back", icon=":material/arrow_back:", on_click=go)
    runs = list_runs()
    if not services.actor().role.includes(AccessRole.REVIEWER):
        words = "Making a queue takes the role reviewer. Ask an admin for it."
        st.html(build_card("note", "Not yours to make", words))
        return
    if not runs:
        st.html('<div class="cai-empty"><b>No labels yet.</b> They come first.</div>')
        return
    run = read(RUN) if read(RUN) in runs else runs[0]
    st.html('<h2 class="cai-part">Which comparisons</h2>')
    st.selectbox("Labels of the run", runs, key=_put("review_run", run), on_change=_apply)
    try:
        study = load_labels(run)
    except (CaiError, OSError) as error:
        st.html(build_error("These labels cannot be read", str(error)))
        return
    chosen = parse_label_filter(st.query_params)
    _show_filter(study, chosen)
    found = len(select_labels(study.examined, chosen))
    wish = _show_wish(found)
    show_message("review_new")
    st.button(
        "Make the queue",
        key="review_make",
        type="primary",
        disabled=not found,
        on_click=_make,
        args=(study, chosen, wish),
    )


def _show_filter(study: LabelStudy, chosen: LabelFilter) -> None:
    counts = {
        "verdict": Counter(one.label.verdict.value for one in study.examined),
        "principle": Counter(p for one in study.examined for p in set(one.label.principle_ids)),
        "kind": Counter(one.label.prompt_kind.value for one in study.examined),
    }
    with st.container(horizontal=True, key="review_fields"):
        for field, label in _SELECTS.items():
            value = getattr(chosen, field)
            options = dict(counts[field].most_common()) | (
                {value: counts[field][value]} if value else {}
            )
            words = WORDS.get(field, {})
            st.selectbox(
                label,
                list(options),
                index=None,
                format_func=lambda one, options=options, words=words: (
                    f"{words.get(one, one)} ({options[one]:,})"
                ),
                key=_put(f"review_f_{field}", value or None),
                placeholder="Any",
                on_change=_apply,
            )
        st.text_input(
            "Words in a prompt or a response",
            key=_put("review_f_text", chosen.text),
            max_chars=MAX_VALUE,
            on_change=_apply,
        )
    traits = Counter(trait for one in study.examined for trait in one.traits)
    st.pills(
        "Only",
        [one for one in TRAITS if traits[one] or one in chosen.only],
        selection_mode="multi",
        format_func=lambda one: f"{WORDS['only'][one]} ({traits[one]:,})",
        key=_put("review_f_only", list(chosen.only)),
        on_change=_apply,
    )


def _show_wish(found: int) -> Wish:
    asked = read_number(WIDTH, 100)
    points = asked if asked in _WIDTHS else None
    overlap = min(MAX_OVERLAP, max(1, read_number(OVERLAP, MAX_OVERLAP + 1) or 1))
    st.html('<h2 class="cai-part">How many</h2>')
    st.segmented_control(
        "How many",
        [_ALL, _SAMPLE],
        key=_put("review_how", _ALL if points is None else _SAMPLE),
        required=True,
        label_visibility="collapsed",
        on_change=_apply,
    )
    words = f"{describe_count(found, 'comparison')} in the queue."
    if points is not None:
        st.select_slider(
            "Width of the 95 % interval, in points",
            _WIDTHS,
            key=_put("review_points", points),
            on_change=_apply,
            help="Of any share that the reviewers come to, from its lower end to its upper one.",
        )
        size = choose_sample_size(points / 100, found)
        words = (
            f"{size:,} of {describe_count(found, 'comparison')}, drawn at random: at a share of "
            f"50 %, the worst case, ± {points / 2:g} points."
        )
    st.html(f'<div class="cai-quiet" role="status">{words}</div>')
    st.html('<h2 class="cai-part">How</h2>')
    with st.container(horizontal=True, vertical_alignment="bottom", key="review_how_fields"):
        st.number_input(
            "Reviewers for each",
            1,
            MAX_OVERLAP,
            key=_put("review_overlap", overlap),
            on_change=_apply,
            help="Two or more show how far people agree with each other.",
        )
        st.text_input(
            "Name",
            key=_put("review_name", read(NAME)[:MAX_NAME]),
            max_chars=MAX_NAME,
            on_change=_apply,
        )
        st.toggle(
            "Blind",
            key=_put("review_blind", not read(OPEN)),
            on_change=_apply,
            help="Principle, models, the AI label and others’ votes show after a vote only.",
        )
    return Wish(points=points, overlap=overlap, blind=not read(OPEN), name=read(NAME))


def _make(study: LabelStudy, chosen: LabelFilter, wish: Wish) -> None:
    try:
        queue = make_queue(
            services.actor(),
            services.workspace(),
            study=study,
            chosen=chosen,
            name=wish.name,
            width=None if wish.points is None else wish.points / 100,
            overlap=wish.overlap,
            blind=wish.blind,
            # A queue is a draw of its own; its file keeps the seed.
            seed=secrets.randbelow(2**31) if wish.points is not None else 0,
        )
    except CaiError as error:
        leave_message("error", "Not made", str(error), place="review_new")
        return
    go(**{QUEUE: queue.queue_id})


def _apply() -> None:
    """A changed field goes into the address; another run keeps no filter."""
    state = st.session_state
    run = state["review_run"]
    told = {NEW: "1", RUN: run, NAME: (state.get("review_name") or "").strip()}
    if run == read(RUN) or not read(RUN):
        chosen = LabelFilter(
            verdict=state.get("review_f_verdict") or "",
            principle=state.get("review_f_principle") or "",
            kind=state.get("review_f_kind") or "",
            only=tuple(one for one in TRAITS if one in (state.get("review_f_only") or ())),
            text=(state.get("review_f_text") or "").strip(),
        )
        before = parse_label_filter(st.query_params)
        # What a link asked for and the form has no field of stays.
        params = build_label_params(before) | build_label_params(chosen)
        kept = {"source", "confidence", "bias"}
        wanted = build_label_params(chosen)
        told |= {name: value for name, value in params.items() if name in kept or name in wanted}
    if state.get("review_how") == _SAMPLE:
        told[WIDTH] = str(state.get("review_points") or _FIRST_WIDTH)
    if (state.get("review_overlap") or 1) > 1:
        told[OVERLAP] = str(state["review_overlap"])
    if not state.get("review_blind", True):
        told[OPEN] = "1"
    go(**told)


def _put(key: str, value: object) -> str:
    st.session_state[key] = value
    return key
