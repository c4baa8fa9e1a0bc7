"""A workspace with background runs for tests: real processes, ended by their pids."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cai_core.actions.jobs import submit
from cai_core.jobs.launch import RECORD, ensure_dispatcher, find_dispatcher
from cai_core.jobs.process import ProcessRecord, load_process
from cai_core.jobs.run_files import load_worker
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.inputs import build_inputs
from cai_core.pipeline.prompt_file import load_prompts, prompts_hash
from cai_core.pipeline.recipe import ChainRecipe, ReviseRecipe
from cai_core.records import LOCAL_ACTOR, SamplingParams
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import Run, open_run
from cai_core.workspace.status import RunState, load_status
from cai_core.workspace.versions import resolve_constitution

PROMPTS = Path(__file__).resolve().parents[2] / "data" / "prompts" / "redteam.jsonl"
ROWS_A_CHAIN = 3
_SAMPLING = SamplingParams(max_tokens=64)


def make_spec(
    run_id: str,
    *,
    prompts: int = 6,
    seed: int = 1,
    model: str = "demo",
    parents: tuple[str, ...] = (),
) -> RunSpec:
    """A `revise` run of one round."""
    chosen = load_prompts(PROMPTS).prompts[:prompts]
    constitution = resolve_constitution(Path("nowhere"), "harmlessness")
    recipe = ReviseRecipe(
        model=model,
        constitution=constitution.name,
        constitution_hash=constitution.hash,
        prompts=PROMPTS.name,
        prompts_hash=prompts_hash(chosen),
        limit=prompts,
        chain=ChainRecipe(
            revisions=1, seed=seed, policy_sampling=_SAMPLING, critic_sampling=_SAMPLING
        ),
    )
    inputs = build_inputs(chosen, constitution, ())
    return RunSpec(
        run_id=run_id, kind="revise", recipe=recipe.as_dict(), parents=parents, inputs=inputs
    )


class Background:
    """What goes on in a workspace."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace

    def submit(self, run_id: str, **changes: object) -> Run:
        spec = make_spec(run_id, **changes)  # type: ignore[arg-type]
        return submit(LOCAL_ACTOR, self.workspace, replace(spec, run_id=run_id))

    def open(self, run_id: str) -> Run:
        return open_run(self.workspace / "runs" / run_id)

    def dispatcher(self) -> ProcessRecord:
        """The one that runs."""
        record = find_dispatcher(self.workspace)
        assert record is not None
        return record

    def worker(self, run_id: str) -> ProcessRecord:
        """The run's worker, once it lives."""

        def find() -> ProcessRecord | None:
            record = load_worker(self.workspace / "runs" / run_id)
            return record if record is not None and record.is_alive() else None

        self.wait(lambda: find() is not None, run_id)
        found = find()
        assert found is not None
        return found

    def is_busy(self, run_id: str) -> bool:
        """Whether a worker is there."""
        record = load_worker(self.workspace / "runs" / run_id)
        return record is not None and record.is_alive()

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"{what}: not in {seconds} s\n{self.describe()}")
            time.sleep(0.02)

    def wait_for(self, run_id: str, *states: RunState, seconds: float = 60) -> Run:
        run = self.open(run_id)
        self.wait(lambda: run.status().state in states, f"{run_id} {states}", seconds)
        return run

    def wait_for_reason(self, run_id: str, told: str) -> None:
        """Wait for what status.json itself says."""
        path = self.workspace / "runs" / run_id / "status.json"
        self.wait(lambda: told in (load_status(path).reason or ""), told)

    def wait_for_rows(self, run_id: str, count: int) -> None:
        run = self.open(run_id)
        self.wait(lambda: count_rows(run) >= count, f"{count} rows of {run_id}")

    def check_whole(self, run_id: str, rows: int) -> None:
        """Each row is there exactly once."""
        index = RowIndex(self.open(run_id), "chain")
        assert (len(index), index.doubled, index.damaged) == (rows, 0, 0)
        assert not any(row.error for row in index.values())

    def kill_dispatcher(self) -> None:
        record = self.dispatcher()
        os.kill(record.pid, signal.SIGKILL)
        wait_for_end(record)

    def restart_dispatcher(self) -> None:
        assert ensure_dispatcher(self.workspace)

    def describe(self) -> str:
        """All that is told anywhere, for a test that fails."""
        logs = [self.workspace / "servers" / "dispatcher.log"]
        told = []
        for folder in sorted((self.workspace / "runs").glob("*")):
            told.append(f"{folder.name}: {self.open(folder.name).status()}")
            logs.append(folder / "worker.log")
        told += [f"== {log}\n{log.read_text()[-1500:]}" for log in logs if log.exists()]
        return "\n".join(told)

    def end(self) -> None:
        """End the dispatcher, then the workers."""
        record = load_process(self.workspace / "servers" / RECORD)
        workers = [load_worker(folder) for folder in (self.workspace / "runs").glob("*")]
        for process in (record, *workers):
            if process is not None and process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
                wait_for_end(process)


def wait_for_end(record: ProcessRecord, seconds: float = 10) -> None:
    """Wait until the process is gone."""
    deadline = time.monotonic() + seconds
    while record.is_alive():
        assert time.monotonic() < deadline, record
        time.sleep(0.02)


def count_rows(run: Run) -> int:
    """Lines in the row files, their headers left out."""
    files = (run.path / "rows").glob("*.jsonl")
    return sum(max(0, file.read_bytes().count(b"\n") - 1) for file in files)
