"""Review: people judge comparisons and critiques in queues, and how far they agree."""

import streamlit as st

from cai_core.errors import CaiError
from ui.explorer_transcript import STYLE as TRANSCRIPT_STYLE
from ui.labels_words import STYLE as LABELS_STYLE
from ui.look import build_error, show_title
from ui.review_address import NEW, QUEUE, VIEW, go, go_to_view, read
from ui.review_agreement import show_agreement
from ui.review_critique_agreement import show_critique_agreement
from ui.review_data import find_queue, load_queue_labels, load_view
from ui.review_files import show_files
from ui.review_item import show_review
from ui.review_new import show_new
from ui.review_start import show_start
from ui.review_words import STYLE, build_queue_head
from ui.runs_words import STYLE as RUNS_STYLE

LEAD = "People judge comparisons and critiques, without being told what the models say."
VIEWS = {"review": "Review", "agreement": "Agreement", "files": "Export, import"}

st.html(RUNS_STYLE + TRANSCRIPT_STYLE + LABELS_STYLE + STYLE)
if not read(QUEUE):
    show_title("Review", LEAD)
    if read(NEW):
        show_new()
    else:
        show_start()
    st.stop()

try:
    queue = find_queue(read(QUEUE))
except CaiError as error:
    show_title("Review", LEAD)
    st.html(build_error("No such queue here", str(error)))
    st.button("All queues", key="review_all", type="primary", on_click=go)
    st.stop()

view = load_view(queue)
chosen = read(VIEW) if read(VIEW) in VIEWS else "review"
with st.container(horizontal=True, vertical_alignment="center", key="review_head"):
    st.button("All queues", key="review_all", icon=":material/arrow_back:", on_click=go)
    st.html(build_queue_head(queue, told=chosen != "review"))
st.session_state["review_view"] = chosen
st.segmented_control(
    "View",
    list(VIEWS),
    format_func=VIEWS.__getitem__,
    key="review_view",
    required=True,
    label_visibility="collapsed",
    on_change=lambda: go_to_view(queue.queue_id, st.session_state["review_view"]),
)
study = None
if queue.kind == "comparisons":
    try:
        with st.spinner("Reading the labels …", show_time=True):
            study = load_queue_labels(queue)
    except (CaiError, OSError) as error:
        st.html(build_error("The labels of this queue cannot be read", str(error)))
if chosen == "files":
    show_files(view, study)
elif queue.kind == "critiques" and chosen == "agreement":
    show_critique_agreement(view)
elif queue.kind == "critiques":
    show_review(view, None)
elif study is not None and chosen == "agreement":
    show_agreement(view, study)
elif study is not None:
    show_review(view, study)
