"""A judge's qualification: chance, position, what is unreadable, and the threshold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.evaluation.qualification import (
    Judgement,
    KnownComparison,
    compute_qualification,
)
from cai_core.records import Message, Principle

PRINCIPLE = Principle(id="p", text="t", critique_request="", revision_request="")


def judge(
    first: float | None, second: float | None, *, cluster: str = "c", kind: str = "k", planted=False
) -> Judgement:
    comparison = KnownComparison(
        conversation=(Message("user", "How?"),),
        preferred="So.",
        other="No.",
        principle=PRINCIPLE,
        cluster=cluster,
        kind=kind,
        planted=planted,
    )
    return Judgement(comparison=comparison, shown_first=first, shown_second=second)


def test_a_judge_that_looks_at_the_place_alone_is_never_right() -> None:
    found = compute_qualification([judge(0.9, 0.1, cluster=str(n)) for n in range(20)])
    assert found.accuracy is not None and found.accuracy.rate == 0
    assert found.swap_consistency is not None and found.swap_consistency.rate == 0
    assert found.position_bias == pytest.approx(0.8)
    assert not found.qualifies()


def test_both_orders_are_averaged() -> None:
    leaning = compute_qualification([judge(0.95, 0.3)])
    assert leaning.accuracy is not None and leaning.accuracy.rate == 1
    assert leaning.swap_consistency is not None and leaning.swap_consistency.rate == 0


def test_what_is_unreadable_is_wrong_and_counted_and_says_nothing_of_position() -> None:
    found = compute_qualification([judge(0.9, 0.9), judge(None, 0.9), judge(0.9, None)])
    assert found.accuracy is not None and found.accuracy.rate == pytest.approx(1 / 3)
    assert found.unreadable == 2
    assert found.swap_consistency is not None and found.swap_consistency.n == 1
    assert found.position_bias == 0


def test_planted_violations_stand_apart_and_have_the_same_threshold() -> None:
    good = [judge(0.9, 0.9, cluster=str(n), kind="ab"[n % 2]) for n in range(8)]
    missed = [judge(0.1, 0.1, planted=True), judge(0.9, 0.9, planted=True)]
    found = compute_qualification([*good, *missed])
    assert found.accuracy is not None and (found.accuracy.rate, found.accuracy.n) == (1, 8)
    assert found.planted is not None and found.planted.rate == 0.5
    assert {kind: rate.n for kind, rate in found.accuracy_by_kind.items()} == {"a": 4, "b": 4}
    assert found.list_below() == ("planted",)
    assert found.list_below(0.5) == ()
    assert (found.qualifies(), found.qualifies(0.5)) == (False, True)


def test_the_threshold_itself_is_enough() -> None:
    told = [judge(0.9, 0.9)] * 4 + [judge(0.1, 0.1)]
    assert compute_qualification(told).qualifies(0.8)
    assert not compute_qualification([*told, judge(0.1, 0.1)]).qualifies(0.8)


def test_nothing_asked_is_no_qualification() -> None:
    found = compute_qualification([])
    assert (found.accuracy, found.planted, found.swap_consistency) == (None, None, None)
    assert found.list_below() == ()
    assert not found.qualifies()


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_with_the_truth_turned_round_what_was_right_is_wrong(
    told: list[tuple[float, float]],
) -> None:
    told = [pair for pair in told if abs(sum(pair) - 1) > 1e-6] or [(1.0, 1.0)]
    one = compute_qualification(judge(*pair) for pair in told)
    # The better response stands first where the other one stood second.
    other = compute_qualification(judge(1 - second, 1 - first) for first, second in told)
    assert one.accuracy is not None and other.accuracy is not None
    assert one.accuracy.rate + other.accuracy.rate == pytest.approx(1)
    assert one.swap_consistency is not None and other.swap_consistency is not None
    assert other.position_bias == pytest.approx(one.position_bias)
