"""What votes on critiques come to: rates by hand, disputes, and each reviewer's own."""

from __future__ import annotations

import pytest

from cai_core.evaluation.review_critiques import measure_critiques
from cai_core.records import CritiqueVerdict
from tests.critique_makers import make_critique_vote as vote
from tests.critique_makers import make_round

RIGHT, PARTLY, WRONG, NOT_NEEDED = CritiqueVerdict
ROUNDS = [make_round(n) for n in range(4)]


def test_rates_are_of_the_votes_with_a_chain_as_one_cluster() -> None:
    votes = [
        vote(0, RIGHT),
        vote(0, RIGHT, "bob"),
        vote(1, WRONG),
        vote(2, RIGHT, revision="Mine."),
        vote(3, None),
    ]
    told = measure_critiques(votes, ROUNDS)
    assert dict(told.counts) == {RIGHT: 3, PARTLY: 0, WRONG: 1, NOT_NEEDED: 0}
    assert (told.discarded, told.critiques, told.edited) == (1, 3, 1)
    rate = told.rates[RIGHT]
    assert (rate.rate, rate.n) == (0.75, 4)
    assert rate.low < 0.75 < rate.high
    assert sum(one.rate for one in told.rates.values()) == pytest.approx(1)
    principles = {one.principle: one for one in told.principles}
    assert (principles["p0"].n, principles["p1"].n) == (3, 1)
    assert principles["p0"].rates[RIGHT].rate == 1
    assert principles["p1"].rates[WRONG].rate == 1
    assert measure_critiques([], ROUNDS).rates == {}


def test_a_dispute_has_no_verdict_of_more_than_half() -> None:
    votes = [
        vote(0, RIGHT), vote(0, WRONG, "bob"),
        vote(1, RIGHT), vote(1, RIGHT, "bob"), vote(1, PARTLY, "cy"),
        vote(2, RIGHT), vote(2, None, "bob"),
        vote(9, RIGHT), vote(9, WRONG, "bob"),  # not in the queue
    ]  # fmt: skip
    told = measure_critiques(votes, ROUNDS)
    assert told.disputed == ("chain0.1",)
    assert measure_critiques(votes, ROUNDS, reviewers=["ada"]).disputed == ()


def test_two_reviewers_agree_as_far_as_kappa_says() -> None:
    words = [RIGHT, RIGHT, WRONG, NOT_NEEDED]
    votes = [vote(n, words[n]) for n in range(4)] + [vote(n, words[n], "bob") for n in range(4)]
    n, kappa = measure_critiques(votes, ROUNDS).pairs["ada", "bob"]
    assert n == 4 and kappa is not None and kappa.kappa == 1
    votes[4] = vote(0, WRONG, "bob")
    _, kappa = measure_critiques(votes, ROUNDS).pairs["ada", "bob"]
    # 3 of 4 agree; by chance 2/4·1/4 + 1/4·2/4 + 1/4·1/4 = 5/16.
    assert kappa is not None and kappa.kappa == pytest.approx((3 / 4 - 5 / 16) / (1 - 5 / 16))
    assert kappa.low < kappa.kappa < kappa.high


def test_each_reviewer_is_told_for_themselves() -> None:
    votes = [
        vote(0, RIGHT, seconds=2, exposed=True),
        vote(1, WRONG, seconds=4, revision="So."),
        vote(2, None, exposed=True),
        vote(0, RIGHT, "bob", seconds=9),
    ]
    ada, bob = measure_critiques(votes, ROUNDS).reviewers
    assert (ada.votes, ada.discarded, ada.edited, ada.exposed, ada.seconds) == (2, 1, 1, 2, 3)
    assert ada.right is not None and ada.right.rate == 0.5
    assert (bob.reviewer, bob.votes, bob.exposed) == ("bob", 1, 0)
