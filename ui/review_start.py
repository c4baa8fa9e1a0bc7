"""The review page's start: every queue with its progress, and the ways to a new one."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import streamlit as st

from cai_core.evaluation.label_traits import TRAITS, LabelFilter
from cai_core.evaluation.review_queue import count_done
from cai_core.records import AccessRole
from cai_core.workspace.index.comparison_views import ComparisonFilter
from cai_core.workspace.index.views import RoundFilter
from cai_core.workspace.review_queues import ReviewQueue, list_queues
from ui import services
from ui.constitution_address import describe_count, describe_time
from ui.explorer_filter import build_params
from ui.labels_address import RUN, build_label_params
from ui.labels_data import list_runs
from ui.look import build_card, escape
from ui.review_address import CRITIQUES, NEW, QUEUE, REVIEW_PAGE, go, go_to_view
from ui.review_data import load_view
from ui.review_words import build_bar, build_queue_head, describe_progress, get_thing

_NEEDS_RUN = "Choose one run first: a queue is of one run’s comparisons."


def show_start() -> None:
    """Render the list."""
    queues, unread = list_queues(services.workspace())
    for words in unread:
        st.html(build_card("note", "Left out", escape(words)))
    if not queues:
        st.html(
            '<div class="cai-empty"><b>No queues yet.</b> A queue is a set of comparisons or '
            "critiques that people judge: all that a filter finds, or a random sample of "
            "them.</div>"
        )
    refused = services.explain(AccessRole.REVIEWER)
    has_labels = bool(list_runs())
    # Where there are queues, the first one that waits for this reader is what to do next.
    first = next((one for one in queues if load_view(one).tabs["pending"]), None)
    of_comparisons: Literal["primary", "secondary"] = "secondary"
    of_critiques: Literal["primary", "secondary"] = "secondary"
    if first is None and has_labels:
        of_comparisons = "primary"
    elif first is None:
        of_critiques = "primary"
    with st.container(horizontal=True):
        st.button(
            "Make a queue of comparisons",
            key="review_new",
            type=of_comparisons,
            icon=":material/add:",
            disabled=bool(refused) or not has_labels,
            help=refused
            or (None if has_labels else "A run of the kind “Preference labels” makes comparisons."),
            on_click=go,
            kwargs={NEW: "1"},
        )
        st.button(
            "Make a queue of critiques",
            key="review_new_critiques",
            type=of_critiques,
            icon=":material/add:",
            disabled=bool(refused),
            help=refused or None,
            on_click=go,
            kwargs={NEW: CRITIQUES},
        )
    for queue in queues:
        _show_row(queue, is_first=queue is first)


def review_these_button(
    chosen: RoundFilter | LabelFilter | ComparisonFilter,
    *,
    key: str,
    run: str = "",
    found: int | None = None,
) -> None:
    """Render “Review these”: the form of a new queue with this filter in its address.

    Nothing is rendered for who may not review. Not for callbacks and fragments: it leaves the page.

    Args:
        chosen: of critiques (RoundFilter) or of comparisons.
        key: of the button.
        run: the label run, for a LabelFilter; a ComparisonFilter names its own.
        found: how many match; None where that is not known.
    """
    if not services.actor().role.includes(AccessRole.REVIEWER):
        return
    params = build_review_params(chosen, run)
    if st.button(
        "Review these",
        key=key,
        icon=":material/how_to_reg:",
        disabled=params is None or found == 0,
        help=_NEEDS_RUN if params is None else "Make a queue of them that people judge.",
    ):
        st.switch_page(REVIEW_PAGE, query_params=params)


def build_review_params(
    chosen: RoundFilter | LabelFilter | ComparisonFilter, run: str = ""
) -> dict[str, str] | None:
    """The address of the form for that filter; None where it names no run and needs one."""
    if isinstance(chosen, RoundFilter):
        return {NEW: CRITIQUES, **build_params(chosen)}
    if isinstance(chosen, ComparisonFilter):
        run = chosen.run
        chosen = LabelFilter(
            verdict=chosen.verdict if chosen.verdict != "pending" else "",
            principle=chosen.principle,
            source=chosen.source,
            kind=chosen.kind,
            only=tuple(one for one in TRAITS if one in chosen.traits),
            confidence=chosen.confidence,
            bias=chosen.bias,
            text=chosen.text,
        )
    return {NEW: "1", RUN: run, **build_label_params(chosen)} if run else None


def _show_row(queue: ReviewQueue, *, is_first: bool) -> None:
    view = load_view(queue)
    done = Counter(vote.reviewer for vote in view.votes if not vote.discarded)
    reviewers = " · ".join(f"{name} {count:,}" for name, count in sorted(done.items()))
    pending = len(view.tabs["pending"])
    thing = get_thing(queue)
    mine = f"{describe_count(pending, thing)} for you" if pending else "none left for you"
    wanted = len(queue.items) * queue.overlap
    told = [describe_progress(queue, view.standing), mine]
    if reviewers:
        told.append(f"by {reviewers}")
    if queue.actor:
        told.append(f"made by {queue.actor}, {describe_time(queue.at)}")
    with st.container(key=f"queue_row_{queue.queue_id}", gap="small"):
        st.html(
            build_queue_head(queue)
            + build_bar(count_done(queue.items, view.standing, queue.overlap), wanted)
            + f'<div class="cai-quiet">{escape(" · ".join(told))}</div>'
        )
        with st.container(horizontal=True):
            st.button(
                "Review",
                key=f"review_open_{queue.queue_id}",
                type="primary" if is_first else "secondary",
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
