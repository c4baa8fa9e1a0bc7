"""Versions of constitutions: found, ordered, named, and checked against their hash."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from cai_core.constitution import (
    dump_constitution,
    find_constitution,
    list_constitutions,
)
from cai_core.constitution.model import with_hash
from cai_core.errors import ConstitutionError, WorkspaceError
from cai_core.records import LOCAL_ACTOR, Constitution
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.versions import (
    RESTORE,
    SAVE,
    find_head,
    get_version_path,
    list_names,
    list_versions,
    load_version,
    resolve_constitution,
    write_version,
)
from tests.constitution.strategies import constitutions

ROOT = Path(__file__).resolve().parents[2]


def edit(constitution: Constitution, description: str) -> Constitution:
    return with_hash(replace(constitution, description=description))


def save(
    workspace: Path, constitution: Constitution, parent: str | None, action: str = SAVE
) -> None:
    write_version(workspace, constitution)
    fields = {
        "name": constitution.name,
        "version": constitution.hash,
        "parent": parent,
        "note": f"note of {constitution.description}",
        "principles": len(constitution.principles),
    }
    append_event(workspace, Topic.CONSTITUTIONS, LOCAL_ACTOR, action, fields)


@pytest.fixture
def shipped() -> Constitution:
    return find_constitution("healthcare")


def test_shipped_constitutions_are_the_oldest_version_of_their_name(tmp_path: Path) -> None:
    names = list_names(tmp_path)
    assert [info.name for info in names] == sorted(s.name for s in list_constitutions())
    for info in names:
        assert info.head is not None
        assert (info.head.shipped, info.head.number, info.versions, info.error) == (
            True,
            0,
            1,
            None,
        )
        assert info.head.principles == len(find_constitution(info.name).principles)
        assert load_version(tmp_path, info.name, info.head.hash) == find_constitution(info.name)


def test_the_head_is_the_last_event_and_going_back_is_one_more_version(
    tmp_path: Path, shipped: Constitution
) -> None:
    first, second = edit(shipped, "first"), edit(shipped, "second")
    save(tmp_path, first, shipped.hash)
    save(tmp_path, second, first.hash)
    save(tmp_path, first, second.hash, RESTORE)
    versions = list_versions(tmp_path, "healthcare")
    assert [(v.number, v.hash, v.restored, v.shipped) for v in versions] == [
        (3, first.hash, True, False),
        (2, second.hash, False, False),
        (1, first.hash, False, False),
        (0, shipped.hash, False, True),
    ]
    assert [v.parent for v in versions] == [second.hash, first.hash, shipped.hash, None]
    assert versions[1].note == "note of second"
    assert (versions[1].actor, versions[1].at[:2]) == ("local", "20")
    assert find_head(tmp_path, "healthcare") == versions[0]
    (info,) = [info for info in list_names(tmp_path) if info.name == "healthcare"]
    assert (info.head, info.versions) == (versions[0], 4)


def test_a_file_without_its_event_is_no_version(tmp_path: Path, shipped: Constitution) -> None:
    write_version(tmp_path, edit(shipped, "killed before the journal"))
    assert [v.number for v in list_versions(tmp_path, "healthcare")] == [0]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "../../etc", "version": "a" * 64, "note": ""},
        {"name": "healthcare", "version": "../x", "note": ""},
        {"name": "healthcare", "version": "a" * 64},
        {"name": 5, "version": None, "note": []},
    ],
)
def test_an_event_that_is_no_save_is_passed_over(tmp_path: Path, fields: dict[str, object]) -> None:
    append_event(tmp_path, Topic.CONSTITUTIONS, LOCAL_ACTOR, SAVE, fields)
    append_event(tmp_path, Topic.CONSTITUTIONS, LOCAL_ACTOR, "something else", {})
    assert [v.number for v in list_versions(tmp_path, "healthcare")] == [0]
    assert len(list_names(tmp_path)) == len(list_constitutions())


def test_a_missing_or_changed_file_is_said_and_the_list_stays(
    tmp_path: Path, shipped: Constitution
) -> None:
    changed = edit(shipped, "first")
    save(tmp_path, changed, shipped.hash)
    path = get_version_path(tmp_path, "healthcare", changed.hash)
    path.write_text(dump_constitution(edit(shipped, "by hand")))
    with pytest.raises(ConstitutionError, match="was changed after it was saved"):
        load_version(tmp_path, "healthcare", changed.hash)
    path.unlink()
    with pytest.raises(ConstitutionError, match="is missing"):
        load_version(tmp_path, "healthcare", changed.hash)
    (info,) = [info for info in list_names(tmp_path) if info.name == "healthcare"]
    assert info.error is not None and "is missing" in info.error
    assert info.versions == 2
    write_version(tmp_path, changed)
    assert load_version(tmp_path, "healthcare", changed.hash) == changed


def test_a_broken_shipped_file_is_listed_with_its_error(tmp_path: Path) -> None:
    folder = tmp_path / "shipped"
    folder.mkdir()
    shutil.copy(ROOT / "constitutions" / "healthcare.yaml", folder)
    (folder / "broken.yaml").write_text("format: 1\nname: [\n")
    broken, healthy = list_names(tmp_path, folder)
    assert (broken.name, broken.head, broken.versions) == ("broken", None, 0)
    assert broken.error is not None and "broken.yaml:" in broken.error
    assert healthy.error is None
    assert list_names(tmp_path, tmp_path / "none") == []


def test_a_file_is_never_written_twice(tmp_path: Path, shipped: Constitution) -> None:
    write_version(tmp_path, shipped)
    path = get_version_path(tmp_path, shipped.name, shipped.hash)
    before = path.stat().st_mtime_ns
    write_version(tmp_path, shipped)
    assert path.stat().st_mtime_ns == before
    path.write_text(dump_constitution(edit(shipped, "by hand")))
    with pytest.raises(ConstitutionError, match="was changed"):
        write_version(tmp_path, shipped)


@pytest.mark.parametrize(
    ("name", "version"),
    [("..", "a" * 64), ("a/b", "a" * 64), ("", "a" * 64), ("x", "../../y"), ("x", "A" * 64)],
)
def test_no_name_and_no_hash_leads_out_of_the_folder(
    tmp_path: Path, name: str, version: str
) -> None:
    with pytest.raises(ConstitutionError, match="Choose a version from the list"):
        load_version(tmp_path, name, version)


def test_a_reference_is_a_name_a_version_or_a_path(tmp_path: Path, shipped: Constitution) -> None:
    assert resolve_constitution(tmp_path, "healthcare") == shipped
    first = edit(shipped, "first")
    save(tmp_path, first, shipped.hash)
    own = with_hash(replace(first, name="own.yaml"))
    save(tmp_path, own, None)
    assert resolve_constitution(tmp_path, "healthcare") == first
    assert resolve_constitution(tmp_path, f"healthcare@{first.hash[:6]}") == first
    assert resolve_constitution(tmp_path, f"healthcare@{shipped.hash}") == shipped
    assert resolve_constitution(tmp_path, "own.yaml") == own
    path = tmp_path / "elsewhere.yaml"
    path.write_text(dump_constitution(first))
    assert resolve_constitution(tmp_path, str(path)) == first
    assert resolve_constitution(tmp_path, str(ROOT / "constitutions/healthcare.yaml")) == shipped


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("healthcare@12345", "neither the beginning of a hash"),
        ("healthcare@../../x", "Check the path"),
        ("healthcare@zzzzzz", "nor one of its labels. Its labels: none"),
        ("healthcare@000000", "no such version. There is: "),
        ("nobody@000000", "There is: none"),
        ("nobody", "no constitution named 'nobody'"),
        ("nobody", "The workspace holds: mine"),
        ("/no/such.yaml", "cannot be read"),
    ],
)
def test_a_reference_to_nothing_says_what_there_is(
    tmp_path: Path, shipped: Constitution, ref: str, message: str
) -> None:
    save(tmp_path, with_hash(replace(shipped, name="mine")), None)
    with pytest.raises(ConstitutionError, match=message):
        resolve_constitution(tmp_path, ref)


def test_the_shipped_text_that_was_built_on_outlives_its_release(
    tmp_path: Path, shipped: Constitution
) -> None:
    write_version(tmp_path, shipped)
    save(tmp_path, edit(shipped, "mine"), shipped.hash)
    nothing = tmp_path / "none"
    (version,) = list_versions(tmp_path, "healthcare", nothing)
    assert version.number == 1
    ref = f"healthcare@{shipped.hash[:8]}"
    assert resolve_constitution(tmp_path, ref, nothing) == shipped


def test_a_full_disk_is_said(tmp_path: Path, shipped: Constitution) -> None:
    (tmp_path / "constitutions").write_text("a file where the folder would be")
    with pytest.raises(WorkspaceError, match="Nothing was saved"):
        write_version(tmp_path, shipped)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(constitution=constitutions)
def test_what_is_written_is_read_back(tmp_path: Path, constitution: Constitution) -> None:
    save(tmp_path, constitution, None)
    head = find_head(tmp_path, constitution.name)
    assert head is not None and head.hash == constitution.hash
    assert load_version(tmp_path, constitution.name, head.hash) == constitution
    ref = f"{constitution.name}@{head.hash[:16]}"
    assert resolve_constitution(tmp_path, ref) == constitution
