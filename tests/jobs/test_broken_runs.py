"""One broken run neither kills nor blocks the dispatcher: the next one begins."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from cai_core.errors import ServerUnavailableError, WorkspaceError
from cai_core.jobs import readiness, troubles
from cai_core.jobs import workers as watched
from cai_core.jobs.dispatcher import Dispatcher
from cai_core.jobs.limits import Limits
from cai_core.jobs.process import ProcessRecord, save_process, spawn
from cai_core.jobs.queue import hold_queue, load_queue
from cai_core.jobs.run_files import STOPPED, WORKER_LOCK, WORKER_LOG, WORKER_RECORD, bury
from cai_core.jobs.workers import Workers
from cai_core.workspace.locks import try_lock
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.status import RunState, load_status, replace_status, save_status
from cai_core.workspace.stops import leave_stop


class Room:
    """Cannot clear the GPU, which this machine has not."""

    def __init__(self) -> None:
        self.given_back = 0

    def make(self) -> None:
        raise ServerUnavailableError("vLLM x cannot be stopped")

    def give_back(self) -> None:
        self.given_back += 1


@pytest.fixture(autouse=True)
def spawned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs whose worker was begun; each one ends at once, with a usage error."""
    begun: list[str] = []

    def spawn_other(module: str, arguments: list[str], **named):
        process = spawn(module, [], **named)
        begun.append(Path(arguments[0]).name)
        process.wait(30)
        return process

    monkeypatch.setattr(watched, "spawn", spawn_other)
    return begun


def make(workspace: Path, run_id: str, kind: str = "revise") -> Run:
    run = create_run(workspace / "runs" / run_id, kind=kind, recipe={"model": "demo"})
    with hold_queue(workspace) as queue:
        queue.enqueue(run_id)
    return run


def change_recipe(run: Run, **changes: object) -> None:
    path = run.path / "recipe.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


def tick(workspace: Path, room: Room | None = None, times: int = 3) -> Dispatcher:
    made = Dispatcher(workspace, Limits(), room)  # type: ignore[arg-type]
    for _ in range(times):
        made.tick()
    return made


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"parents": 5}, "TypeError"),
        ({"parents": [5]}, "TypeError"),
        ({"run_id": "other"}, "renamed or copied"),
        ({"format": 99}, "format 99"),
    ],
)
def test_a_recipe_that_is_broken_fails_its_run(
    tmp_path: Path, spawned: list[str], changes: dict[str, object], told: str, caplog
) -> None:
    broken = make(tmp_path, "broken")
    make(tmp_path, "good")
    change_recipe(broken, **changes)
    tick(tmp_path)
    status = load_status(broken.path / "status.json")
    assert status.state is RunState.FAILED
    assert told in (status.reason or "")
    assert spawned == ["good"]
    assert load_queue(tmp_path) == []
    assert sum("broken: cannot begin" in line for line in caplog.messages) == 1


def test_a_recipe_of_no_such_shape_is_left_to_its_worker(
    tmp_path: Path, spawned: list[str]
) -> None:
    change_recipe(make(tmp_path, "odd"), recipe=["no mapping"])
    tick(tmp_path)
    assert spawned == ["odd"]


def test_a_status_that_cannot_be_read_stays_in_the_queue(
    tmp_path: Path, spawned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, gone, done = (make(tmp_path, name) for name in ("broken", "gone", "done"))
    make(tmp_path, "good")
    (broken.path / "status.json").write_text("{")
    shutil.rmtree(gone.path)
    path = done.path / "status.json"
    save_status(path, replace_status(load_status(path), state=RunState.SUCCEEDED))
    tick(tmp_path)
    assert spawned == ["good"]
    assert load_queue(tmp_path) == ["broken"]


def test_want_of_descriptors_takes_nobody_out_and_fails_nobody(
    tmp_path: Path, spawned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tmp_path, "r")

    def refuse(path: Path) -> None:
        raise WorkspaceError(f"{path}: cannot be read.") from OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(readiness, "load_status", refuse)
        patch.setattr(troubles, "RETRY_SECONDS", 0)
        made = tick(tmp_path)
    assert load_queue(tmp_path) == ["r"]
    assert load_status(run.path / "status.json").state is RunState.QUEUED
    made.tick()
    assert spawned == ["r"]


def test_who_cannot_open_its_log_waits_and_says_so(
    tmp_path: Path, spawned: list[str], caplog
) -> None:
    stuck = make(tmp_path, "stuck")
    make(tmp_path, "good")
    (stuck.path / WORKER_LOG).mkdir()
    made = tick(tmp_path)
    status = load_status(stuck.path / "status.json")
    assert status.state is RunState.QUEUED
    assert "Is a directory" in (status.reason or "")
    assert spawned == ["good"]
    for _ in range(3):
        made.tick()
    assert load_status(stuck.path / "status.json") == status
    assert sum("stuck: cannot begin" in line for line in caplog.messages) == 1


def test_without_room_the_others_go_on_and_nothing_is_brought_back(
    tmp_path: Path, spawned: list[str]
) -> None:
    trains, room = make(tmp_path, "trains", "sft"), Room()
    make(tmp_path, "good")
    made = tick(tmp_path, room)
    assert spawned == ["good"]
    status = load_status(trains.path / "status.json")
    assert (status.state, status.reason) == (RunState.QUEUED, "vLLM x cannot be stopped")
    assert room.given_back == 0
    with hold_queue(tmp_path) as queue:
        queue.remove("trains")
    made.tick()
    assert room.given_back == 1


def begin_running(workspace: Path, run_id: str) -> Run:
    """Adopted as one whose worker lives: somebody holds its lock."""
    run = make(workspace, run_id)
    path = run.path / "status.json"
    save_status(path, replace_status(load_status(path), state=RunState.RUNNING))
    save_process(run.path / WORKER_RECORD, ProcessRecord.of(os.getpid()))
    return run


@pytest.mark.parametrize("what", ["folder", "status"])
def test_a_worker_whose_run_was_deleted_blocks_nobody(tmp_path: Path, what: str, caplog) -> None:
    runs = [begin_running(tmp_path, name) for name in ("a", "b")]
    locks = [try_lock(run.path / WORKER_LOCK) for run in runs]
    sleepers = [subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in runs]
    for run, sleeper in zip(runs, sleepers, strict=True):
        save_process(run.path / WORKER_RECORD, ProcessRecord.of(sleeper.pid))
    workers = Workers(tmp_path, 100)
    workers.adopt()
    assert workers.count("accelerator") == 2
    for sleeper in sleepers:
        sleeper.kill()
        sleeper.wait()
    for lock in locks:
        assert lock is not None
        os.close(lock)
    (runs[1].path / WORKER_RECORD).unlink()
    if what == "folder":
        shutil.rmtree(runs[0].path)
    else:
        (runs[0].path / WORKER_RECORD).unlink()
        (runs[0].path / "status.json").write_text("{")
    for _ in range(3):
        workers.look()
    assert load_status(runs[1].path / "status.json").state is RunState.INTERRUPTED
    assert workers.count("accelerator") == 0
    assert len(workers) == (0 if what == "folder" else 1)
    assert sum("a: " in line and "adopt" not in line for line in caplog.messages) <= 2


def test_a_broken_folder_is_left_out_of_the_adoption(tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO)
    runs = [begin_running(tmp_path, name) for name in ("a", "b")]
    locks = [try_lock(run.path / WORKER_LOCK) for run in runs]
    change_recipe(runs[0], parents=5)
    workers = Workers(tmp_path, 100)
    workers.adopt()
    assert "b" in workers
    assert "a" not in workers
    assert "a: is left out: unforeseen TypeError" in caplog.text
    for lock in locks:
        assert lock is not None
        os.close(lock)


@pytest.mark.parametrize("stopper", ["ann", None])
def test_who_was_stopped_before_it_began_says_by_whom(tmp_path: Path, stopper: str | None) -> None:
    run = make(tmp_path, "r")
    if stopper:
        leave_stop(run.path, stopper)
    with hold_queue(tmp_path) as queue:
        queue.remove("r")
    assert bury(tmp_path, run.path, "its worker ended.", exit_code=STOPPED)
    status = load_status(run.path / "status.json")
    assert status.state is (RunState.CANCELLED if stopper else RunState.INTERRUPTED)
    assert (stopper or "the system") in str(status.reason)
