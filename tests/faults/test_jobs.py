"""Background runs with real processes: order, slots, and what survives kill -9 of whom."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cai_core.actions import jobs
from cai_core.errors import WorkspaceError
from cai_core.inference.launcher import ensure_server, stop_server
from cai_core.inference.server_record import read_boot_id
from cai_core.jobs.launch import ensure_dispatcher, find_dispatcher
from cai_core.jobs.process import ProcessRecord, save_process
from cai_core.jobs.queue import load_queue
from cai_core.jobs.run_files import WORKER_RECORD
from cai_core.jobs.spec import RunSpec
from cai_core.records import LOCAL_ACTOR
from cai_core.training.recipe import ChainSource, SftRecipe
from cai_core.workspace.journal import read_journal
from cai_core.workspace.status import RunState
from tests.jobs.background import ROWS_A_CHAIN, Background, count_rows, wait_for_end

REPOSITORY = Path(__file__).resolve().parents[2]
# Enough that a run can be caught at work.
MANY = 24


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for all: the demo model's server is started once."""
    folder = tmp_path_factory.mktemp("jobs")
    ensure_server("demo", folder)
    yield folder
    stop_server("demo", folder)


@pytest.fixture
def background(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Background]:
    monkeypatch.setenv("CAI_DISPATCHER_IDLE", "30")
    monkeypatch.setenv("CAI_JOB_HANG_SECONDS", "60")
    found = Background(workspace)
    yield found
    found.end()
    for run_id in load_queue(workspace):
        jobs.stop_run(LOCAL_ACTOR, workspace, run_id)


def list_libraries(process: ProcessRecord) -> str:
    return Path(f"/proc/{process.pid}/maps").read_text()


def find_dispatchers(workspace: Path) -> list[int]:
    """Pids of all processes that are a dispatcher of the workspace."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"cai_core.jobs.dispatcher" in words and str(workspace).encode() in words:
            found.append(int(folder.name))
    return found


def test_runs_go_one_by_one_in_order_parents_first(background: Background) -> None:
    """One slot: `last` was handed in first, waits for `first`; `moved` gets ahead of `first`."""
    workspace = background.workspace
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "ensure_dispatcher", lambda _: False)
        background.submit("last", parents=("first",))
        background.submit("first", seed=2)
        background.submit("moved", seed=3)
        jobs.move_run(LOCAL_ACTOR, workspace, "moved", 2)
        assert load_queue(workspace) == ["last", "moved", "first"]
        assert find_dispatcher(workspace) is None
    background.restart_dispatcher()
    background.wait(lambda: background.open("last").status().reason, "what it waits for")
    assert background.open("last").status().reason == "waits for first (queued)"
    worker = background.worker("moved")
    background.wait_for_rows("moved", 1)
    assert "torch" not in list_libraries(background.dispatcher())
    assert "torch" not in list_libraries(worker)
    began = {}
    for name in ("moved", "first", "last"):
        run = background.wait_for(name, RunState.SUCCEEDED)
        background.check_whole(name, 6 * ROWS_A_CHAIN)
        assert run.status().counts["rows_done"] == 6 * ROWS_A_CHAIN
        began[name] = (read_journal(run.path / "epochs.jsonl").records[0]["at"], run.status())
    assert began["moved"][1].updated_at < began["first"][0]
    assert began["first"][1].updated_at < began["last"][0]
    assert load_queue(workspace) == []


def test_a_run_whose_parent_failed_stays_and_says_so(background: Background) -> None:
    workspace = background.workspace
    background.submit("bad", model="no-such-model")
    background.submit("child", parents=("bad",))
    background.submit("orphan", parents=("nobody",))
    bad = background.wait_for("bad", RunState.FAILED)
    assert "no-such-model" in (bad.status().reason or "")
    for name, told in (("child", "which has failed"), ("orphan", "nobody, which is not there")):
        run = background.open(name)
        background.wait(lambda run=run, told=told: told in (run.status().reason or ""), told)
        assert run.status().state is RunState.QUEUED
    assert load_queue(workspace) == ["child", "orphan"]


def test_a_remote_run_does_not_wait_for_the_accelerator(background: Background) -> None:
    """The slot is held by a worker that is stopped; who only asks a URL begins all the same."""
    background.submit("local", prompts=MANY, seed=4)
    background.wait_for_rows("local", 1)
    worker = background.worker("local")
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        background.submit("waiting", seed=5)
        # Nobody listens there: it is refused, which is as good an end as any.
        background.submit("remote", model="http://127.0.0.1:9#m", seed=6)
        background.worker("remote")
        # A worker is there a moment before its run is out of the queue.
        background.wait(lambda: load_queue(background.workspace) == ["waiting"], "remote began")
        assert background.open("waiting").status().state is RunState.QUEUED
        jobs.kill_run(LOCAL_ACTOR, background.workspace, "remote")
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    background.wait_for("waiting", RunState.SUCCEEDED)
    background.check_whole("local", MANY * ROWS_A_CHAIN)


@pytest.mark.parametrize("killed", ["worker", "dispatcher", "both"])
def test_kill_9_loses_nothing_and_doubles_nothing(background: Background, killed: str) -> None:
    workspace, name = background.workspace, f"killed-{killed}"
    background.submit(name, prompts=MANY, seed=10 + len(killed))
    background.wait_for_rows(name, 9)
    worker = background.worker(name)
    if killed != "worker":
        background.kill_dispatcher()
    if killed != "dispatcher":
        os.kill(worker.pid, signal.SIGKILL)
        wait_for_end(worker)
    run = background.open(name)
    if killed == "dispatcher":
        background.restart_dispatcher()
        assert worker.is_alive()
    else:
        if killed == "both":
            # A killed process counts as ended a moment before its last thread lets go of its lock.
            background.wait(lambda: run.status().state is RunState.INTERRUPTED, "interrupted")
            background.restart_dispatcher()
        # Who started it knows how it ended; the next one only that it did.
        told = "signal 9 (SIGKILL)" if killed == "worker" else "or the machine was started anew"
        background.wait_for_reason(name, told)
        assert run.status().state is RunState.INTERRUPTED
        assert count_rows(run) < MANY * ROWS_A_CHAIN
        jobs.resume_run(LOCAL_ACTOR, workspace, name)
    background.wait_for(name, RunState.SUCCEEDED)
    background.check_whole(name, MANY * ROWS_A_CHAIN)
    epochs = read_journal(run.path / "epochs.jsonl").records
    assert len(epochs) == (1 if killed == "dispatcher" else 2)
    if killed == "dispatcher":
        # The next one buries whom it adopted, and begins the next run.
        background.submit("after", seed=20)
        background.wait_for("after", RunState.SUCCEEDED)


def test_a_worker_that_hangs_is_killed_and_goes_on(
    background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAI_JOB_HANG_SECONDS", "2")
    background.submit("hangs", prompts=MANY, seed=30)
    background.wait_for_rows("hangs", 3)
    worker = background.worker("hangs")
    os.kill(worker.pid, signal.SIGSTOP)
    background.wait_for_reason("hangs", "gave no sign of life for")
    assert background.open("hangs").status().state is RunState.INTERRUPTED
    wait_for_end(worker)
    jobs.resume_run(LOCAL_ACTOR, background.workspace, "hangs")
    background.wait_for("hangs", RunState.SUCCEEDED)
    background.check_whole("hangs", MANY * ROWS_A_CHAIN)


def test_stop_keeps_what_is_finished_and_resume_goes_on(background: Background) -> None:
    workspace = background.workspace
    background.submit("stopped", prompts=MANY, seed=40)
    background.wait_for_rows("stopped", 3)
    worker = background.worker("stopped")
    jobs.stop_run(LOCAL_ACTOR, workspace, "stopped")
    run = background.wait_for("stopped", RunState.CANCELLED)
    kept = count_rows(run)
    assert 3 <= kept < MANY * ROWS_A_CHAIN
    jobs.resume_run(LOCAL_ACTOR, workspace, "stopped")  # at once, while its worker leaves
    assert not worker.is_alive()
    jobs.stop_run(LOCAL_ACTOR, workspace, "stopped")
    background.wait_for("stopped", RunState.CANCELLED)
    background.wait(lambda: not background.is_busy("stopped"), "the end of its worker")
    time.sleep(1)  # not resumed by itself
    assert run.status().state is RunState.CANCELLED
    jobs.resume_run(LOCAL_ACTOR, workspace, "stopped")
    background.wait_for_rows("stopped", kept + 1)
    jobs.kill_run(LOCAL_ACTOR, workspace, "stopped")
    status = run.status()
    assert status.state is RunState.INTERRUPTED
    assert "was killed by" in (status.reason or "")
    jobs.resume_run(LOCAL_ACTOR, workspace, "stopped")
    background.wait_for("stopped", RunState.SUCCEEDED)
    background.check_whole("stopped", MANY * ROWS_A_CHAIN)


def test_a_stranger_with_the_workers_pid_is_left_alone(background: Background) -> None:
    workspace = background.workspace
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "ensure_dispatcher", lambda _: False)
        run = background.submit("reused", seed=50)
    jobs.stop_run(LOCAL_ACTOR, workspace, "reused")
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        try:
            record = ProcessRecord(pid=stranger.pid, process_start="1", boot_id=read_boot_id())
            save_process(run.path / WORKER_RECORD, record)
            for action in (jobs.stop_run, jobs.kill_run):
                with pytest.raises(WorkspaceError, match="does not run"):
                    action(LOCAL_ACTOR, workspace, "reused")
            jobs.resume_run(LOCAL_ACTOR, workspace, "reused")
            background.wait_for("reused", RunState.SUCCEEDED)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_many_who_ask_at_once_get_one_dispatcher(background: Background) -> None:
    workspace = background.workspace
    assert find_dispatchers(workspace) == []
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda _: ensure_dispatcher(workspace), range(16)))
    assert sum(started) == 1
    command = [sys.executable, "-m", "cai_core.jobs.dispatcher", str(workspace)]
    told = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "another dispatcher is there" in told.stderr
    assert find_dispatchers(workspace) == [background.dispatcher().pid]


def test_an_idle_dispatcher_leaves_and_the_next_run_brings_one(
    background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAI_DISPATCHER_IDLE", "0.1")
    for number in range(2):
        background.submit(f"idle-{number}", prompts=1, seed=60 + number)
        background.wait_for(f"idle-{number}", RunState.SUCCEEDED)
    background.wait(lambda: find_dispatchers(background.workspace) == [], "that it leaves")


def test_chains_are_trained_on_by_a_worker_that_can_be_stopped(background: Background) -> None:
    """A `revise` run and, made from it, an `sft` run: the only worker that loads torch."""
    workspace = background.workspace
    recipe = SftRecipe(
        base="demo",
        sources=(ChainSource(run="chains"),),
        method="full",
        batch_size=2,
        micro_batch=2,
        epochs=40,
        max_length=384,
        save_steps=1000,
        sample_prompts=0,
    )
    background.submit("chains", prompts=6, seed=70)
    spec = RunSpec(run_id="tuned", kind="sft", recipe=recipe.as_dict(), parents=("chains",))
    run = jobs.submit(LOCAL_ACTOR, workspace, spec)
    background.wait_for("chains", RunState.SUCCEEDED)
    background.wait(lambda: run.status().counts.get("steps_done", 0) > 2, "the third step")
    assert "torch" in list_libraries(background.worker("tuned"))
    jobs.stop_run(LOCAL_ACTOR, workspace, "tuned")
    background.wait_for("tuned", RunState.CANCELLED)
    done = run.status().counts["steps_done"]
    assert 2 < done < 120
    jobs.resume_run(LOCAL_ACTOR, workspace, "tuned")
    background.wait(lambda: run.status().counts["steps_done"] > done, "that it goes on")
    jobs.stop_run(LOCAL_ACTOR, workspace, "tuned")
    background.wait_for("tuned", RunState.CANCELLED)
    with pytest.raises(WorkspaceError, match="made from it: tuned"):
        jobs.delete_run(LOCAL_ACTOR, workspace, "chains")


def test_a_folder_that_is_deleted_under_its_worker_stops_nothing(background: Background) -> None:
    folder = background.workspace / "runs" / "deleted-at-work"
    background.submit("deleted-at-work", prompts=MANY, seed=40)
    background.wait_for_rows("deleted-at-work", 3)
    worker = background.worker("deleted-at-work")
    while folder.exists():  # its worker writes meanwhile
        shutil.rmtree(folder, ignore_errors=True)
    try:
        background.submit("after-deleted", seed=41)
        background.wait_for("after-deleted", RunState.SUCCEEDED)
        assert background.dispatcher().is_alive()
        wait_for_end(worker)
    finally:
        worker.kill_group()
        shutil.rmtree(folder, ignore_errors=True)
