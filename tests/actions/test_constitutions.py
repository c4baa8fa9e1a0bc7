"""Saving constitutions: one of two wins, nothing is overwritten, a kill leaves a whole state."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from cai_core.actions import constitutions as actions
from cai_core.actions.constitutions import (
    change_draft,
    discard_draft,
    restore_version,
    save_constitution,
    save_draft,
)
from cai_core.constitution import find_constitution
from cai_core.errors import (
    CaiError,
    ConstitutionError,
    NotAllowedError,
    VersionConflictError,
    WorkspaceError,
)
from cai_core.records import AccessRole, Actor, Constitution
from cai_core.workspace import files
from cai_core.workspace.drafts import Draft, build_draft, get_draft_path, list_drafts, load_draft
from cai_core.workspace.events import Topic, get_journal_path, read_events
from cai_core.workspace.journal import verify_chain
from cai_core.workspace.versions import find_head, list_versions, load_version
from tests.constitution.strategies import constitutions

EDITOR = Actor(name="eve", role=AccessRole.EDITOR)
OTHER = Actor(name="otto", role=AccessRole.EDITOR)
SHIPPED = find_constitution("healthcare")
SAVER = """
import sys, time
from pathlib import Path
from cai_core.actions.constitutions import save_constitution
from cai_core.errors import VersionConflictError
from cai_core.records import AccessRole, Actor
from cai_core.workspace.drafts import load_draft

workspace, draft_id, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
draft = load_draft(workspace, draft_id)
print("ready", flush=True)
sys.stdin.readline()
try:
    actor = Actor(name=name, role=AccessRole.EDITOR)
    save_constitution(actor, workspace, draft, note=f"by {name}", onto=draft.base_hash)
    print("won")
except VersionConflictError as error:
    print("conflict", error.head)
"""


def begin(workspace: Path, description: str, base: Constitution = SHIPPED) -> Draft:
    draft = replace(build_draft(base, base_hash=base.hash), description=description)
    return save_draft(EDITOR, workspace, draft)


@pytest.mark.parametrize("role", [AccessRole.VIEWER, AccessRole.REVIEWER])
@pytest.mark.parametrize(
    "act",
    [
        lambda actor, w, d: save_draft(actor, w, d),
        lambda actor, w, d: change_draft(actor, w, d.draft_id, lambda held: held),
        lambda actor, w, d: discard_draft(actor, w, d.draft_id),
        lambda actor, w, d: save_constitution(actor, w, d, note="n", onto=d.base_hash),
        lambda actor, w, d: restore_version(
            actor, w, "healthcare", SHIPPED.hash, note="n", onto=SHIPPED.hash
        ),
    ],
)
def test_who_may_not_edit_changes_nothing(
    tmp_path: Path, role: AccessRole, act: Callable[[Actor, Path, Draft], Any]
) -> None:
    draft = begin(tmp_path, "mine")
    with pytest.raises(NotAllowedError, match=f"vera is a {role}"):
        act(Actor(name="vera", role=role), tmp_path, draft)
    assert load_draft(tmp_path, draft.draft_id) == draft
    assert read_events(tmp_path, Topic.CONSTITUTIONS) == []


def test_a_save_is_a_version_with_its_facts_and_ends_the_draft(tmp_path: Path) -> None:
    draft = begin(tmp_path, "mine")
    saved = save_constitution(EDITOR, tmp_path, draft, note="  why \n", onto=SHIPPED.hash)
    assert (saved.number, saved.note, saved.actor, saved.parent) == (1, "why", "eve", SHIPPED.hash)
    assert saved.principles == len(SHIPPED.principles)
    assert find_head(tmp_path, "healthcare") == saved
    assert load_version(tmp_path, "healthcare", saved.hash).description == "mine"
    assert list_drafts(tmp_path) == ([], 0)
    assert verify_chain(get_journal_path(tmp_path, Topic.CONSTITUTIONS)) == []
    # What was built on is kept, whatever the next release ships.
    assert (tmp_path / "constitutions" / "healthcare" / f"{SHIPPED.hash}.yaml").is_file()


def test_drafts_are_not_journalled(tmp_path: Path) -> None:
    draft = begin(tmp_path, "mine")
    assert (draft.actor, draft.updated_at[:2]) == ("eve", "20")
    discard_draft(EDITOR, tmp_path, draft.draft_id)
    discard_draft(EDITOR, tmp_path, draft.draft_id)
    assert list_drafts(tmp_path) == ([], 0)
    assert not (tmp_path / "journal").exists()


def test_two_tabs_do_not_undo_each_others_fields(tmp_path: Path) -> None:
    draft = begin(tmp_path, "mine")
    change_draft(EDITOR, tmp_path, draft.draft_id, lambda held: replace(held, description="new"))
    changed = change_draft(OTHER, tmp_path, draft.draft_id, lambda held: replace(held, note="n"))
    assert (changed.description, changed.note, changed.actor) == ("new", "n", "otto")
    same = change_draft(EDITOR, tmp_path, draft.draft_id, lambda held: held)
    assert same == changed
    discard_draft(EDITOR, tmp_path, draft.draft_id)
    with pytest.raises(WorkspaceError, match="no such draft"):
        change_draft(EDITOR, tmp_path, draft.draft_id, lambda held: held)
    assert list_drafts(tmp_path) == ([], 0)


@pytest.mark.parametrize(
    ("note", "message"),
    [("", "There is no note"), (" \n ", "There is no note"), ("x" * 2001, "Shorten it to 2000")],
)
def test_a_note_is_required_and_bounded(tmp_path: Path, note: str, message: str) -> None:
    draft = begin(tmp_path, "mine")
    with pytest.raises(CaiError, match=message):
        save_constitution(EDITOR, tmp_path, draft, note=note, onto=SHIPPED.hash)
    with pytest.raises(CaiError, match=message):
        restore_version(EDITOR, tmp_path, "healthcare", "a" * 64, note=note, onto=SHIPPED.hash)
    assert read_events(tmp_path, Topic.CONSTITUTIONS) == []
    assert load_draft(tmp_path, draft.draft_id) == draft
    save_constitution(EDITOR, tmp_path, draft, note="x" * 2000, onto=SHIPPED.hash)


def test_every_problem_is_said_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    draft = begin(tmp_path, "mine")
    first, second, *rest = draft.principles
    broken = replace(
        draft,
        principles=(replace(first, text=""), replace(second, id=first.id, tags=("",)), *rest),
    )
    save_draft(EDITOR, tmp_path, broken)
    with pytest.raises(ConstitutionError) as caught:
        save_constitution(EDITOR, tmp_path, broken, note="n", onto=SHIPPED.hash)
    assert len(str(caught.value).split("\n")) == 3
    assert not (tmp_path / "constitutions").exists()
    assert len(list_drafts(tmp_path)[0]) == 1


@pytest.mark.parametrize("description", [SHIPPED.description, f"  {SHIPPED.description} \n"])
def test_the_same_content_is_no_new_version(tmp_path: Path, description: str) -> None:
    draft = begin(tmp_path, description)
    with pytest.raises(CaiError, match="There is nothing to save"):
        save_constitution(EDITOR, tmp_path, draft, note="n", onto=SHIPPED.hash)
    assert [v.number for v in list_versions(tmp_path, "healthcare")] == [0]
    assert len(list_drafts(tmp_path)[0]) == 1


def test_who_did_not_see_the_newest_version_is_refused_and_may_save_on_top(tmp_path: Path) -> None:
    mine, theirs = begin(tmp_path, "mine"), begin(tmp_path, "theirs")
    head = save_constitution(OTHER, tmp_path, theirs, note="n", onto=SHIPPED.hash)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(VersionConflictError, match="otto saved") as caught:
        save_constitution(EDITOR, tmp_path, mine, note="n", onto=SHIPPED.hash)
    assert caught.value.head == head.hash
    assert sorted(tmp_path.rglob("*")) == before
    assert load_draft(tmp_path, mine.draft_id) == mine
    saved = save_constitution(EDITOR, tmp_path, mine, note="on top", onto=head.hash)
    assert (saved.number, saved.parent) == (2, head.hash)
    assert load_version(tmp_path, "healthcare", head.hash).description == "theirs"


def test_a_new_name_is_saved_once(tmp_path: Path) -> None:
    new = save_draft(EDITOR, tmp_path, build_draft(SHIPPED, base_hash=None, name="mine"))
    saved = save_constitution(EDITOR, tmp_path, new, note="n", onto=None)
    assert (saved.name, saved.number, saved.parent) == ("mine", 1, None)
    again = build_draft(SHIPPED, base_hash=None, name="mine")
    with pytest.raises(VersionConflictError, match="name is taken"):
        save_constitution(EDITOR, tmp_path, again, note="n", onto=None)
    other = replace(again, name="other")
    with pytest.raises(CaiError, match="no such constitution"):
        save_constitution(EDITOR, tmp_path, other, note="n", onto="a" * 64)


def test_what_was_not_looked_at_is_not_saved(tmp_path: Path) -> None:
    draft = begin(tmp_path, "mine")
    change_draft(EDITOR, tmp_path, draft.draft_id, lambda held: replace(held, note="still fine"))
    change_draft(EDITOR, tmp_path, draft.draft_id, lambda held: replace(held, description="other"))
    with pytest.raises(CaiError, match="changed in another tab"):
        save_constitution(EDITOR, tmp_path, draft, note="n", onto=SHIPPED.hash)
    held = load_draft(tmp_path, draft.draft_id)
    save_constitution(EDITOR, tmp_path, held, note="n", onto=SHIPPED.hash)


def test_going_back_is_one_more_version(tmp_path: Path) -> None:
    draft = begin(tmp_path, "mine")
    first = save_constitution(EDITOR, tmp_path, draft, note="n", onto=SHIPPED.hash)
    with pytest.raises(VersionConflictError):
        restore_version(OTHER, tmp_path, "healthcare", SHIPPED.hash, note="n", onto=SHIPPED.hash)
    back = restore_version(OTHER, tmp_path, "healthcare", SHIPPED.hash, note="b", onto=first.hash)
    assert (back.number, back.hash, back.parent, back.restored) == (
        2,
        SHIPPED.hash,
        first.hash,
        True,
    )
    assert load_version(tmp_path, "healthcare", back.hash) == SHIPPED
    again = restore_version(EDITOR, tmp_path, "healthcare", first.hash, note="a", onto=back.hash)
    assert [v.hash for v in list_versions(tmp_path, "healthcare")] == [
        first.hash,
        SHIPPED.hash,
        first.hash,
        SHIPPED.hash,
    ]
    with pytest.raises(CaiError, match="There is nothing to save"):
        restore_version(EDITOR, tmp_path, "healthcare", first.hash, note="n", onto=again.hash)
    with pytest.raises(ConstitutionError, match="missing"):
        restore_version(EDITOR, tmp_path, "healthcare", "b" * 64, note="n", onto=again.hash)


def test_two_processes_at_once_one_wins_and_the_other_is_told(tmp_path: Path) -> None:
    names = [f"saver{n}" for n in range(3)]
    savers = []
    for name in names:
        draft = begin(tmp_path, f"text of {name}")
        command = [sys.executable, "-c", SAVER, str(tmp_path), draft.draft_id, name]
        savers.append(
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
        )
    for saver in savers:
        assert saver.stdout is not None
        assert saver.stdout.readline() == "ready\n"
    for saver in savers:  # all wait for this line alone
        assert saver.stdin is not None
        saver.stdin.write("go\n")
        saver.stdin.flush()
    answers = [saver.communicate(timeout=60)[0].strip() for saver in savers]
    head = find_head(tmp_path, "healthcare")
    assert head is not None and head.number == 1
    assert sorted(answers) == [f"conflict {head.hash}"] * 2 + ["won"]
    assert head.note == f"by {names[answers.index('won')]}"
    assert len(list_drafts(tmp_path)[0]) == 2


def test_a_kill_between_file_and_journal_leaves_the_old_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = begin(tmp_path, "mine")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(actions, "append_event", killed)
        with pytest.raises(KeyboardInterrupt):
            save_constitution(EDITOR, tmp_path, draft, note="n", onto=SHIPPED.hash)
    head = find_head(tmp_path, "healthcare")
    assert head is not None and head.shipped
    assert load_draft(tmp_path, draft.draft_id) == draft
    saved = save_constitution(EDITOR, tmp_path, draft, note="again", onto=SHIPPED.hash)
    assert (saved.number, saved.note) == (1, "again")


def test_a_kill_between_journal_and_draft_leaves_a_draft_that_says_nothing_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = begin(tmp_path, "mine")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(actions, "delete_draft", killed)
        with pytest.raises(KeyboardInterrupt):
            save_constitution(EDITOR, tmp_path, draft, note="n", onto=SHIPPED.hash)
    head = find_head(tmp_path, "healthcare")
    assert head is not None and head.number == 1
    with pytest.raises(CaiError, match="There is nothing to save"):
        save_constitution(EDITOR, tmp_path, draft, note="n", onto=head.hash)


def test_a_disk_that_refuses_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = begin(tmp_path, "mine")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "_fsync", full)
        with pytest.raises(WorkspaceError, match="No space left"):
            save_constitution(EDITOR, tmp_path, draft, note="n", onto=SHIPPED.hash)
        with pytest.raises(WorkspaceError, match="No space left"):
            save_draft(EDITOR, tmp_path, replace(draft, description="other"))
    head = find_head(tmp_path, "healthcare")
    assert head is not None and head.shipped
    assert load_draft(tmp_path, draft.draft_id) == draft
    assert not list(tmp_path.rglob("*.new"))
    assert get_draft_path(tmp_path, draft.draft_id).is_file()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(constitution=constitutions)
def test_any_constitution_is_saved_and_edited_and_read_back(
    tmp_path: Path, constitution: Constitution
) -> None:
    known = find_head(tmp_path, constitution.name)
    onto = known.hash if known else None
    if onto == constitution.hash:
        return
    draft = build_draft(constitution, base_hash=onto)
    saved = save_constitution(EDITOR, tmp_path, draft, note="n", onto=onto)
    assert saved.hash == constitution.hash
    assert load_version(tmp_path, saved.name, saved.hash) == constitution
