"""The forms that make a review queue: of what, how many of them, and how.

Every field is in the address, so a link can ask for a queue: the filter's names are those of the
pages Labels and Critiques.
"""

from __future__ import annotations

from collections import Counter

import streamlit as st

from cai_core.actions.comparison_reviews import make_queue
from cai_core.errors import CaiError
from cai_core.evaluation.label_traits import TRAITS, LabelFilter, select_labels
from cai_core.jobs.label_study import LabelStudy
from cai_core.records import AccessRole
from ui import services
from ui.constitution_address import leave_message, show_message
from ui.explorer_filter import MAX_VALUE
from ui.explorer_links import RUNS
from ui.labels_address import RUN, WORDS, build_label_params, parse_label_filter
from ui.labels_data import list_runs, load_labels
from ui.look import build_card, build_error
from ui.review_address import CRITIQUES, NEW, QUEUE, go, read
from ui.review_new_critiques import show_new_critiques
from ui.review_wish import Wish, put, read_wish, show_wish

_SELECTS = {"verdict": "AI label", "principle": "Principle", "kind": "Prompt kind"}
_OF = {"1": "Comparisons", CRITIQUES: "Critiques"}


def show_new() -> None:
    """Render the form."""
    st.button("All queues", key="review_back", icon=":material/arrow_back:", on_click=go)
    if not services.actor().role.includes(AccessRole.REVIEWER):
        why = services.explain(AccessRole.REVIEWER)
        words = f"Making a queue takes the role reviewer. {why}"
        st.html(build_card("note", "Not yours to make", words))
        return
    kind = read(NEW) if read(NEW) in _OF else "1"
    st.segmented_control(
        "What is judged",
        list(_OF),
        format_func=_OF.__getitem__,
        key=put("review_of", kind),
        required=True,
        on_change=lambda: go(**{NEW: st.session_state["review_of"]}),
    )
    if kind == CRITIQUES:
        show_new_critiques()
    else:
        _show_new_comparisons()


def _show_new_comparisons() -> None:
    runs = list_runs()
    if not runs:
        st.html(
            '<div class="cai-empty"><b>No labels yet.</b> A run of the kind “Preference labels” '
            "makes the comparisons that people judge here.</div>"
        )
        if st.button("Go to the runs", key="review_to_runs", type="primary"):
            st.switch_page(RUNS)
        return
    run = read(RUN) if read(RUN) in runs else runs[0]
    st.html('<h2 class="cai-part">Which comparisons</h2>')
    st.selectbox("Labels of the run", runs, key=put("review_run", run), on_change=_apply)
    try:
        study = load_labels(run)
    except (CaiError, OSError) as error:
        st.html(build_error("These labels cannot be read", str(error)))
        return
    chosen = parse_label_filter(st.query_params)
    _show_filter(study, chosen)
    found = len(select_labels(study.examined, chosen))
    hidden = "Principle, models, the AI label and others’ votes"
    wish = show_wish(found, "comparison", _apply, hidden=hidden)
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
                key=put(f"review_f_{field}", value or None),
                placeholder="Any",
                on_change=_apply,
            )
        st.text_input(
            "Words in a prompt or a response",
            key=put("review_f_text", chosen.text),
            max_chars=MAX_VALUE,
            on_change=_apply,
        )
    traits = Counter(trait for one in study.examined for trait in one.traits)
    st.pills(
        "Only",
        [one for one in TRAITS if traits[one] or one in chosen.only],
        selection_mode="multi",
        format_func=lambda one: f"{WORDS['only'][one]} ({traits[one]:,})",
        key=put("review_f_only", list(chosen.only)),
        on_change=_apply,
    )


def _make(study: LabelStudy, chosen: LabelFilter, wish: Wish) -> None:
    try:
        queue = make_queue(
            services.actor(),
            services.workspace(),
            study=study,
            chosen=chosen,
            **wish.as_settings(),
        )
    except CaiError as error:
        leave_message("error", "Not made", str(error), place="review_new")
        return
    go(**{QUEUE: queue.queue_id})


def _apply() -> None:
    """A changed field goes into the address; another run keeps no filter."""
    state = st.session_state
    run = state["review_run"]
    told = {NEW: "1", RUN: run, **read_wish()}
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
    go(**told)
