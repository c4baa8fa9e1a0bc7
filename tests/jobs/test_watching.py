"""Workers are told apart by pid, start time and boot; a silent one is killed, a stranger never."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cai_core.inference.server_record import read_boot_id
from cai_core.jobs import workers as watched
from cai_core.jobs.heartbeat import FILE, load_heartbeat, start_heartbeat
from cai_core.jobs.process import ProcessRecord, save_process, spawn
from cai_core.jobs.queue import hold_queue
from cai_core.jobs.run_files import WORKER_LOCK, WORKER_RECORD, is_busy
from cai_core.jobs.schedule import Candidate
from cai_core.jobs.workers import Workers
from cai_core.workspace.locks import try_lock
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.status import RunState, load_status, replace_status, save_status

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """One whose status says running."""
    found = create_run(tmp_path / "runs" / "r", kind="revise", recipe={"model": "demo"})
    path = found.path / "status.json"
    save_status(path, replace_status(load_status(path), state=RunState.RUNNING, epoch=1))
    return found


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def sleeper(run: Run) -> Iterator[subprocess.Popen[bytes]]:
    """Holds the worker's lock, in a session of its own, with a child that would outlive it."""
    lock = try_lock(run.path / WORKER_LOCK)
    assert lock is not None
    code = (
        "import subprocess, sys, time\n"
        "subprocess.Popen(['sleep', '60'], pass_fds=[int(sys.argv[1])])\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], start_new_session=True, pass_fds=[lock]
    )

    os.close(lock)
    save_process(run.path / WORKER_RECORD, ProcessRecord.of(process.pid))
    yield process
    ProcessRecord.of(process.pid).kill_group()
    process.wait()


def beat(run: Run, pid: int, ago: float, **changes: Any) -> None:
    told = {"pid": pid, "boot_id": read_boot_id(), "monotonic": time.monotonic() - ago, **changes}
    (run.path / FILE).write_text(json.dumps(told))


class Clock:
    """Monotonic seconds, moved by the test in steps as a dispatcher's ticks are."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


def look_for(workers: Workers, clock: Clock, seconds: float) -> None:
    end = clock.now + seconds
    while clock.now < end:
        clock.now += 0.5
        workers.look()


def test_a_reused_pid_is_neither_stopped_nor_killed(
    run: Run, stranger: subprocess.Popen[bytes]
) -> None:
    record = ProcessRecord(pid=stranger.pid, process_start="1", boot_id=read_boot_id())
    assert not record.is_alive()
    assert not record.terminate()
    assert not record.kill_group()
    record.kill_orphans()
    other_boot = ProcessRecord(
        pid=stranger.pid,
        process_start=ProcessRecord.of(stranger.pid).process_start,
        boot_id="another",
    )
    assert not other_boot.is_alive()
    assert not other_boot.terminate()
    time.sleep(0.1)
    assert stranger.poll() is None


def test_a_run_whose_worker_is_gone_is_interrupted_at_the_next_start(
    run: Run, stranger: subprocess.Popen[bytes]
) -> None:
    """After a reboot: the record is there, its pid is another's now, the lock is free."""
    (run.path / WORKER_LOCK).touch()
    record = ProcessRecord(pid=stranger.pid, process_start="1", boot_id="the boot before")
    save_process(run.path / WORKER_RECORD, record)
    workers = Workers(run.path.parents[1], 2)
    workers.adopt()
    assert len(workers) == 0
    status = load_status(run.path / "status.json")
    assert status.state is RunState.INTERRUPTED
    assert "started anew" in (status.reason or "")
    assert stranger.poll() is None


def test_a_silent_worker_is_killed_with_its_children(
    run: Run, sleeper: subprocess.Popen[bytes]
) -> None:
    clock = Clock()
    workers = Workers(run.path.parents[1], 10, clock)
    workers.adopt()
    assert len(workers) == 1
    beat(run, sleeper.pid, ago=-5)
    look_for(workers, clock, 9)
    assert sleeper.poll() is None
    look_for(workers, clock, 7)
    assert sleeper.wait(10) == -9
    deadline = time.monotonic() + 10
    while len(workers) and time.monotonic() < deadline:
        workers.look()
        time.sleep(0.02)
    assert not is_busy(run.path)
    status = load_status(run.path / "status.json")
    assert status.state is RunState.INTERRUPTED
    assert "gave no sign of life" in (status.reason or "")


@pytest.mark.parametrize("changes", [{"boot_id": "another"}, {"pid": 1}])
def test_signs_of_another_boot_or_worker_do_not_count(
    run: Run, sleeper: subprocess.Popen[bytes], changes: dict[str, Any]
) -> None:
    """Neither as life nor as death: the watch counts from its own beginning."""
    clock = Clock()
    workers = Workers(run.path.parents[1], 10, clock)
    workers.adopt()
    beat(run, **{"pid": sleeper.pid, "ago": 1000, **changes})
    look_for(workers, clock, 9)
    assert sleeper.poll() is None
    beat(run, **{"pid": sleeper.pid, "ago": -1000, **changes})
    look_for(workers, clock, 3)
    assert sleeper.wait(10) == -9


def test_who_slept_does_not_call_the_workers_dead(
    run: Run, sleeper: subprocess.Popen[bytes]
) -> None:
    """The machine was suspended, or the dispatcher stopped: all were silent alike."""
    clock = Clock()
    workers = Workers(run.path.parents[1], 10, clock)
    workers.adopt()
    beat(run, sleeper.pid, ago=0)
    clock.now += 3600
    workers.look()
    look_for(workers, clock, 9)
    assert sleeper.poll() is None
    look_for(workers, clock, 3)
    assert sleeper.wait(10) == -9


def test_orphans_that_hold_the_lock_are_ended(run: Run, sleeper: subprocess.Popen[bytes]) -> None:
    time.sleep(0.5)  # its child begins
    workers = Workers(run.path.parents[1], 100)
    workers.adopt()
    sleeper.kill()
    sleeper.wait()
    deadline = time.monotonic() + 10
    while len(workers) and time.monotonic() < deadline:
        workers.look()
        time.sleep(0.02)
    assert (len(workers), is_busy(run.path)) == (0, False)
    assert load_status(run.path / "status.json").state is RunState.INTERRUPTED


def test_a_worker_whose_folder_was_deleted_is_ended(
    run: Run, sleeper: subprocess.Popen[bytes]
) -> None:
    workers = Workers(run.path.parents[1], 100)
    workers.adopt()
    assert workers.count("accelerator") == 1
    shutil.rmtree(run.path)
    workers.look()
    assert sleeper.wait(10) == -9
    workers.look()
    assert (len(workers), workers.count("accelerator")) == (0, 0)


def test_a_heart_beats_until_its_process_ends(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CAI_JOB_HANG_SECONDS", "0.4")
    start_heartbeat(tmp_path)
    first = load_heartbeat(tmp_path)
    time.sleep(0.5)
    second = load_heartbeat(tmp_path)
    assert first is not None and second is not None
    assert second.monotonic > first.monotonic
    assert second.boot_id == read_boot_id()


def test_a_lock_lives_as_long_as_the_process_that_inherits_it(tmp_path: Path) -> None:
    lock = try_lock(tmp_path / "lock")
    assert lock is not None
    assert try_lock(tmp_path / "lock") is None
    # A module that ends at once with usage errors.
    process = spawn("cai_core.jobs.worker", [], lock=lock, log=tmp_path / "log", workspace=tmp_path)

    os.close(lock)
    process.wait(30)
    assert "run_folder" in (tmp_path / "log").read_text()
    again = try_lock(tmp_path / "lock")
    assert again is not None
    os.close(again)


@pytest.mark.parametrize(
    ("module", "state", "told"),
    [
        ("cai_core.jobs.nowhere", RunState.FAILED, "ended with status 1 and said nothing"),
        ("cai_core.jobs.worker", RunState.INTERRUPTED, "the system ended it before it began"),
    ],
)
def test_a_worker_that_never_begins_does_not_leave_its_run_queued(
    run: Run, monkeypatch: pytest.MonkeyPatch, module: str, state: RunState, told: str
) -> None:
    path = run.path / "status.json"
    save_status(path, replace_status(load_status(path), state=RunState.QUEUED))
    workspace = run.path.parents[1]

    def spawn_other(_: str, *arguments: Any, **named: Any) -> subprocess.Popen[bytes]:
        process = spawn(module, *arguments, **named)
        if state is RunState.INTERRUPTED:
            process.terminate()  # before Python is up
        return process

    monkeypatch.setattr(watched, "spawn", spawn_other)
    workers = Workers(workspace, 100)
    with hold_queue(workspace) as queue:
        queue.enqueue("r")
        workers.begin(queue, Candidate(run=run, slot="accelerator"))
        assert queue.runs == ()
    deadline = time.monotonic() + 30
    while len(workers) and time.monotonic() < deadline:
        workers.look()
        time.sleep(0.02)
    status = load_status(path)
    assert status.state is state
    assert told in (status.reason or "")
