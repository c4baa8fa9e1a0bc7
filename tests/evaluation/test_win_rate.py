"""Win rates: both orders, ties half, unreadable ones counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.evaluation.elo import compute_elo
from cai_core.evaluation.win_rate import JudgedResponses, build_games, compute_win_rate

POINTS = st.sampled_from([0.0, 0.5, 1.0, None])
JUDGED = st.lists(
    st.builds(JudgedResponses, cluster=st.integers(0, 9), shown_first=POINTS, shown_second=POINTS),
    max_size=40,
)


def judged(first, second, cluster=0):
    return JudgedResponses(cluster=cluster, shown_first=first, shown_second=second)


def test_a_judge_that_goes_by_the_place_gives_one_half():
    found = compute_win_rate([judged(1.0, 0.0, n) for n in range(30)])
    assert (found.rate, found.ties, found.split, found.position_bias) == (0.5, 30, 30, 1.0)
    assert found.low < 0.5 < found.high


def test_by_hand():
    found = compute_win_rate(
        [
            judged(1, 1, 1),
            judged(1, 0.5, 2),
            judged(0, 0, 3),
            judged(0.5, 0.5, 4),
            judged(1, None, 5),
        ]
    )
    assert (found.wins, found.ties, found.losses, found.unparsed, found.n) == (2, 1, 1, 1, 4)
    assert (found.rate, found.split) == ((1 + 0.75 + 0 + 0.5) / 4, 0)


@given(JUDGED)
def test_the_other_models_rate_is_the_rest(some):
    turned = [
        JudgedResponses(
            cluster=one.cluster,
            shown_first=None if one.shown_second is None else 1 - one.shown_second,
            shown_second=None if one.shown_first is None else 1 - one.shown_first,
        )
        for one in some
    ]
    there, back = compute_win_rate(some, draws=100), compute_win_rate(turned, draws=100)
    assert there.n + there.unparsed == len(some)
    assert there.wins + there.ties + there.losses == there.n
    assert (there.wins, there.split) == (back.losses, back.split)
    if there.rate is None:
        assert back.rate is None and there.n == 0
    else:
        assert (there.rate, there.low) == pytest.approx((1 - back.rate, 1 - back.high), abs=1e-6)
        assert 0 <= there.low <= there.rate + 1e-6 and there.rate - 1e-6 <= there.high <= 1


def test_nothing_readable_is_no_rate():
    found = compute_win_rate([judged(None, 1.0)])
    assert (found.rate, found.low, found.unparsed, found.position_bias) == (None, None, 1, None)


def test_winning_every_time_is_not_certain():
    found = compute_win_rate([judged(1.0, 1.0, n) for n in range(20)])
    assert (found.rate, found.high) == (1.0, 1.0) and 0.8 < found.low < 0.9


def test_as_games_they_give_the_rating_that_the_rate_tells():
    some = [judged(1.0, float(n % 4 > 0), n) for n in range(80)]
    rate = compute_win_rate(some).rate
    found = compute_elo(build_games("new", "old", some), "old", draws=20).ratings[0]
    assert 1 / (1 + 10 ** ((1000 - found.rating) / 400)) == pytest.approx(rate)
