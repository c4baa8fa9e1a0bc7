"""What a worker says and returns, however its stage ends. Stages: tests/faults/test_jobs.py."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cai_core.errors import (
    Cancelled,
    LockHeldError,
    RecipeError,
    RunMismatchError,
    ServerUnavailableError,
    WorkspaceError,
)
from cai_core.jobs import worker
from cai_core.jobs.stages import run_stage
from cai_core.pipeline.chain_records import read_chain_records
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.status import RunState
from cai_core.workspace.stops import leave_stop
from cai_core.workspace.writer import RunWriter


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run, and no heart that would beat on in this process."""
    monkeypatch.setattr(worker, "start_heartbeat", lambda _: None)
    monkeypatch.delenv("CAI_WORKSPACE", raising=False)
    handler = signal.getsignal(signal.SIGTERM)
    yield create_run(tmp_path / "runs" / "r", kind="revise", recipe={"a": 1})
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(
    ("error", "code", "state", "told"),
    [
        (Cancelled("x"), 3, RunState.INTERRUPTED, "the system ended it"),
        (asyncio.CancelledError(), 3, RunState.INTERRUPTED, "the system ended it"),
        (KeyboardInterrupt(), 3, RunState.INTERRUPTED, "the system ended it"),
        (ServerUnavailableError("gone"), 2, RunState.INTERRUPTED, "gone"),
        (WorkspaceError("disk full"), 2, RunState.INTERRUPTED, "disk full"),
        (RunMismatchError("other weights"), 2, RunState.FAILED, "other weights"),
        (RecipeError("no such key"), 2, RunState.FAILED, "no such key"),
        (ZeroDivisionError("by zero"), 2, RunState.FAILED, "unforeseen ZeroDivisionError: by zero"),
    ],
)
def test_each_end_has_its_status_and_exit_code(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    begun: bool,
    error: BaseException,
    code: int,
    state: RunState,
    told: str,
) -> None:
    def stage(run: Run, workspace: Path) -> None:
        assert Path(os.environ["CAI_WORKSPACE"]) == workspace == run.path.parents[1]
        if not begun:
            raise error
        with RunWriter(run):
            raise error

    monkeypatch.setattr(worker, "run_stage", stage)
    assert worker.main([str(run.path)]) == code
    status = run.status()
    if begun and not told.startswith("unforeseen"):
        # The writer's own word stays: the stage knows better, and says more.
        assert status.state in (RunState.INTERRUPTED, state)
    else:
        assert status.state is state
        assert told in (status.reason or "")


def test_a_persons_stop_is_told_from_the_systems(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stage(run: Run, _: Path) -> None:
        leave_stop(run.path, "Ada")
        raise Cancelled("x")

    monkeypatch.setattr(worker, "run_stage", stage)
    assert worker.main([str(run.path)]) == 3
    assert (run.status().state, run.status().reason) == (RunState.CANCELLED, "stopped by Ada")


@pytest.mark.parametrize(
    ("state", "code"), [(RunState.SUCCEEDED, 0), (RunState.FAILED, 2), (RunState.CANCELLED, 2)]
)
def test_the_stages_own_word_stays(
    run: Run, monkeypatch: pytest.MonkeyPatch, state: RunState, code: int
) -> None:
    def stage(run: Run, _: Path) -> None:
        with RunWriter(run) as writer:
            writer.set_status(state, reason="its own")

    monkeypatch.setattr(worker, "run_stage", stage)
    assert worker.main([str(run.path)]) == code
    assert (run.status().state, run.status().reason) == (state, "its own")


def test_a_finished_run_is_not_done_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunWriter(run) as writer:
        writer.set_status(RunState.SUCCEEDED)
    monkeypatch.setattr(worker, "run_stage", lambda *_: pytest.fail("done again"))
    assert worker.main([str(run.path)]) == 0


def test_a_run_that_another_process_writes_is_left_to_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stage(run: Run, _: Path) -> None:
        raise LockHeldError("another process writes this run")

    monkeypatch.setattr(worker, "run_stage", stage)
    with RunWriter(run):
        assert worker.main([str(run.path)]) == 2
        assert run.status().state is RunState.RUNNING


def test_a_second_worker_leaves_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "run_stage", lambda *_: pytest.fail("done twice"))
    lock = worker.try_lock(run.path / worker.WORKER_LOCK)
    assert lock is not None
    try:
        assert worker.main([str(run.path)]) == 2
        assert run.status().state is RunState.QUEUED
    finally:
        os.close(lock)


def test_there_is_no_stage_for_another_kind(tmp_path: Path) -> None:
    run = create_run(tmp_path / "runs" / "r", kind="fly", recipe={})
    with pytest.raises(RecipeError, match="kind 'fly'"):
        run_stage(run, tmp_path)


def test_chains_are_read_in_order_and_damage_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="is not there"):
        list(read_chain_records(tmp_path))
    path = tmp_path / "outputs" / "chains.jsonl"
    path.parent.mkdir()
    path.write_text('{"n": 1}\n{"n": 2}\n')
    assert [record["n"] for record in read_chain_records(tmp_path)] == [1, 2]
    with path.open("a") as file:
        file.write("half a li\n")
    with pytest.raises(WorkspaceError, match=r"chains\.jsonl:3: not JSON"):
        list(read_chain_records(tmp_path))


def test_neither_dispatcher_nor_worker_loads_torch_or_an_index() -> None:
    code = (
        "import sys; import cai_core.jobs.dispatcher, cai_core.jobs.worker, cai_core.actions.jobs;"
        "print(sorted({'torch', 'transformers', 'trl', 'duckdb'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize("known", [None, "/somewhere"])
def test_a_linked_runs_folder_is_still_the_workspaces(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: str | None
) -> None:
    if known is not None:
        monkeypatch.setenv("CAI_WORKSPACE", known)
    workspace = tmp_path / "w"
    workspace.mkdir()
    (workspace / "runs").symlink_to(tmp_path / "runs")
    seen: list[tuple[Path, str]] = []

    def stage(_: Run, folder: Path) -> None:
        seen.append((folder, os.environ["CAI_WORKSPACE"]))

    monkeypatch.setattr(worker, "run_stage", stage)
    worker.main([str(workspace / "runs" / "r")])
    assert seen == [(workspace, known or str(workspace))]
