"""Runs that others work on, followed on a terminal as lines that are redrawn, else as a log."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from cai_core.errors import CaiError
from cai_core.workspace.runs import Run, read_status
from cai_core.workspace.status import RunState, RunStatus

_LOOK_SECONDS = 1.0
_PLAIN_SECONDS = 10.0
# Whoever is in one of these stays in it until a person does something.
_ENDED = frozenset(RunState) - {RunState.QUEUED, RunState.RUNNING}
_COUNTED = {"rows": ("rows_done", "rows_total"), "steps": ("steps_done", "steps_total")}


class Follower:
    """Draws where runs stand; one line each.

    Args:
        stream: where to; stderr when None.
        clock, sleep: seconds.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._runs = runs
        self._stream = stream or sys.stderr
        self._tty = self._stream.isatty()
        self._clock, self._sleep = clock, sleep
        self._drawn = 0
        self._told: dict[str, tuple[RunState, float]] = {}

    def follow(self) -> dict[str, RunStatus]:
        """Look and draw until every run has ended; run id → how.

        A run that waits for one that ended badly counts as ended: it can not begin.

        Raises:
            WorkspaceError: a run's status cannot be read.
        """
        while True:
            found = {run.run_id: run.status() for run in self._runs}
            stuck = {run.run_id for run in self._runs if _is_stuck(run, found[run.run_id])}
            self._draw(found)
            if all(name in stuck or status.state in _ENDED for name, status in found.items()):
                return found
            self._sleep(_LOOK_SECONDS)

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


def _is_stuck(run: Run, status: RunStatus) -> bool:
    """Whether it waits for a run that ended, and not well."""
    return status.state is RunState.QUEUED and any(
        _has_ended_badly(run.path.parent / parent) for parent in run.parents
    )


def _has_ended_badly(folder: Path) -> bool:
    try:
        state = read_status(folder).state
    except CaiError:  # gone
        return True
    return state in _ENDED and state is not RunState.SUCCEEDED
