"""Models in pairs: win rates that mirror, ratings that recover planted strengths."""

from __future__ import annotations

import random

import pytest

from cai_core.evaluation.elo import compute_expected
from cai_core.evaluation.pairwise import Match, compute_pairwise, harden
from cai_core.evaluation.win_rate import JudgedResponses

RUNS = ("base", "sl", "rl")
STRENGTHS = {"base": 1000.0, "sl": 1120.0, "rl": 1260.0}


def make_match(first, second, number, shown_first, shown_second, comparison="c"):
    judged = JudgedResponses(cluster=number, shown_first=shown_first, shown_second=shown_second)
    return Match(
        first=first,
        second=second,
        prompt_id=f"p{number}",
        sample=0,
        judged=judged,
        comparison=comparison,
    )


def play(prompts, seed):
    rng = random.Random(seed)
    found = []
    for first, second in (("sl", "base"), ("rl", "base"), ("rl", "sl")):
        expected = compute_expected(STRENGTHS[first], STRENGTHS[second])
        for number in range(prompts):
            won = float(rng.random() < expected)
            found.append(make_match(first, second, number, won, won))
    return found


def test_ratings_recover_planted_strengths_whoever_is_the_anchor():
    found = compute_pairwise(play(900, 3), RUNS, "base").elo
    for one in found.ratings:
        assert one.low <= STRENGTHS[one.model] <= one.high or one.model == "base"
        assert one.rating == pytest.approx(STRENGTHS[one.model], abs=35)
    moved = compute_pairwise(play(900, 3), RUNS, "rl").elo
    gaps = [{one.model: one.rating for one in table.ratings} for table in (found, moved)]
    assert gaps[0]["rl"] - gaps[0]["sl"] == pytest.approx(gaps[1]["rl"] - gaps[1]["sl"])


def test_swapping_the_sides_of_a_match_changes_nothing():
    matches = [make_match("sl", "base", n, 1.0, 0.5 if n % 2 else 1.0) for n in range(12)]
    matches.append(make_match("sl", "base", 12, None, 1.0))
    straight = compute_pairwise(matches, RUNS, "base")
    turned = compute_pairwise([one.swapped() for one in matches], RUNS, "base")
    assert straight.pairs == turned.pairs and straight.elo == turned.elo
    rate = straight.pairs["sl", "base"]
    assert (rate.n, rate.unparsed, rate.position_bias) == (12, 1, 0.25)
    assert matches[1].swapped().swapped() == matches[1]


def test_the_same_words_are_ties_and_counted():
    matches = [make_match("sl", "base", n, 0.5, 0.5, comparison=None) for n in range(4)]
    found = compute_pairwise(matches, RUNS, "base")
    assert found.identical == 4 and found.pairs["sl", "base"].ties == 4
    assert found.order == ("base", "sl")


def test_a_probability_within_the_margin_is_a_tie():
    assert [harden(prob, 0.1) for prob in (None, 0.55, 0.61, 0.39, 0.5)] == [
        None,
        0.5,
        1.0,
        0.0,
        0.5,
    ]
    assert harden(0.5, 0.0) == 0.5
