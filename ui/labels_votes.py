"""People's votes on a run's comparisons: how far its labels agree with them, or as their truth."""

from __future__ import annotations

from threading import Lock

import streamlit as st

from cai_core.evaluation.label_traits import LabelFilter
from cai_core.jobs.label_study import (
    LabelStudy,
    VotedTruth,
    judge_by_votes,
    load_queue_votes,
)
from cai_core.workspace.review_votes import Vote
from ui import services
from ui.constitution_address import describe_count
from ui.labels_address import go_to
from ui.labels_words import describe_rate
from ui.look import escape
from ui.review_start import review_these_button

# In the address: whose word is the truth.
TRUTH, VOTES = "truth", "votes"
_MOST_HELD = 4
_lock = Lock()
_held: list[tuple[LabelStudy, tuple[Vote, ...], LabelStudy]] = []


def show_votes(study: LabelStudy) -> LabelStudy:
    """Render how far the labels agree with people’s votes, and the switch to these as the truth.

    Returns:
        The study by the votes where the address asks for that and there are any; else as it is.
    """
    by_votes = _judge(study)
    voted = by_votes.voted
    assert voted is not None
    asked = st.query_params.get(TRUTH) == VOTES and bool(voted.votes)
    with st.container(horizontal=True, vertical_alignment="center", key="label_votes"):
        st.html(f'<div class="cai-quiet">{escape(describe_votes(voted))}</div>')
        if not voted.votes:
            review_these_button(LabelFilter(), key="labels_review", run=study.run.run_id)
            return study
        st.session_state["labels_by_votes"] = asked
        st.toggle(
            "People’s votes are the truth",
            key="labels_by_votes",
            help="Agreement, calibration and principles below go by the votes alone.",
            on_change=lambda: go_to(TRUTH, VOTES if st.session_state["labels_by_votes"] else ""),
        )
    if not asked:
        return study
    words = "The list of comparisons goes by the run’s own truths."
    st.html(f'<div class="cai-quiet">{words}</div>')
    return by_votes


def describe_votes(voted: VotedTruth) -> str:
    """How far people and labels agree, in a sentence."""
    if not voted.votes:
        return "People’s votes: nobody has voted on these comparisons in a review queue yet."
    told = [
        f"People’s votes agree with the labels: {describe_rate(voted.agreed)}",
        describe_count(len(voted.reviewers), "reviewer"),
    ]
    if voted.kappa is not None:
        low, high = voted.kappa.low, voted.kappa.high
        told.append(f"kappa {voted.kappa.kappa:.2f} ({low:.2f} to {high:.2f})")
    if voted.disputed:
        told.append(f"{voted.disputed:,} on which they disagree are left out")
    return " · ".join(told) + "."


def _judge(study: LabelStudy) -> LabelStudy:
    """The study by the votes there are, worked out once for each state of them."""
    votes = load_queue_votes(services.workspace())
    with _lock:
        for held, told, judged in _held:
            if held is study and told == votes:
                return judged
    judged = judge_by_votes(study, votes)
    with _lock:
        _held.append((study, votes, judged))
        del _held[:-_MOST_HELD]
    return judged
