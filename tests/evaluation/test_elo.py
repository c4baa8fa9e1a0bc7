"""Elo: planted strengths come back, what cannot be told is not told."""

import math
import random

import numpy as np
import pytest
from statsmodels import api

from cai_core.evaluation.elo import Game, compute_elo, compute_expected, fit_bradley_terry

PLANTED = {"base": 1000.0, "sl": 1120.0, "rl": 1260.0, "dpo": 1190.0}


def play(planted, rounds, seed, ties=0.2):
    rng = random.Random(seed)
    models = list(planted)
    games = []
    for number in range(rounds):
        first, second = rng.sample(models, 2)
        chance = compute_expected(planted[first], planted[second])
        points = 0.5 if rng.random() < ties else float(rng.random() < chance)
        # A tie is half for each: the rate that the planted strengths ask for is kept.
        if points == 0.5 and rng.random() < abs(2 * chance - 1):
            points = float(chance > 0.5)
        games.append(Game(cluster=number, first=first, second=second, points=points))
    return games


def test_planted_strengths_come_back():
    table = compute_elo(play(PLANTED, 6000, 1), "base", draws=300)
    assert [one.model for one in table.ratings] == ["rl", "dpo", "sl", "base"]
    for one in table.ratings:
        assert one.rating == pytest.approx(PLANTED[one.model], abs=25)
        assert one.low <= PLANTED[one.model] <= one.high or one.model == "base"
    base = next(one for one in table.ratings if one.model == "base")
    assert base.rating == base.low == base.high == 1000


def test_intervals_hold_the_planted_strengths():
    held = total = 0
    for seed in range(30):
        for one in compute_elo(play(PLANTED, 400, seed), "base", draws=120).ratings:
            if one.model != "base":
                held += one.low <= PLANTED[one.model] <= one.high
                total += 1
    assert 0.88 <= held / total <= 0.99


def test_two_models_by_the_closed_form():
    games = [Game(cluster=n, first="a", second="b", points=float(n < 30)) for n in range(40)]
    table = compute_elo(games, "b", draws=50)
    expected = 1000 + 400 * math.log10(30 / 10)
    assert table.ratings[0].rating == pytest.approx(expected)


def test_strengths_are_those_of_a_logistic_regression():
    wins = np.array([[0, 12, 7, 3], [8, 0, 9, 4.0], [13, 11, 0, 6], [9, 12, 10, 0]])
    rows, points = [], []
    for first in range(4):
        for second in range(4):
            row = np.zeros(4)
            row[first], row[second] = 1, -1
            rows += [row] * int(wins[first, second])
            points += [1.0] * int(wins[first, second])
            rows += [row] * int(wins[second, first])
            points += [0.0] * int(wins[second, first])
    told = api.GLM(points, np.array(rows)[:, 1:], family=api.families.Binomial()).fit().params
    found = fit_bradley_terry(wins)
    assert found[1:] - found[0] == pytest.approx(told, abs=1e-6)


def test_turning_every_game_around_changes_nothing():
    games = play(PLANTED, 300, 2)
    turned = [
        Game(cluster=g.cluster, first=g.second, second=g.first, points=1 - g.points) for g in games
    ]
    one, two = compute_elo(games, "sl", draws=50), compute_elo(turned, "sl", draws=50)
    for left, right in zip(one.ratings, two.ratings, strict=True):
        assert (left.model, left.rating, left.low) == (
            right.model,
            pytest.approx(right.rating),
            pytest.approx(right.low),
        )


def test_the_anchor_moves_all_ratings_and_no_difference():
    games = play(PLANTED, 500, 4)
    one = {r.model: r.rating for r in compute_elo(games, "base", draws=10).ratings}
    two = {r.model: r.rating for r in compute_elo(games, "rl", draws=10, anchor_rating=0).ratings}
    assert {model: rating - one["rl"] for model, rating in one.items()} == pytest.approx(two)


def test_who_never_met_the_anchors_company_is_not_rated():
    games = [*play(PLANTED, 200, 3), Game(cluster="x", first="new", second="other", points=0.5)]
    table = compute_elo(games, "base", draws=20)
    assert {one.model for one in table.ratings} == set(PLANTED)
    reasons = {one.model: one.reason for one in table.unrated}
    assert set(reasons) == {"new", "other"}
    assert all("compared with nobody" in reason for reason in reasons.values())


def test_who_always_wins_has_no_upper_end_and_does_not_disturb_the_others():
    games = play(PLANTED, 300, 5)
    best = [Game(cluster=n, first="best", second="sl", points=1.0) for n in range(20)]
    worst = [Game(cluster=n, first="worst", second="sl", points=0.0) for n in range(20)]
    table = compute_elo([*games, *best, *worst], "base", draws=20)
    alone = compute_elo(games, "base", draws=20)
    assert [r.rating for r in table.ratings] == pytest.approx([r.rating for r in alone.ratings])
    reasons = {one.model: one.reason for one in table.unrated}
    assert "no upper end" in reasons["best"] and "no lower end" in reasons["worst"]


def test_two_who_both_lost_to_the_same_cannot_be_told_apart():
    games = [
        Game(cluster=1, first="a", second="c", points=0.0),
        Game(cluster=2, first="b", second="c", points=0.0),
    ]
    reasons = {one.model: one.reason for one in compute_elo(games, "a", draws=5).unrated}
    assert "no chain of wins" in reasons["b"]


def test_few_games_give_an_open_end():
    games = [Game(cluster=n, first="a", second="b", points=float(n > 0)) for n in range(6)]
    found = compute_elo(games, "b", draws=400).ratings[0]
    assert math.isfinite(found.rating) and found.high == math.inf


def test_unreadable_games_count_for_nothing_and_are_told():
    games = play(PLANTED, 200, 6)
    broken = [Game(cluster=n, first="sl", second="rl", points=None) for n in range(9)]
    table = compute_elo(
        [*games, *broken, Game(cluster=0, first="q", second="rl", points=None)], "sl"
    )
    assert (table.games, table.unparsed) == (200, 10)
    assert table.unrated[0].reason == "no readable comparison"
    assert {r.model: r.rating for r in table.ratings} == pytest.approx(
        {r.model: r.rating for r in compute_elo(games, "sl").ratings}
    )


@pytest.mark.parametrize(
    ("game", "told"),
    [
        (Game(cluster=0, first="a", second="a", points=1.0), "compared with itself"),
        (Game(cluster=0, first="a", second="b", points=2.0), "not in"),
        (Game(cluster=0, first="b", second="c", points=1.0), "anchor"),
    ],
)
def test_what_cannot_be(game, told):
    with pytest.raises(ValueError, match=told):
        compute_elo([game], "a")
