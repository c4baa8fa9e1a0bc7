"""Why queued runs could not begin: told once in log and status, and tried again after a rest."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cai_core.errors import CaiError
from cai_core.jobs.queue import hold_queue
from cai_core.jobs.run_files import get_run_folder, set_state
from cai_core.workspace.status import RunState, load_status

log = logging.getLogger(__name__)

# Long enough not to fill the log.
RETRY_SECONDS = 5.0


class _Trouble(NamedTuple):
    """What was told, and the monotonic seconds from which the run is tried again."""

    told: str
    until: float


class Troubles:
    """The troubles of a workspace's queued runs, by run id."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._found: dict[str, _Trouble] = {}

    def keep(self, run_ids: Collection[str]) -> None:
        """Forget those of all other runs."""
        self._found = {name: told for name, told in self._found.items() if name in run_ids}

    def is_put_off(self, run_id: str) -> bool:
        """Whether it is too early to try the run again."""
        trouble = self._found.get(run_id)
        return trouble is not None and time.monotonic() < trouble.until

    def find(self, run_id: str) -> str | None:
        """What the run met last."""
        trouble = self._found.get(run_id)
        return None if trouble is None else trouble.told

    def note(self, run_id: str, error: Exception, *, lasts: bool) -> None:
        """Say in log and status why a run does not begin.

        Args:
            lasts: it is given up as failed; else it stays queued and is tried again.
        """
        told = tell_error(error)
        if self.find(run_id) != told:
            log.warning("%s: cannot begin: %s", run_id, told)
        self._found[run_id] = _Trouble(told, time.monotonic() + RETRY_SECONDS)
        state = RunState.FAILED if lasts else RunState.QUEUED
        # What is wrong may be the status itself, or the disk: then the log has to do.
        with suppress(Exception), hold_queue(self._workspace) as queue:
            folder = get_run_folder(self._workspace, run_id)
            status = load_status(folder / "status.json")
            if run_id in queue.runs and (status.state, status.reason) != (state, told):
                done = set_state(folder, state, told, only_from={RunState.QUEUED})
                if lasts and done:
                    queue.remove(run_id)


def tell_error(error: Exception) -> str:
    """What an error says, for a person; of an unforeseen one also its kind."""
    if isinstance(error, CaiError | OSError):
        return str(error)
    return f"unforeseen {type(error).__name__}: {error}"


def is_lasting(error: BaseException | None) -> bool:
    """Whether the run's own files are wrong; what the system refuses may pass."""
    while error is not None:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            return False
        if isinstance(error, MemoryError):
            return False
        error = error.__cause__
    return True
