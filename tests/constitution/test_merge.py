"""Merging: nothing is lost, sides may be swapped, and what one side did alone is simply done."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cai_core.constitution import dump_constitution, find_constitution, parse_constitution
from cai_core.constitution.merge import merge_constitutions
from cai_core.constitution.model import with_hash
from cai_core.constitution.requests import build_principle
from cai_core.records import Constitution, Principle

HARMLESSNESS = find_constitution("harmlessness")
ids = st.sampled_from(["a", "b", "c", "d"])
principles = st.builds(
    Principle,
    id=ids,
    text=st.sampled_from(["one", "two", "three"]),
    critique_request=st.sampled_from(["look", "see"]),
    revision_request=st.just("mend"),
    tags=st.sampled_from([(), ("harm",)]),
    weight=st.sampled_from([1.0, 2.0]),
    enabled=st.booleans(),
)
small = st.builds(
    Constitution,
    name=st.sampled_from(["n", "m"]),
    description=st.sampled_from(["", "about"]),
    principles=st.lists(principles, min_size=1, max_size=4, unique_by=lambda p: p.id).map(tuple),
).map(with_hash)


def fields_of(constitution: Constitution) -> set[Principle]:
    """The principles whatever they are called."""
    return {replace(p, id="x") for p in constitution.principles}


def edit(key: str, **changes: object) -> Constitution:
    return with_hash(
        replace(
            HARMLESSNESS,
            principles=tuple(
                replace(p, **changes) if p.id == key else p  # type: ignore[arg-type]
                for p in HARMLESSNESS.principles
            ),
        )
    )


def without(key: str, constitution: Constitution = HARMLESSNESS) -> Constitution:
    left = tuple(p for p in constitution.principles if p.id != key)
    return with_hash(replace(constitution, principles=left))


@settings(deadline=None)
@given(small, st.sampled_from(["a", "b", "both"]))
def test_with_itself_or_an_unchanged_base_nothing_happens(one: Constitution, keep: str) -> None:
    for base in (None, one):
        merged = merge_constitutions(one, one, base, keep=keep)  # type: ignore[arg-type]
        assert (merged.constitution, merged.conflicts) == (one, ())


@settings(deadline=None)
@given(small, small, st.sampled_from(["a", "b", "both"]))
def test_what_only_one_side_did_is_done(base: Constitution, new: Constitution, keep: str) -> None:
    for a, b in ((base, new), (new, base)):
        merged = merge_constitutions(a, b, base, keep=keep)  # type: ignore[arg-type]
        assert merged.conflicts == ()
        assert merged.constitution == new


@settings(deadline=None)
@given(small, small)
def test_without_a_base_nothing_of_either_side_is_lost(a: Constitution, b: Constitution) -> None:
    merged = merge_constitutions(a, b)
    found = fields_of(merged.constitution)
    assert fields_of(a) <= found
    assert fields_of(b) <= found
    assert {p.id for p in (*a.principles, *b.principles)} <= {
        p.id for p in merged.constitution.principles
    }
    if a.name != b.name:
        assert any(c.field == "name" and c.b == b.name for c in merged.conflicts)


@settings(deadline=None)
@given(small, small, st.one_of(st.none(), small), st.sampled_from(["a", "b", "both"]))
def test_results_are_valid_and_conflicts_are_the_same_from_both_sides(
    a: Constitution, b: Constitution, base: Constitution | None, keep: str
) -> None:
    merged = merge_constitutions(a, b, base, keep=keep)  # type: ignore[arg-type]
    if merged.constitution.principles:
        text = dump_constitution(merged.constitution)
        assert parse_constitution(text, "merged") == merged.constitution
    swapped = {"a": "b", "b": "a", "both": "both"}[keep]
    other = merge_constitutions(b, a, base, keep=swapped)  # type: ignore[arg-type]
    first = {(c.principle_id, c.field, repr(c.a), repr(c.b)) for c in merged.conflicts}
    second = {(c.principle_id, c.field, repr(c.b), repr(c.a)) for c in other.conflicts}
    assert first == second
    assert fields_of(merged.constitution) == fields_of(other.constitution) or keep == "both"


@settings(deadline=None)
@given(small, small, small)
def test_with_a_base_no_change_of_either_side_is_lost(
    a: Constitution, b: Constitution, base: Constitution
) -> None:
    merged = merge_constitutions(a, b, base)
    told = {c.principle_id for c in merged.conflicts}
    before = {p.id: p for p in base.principles}
    after = {p.id: p for p in merged.constitution.principles}
    for side in (a, b):
        for principle in side.principles:
            if principle.id in told or principle == before.get(principle.id):
                continue
            kept = after[principle.id]
            old = before.get(principle.id)
            for name in ("text", "critique_request", "tags", "weight", "enabled"):
                value = getattr(principle, name)
                if old is None or value != getattr(old, name):
                    assert getattr(kept, name) == value


def test_two_people_edit_different_fields_of_a_principle() -> None:
    mine, theirs = edit("privacy", text="Mine."), edit("privacy", weight=3.0)
    merged = merge_constitutions(mine, theirs, HARMLESSNESS)
    assert merged.conflicts == ()
    found = merged.constitution.principle("privacy")
    assert (found.text, found.weight) == ("Mine.", 3.0)


def test_the_same_field_is_a_conflict_and_both_words_stay() -> None:
    mine, theirs = edit("privacy", text="Mine."), edit("privacy", text="Theirs.", weight=3.0)
    merged = merge_constitutions(mine, theirs, HARMLESSNESS)
    (conflict,) = merged.conflicts
    assert (conflict.principle_id, conflict.field, conflict.as_id) == (
        "privacy",
        "text",
        "privacy-2",
    )
    assert (conflict.a, conflict.b, conflict.kept) == ("Mine.", "Theirs.", "both")
    order = [p.id for p in merged.constitution.principles]
    assert order.index("privacy-2") == order.index("privacy") + 1
    assert merged.constitution.principle("privacy-2").text == "Theirs."
    for keep, expected in (("a", "Mine."), ("b", "Theirs.")):
        one = merge_constitutions(mine, theirs, HARMLESSNESS, keep=keep).constitution  # type: ignore[arg-type]
        assert one.principle("privacy").text == expected
        assert len(one.principles) == 16


def test_deleted_here_and_changed_there_is_kept_and_told() -> None:
    changed = edit("privacy", text="Changed.")
    merged = merge_constitutions(without("privacy"), changed, HARMLESSNESS)
    (conflict,) = merged.conflicts
    assert (conflict.a, conflict.field, conflict.kept) == (None, None, "b")
    assert merged.constitution.principle("privacy").text == "Changed."
    gone = merge_constitutions(without("privacy"), changed, HARMLESSNESS, keep="a")
    assert gone.constitution == without("privacy")


def test_new_principles_stand_where_their_side_put_them() -> None:
    new = build_principle("new", "Something new.")
    place = 5
    with_new = with_hash(
        replace(
            HARMLESSNESS,
            principles=(*HARMLESSNESS.principles[:place], new, *HARMLESSNESS.principles[place:]),
        )
    )
    merged = merge_constitutions(edit("no-harm", weight=2.0), with_new, HARMLESSNESS)
    assert [p.id for p in merged.constitution.principles] == [p.id for p in with_new.principles]
    moved = with_hash(replace(HARMLESSNESS, principles=HARMLESSNESS.principles[::-1]))
    merged = merge_constitutions(moved, with_new, HARMLESSNESS)
    order = [p.id for p in merged.constitution.principles]
    assert [key for key in order if key != "new"] == [p.id for p in moved.principles]
    assert order[order.index("new") - 1] == HARMLESSNESS.principles[place - 1].id


@pytest.mark.parametrize("keep", ["a", "b"])
def test_name_and_description_are_merged_too(keep: str) -> None:
    mine = with_hash(replace(HARMLESSNESS, name="mine", description="Mine."))
    theirs = with_hash(replace(HARMLESSNESS, description="Theirs."))
    merged = merge_constitutions(mine, theirs, HARMLESSNESS, keep=keep)  # type: ignore[arg-type]
    assert merged.constitution.name == "mine"
    (conflict,) = merged.conflicts
    assert (conflict.principle_id, conflict.field) == (None, "description")
    assert merged.constitution.description == {"a": "Mine.", "b": "Theirs."}[keep]
