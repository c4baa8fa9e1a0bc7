"""Drafts: whatever was typed comes back, damage is counted, and problems name their field."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cai_core.constitution import dump_constitution, find_constitution
from cai_core.errors import ConstitutionError, WorkspaceError
from cai_core.records import Constitution
from cai_core.workspace import draft_check
from cai_core.workspace.draft_check import build_constitution, check_draft, dump_by_parts
from cai_core.workspace.drafts import (
    Draft,
    DraftPrinciple,
    as_constitution,
    build_draft,
    build_draft_principle,
    get_draft_path,
    list_drafts,
    load_draft,
    write_draft,
)
from tests.constitution.strategies import constitutions

anything = st.text(st.characters(exclude_categories=[]), max_size=30)
draft_principles = st.builds(
    DraftPrinciple,
    key=st.integers(0, 16**8 - 1).map(lambda n: f"{n:08x}"),
    id=anything,
    text=anything,
    critique_request=anything,
    revision_request=anything,
    comparison_request=anything,
    tags=st.lists(anything, max_size=3).map(tuple),
    weight=st.floats(0, 100),
    enabled=st.booleans(),
)
drafts = st.builds(
    Draft,
    draft_id=st.integers(0, 16**12 - 1).map(lambda n: f"{n:012x}"),
    name=anything,
    base_hash=st.one_of(st.none(), st.just("a" * 64)),
    description=anything,
    principles=st.lists(draft_principles, max_size=4, unique_by=lambda p: p.key).map(tuple),
    note=anything,
    actor=anything,
    updated_at=anything,
    authors=st.lists(anything, max_size=3).map(tuple),
    forked_from=st.one_of(st.none(), anything),
    provenance=st.dictionaries(anything, st.just({"source": "a", "votes": {"agree": 1}})),
)
sparse = st.sampled_from(
    ["", " ", "a", "a b", "no-harm", "line\nline", "\x00", "- &x: *y", "é" * 70]
)
faulty_drafts = st.builds(
    Draft,
    draft_id=st.just("0" * 12),
    name=sparse,
    base_hash=st.none(),
    principles=st.lists(
        st.builds(
            DraftPrinciple,
            key=st.integers(0, 99).map(lambda n: f"{n:08x}"),
            id=sparse,
            text=sparse,
            critique_request=sparse,
            revision_request=sparse,
            tags=st.lists(sparse, max_size=2).map(tuple),
            weight=st.sampled_from([1.0, 2.5, 0.0, -1.0, 1e9]),
            enabled=st.booleans(),
        ),
        max_size=3,
        unique_by=lambda p: p.key,
    ).map(tuple),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draft=drafts)
def test_whatever_was_typed_comes_back(tmp_path: Path, draft: Draft) -> None:
    write_draft(tmp_path, draft)
    assert load_draft(tmp_path, draft.draft_id) == draft
    get_draft_path(tmp_path, draft.draft_id).unlink()


@given(constitution=constitutions)
def test_a_draft_of_a_constitution_builds_the_same_again(constitution: Constitution) -> None:
    draft = build_draft(constitution, base_hash=constitution.hash)
    assert check_draft(draft) == ()
    assert build_constitution(draft) == constitution
    assert len({p.key for p in draft.principles}) == len(draft.principles)


@given(draft=faulty_drafts)
def test_every_problem_names_a_field_that_is_there(draft: Draft) -> None:
    keys = {p.key for p in draft.principles}
    for problem in check_draft(draft):
        assert problem.key is None or problem.key in keys
        known = (
            {"name", "description", "principles"}
            if problem.key is None
            else {"id", "text", "critique_request", "revision_request", "tags", "weight"}
        )
        assert problem.field in known
        assert "draft:" not in problem.message and " line " not in problem.message
        assert problem.message[0] == problem.message[0].upper()


@given(draft=faulty_drafts)
def test_a_draft_without_problems_can_be_built_and_another_cannot(draft: Draft) -> None:
    if check_draft(draft):
        with pytest.raises(ConstitutionError):
            build_constitution(draft)
    else:
        assert as_constitution(draft) == replace(build_constitution(draft), hash="")


@given(draft=faulty_drafts)
def test_checked_by_parts_or_whole_the_problems_are_the_same(draft: Draft) -> None:
    text = dump_constitution(as_constitution(draft))
    assert check_draft(draft) == draft_check._check_whole(draft, text)


@given(constitution=constitutions)
def test_written_by_parts_or_whole_the_text_is_the_same(constitution: Constitution) -> None:
    assert dump_by_parts(constitution) == dump_constitution(constitution)


def test_a_draft_written_before_there_were_authors_is_read(tmp_path: Path) -> None:
    draft = build_draft(find_constitution("healthcare"), base_hash=None)
    write_draft(tmp_path, draft)
    path = get_draft_path(tmp_path, draft.draft_id)
    document = json.loads(path.read_text())
    del document["authors"], document["forked_from"], document["provenance"]
    for principle in document["principles"]:
        del principle["weight"], principle["enabled"]
    path.write_text(json.dumps(document))
    assert load_draft(tmp_path, draft.draft_id) == draft


def test_problems_say_which_field_and_the_fix() -> None:
    one = DraftPrinciple(key="00000001", id="no-harm", text="t", critique_request="c")
    two = DraftPrinciple(
        key="00000002", id="no-harm", text="t", critique_request="c", revision_request="r"
    )
    draft = Draft(draft_id="0" * 12, name="", base_hash=None, principles=(one, two))
    assert [(p.key, p.field, p.message) for p in check_draft(draft)] == [
        (None, "name", "The constitution has an empty name. Write one."),
        (
            "00000001",
            "revision_request",
            "Principle 'no-harm' has an empty revision request. Write one.",
        ),
        (
            "00000002",
            "id",
            "Principle 'no-harm' has the same id as principle number 1. Rename one of the two.",
        ),
    ]
    (problem,) = check_draft(Draft(draft_id="0" * 12, name="x", base_hash=None))
    assert (problem.key, problem.field) == (None, "principles")


def test_a_text_beyond_the_limit_is_a_problem_not_a_crash() -> None:
    draft = build_draft(find_constitution("healthcare"), base_hash=None)
    (problem,) = check_draft(replace(draft, description="x" * 1_100_000))
    assert "a constitution may have" in problem.message


def test_copies_of_principles_have_keys_of_their_own() -> None:
    draft = build_draft(find_constitution("healthcare"), base_hash=None)
    copy = build_draft_principle(draft.principles[0])
    assert copy.key != draft.principles[0].key
    assert replace(copy, key="") == replace(draft.principles[0], key="")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"format": 2}',
        b'{"format": 1, "draft_id": "000000000000"}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_counted_and_the_others_stay(tmp_path: Path, content: bytes) -> None:
    healthy = build_draft(find_constitution("healthcare"), base_hash=None)
    write_draft(tmp_path, healthy)
    get_draft_path(tmp_path, "0" * 12).write_bytes(content)
    assert list_drafts(tmp_path) == ([healthy], 1)
    with pytest.raises(WorkspaceError, match="Delete the file"):
        load_draft(tmp_path, "0" * 12)


@pytest.mark.parametrize("field", ["key", "tags", "text", "enabled"])
def test_a_damaged_principle_is_counted(tmp_path: Path, field: str) -> None:
    draft = build_draft(find_constitution("healthcare"), base_hash=None)
    write_draft(tmp_path, draft)
    path = get_draft_path(tmp_path, draft.draft_id)
    document = json.loads(path.read_text())
    document["principles"][0][field] = 5
    path.write_text(json.dumps(document))
    assert list_drafts(tmp_path) == ([], 1)


def test_no_id_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    for draft_id in ("../secret", "", "x" * 12, "0" * 13, "<img src=x>", "0" * 11 + "\n"):
        with pytest.raises(WorkspaceError, match="no draft's id"):
            load_draft(tmp_path, draft_id)


def test_the_draft_changed_last_comes_first_and_no_folder_is_no_draft(tmp_path: Path) -> None:
    assert list_drafts(tmp_path) == ([], 0)
    times = ["2026-01-02", "2026-01-03", "2026-01-01"]
    for at in times:
        write_draft(tmp_path, replace(build_draft(None, base_hash=None), updated_at=at))
    assert [d.updated_at for d in list_drafts(tmp_path)[0]] == sorted(times, reverse=True)


def test_a_draft_beyond_the_limit_leaves_the_old_one(tmp_path: Path) -> None:
    draft = build_draft(find_constitution("healthcare"), base_hash=None)
    write_draft(tmp_path, draft)
    with pytest.raises(WorkspaceError, match="Shorten its texts"):
        write_draft(tmp_path, replace(draft, description="x" * 7_000_000))
    assert load_draft(tmp_path, draft.draft_id) == draft
