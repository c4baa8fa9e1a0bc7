"""What the votes of a queue of critiques come to: verdict rates, reviewers, disputes."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from cai_core.evaluation.review_critiques import CritiqueAgreement
from cai_core.records import CritiqueVerdict
from ui.chain_reviews import VERDICTS
from ui.constitution_address import build_key
from ui.explorer_links import find_chain_place, show_link
from ui.labels_words import Figure, build_figure, describe_rate
from ui.look import escape
from ui.review_agreement import group_votes, show_pairs
from ui.review_data import QueueView, load_critique_agreement
from ui.review_reviewers import choose_reviewers
from ui.review_words import describe_choice
from ui.runs_words import build_table

# More rows than anybody reads down.
_MOST_ROWS = 40


def show_critique_agreement(view: QueueView) -> None:
    """Render the view."""
    chosen = choose_reviewers(view)
    if chosen is None:
        return
    told = load_critique_agreement(view, chosen)
    st.html(f'<div class="cai-numbers">{"".join(map(build_figure, _list_figures(told)))}</div>')
    _show_principles(told)
    show_pairs(told.pairs)
    _show_reviewers(told)
    _show_disputed(view, told, chosen)


def _list_figures(told: CritiqueAgreement) -> list[Figure]:
    votes = sum(told.counts.values())
    words = " · ".join(f"{word.value} {count:,}" for word, count in told.counts.items() if count)
    right = told.rates.get(CritiqueVerdict.RIGHT)
    interval = "nothing to count"
    if right is not None:
        interval = f"{100 * right.low:.1f} to {100 * right.high:.1f} %, n = {right.n:,}"
    kappas = [kappa for _, kappa in told.pairs.values() if kappa is not None]
    lowest = min(kappas, key=lambda one: one.kappa, default=None)
    return [
        Figure(key="votes", name="Votes", value=f"{votes:,}", note=words),
        Figure(
            key="right",
            name="Critiques that are right",
            value="–" if right is None else f"{100 * right.rate:.1f} %",
            note=interval,
        ),
        Figure(
            key="kappa",
            name="Lowest kappa of two reviewers",
            value="–" if lowest is None else f"{lowest.kappa:.2f}",
            note="nobody has judged what another did"
            if lowest is None
            else f"{lowest.low:.2f} to {lowest.high:.2f}, n = {lowest.n:,}",
        ),
        Figure(
            key="edited",
            name="Revisions by people",
            value=f"{told.edited:,}",
            note=f"of {told.critiques:,} critiques judged",
        ),
    ]


def _show_principles(told: CritiqueAgreement) -> None:
    if not told.principles:
        return
    st.html('<h2 class="cai-part">By principle</h2>')
    rows = [
        [one.principle or "–", *(describe_rate(one.rates.get(word)) for word in CritiqueVerdict)]
        for one in told.principles[:_MOST_ROWS]
    ]
    st.html(build_table(["principle", *(VERDICTS[word] for word in CritiqueVerdict)], rows))
    if (more := len(told.principles) - _MOST_ROWS) > 0:
        st.html(f'<div class="cai-quiet">and {more:,} more</div>')


def _show_reviewers(told: CritiqueAgreement) -> None:
    st.html('<h2 class="cai-part">Reviewers</h2>')
    rows = [
        [
            one.reviewer,
            f"{one.votes:,}",
            f"{one.discarded:,}",
            f"{one.edited:,}",
            "–" if one.seconds is None else f"{one.seconds:.0f} s",
            f"{one.exposed:,}",
            describe_rate(one.right),
        ]
        for one in told.reviewers[:_MOST_ROWS]
    ]
    head = ["reviewer", "votes", "discarded", "revisions", "median time"]
    st.html(build_table([*head, "looks at harmful text", "say right"], rows))


def _show_disputed(view: QueueView, told: CritiqueAgreement, reviewers: Sequence[str]) -> None:
    # In a blind queue, who still has to judge it is told of it afterwards.
    waiting = set(view.tabs["pending"]) if view.queue.blind else set()
    shown = [item for item in told.disputed if item not in waiting]
    st.html(f'<h2 class="cai-part">Disputed critiques ({len(shown):,})</h2>')
    if hidden := len(told.disputed) - len(shown):
        words = f"{hidden:,} more show when you have judged them: the queue is blind."
        st.html(f'<div class="cai-quiet">{words}</div>')
    if not shown:
        st.html('<div class="cai-quiet">None.</div>')
    for item, votes in group_votes(view, shown[:_MOST_ROWS], reviewers).items():
        place = view.queue.by_item[item]
        said = " · ".join(f"{vote.reviewer}: {describe_choice(vote)}" for vote in votes)
        with st.container(key=build_key("review_row", item), gap=None):
            label = f"Round {place.round} under {place.principle}"
            show_link(find_chain_place(place.chain), label)
            st.html(f'<div class="cai-quiet">{escape(said)}</div>')
    if (more := len(shown) - _MOST_ROWS) > 0:
        st.html(f'<div class="cai-quiet">and {more:,} more</div>')
