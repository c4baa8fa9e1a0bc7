"""The one live writer of a run: holds the lock, opens an epoch, appends rows and metrics."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cai_core.errors import WorkspaceError
from cai_core.workspace.journal import append_records, read_journal
from cai_core.workspace.locks import lock_pid, same_file, take_lock
from cai_core.workspace.runs import ROW_FILE, Run
from cai_core.workspace.status import RunState, load_status, now, replace_status, save_status


class RunWriter:
    """The run's one live writer: a context manager that holds the lock and an epoch.

    Leaving it by an exception while the status says running marks the run interrupted.
    """

    def __init__(self, run: Run, *, takeover: bool = False):
        """
        Args:
            takeover: go on although the old worker still holds the lock, because it hangs;
                the dispatcher decides that. It finds out at its next write.
        """
        self.run = run
        self.epoch = 0
        self._takeover = takeover
        self._lock = -1
        self._rows: dict[str, Path] = {}

    def __enter__(self) -> Self:
        self._lock = take_lock(self.run.path / "writer.lock", takeover=self._takeover)
        try:
            self._open_epoch()
            self.set_status(RunState.RUNNING)
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if load_status(self.run.path / "status.json").state is RunState.RUNNING:
                self.set_status(RunState.INTERRUPTED, reason=str(error) if error else None)
        except WorkspaceError:
            # Taken over, or the disk is full: the status then reads as interrupted anyway,
            # and the first error is the one to tell.
            if error is None:
                raise
        finally:
            os.close(self._lock)

    def append_rows(self, step: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Append a batch durably to `rows/<step>.<epoch>.jsonl`.

        Raises:
            WorkspaceError: another worker has taken over, or the disk refuses.
        """
        self._check_mine()
        if step not in self._rows:
            path = self.run.path / "rows" / f"{step}.{self.epoch}.jsonl"
            if not ROW_FILE.fullmatch(path.name):
                raise WorkspaceError(f"{step!r} is no name of a step: use a-z, 0-9, _ and -.")
            self._rows[step] = path
        append_records(self._rows[step], records, header={"step": step, "epoch": self.epoch})

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl, with the epoch."""
        self._check_mine()
        append_records(self.run.path / "metrics.jsonl", [{"epoch": self.epoch, **record}])

    def set_status(
        self,
        state: RunState,
        *,
        reason: str | None = None,
        counts: Mapping[str, int] | None = None,
    ) -> None:
        """Write status.json aside and rename it."""
        self._check_mine()
        path = self.run.path / "status.json"
        status = replace_status(
            load_status(path), state=state, reason=reason, pid=os.getpid(), epoch=self.epoch
        )
        if counts is not None:
            status = replace_status(status, counts=dict(counts))
        save_status(path, status)

    def _open_epoch(self) -> None:
        journal = self.run.path / "epochs.jsonl"
        before = read_journal(journal).records
        self.epoch = max((record["epoch"] for record in before), default=0) + 1
        rows = sorted((self.run.path / "rows").glob("*.jsonl"))
        sealed = {path.name: path.stat().st_size for path in rows}
        started = now()
        record = {"epoch": self.epoch, "pid": os.getpid(), "at": started, "sealed": sealed}
        append_records(journal, [record])

    def _check_mine(self) -> None:
        path = self.run.path / "writer.lock"
        if not same_file(self._lock, path):
            raise WorkspaceError(
                f"{self.run.path}: another worker has taken over (pid {lock_pid(path)}). "
                "Nothing more is written here."
            )
