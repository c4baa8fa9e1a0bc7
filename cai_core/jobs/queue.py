"""The queue of a workspace: run ids in order, in `queue.json`.

Whoever changes it holds `queue.lock`. The same lock guards the status of every run that no
worker writes: handing in, stopping, resuming, beginning and burying a run exclude each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cai_core.errors import WorkspaceError
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import FORMAT
from cai_core.workspace.locks import hold_lock

FILE, LOCK = "queue.json", "queue.lock"


class Queue:
    """The queue while its lock is held; use `hold_queue`. Each change is durable at once."""

    def __init__(self, workspace: Path) -> None:
        self._path = workspace / FILE
        self.runs: tuple[str, ...] = tuple(load_queue(workspace))

    def enqueue(self, run_id: str) -> None:
        """Put a run at the end; one that is in the queue stays where it is."""
        if run_id not in self.runs:
            self._save([*self.runs, run_id])

    def move(self, run_id: str, position: int) -> None:
        """Put a run at another place.

        Args:
            position: from 1, the next to begin; beyond the end is the end.

        Raises:
            WorkspaceError: it is not in the queue, or there is no such place.
        """
        if run_id not in self.runs:
            raise WorkspaceError(f"{run_id} is not in the queue. Only queued runs can be moved.")
        if position < 1:
            raise WorkspaceError(f"There is no place {position} in the queue. The first one is 1.")
        others = [other for other in self.runs if other != run_id]
        self._save([*others[: position - 1], run_id, *others[position - 1 :]])

    def remove(self, run_id: str) -> bool:
        """Take a run out; False when it is not in the queue."""
        if run_id not in self.runs:
            return False
        self._save([other for other in self.runs if other != run_id])
        return True

    def _save(self, runs: list[str]) -> None:
        text = json.dumps({"format": FORMAT, "runs": runs}, indent=1) + "\n"
        replace_file(self._path, [text.encode()])
        self.runs = tuple(runs)


def load_queue(workspace: Path) -> list[str]:
    """The ids of the queued runs, the next to begin first.

    Raises:
        WorkspaceError: the file cannot be read.
    """
    path = workspace / FILE
    try:
        document = json.loads(path.read_text("utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']!r}, this version reads {FORMAT}")
        return list(dict.fromkeys(map(str, document["runs"])))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkspaceError(
            f"{path}: cannot be read: {error}. Move it away and resume the queued runs."
        ) from error


@contextmanager
def hold_queue(workspace: Path) -> Iterator[Queue]:
    """The queue, with its lock held. Keep it short: everybody waits.

    Raises:
        WorkspaceError: the workspace cannot be written, or the file cannot be read.
    """
    with hold_lock(workspace, LOCK):
        yield Queue(workspace)
