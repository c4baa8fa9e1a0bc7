"""Who stopped a background run: a person, who leaves `stop.json` in its folder, or the system.

A person's stop and a machine that shuts down send a worker the same signal. The mark is left
before the signal, and taken away before the run's next worker begins; both under the queue's lock.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from cai_core.workspace.files import replace_file
from cai_core.workspace.status import RunState, now

MARK, WORKER_RECORD = "stop.json", "worker.json"


def leave_stop(run_folder: Path, name: str) -> None:
    """Say that `name` stops the run.

    Raises:
        WorkspaceError: the disk refuses.
    """
    replace_file(run_folder / MARK, [json.dumps({"by": name, "at": now()}).encode()])


def clear_stop(run_folder: Path) -> None:
    """Forget an earlier stop."""
    (run_folder / MARK).unlink(missing_ok=True)


def find_stopper(run_folder: Path) -> str | None:
    """Who stopped the run; None where nobody left a mark."""
    try:
        return str(json.loads((run_folder / MARK).read_text("utf-8"))["by"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def explain_stop(run_folder: Path) -> tuple[RunState, str]:
    """State and reason of a run that this process was made to stop.

    `interrupted` where this process is the run's background worker and nobody left a mark: then
    the system ended it. In the foreground the signal comes from the person who is there.
    """
    if (name := find_stopper(run_folder)) is not None:
        return RunState.CANCELLED, f"stopped by {name}"
    if _is_worker(run_folder):
        return RunState.INTERRUPTED, "the system ended it; resume to go on"
    return RunState.CANCELLED, "stopped by the person"


def _is_worker(run_folder: Path) -> bool:
    try:
        record = json.loads((run_folder / WORKER_RECORD).read_text("utf-8"))
        return bool(record["pid"] == os.getpid())
    except (OSError, ValueError, KeyError, TypeError):
        return False
