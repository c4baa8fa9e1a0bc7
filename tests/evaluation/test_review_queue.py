"""Samples, sides and turns of review queues: nobody is asked twice, no place is given twice."""

from __future__ import annotations

import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.evaluation.metrics import Z_95
from cai_core.evaluation.review_queue import (
    build_standing,
    choose_sample_size,
    compute_sample_width,
    count_done,
    draw_sample,
    find_first_shown,
    find_next,
    is_open,
    sort_into_tabs,
)
from cai_core.workspace.review_votes import VoteChoice
from tests.review_makers import make_vote

ITEMS = tuple(f"c{n}" for n in range(12))


@pytest.mark.parametrize(
    ("width", "population", "size"),
    # 385 for ± 5 points is the textbook's, as is 278 of a thousand.
    [(0.1, 10**9, 385), (0.1, 1000, 278), (0.2, 10**9, 97), (0.1, 1, 1), (0.1, 0, 0), (0.9, 5, 3)],
)
def test_a_sample_is_as_large_as_its_interval_asks(
    width: float, population: int, size: int
) -> None:
    assert choose_sample_size(width, population) == size


@given(st.floats(0.01, 0.99), st.integers(1, 10**6))
def test_the_size_keeps_the_width_and_one_less_does_not(width: float, population: int) -> None:
    size = choose_sample_size(width, population)
    assert 1 <= size <= population
    got = compute_sample_width(size, population)
    assert got is not None and got <= width + 1e-6
    less = compute_sample_width(size - 1, population)
    assert less is None or less > width - 1e-6


@pytest.mark.parametrize("width", [0, 1, -0.1, 2, float("nan")])
def test_a_width_out_of_range_is_refused(width: float) -> None:
    with pytest.raises(ValueError, match="more than 0 and less than 1"):
        choose_sample_size(width, 100)


def test_the_interval_of_drawn_samples_covers_the_truth() -> None:
    truth = {one: n % 2 == 0 for n, one in enumerate(f"c{n}" for n in range(1000))}
    size = choose_sample_size(0.1, 1000)
    rates = [fmean(truth[one] for one in draw_sample(list(truth), size, n)) for n in range(300)]
    inside = sum(abs(rate - 0.5) <= 0.05 for rate in rates) / len(rates)
    assert 0.91 < inside <= 1.0  # 95 %, within four standard deviations
    assert pytest.approx(1.96, abs=1e-3) == Z_95


def test_a_draw_repeats_and_has_nothing_twice() -> None:
    drawn = draw_sample(ITEMS, 5, 1)
    assert drawn == draw_sample(ITEMS, 5, 1) != draw_sample(ITEMS, 5, 2)
    assert len(set(drawn)) == 5
    assert sorted(draw_sample(ITEMS, 99, 1)) == sorted(ITEMS)


def test_sides_are_a_coin_that_a_reload_does_not_toss_again() -> None:
    sides = [find_first_shown("q", f"c{n}", "ada") for n in range(400)]
    assert 160 < sides.count("A") < 240  # within four standard deviations of an even coin
    assert sides == [find_first_shown("q", f"c{n}", "ada") for n in range(400)]
    other = [find_first_shown("q", f"c{n}", "bob") for n in range(400)]
    assert 160 < sum(one == two for one, two in zip(sides, other, strict=True)) < 240


@given(st.integers(1, 3), st.integers(1, 5), st.randoms(use_true_random=False), st.integers(1, 80))
def test_no_reviewer_is_asked_twice_and_no_place_given_twice(
    overlap: int, people: int, draw: random.Random, steps: int
) -> None:
    """Reviewers come, vote, skip, discard, vanish with their claims, in any order."""
    votes, held = [], {}
    asked: dict[str, list[str]] = {}
    for _ in range(steps):
        who = f"r{draw.randrange(people)}"
        standing = build_standing(votes, held)
        found = find_next(ITEMS, standing, who, overlap, after=held.get(who, ""))
        if found is None:
            continue
        assert found not in asked.get(who, [])
        others = {name for name, what in held.items() if what == found and name != who}
        voted = {vote.reviewer for vote in votes if vote.comparison == found and vote.verdict}
        assert len(others | voted) < overlap
        match draw.choice(["vote", "vote", "hold", "discard", "crash"]):
            case "vote":
                votes.append(make_vote(found, VoteChoice.A, who))
                asked.setdefault(who, []).append(found)
                held.pop(who, None)
            case "discard":
                votes.append(make_vote(found, VoteChoice.DISCARDED, who))
                asked.setdefault(who, []).append(found)
                held.pop(who, None)
            case "hold":
                held[who] = found
            case _:
                held.pop(who, None)  # its lease has run out
    for one in ITEMS:
        assert len({v.reviewer for v in votes if v.comparison == one and v.verdict}) <= overlap


def test_all_is_judged_in_the_end_although_a_holder_crashed() -> None:
    votes, held = [], {"crashed": "c3"}
    for _ in range(100):
        found = find_next(ITEMS, build_standing(votes, held), "ada", 1)
        if found is None:
            break
        votes.append(make_vote(found, VoteChoice.TIE))
    assert {vote.comparison for vote in votes} == set(ITEMS) - {"c3"}
    assert find_next(ITEMS, build_standing(votes, {}), "ada", 1) == "c3"


def test_next_and_previous_go_round_and_never_name_where_one_is() -> None:
    standing = build_standing([make_vote("c1", VoteChoice.A), make_vote("c2", VoteChoice.B)], {})
    assert find_next(ITEMS, standing, "ada", 1, after="c0") == "c3"
    assert find_next(ITEMS, standing, "ada", 1, after="c3", backwards=True) == "c0"
    assert find_next(ITEMS, standing, "ada", 1, after="c11") == "c0"
    assert find_next(ITEMS, standing, "ada", 1, after="c0", backwards=True) == "c11"
    assert find_next(("c5",), standing, "ada", 1, after="c5") is None


def test_a_discard_takes_no_place() -> None:
    standing = build_standing([make_vote("c0", VoteChoice.DISCARDED)], {})
    assert not is_open(standing, "c0", "ada", 1)
    assert is_open(standing, "c0", "bob", 1)
    tabs = sort_into_tabs(ITEMS, standing, "ada", 1)
    assert (tabs["discarded"], tabs["submitted"], len(tabs["pending"])) == (["c0"], [], 11)
    assert count_done(ITEMS, standing, 1) == 0


def test_more_votes_than_wanted_count_not() -> None:
    votes = [make_vote("c0", VoteChoice.A, who) for who in ("ada", "bob", "eve")]
    standing = build_standing(votes, {})
    assert count_done(ITEMS, standing, 2) == 2
    assert "c0" not in sort_into_tabs(ITEMS, standing, "zoe", 2)["pending"]
