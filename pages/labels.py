"""Labels: how good a run's preference labels are, before anyone trains on them."""

import streamlit as st

from cai_core.errors import CaiError
from ui.explorer_links import PLAYGROUND
from ui.explorer_list import STYLE as LIST_STYLE
from ui.import_panel import import_button, is_importing, show_import
from ui.labels_address import BESIDE, LABEL, LIST, RUN, VIEW, go_to, parse_label_filter
from ui.labels_data import list_runs, load_labels
from ui.labels_detail import show_comparison
from ui.labels_list import show_list
from ui.labels_quality import show_quality
from ui.labels_words import STYLE
from ui.look import build_card, build_error, show_title
from ui.runs_words import STYLE as RUNS_STYLE

st.html(RUNS_STYLE + LIST_STYLE + STYLE)
show_title(
    "Labels",
    "How good a run’s preference labels are: look before anyone trains on them.",
)
if is_importing():
    show_import()
    st.stop()
runs = list_runs()
if not runs:
    st.html(
        '<div class="cai-empty"><b>No labels yet.</b> A run of the kind “Preference labels” asks '
        "a feedback model which of two responses is better; its labels are looked at here.</div>"
    )
    if st.button("Go to the runs", key="labels_to_runs", type="primary"):
        st.switch_page(PLAYGROUND.with_name("runs.py"))
    import_button("labels_import")
    st.stop()

asked = st.query_params.get(RUN, "")
if asked and asked not in runs:
    words = "It may have been made in another workspace, or has no labels yet."
    st.html(build_card("note", "No labels of such a run here", words))
run = asked if asked in runs else runs[0]
others = [one for one in runs if one != run]
wanted = st.query_params.get(BESIDE, "")
beside = wanted if wanted in others else ""
st.session_state["labels_run"], st.session_state["labels_beside"] = run, beside or None
with st.container(horizontal=True, vertical_alignment="bottom", key="labels_runs"):
    st.selectbox(
        "Run",
        runs,
        key="labels_run",
        on_change=lambda: go_to(RUN, st.session_state["labels_run"]),
    )
    st.selectbox(
        "Compare with",
        others,
        index=None,
        key="labels_beside",
        placeholder="no other run",
        on_change=lambda: go_to(BESIDE, st.session_state["labels_beside"] or ""),
        help="Cohen’s kappa of the verdicts about the same comparisons.",
    )
    import_button("labels_import")
try:
    with st.spinner("Reading the labels …", show_time=True):
        study = load_labels(run, beside)
except (CaiError, OSError) as error:
    st.html(build_error("These labels cannot be read", str(error)))
    st.stop()

view = LIST if st.query_params.get(VIEW, "") == LIST else "quality"
st.session_state["labels_view"] = view
st.segmented_control(
    "View",
    ["quality", LIST],
    format_func={"quality": "Quality", LIST: "Comparisons"}.__getitem__,
    key="labels_view",
    required=True,
    label_visibility="collapsed",
    on_change=lambda: go_to(VIEW, st.session_state["labels_view"]),
)
if view == LIST:
    show_list(study, parse_label_filter(st.query_params))
else:
    show_quality(study, beside=beside)
if opened := st.query_params.get(LABEL):
    show_comparison(study, opened)
