"""Behavioural diffs: paired, changed first, and honest about what could not be read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.evaluation.behaviour_diff import (
    FOUND,
    BehaviourDiff,
    Reading,
    compute_behaviour_diff,
)


def chain(number: int, final: str | None, *, finding: str = "found") -> dict[str, Any]:
    return {
        "prompt_id": f"p{number}",
        "prompt_hash": f"h{number}",
        "kind": "red-team",
        "sample": 0,
        "conversation": [{"role": "user", "content": f"prompt {number}"}],
        "steps": [
            {"kind": "response", "text": "first", "principle_id": None, "finding": None},
            {"kind": "critique", "text": "c", "principle_id": "one", "finding": finding},
            {"kind": "revision", "text": final, "principle_id": "one", "finding": None},
        ],
        "final": final,
    }


def read(prompt: str, response: str) -> Reading | None:
    """An `a` in the response is the behaviour; `?` cannot be read."""
    if "?" in response:
        return None
    return Reading(group=prompt, flags={"has a": "a" in response, "long": len(response) > 3})


def compare(before: list[str | None], after: list[str | None]) -> BehaviourDiff:
    sides = [[chain(n, text) for n, text in enumerate(texts)] for texts in (before, after)]
    return compute_behaviour_diff(*sides, read)


def test_what_changed_comes_first_with_counts_and_intervals() -> None:
    diff = compare(
        ["same", "some words, more", "b", "a", "x y z"],
        ["same", "some words or more", "a", "bbbb", "x  y z"],
    )
    assert [pair.prompt for pair in diff.pairs] == [
        "prompt 3",  # two flips
        "prompt 2",  # one
        "prompt 1",  # words alone
        "prompt 0",
        "prompt 4",  # white space is no change
    ]
    assert [pair.flips for pair in diff.pairs[:3]] == [("has a", "long"), ("has a",), ()]
    assert diff.changed is not None
    assert (diff.changed.n, diff.changed.rate) == (5, pytest.approx(0.6))
    by_name = {change.name: change for change in diff.behaviours}
    assert list(by_name) == ["has a", "long", FOUND]
    change = by_name["has a"]
    assert (change.before.rate, change.after.rate) == (pytest.approx(0.4), pytest.approx(0.4))
    assert (change.gained, change.lost) == (1, 1)
    assert change.difference.low <= change.difference.difference <= change.difference.high
    assert by_name[FOUND].difference.difference == 0


def test_errors_partners_and_unread_texts_are_counted_not_guessed() -> None:
    before = [chain(0, None), chain(1, "a"), chain(2, "?"), chain(3, "a")]
    after = [chain(0, "a"), chain(1, "b"), chain(2, "a"), chain(4, "a")]
    diff = compute_behaviour_diff(before, after, read)
    assert len(diff.pairs) == 2 and diff.unpaired == 3 and diff.unread == 1
    by_name = {change.name: change for change in diff.behaviours}
    assert by_name["has a"].difference.n == 1 and by_name[FOUND].difference.n == 2
    unread = next(pair for pair in diff.pairs if pair.prompt == "prompt 2")
    assert (unread.flips, unread.group, unread.before.flags) == ((), "prompt 2", {})


def test_nothing_in_common_is_no_rate() -> None:
    diff = compute_behaviour_diff([chain(0, "a")], [chain(1, "a")], read)
    assert (diff.pairs, diff.changed, diff.behaviours, diff.unpaired) == ((), None, (), 2)


texts = st.lists(st.text("ab ", min_size=1, max_size=6), min_size=1, max_size=12)


@given(
    pairs=st.lists(st.tuples(st.text("ab ", max_size=6), st.text("ab ", max_size=6)), min_size=1)
)
def test_swapping_the_sides_turns_the_signs(pairs: list[tuple[str, str]]) -> None:
    forth = compare([a for a, _ in pairs], [b for _, b in pairs])
    back = compare([b for _, b in pairs], [a for a, _ in pairs])
    for one, other in zip(forth.behaviours, back.behaviours, strict=True):
        assert one.difference.difference == pytest.approx(-other.difference.difference)
        assert (one.gained, one.lost) == (other.lost, other.gained)
        rate = one.after.rate - one.before.rate
        assert one.difference.difference == pytest.approx(rate)
        assert one.difference.n == len(pairs)


@given(texts=texts)
def test_a_text_against_itself_changes_nothing(texts: list[str]) -> None:
    diff = compare(list(texts), list(texts))
    assert diff.changed is not None and diff.changed.rate == 0
    assert not any(pair.changed or pair.flips for pair in diff.pairs)
    assert all(change.difference.difference == 0 for change in diff.behaviours)
