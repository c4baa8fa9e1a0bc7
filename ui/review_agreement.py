"""A queue's agreement: with the AI label, between reviewers, over time, and what is in dispute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from cai_core.evaluation.label_traits import CONFIDENCE_BINS, find_confidence_bin
from cai_core.evaluation.review_agreement import Agreement
from cai_core.evaluation.review_pairs import Pairs
from cai_core.jobs.label_study import LabelStudy
from cai_core.workspace.review_votes import Vote, VoteChoice
from ui.constitution_address import build_key, describe_count
from ui.explorer_links import show_link
from ui.labels_words import Figure, build_figure, describe_rate
from ui.look import build_badge, build_card, escape
from ui.review_address import BIN, PART, change, find_label_place, read, read_number
from ui.review_charts import show_charts
from ui.review_data import QueueView, load_agreement
from ui.review_reviewers import choose_reviewers
from ui.review_words import describe_ai, describe_choice, describe_kappa
from ui.runs_words import build_table

# More rows than anybody reads down.
_MOST_ROWS = 40
_PROMPT = 160


def show_agreement(view: QueueView, study: LabelStudy) -> None:
    """Render the view."""
    chosen = choose_reviewers(view)
    if chosen is None:
        return
    told = load_agreement(view, study, chosen)
    st.html(f'<div class="cai-numbers">{"".join(map(build_figure, _list_figures(told)))}</div>')
    if told.unknown:
        words = (
            f"{describe_count(told.unknown, 'vote')} on comparisons that the run has no label of."
        )
        st.html(build_card("note", "Left out", words, slim=True))
    show_charts(told, view.queue.queue_id)
    _show_tables(told)
    _show_rows(view, study, told, chosen)


def _list_figures(told: Agreement) -> list[Figure]:
    votes = sum(
        count for choice, count in told.choices.items() if choice is not VoteChoice.DISCARDED
    )
    words = " · ".join(
        f"{choice.value} {told.choices[choice]:,}" for choice in VoteChoice if told.choices[choice]
    )
    figures = [
        Figure(key="votes", name="Votes", value=f"{votes:,}", note=words),
        Figure(
            key="rate",
            name="Agree with the AI label",
            value="–" if told.rate is None else f"{100 * told.rate.rate:.1f} %",
            note="nothing to compare" if told.rate is None else _describe_interval(told),
        ),
        Figure(
            key="kappa",
            name="Kappa with the AI label",
            value="–" if told.kappa is None else f"{told.kappa.kappa:.2f}",
            note="not defined"
            if told.kappa is None
            else f"{told.kappa.low:.2f} to {told.kappa.high:.2f}, n = {told.kappa.n:,}",
        ),
    ]
    among = sum(one.among for one in told.disputed)
    figures.append(
        Figure(
            key="disputed",
            name="Disputed comparisons",
            value=f"{len(told.disputed):,}",
            note=f"of {told.comparisons:,}: {among:,} among reviewers, "
            f"{len(told.disputed) - among:,} with the AI label",
        )
    )
    return figures


def _describe_interval(told: Agreement) -> str:
    rate = told.rate
    assert rate is not None
    return f"{100 * rate.low:.1f} to {100 * rate.high:.1f} %, n = {rate.n:,}"


def _show_tables(told: Agreement) -> None:
    if told.principles:
        st.html('<h2 class="cai-part">By principle</h2>')
        rows = [
            [part.name, describe_rate(part.rate), describe_kappa(part.kappa)]
            for part in told.principles[:_MOST_ROWS]
        ]
        st.html(build_table(["principle", "agree with the AI label", "kappa"], rows))
    show_pairs(told.pairs)
    st.html('<h2 class="cai-part">Reviewers</h2>')
    rows = [
        [
            one.reviewer,
            f"{one.votes:,}",
            f"{one.discarded:,}",
            "–" if one.seconds is None else f"{one.seconds:.0f} s",
            describe_rate(one.left),
            f"{one.exposed:,}",
            describe_rate(one.rate),
        ]
        for one in told.reviewers[:_MOST_ROWS]
    ]
    head = ["reviewer", "votes", "discarded", "median time", "the left one, of A or B"]
    st.html(build_table([*head, "looks at harmful text", "agree with the AI label"], rows))


def show_pairs(pairs: Pairs) -> None:
    """Render the kappa of each two reviewers, where there are two."""
    if not pairs:
        return
    st.html('<h2 class="cai-part">Between reviewers</h2>')
    rows = [
        [one, other, describe_kappa(kappa) if kappa else f"not defined (n = {n:,})"]
        for (one, other), (n, kappa) in list(pairs.items())[:_MOST_ROWS]
    ]
    st.html(build_table(["reviewer", "and", "kappa"], rows))


def group_votes(
    view: QueueView, items: Sequence[str], reviewers: Sequence[str]
) -> dict[str, list[Any]]:
    """Item → the votes on it, of these reviewers or of all where there are none."""
    grouped: dict[str, list[Any]] = {item: [] for item in items}
    for vote in view.votes:
        if vote.item in grouped and (not reviewers or vote.reviewer in reviewers):
            grouped[vote.item].append(vote)
    return grouped


def _show_rows(
    view: QueueView, study: LabelStudy, told: Agreement, reviewers: Sequence[str]
) -> None:
    """The disputed comparisons, or those behind a point of a chart."""
    title, comparisons = _choose_rows(view, study, told, reviewers)
    hidden: list[str] = []
    if view.queue.blind:
        # Who still has to judge it is told of it afterwards.
        waiting = set(view.tabs["pending"])
        hidden = [one for one in comparisons if one in waiting]
        comparisons = [one for one in comparisons if one not in waiting]
    st.html(f'<h2 class="cai-part">{escape(title)} ({len(comparisons):,})</h2>')
    if read(PART) or read(BIN):
        st.button(
            "Show the disputed ones",
            key="review_all_rows",
            type="tertiary",
            on_click=change,
            args=({PART: "", BIN: ""},),
        )
    if hidden:
        words = f"{len(hidden):,} more show when you have judged them: the queue is blind."
        st.html(f'<div class="cai-quiet">{words}</div>')
    if not comparisons:
        st.html('<div class="cai-quiet">None.</div>')
    votes = group_votes(view, comparisons[:_MOST_ROWS], reviewers)
    among = {row.comparison for row in told.disputed if row.among}
    for comparison, some in votes.items():
        _show_row(study, view.queue.run, comparison, some, among=comparison in among)
    if (more := len(comparisons) - _MOST_ROWS) > 0:
        st.html(f'<div class="cai-quiet">and {more:,} more</div>')


def _choose_rows(
    view: QueueView, study: LabelStudy, told: Agreement, reviewers: Sequence[str]
) -> tuple[str, list[str]]:
    part = read_number(PART, len(told.over_time))
    if part is not None:
        point = told.over_time[part]
        return "Votes of that point", list(point.comparisons)
    number = read_number(BIN, CONFIDENCE_BINS)
    if number is not None:
        some = dict.fromkeys(
            vote.comparison
            for vote in view.votes
            if (place := study.by_id.get(vote.comparison)) is not None
            and find_confidence_bin(study.examined[place]) == number
            and (not reviewers or vote.reviewer in reviewers)
        )
        return "Votes in that bin of confidence", list(some)
    return "Disputed comparisons", [one.comparison for one in told.disputed]


def _show_row(
    study: LabelStudy, run: str, comparison: str, votes: Sequence[Vote], *, among: bool
) -> None:
    one = study.examined[study.by_id[comparison]]
    prompt = " ".join(one.label.conversation[-1].content.split())
    short = prompt if len(prompt) <= _PROMPT else f"{prompt[:_PROMPT]}…"
    said = " · ".join(f"{vote.reviewer}: {describe_choice(vote)}" for vote in votes)
    badge = build_badge("reviewers disagree") if among else ""
    with st.container(key=build_key("review_row", comparison), gap=None):
        show_link(find_label_place(run, comparison), short or "(an empty prompt)")
        st.html(
            f'<div class="cai-quiet cai-queue"><span>{escape(said)}</span>'
            f"<span>AI: {escape(describe_ai(one))}</span>{badge}</div>"
        )
