"""Which queued runs are ready to begin: those that can be read and whose parents have succeeded."""

from __future__ import annotations

import logging
from pathlib import Path

from cai_core.errors import WorkspaceError
from cai_core.jobs.queue import hold_queue, load_queue
from cai_core.jobs.run_files import get_run_folder, set_state
from cai_core.jobs.schedule import explain_wait
from cai_core.jobs.troubles import Troubles, is_lasting
from cai_core.workspace.runs import Run, open_run, read_status
from cai_core.workspace.status import RunState, RunStatus, load_status

log = logging.getLogger(__name__)


class Readiness:
    """Looks at the queue for the dispatcher; what a run lacks is written into its status."""

    def __init__(self, workspace: Path, troubles: Troubles) -> None:
        self._workspace, self._troubles = workspace, troubles
        self._runs: dict[str, Run] = {}

    def list_ready(self) -> tuple[list[str], list[Run]]:
        """The queue's ids, and those of its runs that are ready, both in order.

        Raises:
            CaiError: the queue cannot be read.
        """
        queued = load_queue(self._workspace)
        self._troubles.keep(queued)
        tried = [name for name in queued if not self._troubles.is_put_off(name)]
        return queued, [run for name in tried if (run := self._open_ready(name)) is not None]

    def _open_ready(self, run_id: str) -> Run | None:
        try:
            run = self._open(run_id)
            if run is None:
                return None
            reason = explain_wait({parent: self._find_status(parent) for parent in run.parents})
        except Exception as error:  # noqa: BLE001 — of one run; the others go on
            self._troubles.note(run_id, error, lasts=is_lasting(error))
            return None
        try:
            self._tell_reason(run, reason)
        except Exception as error:  # noqa: BLE001
            self._troubles.note(run_id, error, lasts=False)
            return None
        return run if reason is None else None

    def _open(self, run_id: str) -> Run | None:
        """A queued run; one that is not queued any more is taken out of the queue.

        Raises:
            CaiError: its status or recipe cannot be read.
        """
        if not self._is_queued(run_id):
            self._take_out(run_id)
            return None
        if run_id not in self._runs:
            run = open_run(get_run_folder(self._workspace, run_id))
            if run.run_id != run_id:
                raise WorkspaceError(
                    f"{run.path}: holds the run {run.run_id}; the folder was renamed or copied. "
                    "Give it that name."
                )
            self._runs[run_id] = run
        return self._runs[run_id]

    def _is_queued(self, run_id: str) -> bool:
        """Whether its status says so; False where there is none.

        Raises:
            WorkspaceError, OSError: it cannot be read, which says nothing.
        """
        try:
            path = get_run_folder(self._workspace, run_id) / "status.json"
        except WorkspaceError:  # no id at all
            return False
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return load_status(path).state is RunState.QUEUED

    def _take_out(self, run_id: str) -> None:
        with hold_queue(self._workspace) as queue:
            # Asked again under the lock: it may just have been resumed.
            if not self._is_queued(run_id) and queue.remove(run_id):
                log.warning("%s: is not queued (any more); taken out of the queue", run_id)
        self._runs.pop(run_id, None)

    def _tell_reason(self, run: Run, reason: str | None) -> None:
        """Say in its status what it waits for; what it met last stays until it begins."""
        held = load_status(run.path / "status.json").reason
        trouble = self._troubles.find(run.run_id)
        if held == reason or (reason is None and trouble is not None and held == trouble):
            return
        with hold_queue(self._workspace) as queue:
            if run.run_id in queue.runs:
                set_state(run.path, RunState.QUEUED, reason, only_from={RunState.QUEUED})

    def _find_status(self, run_id: str) -> RunStatus | None:
        try:
            return read_status(get_run_folder(self._workspace, run_id))
        except WorkspaceError:
            return None
