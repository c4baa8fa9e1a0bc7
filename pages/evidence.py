"""Evidence: what each way to a harmless model changed, on the same suite, with its intervals."""

import streamlit as st

from cai_core.errors import CaiError
from cai_core.evaluation.measures import READERS
from ui import services
from ui.evidence_address import (
    AGAINST,
    BY,
    MEASURE,
    MODELS,
    PAIR,
    REVIEW,
    RUN,
    SUITE,
    choose,
    read,
    read_list,
    read_reader,
)
from ui.evidence_calibration import show_calibration
from ui.evidence_choices import show_choices
from ui.evidence_data import (
    Chosen,
    choose_runs,
    label_evaluations,
    list_groups,
    list_runs,
    load_evidence,
)
from ui.evidence_examples import show_answers
from ui.evidence_frontier import show_frontier
from ui.evidence_matches import show_matches
from ui.evidence_pairs import show_pairs
from ui.evidence_review import show_review
from ui.evidence_run import show_missing, show_nothing, show_progress
from ui.evidence_table import show_table
from ui.evidence_words import STYLE
from ui.look import build_error, show_title
from ui.report_panel import show_report
from ui.runs_words import STYLE as RUNS_STYLE

_SHORT = 12
_WORDS = {"": "The first that knows", "oracle": "The oracle", "judge": "The judge"}
_WORDS |= {"phrases": "Phrases"}


def choose_evaluations() -> Chosen | None:
    """Render the choices; None where there is nothing to choose from."""
    workspace = services.workspace()
    methods, groups = list_groups(workspace)
    if not groups:
        show_missing(methods, methods, None)
        return None
    group = next((one for one in groups if one.hash.startswith(read(SUITE) or "-")), groups[0])
    labels = label_evaluations(group)
    runs = choose_runs(group, asked=read_list(MODELS), against=read(AGAINST))
    state = st.session_state
    state["evidence_suite"] = group.hash[:_SHORT]
    state["evidence_models"], state["evidence_against"] = list(runs), runs[0]
    state["evidence_by"] = read_reader() or ""
    names = {one.hash[:_SHORT]: one.name for one in groups}
    with st.container(horizontal=True, vertical_alignment="bottom", key="evidence_choices"):
        st.selectbox(
            "Suite",
            list(names),
            format_func=lambda one: f"{names[one]} ({one})",
            key="evidence_suite",
            on_change=choose,
            args=(SUITE, "evidence_suite"),
        )
        st.selectbox(
            "Held against",
            list(labels),
            format_func=labels.__getitem__,
            key="evidence_against",
            on_change=choose,
            args=(AGAINST, "evidence_against"),
        )
        st.selectbox(
            "Read by",
            ["", *READERS],
            format_func=_WORDS.__getitem__,
            key="evidence_by",
            on_change=choose,
            args=(BY, "evidence_by"),
        )
    st.multiselect(
        "Models",
        list(labels),
        format_func=labels.__getitem__,
        key="evidence_models",
        on_change=choose,
        args=(MODELS, "evidence_models"),
    )
    like = list_runs(group)[runs[0]].recipe
    show_missing(methods, group.missing, like)
    return Chosen(runs=runs, labels=labels, group=group, methods=methods)


st.html(RUNS_STYLE + STYLE)
show_title(
    "Evidence",
    "What each way to a harmless model changed: base, system prompt only, SL-CAI, DPO, RL-CAI on "
    "the same prompts.",
)
if read(REVIEW):
    show_review()
    st.stop()
show_progress()
chosen = choose_evaluations()
found = None
if chosen is not None:
    try:
        with st.spinner("Reading the evaluations …", show_time=True):
            found = load_evidence(services.workspace(), chosen.runs, read_reader())
        show_table(chosen, found)
        show_frontier(chosen, found)
    except (CaiError, OSError) as error:
        st.html(build_error("These evaluations cannot be compared", str(error)))
    show_calibration(chosen.runs, key="evidence", here=True)
    show_report(chosen.runs)
elif not list_groups(services.workspace())[0]:
    show_nothing()
show_pairs(chosen)
show_choices()
if read(PAIR):
    show_matches({} if chosen is None else chosen.labels)
elif chosen is not None and read(RUN) and read(MEASURE):
    show_answers(chosen, found, read(RUN), read(MEASURE))
