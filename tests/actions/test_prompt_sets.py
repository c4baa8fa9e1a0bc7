"""Adding prompt sets: immutable files, one event each, nothing left behind by a failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cai_core.actions.prompt_sets import AddedPrompts, add_prompt_set
from cai_core.errors import NotAllowedError, PromptFileError, WorkspaceError
from cai_core.pipeline.prompt_file import load_prompts, prompts_hash
from cai_core.pipeline.prompt_sets import SHIPPED, load_version, resolve_prompts
from cai_core.records import AccessRole, Actor, PromptKind
from cai_core.workspace.events import Topic, append_event, get_journal_path, read_events
from cai_core.workspace.journal import verify_chain
from cai_core.workspace.prompt_sets import (
    ADD,
    get_prompt_set_path,
    load_rejected,
    read_prompt_sets,
)

EDITOR = Actor(name="eve", role=AccessRole.EDITOR)


def add(workspace: Path, lines: list[str], name: str = "own", **options: Any) -> AddedPrompts:
    source = workspace.parent / "source.jsonl"
    source.write_text("\n".join(lines))
    return add_prompt_set(EDITOR, workspace, name, str(source), **options)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "w"


def test_a_set_holds_the_prompts_as_they_were(workspace: Path) -> None:
    source = SHIPPED / "redteam.jsonl"
    added = add_prompt_set(EDITOR, workspace, "mine", str(source))
    prompts = load_prompts(source).prompts
    assert list(load_version(workspace, added.version)) == list(prompts)
    assert added.version.hash == prompts_hash(prompts)
    assert get_prompt_set_path(workspace, "mine", added.version.hash).is_file()
    (event,) = read_events(workspace, Topic.PROMPTS)
    assert (event["actor"], event["action"], event["source"]) == ("eve", ADD, "redteam.jsonl")
    assert verify_chain(get_journal_path(workspace, Topic.PROMPTS)) == []


def test_rejected_lines_are_counted_and_kept(workspace: Path) -> None:
    added = add(workspace, ['{"prompt": "a"}', "broken", '{"prompt": ""}'])
    assert [line.line for line in added.rejected] == [2, 3]
    assert (added.version.prompts, added.version.rejected) == (1, 2)
    kept = load_rejected(workspace, added.version)
    assert kept == [line.as_dict() for line in added.rejected]
    whole = add(workspace, ['{"prompt": "a"}'])
    assert (whole.version.hash, whole.version.number) == (added.version.hash, 2)
    assert load_rejected(workspace, whole.version) == []
    for path in (workspace / "prompts" / "own").glob("*.rejected"):
        path.unlink()
    with pytest.raises(WorkspaceError, match="is gone"):
        load_rejected(workspace, added.version)


def test_the_same_again_adds_nothing(workspace: Path) -> None:
    lines = ['{"prompt": "a"}', "broken"]
    first, again = add(workspace, lines), add(workspace, lines)
    assert (first.fresh, again.fresh, again.version) == (True, False, first.version)
    assert len(read_events(workspace, Topic.PROMPTS)) == 1
    other = add(workspace, ['{"prompt": "b"}'])
    back = add(workspace, lines)
    assert (other.version.number, back.version.number) == (2, 3)
    assert (back.version.hash, back.version.parent) == (first.version.hash, other.version.hash)


def test_a_split_and_a_kind_are_given_at_the_import(workspace: Path) -> None:
    lines = [json.dumps({"prompt": f"p{n}"}) for n in range(200)]
    lines.append('{"prompt": "own", "tags": ["split:test"], "kind": "helpful"}')
    plain = add(workspace, lines).version
    assert plain.splits == {"test": 1}
    version = add(workspace, lines, held_out=0.25, seed=3, kind=PromptKind.RED_TEAM).version
    assert version.kinds == {"red-team": 201}
    assert version.splits["test"] == 1
    assert version.splits["held-out"] + version.splits["train"] == 200
    assert 25 < version.splits["held-out"] < 75
    assert version.hash != plain.hash
    event = read_events(workspace, Topic.PROMPTS)[-1]
    assert (event["held_out"], event["seed"], event["parent"]) == (0.25, 3, plain.hash)


@pytest.mark.parametrize("role", [AccessRole.VIEWER, AccessRole.REVIEWER])
def test_who_may_not_edit_adds_nothing(workspace: Path, role: AccessRole) -> None:
    actor = Actor(name="vera", role=role)
    with pytest.raises(NotAllowedError, match="takes the role editor"):
        add_prompt_set(actor, workspace, "own", str(SHIPPED / "redteam.jsonl"))
    assert not workspace.exists()


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("a/b", {}, "no name of a prompt set"),
        ("own.jsonl", {}, "taken for a file"),
        ("own", {"held_out": 1.0}, "held-out is 1.0"),
        ("own", {"held_out": 0.0}, "held-out is 0.0"),
        ("own", {"column": "goal"}, "holds no prompt; 1 lines were rejected. Line 1: needs one of"),
    ],
)
def test_an_impossible_import_is_refused(
    workspace: Path, name: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(PromptFileError, match=told):
        add(workspace, ['{"prompt": "a"}'], name, **options)
    assert read_prompt_sets(workspace) == {}
    assert [path for path in workspace.rglob("*") if path.is_file()] == []


def test_a_disk_that_refuses_adds_nothing(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cai_core.workspace.prompt_sets.os.fsync", refuse)
    with pytest.raises(WorkspaceError, match="No space left on device"):
        add(workspace, ['{"prompt": "a"}'])
    assert [path for path in workspace.rglob("*") if path.is_file()] == []


def test_foreign_and_damaged_events_are_no_versions(workspace: Path) -> None:
    added = add(workspace, ['{"prompt": "a"}'])
    for fields in (
        {"name": "own", "version": "short", "source": "s"},
        {"name": "../x", "version": added.version.hash, "source": "s"},
        {"name": "own", "version": added.version.hash},
    ):
        append_event(workspace, Topic.PROMPTS, EDITOR, ADD, fields)
    append_event(workspace, Topic.PROMPTS, EDITOR, "something else", {})
    few = {"name": "few", "version": added.version.hash, "source": "s", "kinds": 3, "prompts": "x"}
    append_event(workspace, Topic.PROMPTS, EDITOR, ADD, few)
    found = read_prompt_sets(workspace)
    assert found["own"] == [added.version]
    assert (found["few"][0].kinds, found["few"][0].prompts) == ({}, 0)
    assert [prompt.text for prompt in resolve_prompts(workspace, "own").prompts] == ["a"]
