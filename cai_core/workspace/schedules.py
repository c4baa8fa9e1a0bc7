"""Schedules of spot checks, as the journal of settings has them. Nothing here writes.

See `actions.schedules`: a schedule is made, paused, resumed and deleted by people; what it ran, why
it could not, and what came of it is appended by whoever runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from cai_core.workspace.events import Topic, get_journal_path, read_events

ADD, DELETE = "add schedule", "delete schedule"
PAUSE, RESUME = "pause schedule", "resume schedule"
RUN, RESULT = "run schedule", "schedule result"
LOCK = ".schedules.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What a person set.

    Attributes:
        cron: five fields, UTC; see `jobs.cron`.
        model: as plans name it: an endpoint, `demo`, or `run:ID`.
        suite: the check is held against the newest pinned baseline of this suite.
        prompts: so many of the baseline's are asked.
        actor, at: who set it, and when (UTC, ISO 8601).
    """

    name: str
    cron: str
    model: str
    suite: str
    prompts: int
    actor: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One time at which a schedule was due.

    Attributes:
        due, at: when it was due, and when it was looked at (UTC, ISO 8601).
        missed: earlier due times for which nobody was there; they are not made up for.
        run: id of the evaluation; empty where none could be handed in.
        baseline: id of the evaluation that it is held against.
        status: the gate's: pass, warn or fail; empty while there is none.
        reasons: the gate's, or why there is none.
    """

    due: str
    at: str
    missed: int = 0
    run: str = ""
    baseline: str = ""
    status: str = ""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleState:
    """A schedule and how it stands.

    Attributes:
        since: due times up to this one are settled (UTC, ISO 8601).
        checks: the newest first.
    """

    schedule: Schedule
    paused: bool = False
    since: str
    checks: tuple[Check, ...] = field(default=())

    @property
    def last(self) -> Check | None:
        """The newest check; None before the first."""
        return self.checks[0] if self.checks else None


def read_schedules(workspace: Path) -> list[ScheduleState]:
    """Those that were not deleted, in the order in which they were made; quick when asked again."""
    try:
        stat = get_journal_path(workspace, Topic.SETTINGS).stat()
    except OSError:
        return []
    return list(_read(workspace, stat.st_mtime_ns, stat.st_size))


def find_schedule(workspace: Path, name: str) -> ScheduleState | None:
    """The schedule of that name; None where there is none."""
    return next((one for one in read_schedules(workspace) if one.schedule.name == name), None)


@lru_cache(maxsize=32)
def _read(workspace: Path, _changed: int, _size: int) -> tuple[ScheduleState, ...]:
    states: dict[str, ScheduleState] = {}
    for event in read_events(workspace, Topic.SETTINGS):
        name = event.get("schedule")
        if isinstance(name, str):
            _fold(states, name, event)
    return tuple(states.values())


def _fold(states: dict[str, ScheduleState], name: str, event: Mapping[str, Any]) -> None:
    """Bring in one event; a foreign or damaged one changes nothing."""
    action, at = event.get("action"), str(event.get("at"))
    if action == ADD:
        made = _parse_schedule(name, event)
        if made is not None:
            states[name] = ScheduleState(schedule=made, since=at)
        return
    state = states.get(name)
    if state is None:
        return
    match action:
        case "delete schedule":
            del states[name]
        case "pause schedule":
            states[name] = replace(state, paused=True)
        case "resume schedule":
            # What was due while it was paused is not missed.
            states[name] = replace(state, paused=False, since=at)
        case "run schedule":
            check = _parse_check(event)
            if check is not None:
                states[name] = replace(state, since=check.due, checks=(check, *state.checks))
        case "schedule result":
            checks = tuple(
                replace(one, status=str(event.get("status") or ""), reasons=_read_texts(event))
                if one.run and one.run == event.get("run")
                else one
                for one in state.checks
            )
            states[name] = replace(state, checks=checks)


def _parse_schedule(name: str, event: Mapping[str, Any]) -> Schedule | None:
    texts = {key: event.get(key) for key in ("cron", "model", "suite", "actor", "at")}
    prompts = event.get("prompts")
    if not isinstance(prompts, int) or not all(isinstance(text, str) for text in texts.values()):
        return None
    return Schedule(name=name, prompts=prompts, **texts)  # type: ignore[arg-type]  # just seen


def _parse_check(event: Mapping[str, Any]) -> Check | None:
    texts = {key: event.get(key) or "" for key in ("due", "at", "run", "baseline")}
    missed = event.get("missed", 0)
    if not isinstance(missed, int) or not all(isinstance(text, str) for text in texts.values()):
        return None
    return Check(missed=missed, reasons=_read_texts(event), **texts)


def _read_texts(event: Mapping[str, Any]) -> tuple[str, ...]:
    told = event.get("reasons")
    return tuple(map(str, told)) if isinstance(told, list) else ()
