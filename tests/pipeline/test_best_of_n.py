"""Best of n: the same winner in whatever order the samples come, and nothing guessed."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from cai_core.pipeline.best_of_n import (
    Judged,
    choose_best,
    form_matches,
    list_candidates,
    read_label,
)
from cai_core.pipeline.human_labels import HumanLabel
from cai_core.pipeline.label_building import build_given_label
from cai_core.records import Message, Prompt, Verdict

PROMPT = Prompt(prompt_id="p#1", conversation=(Message("user", "How?"),))
# Worth of each sample: a judge that prefers the worthier one is consistent.
worths = st.lists(st.integers(0, 4), min_size=1, max_size=6)


def judge(worth: dict[int, float], a: int, b: int) -> float:
    """A consistent judge's probability; mirrored by swapping, to the last bit as labels are."""
    larger = 0.5 + abs(worth[a] - worth[b]) / 10
    return larger if worth[a] > worth[b] else 1.0 - larger


def play(worth: list[int]) -> tuple[list[Judged], dict[int, int | None]]:
    texts = {n: f"text {n}" for n in range(len(worth))}
    by_number = dict(enumerate(map(float, worth)))
    judged = [
        Judged(first=a, second=b, prob_first=judge(by_number, a, b))
        for a, b in combinations(range(len(worth)), 2)
    ]
    return judged, list_candidates(texts)


@given(worths, st.randoms())
def test_the_worth_of_the_winner_does_not_depend_on_the_samples_order(
    worth: list[int], rng: object
) -> None:
    judged, candidates = play(worth)
    best = choose_best(candidates, judged)
    assert best.winner is not None
    # Of the worthiest the earliest.
    assert best.winner == worth.index(max(worth))
    shuffled = list(worth)
    rng.shuffle(shuffled)
    again = choose_best(*reversed(play(shuffled)))
    assert again.winner is not None
    assert shuffled[again.winner] == worth[best.winner]
    assert sorted(s.score or 0 for s in again.standings) == sorted(
        s.score or 0 for s in best.standings
    )


@given(worths, st.randoms())
def test_the_order_of_the_matches_changes_nothing(worth: list[int], rng: object) -> None:
    judged, candidates = play(worth)
    mixed = list(judged)
    rng.shuffle(mixed)
    assert choose_best(candidates, mixed) == choose_best(candidates, judged)


def test_one_sample_asks_no_one_and_wins() -> None:
    assert form_matches(PROMPT, {0: "only"}, 1, "run") == []
    best = choose_best(list_candidates({0: "only"}), [])
    assert (best.winner, best.unparsed, best.standings[0].score) == (0, 0, None)


def test_samples_of_the_same_words_are_one_candidate_and_ask_no_one() -> None:
    texts = {0: "same  words", 1: "other", 2: "same words\n", 3: "other"}
    assert list_candidates(texts) == {0: None, 1: None, 2: 0, 3: 1}
    (match,) = form_matches(PROMPT, texts, 4, "run")
    assert (match.first, match.second, match.place) == (0, 1, 0)
    best = choose_best(list_candidates(texts), [Judged(first=0, second=1, prob_first=0.2)])
    assert best.winner == 1
    assert [s.score for s in best.standings] == [0.2, 0.8, 0.2, 0.8]
    assert form_matches(PROMPT, {0: "a", 1: "a"}, 2, "run") == []


def test_a_tie_keeps_the_earlier() -> None:
    candidates = list_candidates({0: "a", 1: "b", 2: "c"})
    even = [Judged(first=a, second=b, prob_first=0.5) for a, b in combinations(range(3), 2)]
    assert choose_best(candidates, even).winner == 0


def test_what_cannot_be_read_is_counted_and_never_a_tie() -> None:
    candidates = list_candidates({0: "a", 1: "b", 2: "c"})
    nothing = [Judged(first=a, second=b, prob_first=None) for a, b in combinations(range(3), 2)]
    best = choose_best(candidates, nothing)
    assert (best.winner, best.unparsed) == (None, 3)
    assert [s.score for s in best.standings] == [None] * 3
    # Sample 2 met nobody whose comparison could be read: it cannot win, whatever it is.
    some = [Judged(first=0, second=1, prob_first=0.3), *nothing[1:]]
    best = choose_best(candidates, some)
    assert (best.winner, best.unparsed) == (1, 2)
    assert [(s.score, s.matches) for s in best.standings] == [(0.3, 1), (0.7, 1), (None, 0)]


def test_no_sample_has_no_winner() -> None:
    assert choose_best({}, []).winner is None


def test_a_label_is_read_as_a_probability_a_half_or_nothing() -> None:
    (match,) = form_matches(PROMPT, {0: "a", 1: "b"}, 2, "run")
    certain = build_given_label(
        match.comparison, HumanLabel(comparison_id="c", verdict=Verdict.A, reviewer="r")
    )
    leaning = replace(certain, prob_a=0.55, verdict=Verdict.TIE)
    unread = replace(certain, prob_a=0.9, verdict=Verdict.UNPARSED)
    told = [read_label(match, label).prob_first for label in (certain, leaning, unread)]
    assert told == [1.0, 0.5, None]


@given(st.integers(1, 8), st.integers(0, 255))
def test_a_matchs_place_does_not_depend_on_which_texts_differ(n: int, mask: int) -> None:
    every = {m.first * 16 + m.second: m.place for m in _matches(n, 0)}
    some = {m.first * 16 + m.second: m.place for m in _matches(n, mask)}
    assert some.items() <= every.items()


def _matches(n: int, mask: int) -> list:
    texts = {k: "same" if mask >> k & 1 else f"text {k}" for k in range(n)}
    return form_matches(PROMPT, texts, n, "run")
