"""What a background run keeps in its folder, and its status while no worker writes it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from cai_core.errors import LockHeldError, WorkspaceError
from cai_core.jobs.process import ProcessRecord, load_process
from cai_core.jobs.queue import Queue, hold_queue
from cai_core.pipeline.inputs import FOLDER as INPUTS
from cai_core.workspace.files import replace_file
from cai_core.workspace.locks import take_lock, try_lock
from cai_core.workspace.runs import read_status
from cai_core.workspace.status import RunState, load_status, replace_status, save_status
from cai_core.workspace.stops import WORKER_RECORD as WORKER_RECORD
from cai_core.workspace.stops import find_stopper

WORKER_LOCK, WORKER_LOG = "worker.lock", "worker.log"
STARTING = "its worker is starting"
# The exit status of a worker that was made to stop.
STOPPED = 3
# Whoever is in one of these may be put into the queue (again).
RESUMABLE = frozenset({RunState.INTERRUPTED, RunState.CANCELLED, RunState.FAILED})


def get_run_folder(workspace: Path, run_id: str) -> Path:
    """Where the run of that id lies.

    Raises:
        WorkspaceError: it is no name of a folder.
    """
    if not run_id or run_id != Path(run_id).name or run_id.startswith(".") or "\0" in run_id:
        raise WorkspaceError(f"{run_id!r:.80} is no id of a run. `python -m cai_core runs` lists.")
    return workspace / "runs" / run_id


def load_worker(run_folder: Path) -> ProcessRecord | None:
    """The run's last worker, whether it lives or not; None where there was none."""
    return load_process(run_folder / WORKER_RECORD)


def is_busy(run_folder: Path) -> bool:
    """Whether a worker is there, from before it starts until it is gone.

    For those who hold the queue: asking takes the lock for an instant.
    """
    if not (run_folder / WORKER_LOCK).exists():
        return False
    lock = try_lock(run_folder / WORKER_LOCK)
    if lock is not None:
        os.close(lock)
    return lock is None


def is_at_work(run_folder: Path) -> bool:
    """Whether the run runs or waits for that."""
    worker = load_worker(run_folder)
    if worker is not None and worker.is_alive():
        return True
    return read_status(run_folder).state in (RunState.RUNNING, RunState.QUEUED)


def write_inputs(
    run_folder: Path, inputs: Mapping[str, Callable[[], Iterable[bytes]]], *, missing: bool
) -> None:
    """Write the files that a run works on, each aside and renamed.

    Args:
        missing: write only those that are not there.

    Raises:
        WorkspaceError: a name is no file's name, or the disk refuses.
    """
    folder = run_folder / INPUTS
    for name, build in inputs.items():
        if name != Path(name).name or name.startswith("."):
            raise WorkspaceError(f"{name!r:.80} is no name of an input file.")
        if missing and (folder / name).exists():
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkspaceError(f"{folder}: cannot be made: {error.strerror}.") from error
        replace_file(folder / name, build())


def set_state(
    run_folder: Path, state: RunState, reason: str | None, *, only_from: Collection[RunState]
) -> bool:
    """Write the status where nobody else does; False when somebody does or it is another one.

    Raises:
        WorkspaceError: the status cannot be read or written.
    """
    try:
        lock = take_lock(run_folder / "writer.lock")
    except LockHeldError:
        return False
    try:
        path = run_folder / "status.json"
        status = load_status(path)
        if status.state not in only_from:
            return False
        save_status(path, replace_status(status, state=state, reason=reason))
        return True
    finally:
        os.close(lock)


def bury(workspace: Path, run_folder: Path, reason: str, *, exit_code: int | None = None) -> bool:
    """Settle the status of a run whose worker is gone; False while one is there.

    Args:
        reason: why it is gone.
        exit_code: of the worker where that is known; below 0 the signal that ended it.

    Raises:
        WorkspaceError: the status cannot be read or written.
    """
    with hold_queue(workspace) as queue:
        lock = try_lock(run_folder / WORKER_LOCK)
        if lock is None:
            return False
        try:
            _settle(queue, run_folder, reason, exit_code)
        finally:
            os.close(lock)
    return True


def _settle(queue: Queue, run_folder: Path, reason: str, exit_code: int | None) -> None:
    set_state(run_folder, RunState.INTERRUPTED, reason, only_from={RunState.RUNNING})
    if run_folder.name in queue.runs:
        return
    # It was begun and never came to write a status.
    state, told = RunState.INTERRUPTED, f"{reason} It had not begun."
    if exit_code in (-signal.SIGTERM, STOPPED):
        if (name := find_stopper(run_folder)) is not None:
            state, told = RunState.CANCELLED, f"stopped by {name} before it began"
        else:
            told = "the system ended it before it began; resume to go on"
    elif exit_code is not None and exit_code > 0:
        state, told = RunState.FAILED, f"{reason} See its log."
    set_state(run_folder, state, told, only_from={RunState.QUEUED})
