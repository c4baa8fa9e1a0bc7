"""The review page's start: every queue with its progress, and the way to a new one."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from cai_core.evaluation.review_queue import count_done
from cai_core.workspace.review_queues import ReviewQueue, list_queues
from ui import services
from ui.constitution_address import describe_count, describe_time
from ui.labels_data import list_runs
from ui.look import build_card, escape
from ui.review_address import NEW, QUEUE, go, go_to_view
from ui.review_data import load_view
from ui.review_words import build_bar, build_queue_head, describe_progress


def show_start() -> None:
    """Render the list."""
    queues, unread = list_queues(services.workspace())
    for words in unread:
        st.html(build_card("note", "Left out", escape(words)))
    if not list_runs() and not queues:
        st.html(
            '<div class="cai-empty"><b>Nothing to review yet.</b> A run of the kind “Preference '
            "labels” makes comparisons; people review them here, in queues.</div>"
        )
        return
    if not queues:
        st.html(
            '<div class="cai-empty"><b>No queues yet.</b> A queue is a set of comparisons that '
            "people judge: all that a filter finds, or a random sample of them.</div>"
        )
    st.button(
        "Make a queue",
        key="review_new",
        type="primary",
        icon=":material/add:",
        disabled=not list_runs(),
        on_click=go,
        kwargs={NEW: "1"},
    )
    for queue in queues:
        _show_row(queue)


def _show_row(queue: ReviewQueue) -> None:
    view = load_view(queue)
    done = Counter(vote.reviewer for vote in view.votes if vote.verdict is not None)
    reviewers = " · ".join(f"{name} {count:,}" for name, count in sorted(done.items()))
    pending = len(view.tabs["pending"])
    mine = f"{describe_count(pending, 'comparison')} for you" if pending else "none left for you"
    wanted = len(queue.comparisons) * queue.overlap
    told = [describe_progress(queue, view.standing), mine]
    if reviewers:
        told.append(f"by {reviewers}")
    if queue.actor:
        told.append(f"made by {queue.actor}, {describe_time(queue.at)}")
    with st.container(key=f"queue_row_{queue.queue_id}", gap="small"):
        st.html(
            build_queue_head(queue)
            + build_bar(count_done(queue.comparisons, view.standing, queue.overlap), wanted)
            + f'<div class="cai-quiet">{escape(" · ".join(told))}</div>'
        )
        with st.container(horizontal=True):
            st.button(
                "Review",
                key=f"review_open_{queue.queue_id}",
                type="primary" if pending else "secondary",
                icon=":material/how_to_reg:",
                on_click=go,
                kwargs={QUEUE: queue.queue_id},
            )
            for view_name, label in (("agreement", "Agreement"), ("files", "Export, import")):
                st.button(
                    label,
                    key=f"review_{view_name}_{queue.queue_id}",
                    type="tertiary",
                    on_click=go_to_view,
                    args=(queue.queue_id, view_name),
                )
