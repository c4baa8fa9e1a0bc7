"""Runs that others work on, followed on a terminal as lines that are redrawn, else as a log."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from cai_core.errors import CaiError
from cai_core.jobs.launch import ensure_dispatcher, find_dispatcher
from cai_core.jobs.queue import load_queue
from cai_core.jobs.run_files import load_worker
from cai_core.workspace.runs import Run, open_run, read_status
from cai_core.workspace.status import RunState, RunStatus

_LOOK_SECONDS = 1.0
_PLAIN_SECONDS = 10.0
_LOST_LOOKS = 5
# Whoever is in one of these stays in it until a person does something.
_ENDED = frozenset(RunState) - {RunState.QUEUED, RunState.RUNNING}
_COUNTED = {"rows": ("rows_done", "rows_total"), "steps": ("steps_done", "steps_total")}


class Follower:
    """Draws where runs stand; one line each.

    Args:
        stream: where to; stderr when None.
        clock, sleep: seconds.
        start: has a dispatcher for a workspace; `ensure_dispatcher` when None.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        start: Callable[[Path], object] | None = None,
    ) -> None:
        self._runs = runs
        self._stream = stream or sys.stderr
        self._tty = self._stream.isatty()
        self._clock, self._sleep, self._start = clock, sleep, start or ensure_dispatcher
        self._lost: dict[str, int] = {}
        self._drawn = 0
        self._told: dict[str, tuple[RunState, float]] = {}

    def follow(self) -> dict[str, RunStatus]:
        """Look and draw until every run has ended; run id → how.

        A queued run that cannot begin counts as ended: one that waits, itself or through others,
        for one that ended badly, that is not in the queue, or for which there is no dispatcher.

        Raises:
            WorkspaceError: a run's status, or the queue, cannot be read.
        """
        while True:
            found = {run.run_id: run.status() for run in self._runs}
            lost = self._find_lost(found)
            stuck = {run.run_id for run in self._runs if _is_stuck(run.path, lost)}
            self._draw(found)
            if all(name in stuck or status.state in _ENDED for name, status in found.items()):
                return found
            self._sleep(_LOOK_SECONDS)

    def _find_lost(self, found: Mapping[str, RunStatus]) -> set[str]:
        """Queued runs that nobody begins, and that at several looks."""
        queued = [run for run in self._runs if found[run.run_id].state is RunState.QUEUED]
        lost = {run.run_id for run in queued if self._is_lost(run)}
        # A worker that begins or ends, and a dispatcher that starts, take a moment.
        self._lost = {name: self._lost.get(name, 0) + 1 for name in lost}
        return {name for name, looks in self._lost.items() if looks >= _LOST_LOOKS}

    def _is_lost(self, run: Run) -> bool:
        worker = load_worker(run.path)
        if worker is not None and worker.is_alive():
            return False
        workspace = run.path.absolute().parents[1]
        if run.run_id not in load_queue(workspace):
            return True
        if find_dispatcher(workspace) is not None:
            return False
        with suppress(CaiError, OSError):  # told by the runs that stay queued
            self._start(workspace)
        return True

    def _draw(self, found: dict[str, RunStatus]) -> None:
        lines = {name: describe_status(name, status) for name, status in found.items()}
        if self._tty:
            width = shutil.get_terminal_size().columns - 1
            back = f"\x1b[{self._drawn}A" if self._drawn else ""
            text = "".join(f"\r{line[:width]}\x1b[K\n" for line in lines.values())
            print(back + text, end="", file=self._stream, flush=True)
            self._drawn = len(lines)
            return
        for name, status in found.items():
            state, at = self._told.get(name, (None, 0.0))
            due = status.state is RunState.RUNNING and self._clock() - at >= _PLAIN_SECONDS
            if status.state is not state or due:
                self._told[name] = status.state, self._clock()
                print(lines[name], file=self._stream, flush=True)


def describe_status(run_id: str, status: RunStatus) -> str:
    """`id  running  312/1500 rows  reason`."""
    facts = [run_id, str(status.state)]
    for what, (done, total) in _COUNTED.items():
        if done in status.counts:
            facts.append(f"{status.counts[done]}/{status.counts.get(total, '?')} {what}")
    if status.reason and status.state is not RunState.SUCCEEDED:
        facts.append(status.reason)
    # Reasons hold what servers said: no sign of theirs steers the terminal.
    words = " ".join("  ".join(facts).split("\n"))
    return "".join(sign if sign.isprintable() else "?" for sign in words)


def _is_stuck(folder: Path, lost: Collection[str]) -> bool:
    """Whether a run is queued and cannot begin."""
    try:
        if read_status(folder).state is not RunState.QUEUED:
            return False
        parents = open_run(folder).parents
    except CaiError:
        return False
    return folder.name in lost or any(
        _has_ended_badly(folder.parent / parent) or _is_stuck(folder.parent / parent, lost)
        for parent in parents
    )


def _has_ended_badly(folder: Path) -> bool:
    try:
        state = read_status(folder).state
    except CaiError:  # gone
        return True
    return state in _ENDED and state is not RunState.SUCCEEDED
