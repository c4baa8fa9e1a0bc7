"""Reviews summed up: counts, the share right, and kappa of two reviewers."""

from __future__ import annotations

import pytest

from cai_core.evaluation.critique_reviews import summarize_reviews
from cai_core.evaluation.metrics import compute_wilson
from cai_core.records import CritiqueVerdict

RIGHT, PARTLY, WRONG, NOT_NEEDED = CritiqueVerdict


def test_partly_right_is_counted_and_is_no_half() -> None:
    verdicts = [RIGHT, RIGHT, PARTLY, WRONG, NOT_NEEDED]
    found = summarize_reviews((n, "ada", verdict) for n, verdict in enumerate(verdicts))
    assert found.counts == {RIGHT: 2, PARTLY: 1, WRONG: 1, NOT_NEEDED: 1}
    assert list(found.counts) == list(CritiqueVerdict)
    assert found.right is not None
    assert (found.right.rate, found.right.n, found.n, found.critiques) == (0.4, 5, 5, 5)
    # Five clusters of one: the variance between them is estimated, which costs one of them.
    assert (found.right.low, found.right.high) == pytest.approx(compute_wilson(0.4, 4))
    assert found.kappas == {}


def test_what_two_say_of_one_critique_is_one_piece_of_evidence() -> None:
    twice = [(n, who, RIGHT) for n in range(6) for who in ("ada", "bob")]
    found = summarize_reviews(twice)
    assert found.right is not None
    assert (found.right.n, found.right.clusters, found.critiques) == (12, 6, 6)
    assert found.right.low == pytest.approx(compute_wilson(1.0, 6)[0])


def test_kappa_of_each_two_reviewers_on_what_both_judged() -> None:
    # ada and bob agree on 3 of 4: ½ of ada's and ¼ of bob's are wrong; chance is ½·¾ + ½·¼ = ½.
    ada = [(1, RIGHT), (2, RIGHT), (3, WRONG), (4, WRONG)]
    bob = [(1, RIGHT), (2, RIGHT), (3, WRONG), (4, RIGHT), (5, WRONG)]
    eve = [(1, WRONG), (2, RIGHT)]
    told = [
        (n, who, v) for who, said in (("ada", ada), ("bob", bob), ("eve", eve)) for n, v in said
    ]
    found = summarize_reviews(told)
    assert next(iter(found.kappas)) == ("ada", "bob")
    kappa = found.kappas[("ada", "bob")]
    assert kappa.kappa == pytest.approx((3 / 4 - 1 / 2) / (1 - 1 / 2))
    assert (kappa.agreed, kappa.n) == (0.75, 4)
    assert found.kappas[("ada", "eve")].n == 2


def test_two_who_always_say_one_word_have_no_kappa() -> None:
    told = [(n, who, RIGHT) for n in range(3) for who in ("ada", "bob")]
    assert summarize_reviews(told).kappas == {}


def test_nothing_said_is_no_rate() -> None:
    found = summarize_reviews([])
    assert (found.right, found.n, found.critiques) == (None, 0, 0)
