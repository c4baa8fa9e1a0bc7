"""The dispatcher: found, and started where there is none."""

from __future__ import annotations

import os
from pathlib import Path

from cai_core.errors import WorkspaceError
from cai_core.jobs.process import (
    ProcessRecord,
    load_process,
    reap_later,
    save_process,
    spawn,
)
from cai_core.workspace.locks import try_lock
from cai_core.workspace.read_only import refuse_in_demo

# Under the workspace's `servers`, beside those of the model servers.
LOCK, RECORD, LOG = "dispatcher.lock", "dispatcher.json", "dispatcher.log"


def ensure_dispatcher(workspace: Path) -> bool:
    """Have a dispatcher for the workspace; False when one is there already. Does not wait.

    Call it after something was put into the queue: a dispatcher that is about to leave looks into
    the queue, under its lock, before it lets go of its own.

    Raises:
        WorkspaceError: the workspace cannot be written, or the system starts no process.
        NotAllowedError: in a read-only demo.
    """
    refuse_in_demo("start the dispatcher")
    workspace = workspace.resolve()
    folder = workspace / "servers"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{folder}: cannot be made: {error.strerror}.") from error
    lock = try_lock(folder / LOCK)
    if lock is None:
        return False
    try:
        process = spawn(
            "cai_core.jobs.dispatcher",
            [str(workspace)],
            lock=lock,
            log=folder / LOG,
            workspace=workspace,
        )
        save_process(folder / RECORD, ProcessRecord.of(process.pid))
        reap_later(process)
    finally:
        os.close(lock)
    return True


def find_dispatcher(workspace: Path) -> ProcessRecord | None:
    """The workspace's dispatcher, None when none runs."""
    record = load_process(workspace / "servers" / RECORD)
    return record if record is not None and record.is_alive() else None
