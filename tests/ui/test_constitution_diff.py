"""What changed between two constitutions: nothing missed, nothing invented, nothing but text."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cai_core.records import Constitution, Principle
from tests.constitution.strategies import constitutions, principles
from tests.hostile import HOSTILE
from ui.constitution_diff import build_changes, compare_principles

# The tags that the cards are made of.
_OURS = re.compile(r'</?(div|span|ins|del)( (class|role|aria-\w+)="[^"<>]*")*>')
lists = st.lists(principles, max_size=6, unique_by=lambda p: p.id)


def make(name: str, text: str = "") -> Principle:
    return Principle(
        id=name, text=text or f"t-{name}", critique_request=f"c-{name}", revision_request="r"
    )


def describe(before: str, after: str) -> list[tuple[object, object, object]]:
    changes = compare_principles([make(n) for n in before], [make(n) for n in after])
    return [
        (c.before.id if c.before else None, c.after.id if c.after else None, c.moved)
        for c in changes
    ]


@given(constitution=constitutions)
def test_nothing_changes_against_itself(constitution: Constitution) -> None:
    assert build_changes(constitution, constitution) == []


@given(before=lists, after=lists)
def test_every_principle_is_accounted_for(before: list[Principle], after: list[Principle]) -> None:
    changes = compare_principles(before, after)
    added = [c.after for c in changes if c.before is None]
    removed = [c.before for c in changes if c.after is None]
    assert len(before) - len(removed) == len(after) - len(added)
    touched = [c.after for c in changes if c.after is not None]
    assert [p for p in after if p in touched] == touched  # in the new order
    for old in before:
        if old not in after:
            assert any(c.before == old for c in changes) or any(
                old.text.split() == new.text.split() for new in after
            )


@given(before=lists, after=lists)
def test_the_other_way_round_swaps_added_and_removed(
    before: list[Principle], after: list[Principle]
) -> None:
    there, back = compare_principles(before, after), compare_principles(after, before)
    by_id = {p.id for p in before} & {p.id for p in after}
    if len(by_id) == min(len(before), len(after)):  # no match by words is left to chance
        assert sum(c.before is None for c in there) == sum(c.after is None for c in back)


def test_moves_additions_and_removals_are_told_apart() -> None:
    assert describe("abcd", "bcda") == [("a", "a", (1, 4))]
    assert describe("abcd", "dabc") == [("d", "d", (4, 1))]
    assert describe("abc", "xabc") == [(None, "x", None)]
    assert describe("abc", "bc") == [("a", None, None)]
    assert describe("", "a") == [(None, "a", None)]


def test_a_renamed_principle_is_changed_not_removed_and_added() -> None:
    (change,) = compare_principles([make("old", "same text")], [make("new", "same text")])
    assert change.before is not None and change.after is not None
    assert change.fields == ["id", "critique_request"]


def test_only_changed_fields_are_shown_and_white_space_is_no_change() -> None:
    before = Constitution(name="x", description="d", principles=(make("a"), make("b")))
    first = replace(before.principles[0], text=" t-a\n", tags=("new",))
    after = replace(before, principles=(first, before.principles[1]))
    (card,) = build_changes(before, after)
    assert re.findall(r'cai-field">(.*?)<', card) == ["Tags"]
    assert "<ins>new</ins>" in card


def test_hostile_text_is_escaped() -> None:
    empty = Constitution(name="", description="", principles=())
    for text in HOSTILE:
        hostile = Constitution(
            name=text,
            description=text,
            principles=(
                Principle(
                    id=text,
                    text=text,
                    critique_request=text,
                    revision_request=text,
                    comparison_request=text,
                    tags=(text,),
                ),
            ),
        )
        for cards in (build_changes(empty, hostile), build_changes(hostile, empty)):
            rest = _OURS.sub("", "".join(cards))
            assert "<" not in rest and ">" not in rest
