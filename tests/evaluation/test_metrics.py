"""Rates and intervals: against closed forms and a simulation."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.evaluation.metrics import (
    compute_clustered_rate,
    compute_paired_difference,
    compute_wilson,
)


def test_no_outcomes_are_none():
    assert compute_clustered_rate([]) is None


def test_wilson_by_hand():
    low, high = compute_wilson(0.5, 10)
    assert (low, high) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert compute_wilson(1.0, 20)[1] == 1.0
    assert compute_wilson(0.0, 20)[0] == 0.0


def test_independent_outcomes_give_wilsons_interval():
    outcomes = [(i, i % 4 == 0) for i in range(200)]
    rate = compute_clustered_rate(outcomes)
    assert (rate.low, rate.high) == pytest.approx(compute_wilson(0.25, 200), abs=2e-3)


def test_copies_within_a_cluster_add_no_evidence():
    single = compute_clustered_rate([(i, i % 4 == 0) for i in range(200)])
    tenfold = compute_clustered_rate([(i, i % 4 == 0) for i in range(200) for _ in range(10)])
    assert tenfold.n == 2000
    assert tenfold.high - tenfold.low == pytest.approx(single.high - single.low, rel=0.02)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1))
def test_the_interval_holds_the_rate(outcomes):
    rate = compute_clustered_rate(outcomes)
    assert 0 <= rate.low <= rate.rate <= rate.high <= 1


def test_coverage_with_clusters():
    rng = random.Random(0)
    covered = 0
    for _ in range(400):
        outcomes = []
        for cluster in range(60):
            share = rng.betavariate(1.4, 0.6)
            outcomes += [(cluster, rng.random() < share) for _ in range(4)]
        rate = compute_clustered_rate(outcomes)
        covered += rate.low <= 0.7 <= rate.high
    assert 0.91 <= covered / 400 <= 0.99


def test_no_cases_differ_by_nothing():
    assert compute_paired_difference([]) is None


def test_a_difference_by_hand():
    # 100 clusters of one: 20 fall, 10 rise. Var = (30 - 100 * 0.01) / 100**2 * 100 / 99.
    cases = [(i, i < 20, 20 <= i < 30) for i in range(100)]
    found = compute_paired_difference(cases)
    half = 1.959964 * (29 / 100**2 * 100 / 99) ** 0.5
    assert found.difference == pytest.approx(-0.1)
    assert (found.low, found.high) == pytest.approx((-0.1 - half, -0.1 + half))


def test_swapping_the_sides_mirrors_the_difference():
    cases = [(i % 40, i % 3 == 0, i % 5 == 0) for i in range(200)]
    there = compute_paired_difference(cases)
    back = compute_paired_difference([(c, second, first) for c, first, second in cases])
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


def test_where_nothing_differs_the_interval_is_not_a_point():
    found = compute_paired_difference([(i, True, True) for i in range(50)])
    assert (found.difference, found.n) == (0.0, 50)
    assert found.low == pytest.approx(-compute_wilson(0.0, 50)[1])


def test_the_interval_covers_the_truth_in_clusters_of_four():
    rng = random.Random(0)
    covered = 0
    for _ in range(400):
        cases = []
        for cluster in range(80):
            chance = rng.random()
            cases += [(cluster, rng.random() < 0.5, rng.random() < chance) for _ in range(4)]
        found = compute_paired_difference(cases)
        covered += found.low <= 0.0 <= found.high
    assert 0.92 <= covered / 400 <= 0.98
