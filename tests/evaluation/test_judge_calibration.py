"""A judge against people: counts, kappa against statsmodels, reliability."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats import inter_rater as rater

from cai_core.evaluation.judge_calibration import Review, compute_judge_calibration
from cai_core.evaluation.kappa import compute_category_kappa

WORD = st.sampled_from([True, False, None])
REVIEWS = st.lists(
    st.builds(Review, cluster=st.integers(0, 5), judge=WORD, human=WORD), max_size=40
)


def build(both, judge_only, human_only, neither):
    words = [(True, True)] * both + [(True, False)] * judge_only
    words += [(False, True)] * human_only + [(False, False)] * neither
    return [Review(cluster=n, judge=j, human=h) for n, (j, h) in enumerate(words)]


def test_by_hand():
    found = compute_judge_calibration(build(20, 5, 10, 15))
    assert (found.both, found.judge_only, found.human_only, found.neither) == (20, 5, 10, 15)
    assert found.agreement.rate == pytest.approx(0.7)
    assert found.kappa.kappa == pytest.approx(0.4)  # chance is 1/2
    assert found.found.rate == pytest.approx(20 / 30)
    assert found.false_alarms.rate == pytest.approx(5 / 20)
    assert found.bias == pytest.approx(-0.1)


def test_kappa_and_its_interval_against_statsmodels():
    found = compute_judge_calibration(build(40, 9, 13, 58)).kappa
    told = rater.cohens_kappa(np.array([[40, 9], [13, 58]]))
    assert found.kappa == pytest.approx(told.kappa)
    assert found.low == pytest.approx(told.kappa_low, abs=0.03)
    assert found.high == pytest.approx(told.kappa_upp, abs=0.03)


def test_kappa_of_ratings_against_statsmodels():
    rng = random.Random(0)
    pairs = [
        (n, one := rng.randint(0, 4), one if rng.random() < 0.6 else rng.randint(0, 4))
        for n in range(200)
    ]
    table = np.zeros((5, 5))
    for _, one, other in pairs:
        table[one, other] += 1
    assert compute_category_kappa(pairs).kappa == pytest.approx(rater.cohens_kappa(table).kappa)


def test_one_word_for_everything_has_no_kappa():
    found = compute_judge_calibration(build(0, 0, 0, 12))
    assert found.kappa is None and found.found is None and found.agreement.rate == 1.0


@given(REVIEWS)
def test_every_review_is_counted_once(reviews):
    found = compute_judge_calibration(reviews)
    assert found.n == found.both + found.judge_only + found.human_only + found.neither
    assert found.n + found.unparsed + found.undecided == len(reviews)
    turned = [Review(cluster=one.cluster, judge=one.human, human=one.judge) for one in reviews]
    back = compute_judge_calibration(turned)
    assert (found.kappa is None) == (back.kappa is None)
    if found.kappa:
        assert found.kappa.kappa == pytest.approx(back.kappa.kappa)


def test_reliability_of_a_judge_that_means_what_it_says_and_of_one_that_is_too_sure():
    rng = random.Random(1)
    honest, sure = [], []
    for number in range(4000):
        chance = rng.random()
        shown = rng.random() < chance
        word = chance > 0.5
        honest.append(Review(cluster=number, judge=word, human=shown, probability=chance))
        sure.append(Review(cluster=number, judge=word, human=shown, probability=float(word)))
    one, two = compute_judge_calibration(honest), compute_judge_calibration(sure)
    assert len(one.bins) == 10 and one.error < 0.03
    for part in one.bins:
        assert part.low <= part.predicted <= part.high
        assert part.shown.low - 0.03 <= part.predicted <= part.shown.high + 0.03
    assert [(part.low, part.high) for part in two.bins] == [(0.0, 0.1), (0.9, 1.0)]
    assert two.error == pytest.approx(0.25, abs=0.03)
    assert one.kappa == two.kappa


def test_without_probabilities_there_is_no_reliability():
    found = compute_judge_calibration(build(2, 1, 1, 2))
    assert found.bins == () and found.error is None
