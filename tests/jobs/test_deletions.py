"""Deleting: what goes, what stays, when it is refused."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cai_core.actions import jobs
from cai_core.errors import (
    WorkspaceError,
)
from cai_core.jobs.queue import load_queue
from cai_core.jobs.run_files import WORKER_LOCK
from cai_core.jobs.tombstone import write_tombstone
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.locks import try_lock
from cai_core.workspace.runs import Run, open_run
from cai_core.workspace.status import RunState, load_status, replace_status, save_status
from tests.jobs.background import make_spec

EDITOR = Actor(name="edda", role=AccessRole.EDITOR)


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Workspaces that a dispatcher was asked for."""
    asked: list[Path] = []
    monkeypatch.setattr(jobs, "ensure_dispatcher", asked.append)
    return asked


def set_state(run: Run, state: RunState) -> None:
    path = run.path / "status.json"
    save_status(path, replace_status(load_status(path), state=state))


def list_actions(workspace: Path) -> list[str]:
    return [event["action"] for event in read_events(workspace, Topic.LAUNCHES)]


def test_a_run_that_others_are_made_from_is_not_deleted(tmp_path: Path) -> None:
    jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("a"))
    jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("b", parents=("a",)))
    with pytest.raises(WorkspaceError, match="made from it: b"):
        jobs.delete_run(LOCAL_ACTOR, tmp_path, "a")
    with pytest.raises(WorkspaceError, match="runs or is queued"):
        jobs.delete_run(LOCAL_ACTOR, tmp_path, "b")
    for name in ("a", "b"):
        jobs.stop_run(LOCAL_ACTOR, tmp_path, name)
    jobs.delete_run(LOCAL_ACTOR, tmp_path, "b")
    jobs.delete_run(LOCAL_ACTOR, tmp_path, "a")
    assert open_run(tmp_path / "runs" / "b").parents == ("a",)


def test_a_tombstone_says_what_is_gone(tmp_path: Path) -> None:
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    jobs.stop_run(LOCAL_ACTOR, tmp_path, "r")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("not the run's")
    (run.outputs / "link").symlink_to(outside)
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints" / "weights").write_bytes(b"w" * 1000)
    jobs.delete_run(LOCAL_ACTOR, tmp_path, "r")
    assert (outside / "kept").exists()
    left = {path.name for path in run.path.iterdir()}
    assert left == {"recipe.yaml", "status.json", "tombstone.json", "writer.lock", WORKER_LOCK}
    stone = json.loads((run.path / "tombstone.json").read_text())
    assert (stone["deleted_by"], stone["run_id"], stone["state"]) == ("local", "r", "cancelled")
    files = {file["path"]: file for file in stone["files"]}
    assert files["checkpoints/weights"]["bytes"] == 1000
    assert files["checkpoints/weights"]["sha256"] == hashlib.sha256(b"w" * 1000).hexdigest()
    assert {"inputs/prompts.jsonl", "outputs/link"} <= files.keys()
    status = run.status()
    assert (status.state, status.reason) == (RunState.DELETED, "deleted by local")
    assert list_actions(tmp_path)[-1] == "delete run"
    for again in (jobs.resume_run, jobs.stop_run):
        with pytest.raises(WorkspaceError, match="deleted"):
            again(LOCAL_ACTOR, tmp_path, "r")
    with pytest.raises(WorkspaceError, match="was deleted"):
        jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))


def test_a_deletion_that_broke_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    jobs.stop_run(LOCAL_ACTOR, tmp_path, "r")
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "clear_folder", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            jobs.delete_run(LOCAL_ACTOR, tmp_path, "r")
    stone = (run.path / "tombstone.json").read_bytes()
    assert run.status().state is RunState.DELETED
    assert (run.path / "inputs").exists()
    assert jobs.delete_run(LOCAL_ACTOR, tmp_path, "r")
    assert not (run.path / "inputs").exists()
    assert (run.path / "tombstone.json").read_bytes() == stone


def test_nothing_is_deleted_or_resumed_while_a_worker_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    jobs.stop_run(LOCAL_ACTOR, tmp_path, "r")
    lock = try_lock(run.path / WORKER_LOCK)
    assert lock is not None
    try:
        with pytest.raises(WorkspaceError, match="runs or is queued"):
            jobs.delete_run(LOCAL_ACTOR, tmp_path, "r")
        monkeypatch.setattr(jobs, "_END_SECONDS", 0.2)
        with pytest.raises(WorkspaceError, match="has not left yet"):
            jobs.resume_run(LOCAL_ACTOR, tmp_path, "r")
        assert load_queue(tmp_path) == []
    finally:
        os.close(lock)


def test_a_tombstone_of_a_deletion_that_broke_off_is_written_anew(tmp_path: Path) -> None:
    """The run was resumed in between, and made more."""
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    jobs.stop_run(LOCAL_ACTOR, tmp_path, "r")
    write_tombstone(run, "edda")
    (run.path / "outputs" / "late.txt").write_text("late")
    files = jobs.delete_run(LOCAL_ACTOR, tmp_path, "r")
    assert "outputs/late.txt" in [file.path for file in files]
    told = json.loads((run.path / "tombstone.json").read_text())
    assert told["deleted_by"] == LOCAL_ACTOR.name
