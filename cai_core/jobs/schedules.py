"""What schedules have to do now, and the dispatcher's look at it. Submits nothing itself.

What is due is handed in by `python -m cai_core schedule due`, a process of its own: it goes through
`actions.schedules` as everybody does, and takes neither the dispatcher's memory nor its time.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cai_core.errors import CaiError
from cai_core.jobs.cron import Cron, parse_cron
from cai_core.workspace.runs import read_status
from cai_core.workspace.schedules import Check, ScheduleState, read_schedules
from cai_core.workspace.status import RunState, RunStatus

log = logging.getLogger(__name__)

_REPOSITORY = Path(__file__).resolve().parents[2]
_LOOK_SECONDS = 1.0
# Between two processes that hand in what is due; the longer one after an error.
_REST_SECONDS, _ERROR_SECONDS = 2.0, 60.0
# Times that nobody was there for are counted so far, and told as so many "or more".
MOST_MISSED = 1000
# Of a schedule's checks, so many are looked at for a result.
_LOOKED_AT = 5
_GOING_ON = (RunState.QUEUED, RunState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A schedule's newest due time that is not settled.

    Attributes:
        missed: earlier ones that are not settled either; they are not made up for.
    """

    state: ScheduleState
    due: datetime
    missed: int


def list_due(states: Sequence[ScheduleState], now: datetime) -> list[Due]:
    """What is to be run; a schedule that is paused or cannot be read is left out."""
    found = []
    for state in states:
        cron = read_cron(state.schedule.cron)
        since = parse_time(state.since)
        if state.paused or cron is None or since is None:
            continue
        last = cron.find_last(now)
        if last is not None and last > since:
            count = cron.count_due(since, last, most=MOST_MISSED + 1)
            found.append(Due(state=state, due=last, missed=count - 1))
    return found


def list_ended(
    workspace: Path, states: Sequence[ScheduleState]
) -> list[tuple[ScheduleState, Check, RunStatus]]:
    """Checks whose run has ended and whose result was not told yet."""
    found = []
    for state in states:
        for check in list_untold(state):
            try:
                status = read_status(workspace / "runs" / check.run)
            except (CaiError, OSError):
                continue
            # What broke off is told once; it may be resumed, and succeed after all.
            told = status.state in _GOING_ON or (
                bool(check.reasons) and status.state is not RunState.SUCCEEDED
            )
            if not told:
                found.append((state, check, status))
    return found


def list_untold(state: ScheduleState) -> list[Check]:
    """Of the newest checks that became runs, those whose result was not told, the newest first."""
    return [one for one in [one for one in state.checks if one.run][:_LOOKED_AT] if not one.status]


def find_next(state: ScheduleState, now: datetime | None = None) -> datetime | None:
    """When it is due next; None while it is paused, or its cron text cannot be read."""
    cron = read_cron(state.schedule.cron)
    return None if state.paused or cron is None else cron.find_next(now or datetime.now(UTC))


def has_active(workspace: Path) -> bool:
    """Whether somebody must be there for a schedule."""
    return any(not state.paused for state in read_schedules(workspace))


@lru_cache(maxsize=256)
def read_cron(text: str) -> Cron | None:
    """None where it cannot be read: it was written by another version."""
    try:
        return parse_cron(text)
    except CaiError:
        return None


def parse_time(text: str) -> datetime | None:
    """A time of the journal, to the minute; None where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


class ScheduleWatch:
    """The dispatcher's: begins a process when there is something to do, one at a time."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._child: subprocess.Popen[bytes] | None = None
        self._next_look = 0.0
        self.active = False

    def look(self) -> None:
        """Cheap: the journal is read again where it has grown.

        Raises:
            CaiError: it cannot be read.
        """
        now = time.monotonic()
        if now < self._next_look or self._is_at_work(now):
            return
        self._next_look = now + _LOOK_SECONDS
        states = read_schedules(self._workspace)
        self.active = any(not state.paused for state in states)
        # A minute that has just begun is due; what is told by a clock that lags is not lost.
        if list_due(states, datetime.now(UTC)) or list_ended(self._workspace, states):
            self._begin()
            self._next_look = now + _REST_SECONDS

    def _is_at_work(self, now: float) -> bool:
        if self._child is None:
            return False
        status = self._child.poll()
        if status is None:
            return True
        if status:
            log.warning("what is due was not handed in (exit status %d); tried again", status)
            self._next_look = now + _ERROR_SECONDS
        self._child = None
        return bool(status)

    def _begin(self) -> None:
        # Its words go to the dispatcher's own log.
        self._child = subprocess.Popen(
            [sys.executable, "-m", "cai_core", "schedule", "due"],
            stdin=subprocess.DEVNULL,
            cwd=_REPOSITORY,
            env={**os.environ, "CAI_WORKSPACE": str(self._workspace)},
        )


def describe_missed(count: int) -> str:
    """`3 earlier times were missed`; empty for none."""
    if not count:
        return ""
    if count >= MOST_MISSED:
        return f"{MOST_MISSED:,} or more earlier times were missed"
    return f"{count:,} earlier time{'s were' if count > 1 else ' was'} missed"


def describe_next(moment: datetime, now: datetime) -> str:
    """`28 Nov 06:00 UTC, in 3 h`."""
    left = moment - now
    if left < timedelta(minutes=1):
        told = "in less than a minute"
    elif left < timedelta(hours=2):
        told = f"in {left // timedelta(minutes=1)} min"
    elif left < timedelta(days=2):
        told = f"in {left // timedelta(hours=1)} h"
    else:
        told = f"in {left.days} days"
    return f"{moment.day} {moment:%b %H:%M} UTC, {told}"
