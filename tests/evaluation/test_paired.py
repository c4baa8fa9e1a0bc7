"""Paired differences: against scipy and statsmodels, and by what must not matter."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import binom
from statsmodels.stats import contingency_tables as tables
from statsmodels.stats import proportion as props

from cai_core.evaluation.metrics import compute_paired_difference
from cai_core.evaluation.paired import (
    compute_mcnemar,
    compute_newcombe,
    compute_paired_change,
    compute_paired_changes,
    compute_sign_flip,
)

CASES = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.booleans()), min_size=1, max_size=60
)


@pytest.mark.parametrize("pair", [(0, 0), (1, 0), (3, 3), (12, 4), (0, 15), (140, 171), (900, 800)])
def test_mcnemar_is_that_of_statsmodels(pair):
    rose, fell = pair
    found = tables.mcnemar([[50, fell], [rose, 50]], exact=True)
    expected = found.pvalue if rose + fell else 1.0
    assert compute_mcnemar(rose, fell) == pytest.approx(expected, rel=1e-9)


def test_mid_p_takes_half_of_what_was_seen():
    for rose, fell in ((1, 7), (12, 4), (30, 50)):
        less = min(rose, fell)
        expected = 2 * binom.cdf(less, rose + fell, 0.5) - binom.pmf(less, rose + fell, 0.5)
        assert compute_mcnemar(rose, fell, mid_p=True) == pytest.approx(expected, rel=1e-9)
    # Fagerland et al. 2013, table 2 (airway hyper-responsiveness): exact 0.0703, mid-p 0.0391.
    assert compute_mcnemar(1, 7) == pytest.approx(0.0703, abs=5e-5)
    assert compute_mcnemar(1, 7, mid_p=True) == pytest.approx(0.0391, abs=5e-5)


def test_sign_flips_by_clusters_are_those_of_scipy():
    sums = [3, -1, 4, 1, 5, -2, 2, 1, 3, -1, 2]

    def total(signed, axis):
        return signed.sum(axis=axis)

    found = stats.permutation_test(
        (np.array(sums),), total, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert compute_sign_flip(sums) == pytest.approx(found.pvalue, rel=1e-12)
    # As drawn where the sums are no whole numbers.
    assert compute_sign_flip([one / 3 for one in sums]) == pytest.approx(found.pvalue, abs=0.015)


def test_exact_and_drawn_sign_flips_agree_on_the_same_numbers():
    rng = random.Random(3)
    sums = [rng.randint(-4, 6) for _ in range(120)]
    assert compute_sign_flip([one / 3 for one in sums]) == pytest.approx(
        compute_sign_flip(sums), abs=0.015
    )


def test_newcombes_interval_by_a_published_table():
    # Fagerland et al. 2014 (Statistics in Medicine 33:2850), table 4: 1, 1, 7, 12.
    low, high = compute_newcombe(1, 7, 1, 12)
    assert (low, high) == pytest.approx((-0.507, -0.026), abs=1e-3)


def test_newcombes_interval_contains_independent_scores_where_pairs_do_not_correlate():
    low, high = compute_newcombe(30, 30, 70, 70)
    expected = props.confint_proportions_2indep(100, 200, 60, 200, method="newcomb")
    assert (low, high) == pytest.approx(expected, abs=1e-9)


@given(CASES)
def test_swapping_the_models_flips_the_signs(cases):
    there = compute_paired_change(cases, draws=200)
    back = compute_paired_change([(c, second, first) for c, first, second in cases], draws=200)
    assert there.difference == pytest.approx(-back.difference)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-6)
    assert there.p == pytest.approx(back.p)
    assert (there.rose, there.fell) == (back.fell, back.rose)


@given(CASES)
def test_the_interval_holds_the_difference(cases):
    found = compute_paired_change(cases, draws=200)
    assert -1 <= found.low <= found.difference + 1e-6
    assert found.difference - 1e-6 <= found.high <= 1
    assert 0 < found.p <= 1


def test_the_order_of_prompts_changes_nothing():
    rng = random.Random(1)
    cases = [(n, rng.random() < 0.3, rng.random() < 0.4) for n in range(150)]
    mixed = rng.sample(cases, len(cases))
    assert compute_paired_change(cases) == compute_paired_change(mixed)


def test_order_changes_a_clustered_interval_by_the_draws_alone():
    rng = random.Random(1)
    cases = [(n // 3, rng.random() < 0.3, rng.random() < 0.4) for n in range(300)]
    one, two = compute_paired_change(cases), compute_paired_change(rng.sample(cases, len(cases)))
    assert (one.difference, one.p, one.n) == pytest.approx((two.difference, two.p, two.n))
    assert (one.low, one.high) == pytest.approx((two.low, two.high), abs=0.01)


def test_copies_within_a_cluster_add_no_evidence():
    rng = random.Random(5)
    cases = [(n, rng.random() < 0.3, rng.random() < 0.45) for n in range(200)]
    one, fourfold = compute_paired_change(cases), compute_paired_change(cases * 4)
    assert fourfold.n == 4 * one.n and fourfold.clusters == one.clusters
    assert fourfold.p == pytest.approx(one.p)
    assert fourfold.high - fourfold.low == pytest.approx(one.high - one.low, rel=0.06)


def test_no_cases_and_unknown_ones():
    assert compute_paired_change([]) is None
    after = np.array([[1.0, np.nan], [np.nan, np.nan], [0.0, np.nan]])
    first, second = compute_paired_changes("abc", np.array([0.0, 1.0, 0.0]), after)
    assert second is None
    assert (first.n, first.before, first.after, first.rose, first.fell) == (2, 0.0, 0.5, 1, 0)


def test_where_nothing_differs_the_interval_is_not_a_point():
    for cases, span in (([(0, 2.0, 2.0)] * 9, 4.0), ([(n, 3.0, 3.0) for n in range(30)], 4.0)):
        found = compute_paired_change(cases, span=span)
        assert (found.method, found.p) == ("no difference", 1.0)
        assert found.low < 0 < found.high and found.high == -found.low
    # All no, twice: Newcombe's is no point either.
    found = compute_paired_change([(n, False, False) for n in range(40)])
    assert found.low < -0.05 and found.high > 0.05


def test_several_models_at_once_are_as_one_by_one():
    rng = np.random.default_rng(4)
    clusters = [n // 2 for n in range(160)]
    before, after = rng.integers(0, 5, 160) * 1.0, rng.integers(0, 5, (160, 3)) * 1.0
    after[5, 1] = np.nan
    together = compute_paired_changes(clusters, before, after, span=4)
    for at, found in enumerate(together):
        alone = compute_paired_changes(clusters, before, after[:, [at]], span=4)[0]
        assert (found.low, found.high, found.p) == pytest.approx((alone.low, alone.high, alone.p))
        known = [
            (c, b, a) for c, b, a in zip(clusters, before, after[:, at], strict=True) if a == a
        ]
        single = compute_paired_change(known, span=4)
        assert (found.difference, found.n) == pytest.approx((single.difference, single.n))


def test_the_bootstraps_interval_is_that_of_scipy():
    rng = np.random.default_rng(0)
    before, after = rng.normal(5, 2, 120), rng.normal(5.6, 2, 120)
    found = compute_paired_change(zip(range(120), before, after, strict=True), span=10)
    expected = stats.bootstrap(
        (after - before,), np.mean, method="percentile", n_resamples=4000, rng=rng
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.04)
    assert found.p == pytest.approx(stats.ttest_rel(after, before).pvalue, abs=0.02)


@pytest.mark.parametrize("samples", [1, 3])
def test_intervals_cover_the_truth(samples):
    rng = np.random.default_rng(samples)
    covered = 0
    for _ in range(400):
        before, after = (
            np.repeat(rng.beta(1, 2, 100), samples),
            np.repeat(rng.beta(1, 1, 100), samples),
        )
        first, second = rng.random(before.shape) < before, rng.random(after.shape) < after
        clusters = np.repeat(np.arange(100), samples).tolist()
        found = compute_paired_changes(
            clusters, first.astype(float), second[:, None].astype(float), draws=500
        )[0]
        covered += found.low <= 1 / 2 - 1 / 3 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


def test_it_agrees_with_the_normal_interval_of_the_same_pairs():
    rng = random.Random(8)
    cases = [(n // 4, rng.random() < 0.4, rng.random() < 0.3) for n in range(800)]
    drawn, normal = compute_paired_change(cases), compute_paired_difference(cases)
    assert (drawn.difference, drawn.n, drawn.clusters) == pytest.approx(
        (normal.difference, normal.n, normal.clusters)
    )
    assert (drawn.low, drawn.high) == pytest.approx((normal.low, normal.high), abs=0.006)
