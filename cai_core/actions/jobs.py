"""Runs in the background: handed in, stopped, resumed, moved, cloned, deleted.

Everything that changes a run which no worker writes holds the queue; see `jobs.queue`.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cai_core.actions.check import require
from cai_core.actions.qualifications import record_standing
from cai_core.errors import WorkspaceError
from cai_core.jobs.clone import build_clone
from cai_core.jobs.forecast_machine import read_machine
from cai_core.jobs.forecast_runs import (
    check_fit,
    forecast_runs,
    refuse_what_cannot_fit,
    save_forecast,
)
from cai_core.jobs.launch import ensure_dispatcher
from cai_core.jobs.process import ProcessRecord
from cai_core.jobs.queue import hold_queue
from cai_core.jobs.run_files import (
    RESUMABLE,
    WORKER_LOCK,
    bury,
    get_run_folder,
    is_busy,
    load_worker,
    set_state,
    write_inputs,
)
from cai_core.jobs.schedule import KINDS
from cai_core.jobs.spec import RunSpec
from cai_core.jobs.tombstone import DeletedFile, clear_folder, find_children, write_tombstone
from cai_core.pipeline.inputs import FOLDER as INPUTS
from cai_core.records import AccessRole, Actor, content_hash
from cai_core.workspace.endpoints import read_endpoints
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.locks import live_writer, try_lock
from cai_core.workspace.runs import Run, create_run, open_run
from cai_core.workspace.status import RunState
from cai_core.workspace.stops import leave_stop

# A worker that has said its last word, or was killed, still puts its memory away.
_END_SECONDS = 30.0
_POLL_SECONDS = 0.1


def submit(actor: Actor, workspace: Path, spec: RunSpec, *, accept_risk: bool = False) -> Run:
    """Make the run's folder, freeze its inputs and recipe, and put it into the queue.

    Handed in again, a run that has succeeded, runs or is queued is left alone; one that was
    interrupted, cancelled or has failed is queued again. A new one is forecast first, and the
    forecast is kept with it.

    Args:
        accept_risk: hand in what the forecast says cannot fit here; that is journalled.

    Raises:
        NotAllowedError: the actor may not launch.
        RecipeError: it cannot fit this machine, with each reason.
        RunMismatchError: the folder holds a run of another recipe.
        WorkspaceError: no such kind, it was deleted, or the workspace cannot be written.
    """
    require(actor, AccessRole.EDITOR, "submit a run")
    if spec.kind not in KINDS:
        known = ", ".join(sorted(KINDS))
        raise WorkspaceError(f"{spec.run_id}: no worker does a {spec.kind!r} run. Use {known}.")
    folder = get_run_folder(workspace, spec.run_id)
    forecast = risks = None
    if not (folder / "recipe.yaml").exists():
        # Before the folder is made: what is refused leaves nothing.
        machine = read_machine(workspace)
        (forecast,) = forecast_runs([spec], workspace, machine)
        risks = check_fit(forecast, machine)
        if risks and not accept_risk:
            refuse_what_cannot_fit(risks)
    with _hold_folder(folder):
        is_new = not (folder / "recipe.yaml").exists()
        if is_new:
            # Before the recipe: what has one is whole.
            write_inputs(folder, spec.inputs, missing=False)
        run = create_run(folder, kind=spec.kind, recipe=spec.recipe, parents=spec.parents)
        if not is_new:
            write_inputs(folder, spec.inputs, missing=True)
        elif forecast is not None:
            save_forecast(folder, forecast)
    if is_new and risks:
        _journal(actor, workspace, "accept risk", spec.run_id, risks=risks)
    if is_new and spec.kind == "label":
        record_standing(actor, workspace, spec.run_id, spec.recipe)
    if is_new or run.status().state is not RunState.SUCCEEDED:
        _queue_again(actor, workspace, run, "submit run" if is_new else "resume run")
        ensure_dispatcher(workspace)
    return run


def resume_run(actor: Actor, workspace: Path, run_id: str) -> None:
    """Put a run that was interrupted, cancelled or has failed into the queue again.

    Raises:
        NotAllowedError: the actor may not launch.
        WorkspaceError: it runs, has succeeded, was deleted, or cannot be resumed by a worker.
    """
    require(actor, AccessRole.EDITOR, "resume a run")
    run = _open(workspace, run_id)
    state = run.status().state
    if state in (RunState.SUCCEEDED, RunState.DELETED):
        what = "has succeeded" if state is RunState.SUCCEEDED else "was deleted"
        raise WorkspaceError(f"{run_id} {what}; there is nothing to resume.")
    if state is RunState.RUNNING:
        raise WorkspaceError(f"{run_id} runs already. Stop it first, or wait for its end.")
    if run.kind not in KINDS or (run.kind == "revise" and not (run.path / INPUTS).is_dir()):
        raise WorkspaceError(
            f"{run_id} was not begun in the background. Go on with it where it was begun, e.g. by "
            "the same command."
        )
    _queue_again(actor, workspace, run, "resume run")
    ensure_dispatcher(workspace)


def move_run(actor: Actor, workspace: Path, run_id: str, position: int) -> None:
    """Give a queued run another place.

    Args:
        position: from 1, the next to begin.

    Raises:
        NotAllowedError: the actor may not launch.
        WorkspaceError: it is not in the queue, or there is no such place.
    """
    require(actor, AccessRole.EDITOR, "move a run")
    with hold_queue(workspace) as queue:
        queue.move(run_id, position)
        _journal(actor, workspace, "move run", run_id, position=queue.runs.index(run_id) + 1)


def stop_run(actor: Actor, workspace: Path, run_id: str) -> None:
    """Take a run out of the queue, or ask its worker to stop; what is finished is kept.

    Raises:
        NotAllowedError: the actor may not launch.
        WorkspaceError: it neither runs nor is queued.
    """
    require(actor, AccessRole.EDITOR, "stop a run")
    run = _open(workspace, run_id)
    with hold_queue(workspace) as queue:
        is_waiting = run.status().state is RunState.QUEUED and not is_busy(run.path)
        if queue.remove(run_id) or is_waiting:
            reason = f"taken out of the queue by {actor.name}"
            set_state(run.path, RunState.CANCELLED, reason, only_from={RunState.QUEUED})
        else:
            worker = _find_worker(run)
            leave_stop(run.path, actor.name)
            worker.terminate()
        _journal(actor, workspace, "stop run", run_id)


def kill_run(actor: Actor, workspace: Path, run_id: str) -> None:
    """End a run's worker and its children at once, and wait for that; what is durable is kept.

    Raises:
        NotAllowedError: the actor may not launch.
        WorkspaceError: no worker is at it, or the system does not end it.
    """
    require(actor, AccessRole.EDITOR, "kill a run")
    run = _open(workspace, run_id)
    with hold_queue(workspace):
        worker = _find_worker(run)
        worker.kill_group()
        _journal(actor, workspace, "kill run", run_id)
    reason = f"its worker (pid {worker.pid}) was killed by {actor.name}; resume to go on."
    deadline = time.monotonic() + _END_SECONDS
    # Its lock is free only when its last thread is gone.
    while worker.is_alive() or not bury(workspace, run.path, reason):
        if time.monotonic() > deadline:
            raise WorkspaceError(f"{run_id}: its worker (pid {worker.pid}) is not gone yet.")
        time.sleep(_POLL_SECONDS)


def clone_run(
    actor: Actor,
    workspace: Path,
    run_id: str,
    changes: Mapping[str, Any],
    *,
    accept_risk: bool = False,
) -> Run:
    """Submit the same run with other values of its recipe, e.g. `{"chain.seed": 2}`.

    Who is no admin names no folder and no URL as a new model.

    Raises:
        NotAllowedError: the actor may not launch.
        RecipeError: an unknown key, an impossible value, a model that the actor may not name, or
            no change.
        WorkspaceError: it cannot be repeated, or as `submit`.
    """
    require(actor, AccessRole.EDITOR, "clone a run")
    names_any = actor.role.includes(AccessRole.ADMIN)
    endpoints = None if names_any else read_endpoints(workspace).book.endpoints
    spec = build_clone(_open(workspace, run_id), changes, endpoints=endpoints)
    _journal(actor, workspace, "clone run", spec.run_id, source=run_id)
    return submit(actor, workspace, spec, accept_risk=accept_risk)


def delete_run(actor: Actor, workspace: Path, run_id: str) -> list[DeletedFile]:
    """Delete what a run made; its recipe, its status and a tombstone stay.

    Raises:
        NotAllowedError: the actor is no admin.
        WorkspaceError: other runs are made from it, it runs or is queued, or a file cannot go.
    """
    require(actor, AccessRole.ADMIN, "delete a run")
    run = _open(workspace, run_id)
    lock = _take_for_deletion(workspace, run)
    try:
        files = write_tombstone(run, actor.name)
        reason = f"deleted by {actor.name}"
        if not set_state(run.path, RunState.DELETED, reason, only_from=frozenset(RunState)):
            raise WorkspaceError(f"{run_id}: a command line is at work on it. Stop that first.")
        _journal(actor, workspace, "delete run", run_id, files=len(files))
        clear_folder(run)
    finally:
        os.close(lock)
    return files


@contextmanager
def _hold_folder(folder: Path) -> Iterator[None]:
    """Make a run's folder and have it alone: of two that hand it in, one writes its inputs."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The folder itself: a lock file would be one more file of the run.
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise WorkspaceError(f"{folder}: cannot be made: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _queue_again(actor: Actor, workspace: Path, run: Run, action: str) -> None:
    """Into the queue, unless it is there, runs, or is past that.

    Raises:
        WorkspaceError: its worker, whose work is done, does not leave; or the disk refuses.
    """
    deadline = time.monotonic() + _END_SECONDS
    while not _try_to_queue(actor, workspace, run, action):
        if time.monotonic() > deadline:
            raise WorkspaceError(f"{run.run_id}: its last worker has not left yet. Try again.")
        time.sleep(_POLL_SECONDS)


def _try_to_queue(actor: Actor, workspace: Path, run: Run, action: str) -> bool:
    """False while its last worker is leaving.

    Raises:
        WorkspaceError: it was deleted meanwhile, or the disk refuses.
    """
    with hold_queue(workspace) as queue:
        state = run.status().state
        if state is RunState.DELETED:
            raise WorkspaceError(
                f"{run.run_id} was deleted meanwhile. Submit it with another seed."
            )
        if state in (RunState.RUNNING, RunState.SUCCEEDED):
            return True
        if run.run_id in queue.runs and state is RunState.QUEUED:
            return True
        if is_busy(run.path):
            return state is RunState.QUEUED  # about to begin
        # RUNNING: as the file says of a writer that is gone.
        from_states = RESUMABLE | {RunState.QUEUED, RunState.RUNNING}
        if not set_state(run.path, RunState.QUEUED, None, only_from=from_states):
            return False
        fields = {"kind": run.kind, "recipe_hash": content_hash(run.recipe)}
        folder = str(run.path.absolute())
        _journal(actor, workspace, action, run.run_id, folder=folder, **fields)
        queue.remove(run.run_id)  # what stood there of an earlier time
        queue.enqueue(run.run_id)
        return True


def _take_for_deletion(workspace: Path, run: Run) -> int:
    """The worker's lock: nobody begins or resumes the run while it is deleted."""
    with hold_queue(workspace) as queue:
        if children := find_children(workspace, run.run_id):
            raise WorkspaceError(
                f"{run.run_id}: other runs are made from it: {', '.join(children)}. Delete those "
                "first."
            )
        is_used = run.run_id in queue.runs or live_writer(run.path) is not None
        lock = None if is_used else try_lock(run.path / WORKER_LOCK)
        if lock is None:
            raise WorkspaceError(f"{run.run_id} runs or is queued. Stop it first.")
        return lock


def _find_worker(run: Run) -> ProcessRecord:
    worker = load_worker(run.path)
    if worker is not None and worker.is_alive():
        return worker
    if is_busy(run.path):
        raise WorkspaceError(f"{run.run_id}: its worker is starting or ending. Try again.")
    if (pid := live_writer(run.path)) is not None:
        raise WorkspaceError(
            f"{run.run_id} was not begun in the background. Stop it where it was begun (pid {pid})."
        )
    raise WorkspaceError(f"{run.run_id} does not run: it is {run.status().state}.")


def _open(workspace: Path, run_id: str) -> Run:
    folder = get_run_folder(workspace, run_id)
    run = open_run(folder)
    if run.run_id != folder.name:
        raise WorkspaceError(
            f"{folder}: holds the run {run.run_id}; the folder was renamed or copied. Give it "
            "that name."
        )
    return run


def _journal(actor: Actor, workspace: Path, action: str, run_id: str, **fields: Any) -> None:
    append_event(workspace, Topic.LAUNCHES, actor, action, {"run": run_id, **fields})
