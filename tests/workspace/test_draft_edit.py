"""Changes of a draft as a whole: nothing is lost, keys stay, ids stay apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.constitution import dump_constitution, find_constitution, parse_constitution
from cai_core.records import Constitution
from cai_core.workspace.draft_edit import (
    copy_principle,
    delete_principle,
    insert_after,
    merge_principles,
    move_principle,
    split_principle,
    split_sentences,
    take_text,
)
from cai_core.workspace.drafts import Draft, DraftPrinciple, as_constitution, build_draft
from tests.constitution.strategies import constitutions

SHIPPED = find_constitution("healthcare")
sentences = st.lists(st.from_regex(r"[A-Z][a-z]{1,6}( [a-z]{1,6}){0,3}[.!?]", fullmatch=True))


def make(**texts: str) -> Draft:
    one = DraftPrinciple(key="00000001", id="one", **texts)
    two = DraftPrinciple(key="00000002", id="two", text="Another.")
    return Draft(draft_id="0" * 12, name="x", base_hash=None, principles=(one, two))


@given(constitution=constitutions, place=st.integers(0, 20), step=st.integers(-30, 30))
def test_moving_there_and_back_changes_nothing(
    constitution: Constitution, place: int, step: int
) -> None:
    draft = build_draft(constitution, base_hash=None)
    key = draft.principles[place % len(draft.principles)].key
    moved = move_principle(draft, key, step)
    assert sorted(p.key for p in moved.principles) == sorted(p.key for p in draft.principles)
    was, now = ([p.key for p in d.principles].index(key) for d in (draft, moved))
    assert move_principle(moved, key, was - now) == draft


@given(parts=sentences)
def test_split_texts_joined_are_the_text_again(parts: list[str]) -> None:
    text = " ".join(parts)
    assert split_sentences(text) == parts
    draft = make(text=text)
    for at in range(-1, len(parts) + 2):
        split = split_principle(draft, "00000001", at)
        if not 0 < at < len(parts):
            assert split == draft
            continue
        first, second, other = split.principles
        assert f"{first.text} {second.text}" == text and other == draft.principles[1]
        assert (first.key, second.id) == ("00000001", "one-2")
        merged = merge_principles(split, first.key, second.key)
        if len(set(parts)) == len(parts):
            assert merged == draft


def test_what_both_have_stands_once_after_merging() -> None:
    draft = make(text="Be kind. Be brief.", critique_request="Find harm.")
    two = replace(
        draft.principles[1], text="Be brief. Be right.", critique_request="Find harm.", tags=("t",)
    )
    draft = replace(draft, principles=(draft.principles[0], two))
    (merged,) = merge_principles(draft, "00000001", "00000002").principles
    assert (merged.text, merged.critique_request) == ("Be kind. Be brief. Be right.", "Find harm.")
    assert (merged.id, merged.key, merged.tags) == ("one", "00000001", ("t",))
    assert merge_principles(draft, "00000001", "00000001") == draft
    assert merge_principles(draft, "00000001", "ffffffff") == draft


def test_copies_never_take_an_id_that_is_there() -> None:
    draft = make()
    for _ in range(4):
        draft = insert_after(draft, "00000001", copy_principle(draft, draft.principles[0]))
    long = replace(draft.principles[0], key="00000009", id="x" * 64)
    draft = insert_after(draft, "nowhere", long)
    for _ in range(3):
        draft = insert_after(draft, "nowhere", copy_principle(draft, long))
    ids = [p.id for p in draft.principles]
    assert len(set(ids)) == len(ids) == 10 and max(map(len, ids)) <= 64
    assert delete_principle(draft, "00000001").principles == draft.principles[1:]


@given(constitution=constitutions)
def test_the_text_of_a_draft_taken_back_is_the_draft(constitution: Constitution) -> None:
    draft = build_draft(constitution, base_hash="a" * 64)
    text = parse_constitution(dump_constitution(as_constitution(draft)), "x")
    assert take_text(draft, text) == draft


@pytest.mark.parametrize("base", [None, "a" * 64])
def test_a_text_keeps_the_keys_of_what_it_keeps(base: str | None) -> None:
    draft = build_draft(SHIPPED, base_hash=base)
    first, second, third, *rest = SHIPPED.principles
    new = replace(
        SHIPPED, name="other", principles=(third, replace(first, id="renamed"), second, *rest)
    )
    taken = take_text(draft, new)
    keys = [p.key for p in draft.principles]
    assert taken.principles[0].key == keys[2]
    assert [p.key for p in taken.principles[2:]] == [keys[1], *keys[3:]]
    assert len({p.key for p in taken.principles}) == len(keys)
    assert taken.name == ("other" if base is None else "healthcare")
