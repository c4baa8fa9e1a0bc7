"""Agreement of votes with the AI label and with each other, and the comparisons in dispute."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cai_core.evaluation.label_traits import ExaminedLabel, examine_labels
from cai_core.evaluation.review_agreement import Agreement, measure_agreement
from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import Verdict
from cai_core.workspace.review_votes import Vote, VoteChoice
from tests.review_makers import make_labels, make_vote
from tests.training.labels import flip

A, B, TIE, BAD = VoteChoice.A, VoteChoice.B, VoteChoice.TIE, VoteChoice.BOTH_BAD
MIRROR = {A: B, B: A}


def examine(labels: list[LabelRecord]) -> tuple[ExaminedLabel, ...]:
    return examine_labels(labels, {})


def measure(votes: list[Vote], labels: list[LabelRecord] | None = None, **own: Any) -> Agreement:
    return measure_agreement(votes, examine(labels or make_labels(6)), **own)


def test_agreement_with_the_ai_label_in_all_by_principle_and_by_confidence() -> None:
    # The labels say A, B, A, B, A, B; the principles are p0, p0, p1, p1, p0, p0.
    votes = [make_vote(f"c{n}", one) for n, one in enumerate((A, B, A, A, A, BAD))]
    told = measure(votes)
    assert told.rate is not None and (told.rate.rate, told.rate.n) == (4 / 6, 6)
    assert told.kappa is not None and told.kappa.low < told.kappa.kappa < told.kappa.high
    assert [(part.name, part.rate.n, part.rate.rate) for part in told.principles] == [
        ("p0", 4, 0.75),
        ("p1", 2, 0.5),
    ]
    # A's labels have 0.9, B's 0.2: confidences 0.4 and 0.3.
    assert [(part.name, part.rate.rate) for part in told.bins] == [("6", 1 / 3), ("8", 1.0)]
    assert [one.comparison for one in told.disputed] == ["c3", "c5"]
    assert all(one.with_ai and not one.among for one in told.disputed)
    assert told.choices[BAD] == 1 and told.comparisons == 6


def test_reviewers_beside_each_other_and_alone() -> None:
    votes = [make_vote(f"c{n}", A) for n in range(4)]
    votes += [make_vote(f"c{n}", one, "bob", seconds=9) for n, one in enumerate((A, B, A, B))]
    votes.append(make_vote("c5", VoteChoice.DISCARDED, "bob", exposed=True))
    told = measure(votes)
    n, kappa = told.pairs[("ada", "bob")]
    assert n == 4 and kappa is not None and kappa.agreed == 0.5
    assert [one.comparison for one in told.disputed if one.among] == ["c1", "c3"]
    ada, bob = told.reviewers
    assert (ada.votes, ada.discarded, ada.exposed, ada.seconds) == (4, 0, 0, 3.5)
    assert (bob.votes, bob.discarded, bob.exposed, bob.seconds) == (4, 1, 1, 9)
    assert ada.left is not None and ada.left.rate == 1.0
    assert bob.rate is not None and bob.rate.rate == 1.0
    alone = measure(votes, reviewers={"ada"})
    assert alone.pairs == {} and [one.reviewer for one in alone.reviewers] == ["ada"]
    assert alone.rate is not None and alone.rate.n == 4


def test_a_majority_settles_it() -> None:
    votes = [make_vote("c0", one, who) for who, one in (("ada", A), ("bob", A), ("eve", B))]
    assert measure(votes).disputed == ()
    assert measure([make_vote("c1", A, who) for who in ("ada", "bob")]).disputed[0].with_ai


def test_what_says_nothing_is_in_no_share() -> None:
    labels = make_labels(3)
    labels[0] = replace(labels[0], verdict=Verdict.UNPARSED, prob_a=None, prob_a_clamped=None)
    labels[1] = replace(labels[1], label_source="human")
    votes = [make_vote(f"c{n}", B) for n in range(3)]
    votes += [make_vote("c99", A), make_vote("c2", VoteChoice.DISCARDED, "bob")]
    told = measure(votes, labels)
    assert told.rate is not None and told.rate.n == 1
    assert told.unknown == 1
    assert [one.comparison for one in told.disputed] == ["c2"]
    empty = measure([])
    assert (empty.rate, empty.kappa, empty.over_time, empty.disputed) == (None, None, (), ())


def test_over_time_is_the_votes_own_order_in_parts() -> None:
    labels = make_labels(40)
    votes = [
        make_vote(f"c{n}", A if n % 2 == 0 or n < 20 else B, at=f"2026-01-01T00:{n:02}:00+00:00")
        for n in range(40)
    ]
    points = measure(votes[::-1], labels).over_time
    assert len(points) == 8 and all(point.rate.n == 5 for point in points)
    assert [point.at for point in points] == sorted(point.at for point in points)
    assert points[0].comparisons == ("c0", "c1", "c2", "c3", "c4")
    assert points[0].rate.rate == 0.6 and points[-1].rate.rate == 1.0


@given(st.lists(st.sampled_from((A, B, TIE, BAD)), min_size=6, max_size=6), st.integers(0, 63))
def test_swapping_comparisons_changes_no_agreement(said: list[VoteChoice], swaps: int) -> None:
    labels = make_labels(6)
    votes = [make_vote(f"c{n}", one) for n, one in enumerate(said)]
    swapped_labels = [flip(one) if swaps >> n & 1 else one for n, one in enumerate(labels)]
    swapped_votes = [
        replace(one, choice=MIRROR.get(one.choice, one.choice)) if swaps >> n & 1 else one
        for n, one in enumerate(votes)
    ]
    told, other = measure(votes, labels), measure(swapped_votes, swapped_labels)
    assert told.rate == other.rate and told.kappa == other.kappa
    assert [one.comparison for one in told.disputed] == [one.comparison for one in other.disputed]
