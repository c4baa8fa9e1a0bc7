"""Rates out of sums are those of the outcomes; words changed behave as a distance."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cai_core.evaluation.metrics import compute_clustered_rate
from cai_core.evaluation.principle_effect import compute_summed_rate, compute_words_changed

OUTCOMES = st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=40)
TEXT = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8).map(" ".join)


@given(outcomes=OUTCOMES)
@example(outcomes=[(0, True), (0, False), (1, True), (1, False)])
@example(outcomes=[(0, True), (1, True)])
def test_a_rate_out_of_sums_is_the_rate_of_the_outcomes(outcomes: list[tuple[int, bool]]) -> None:
    groups: dict[int, list[bool]] = defaultdict(list)
    for group, yes in outcomes:
        groups[group].append(yes)
    sizes = [(len(group), sum(group)) for group in groups.values()]
    found = compute_summed_rate(
        n=len(outcomes),
        clusters=len(groups),
        yes=sum(y for _, y in sizes),
        yes_squared=sum(y * y for _, y in sizes),
        crossed=sum(y * n for n, y in sizes),
        n_squared=sum(n * n for n, _ in sizes),
    )
    wanted = compute_clustered_rate(outcomes)
    if wanted is None:
        assert found is None
        return
    assert found is not None
    assert (found.rate, found.n, found.clusters) == (wanted.rate, wanted.n, wanted.clusters)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


@given(one=TEXT, other=TEXT)
def test_words_changed_is_a_share_and_the_same_both_ways(one: str, other: str) -> None:
    share = compute_words_changed(one, other)
    assert 0.0 <= share <= 1.0
    assert share == compute_words_changed(other, one)
    assert (share == 0.0) == (one.split() == other.split())


def test_words_changed_counts_words_taken_out_and_put_in() -> None:
    assert compute_words_changed("a b c d", "a b x d") == pytest.approx(2 / 8)
    assert compute_words_changed("a b", "c d") == 1.0
    assert compute_words_changed("a  b\n", "a b") == 0.0
