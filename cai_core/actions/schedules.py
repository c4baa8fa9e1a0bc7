"""Schedules of spot checks: made, paused, deleted; and what is due, handed in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cai_core.actions.check import require
from cai_core.actions.jobs import submit
from cai_core.constitution.model import NAME_PATTERN, NAME_RULE
from cai_core.errors import CaiError, RecipeError, WorkspaceError
from cai_core.jobs.cron import parse_cron
from cai_core.jobs.drift_matrix import load_matrix
from cai_core.jobs.launch import ensure_dispatcher
from cai_core.jobs.schedules import Due, describe_missed, list_due, list_ended, list_untold
from cai_core.jobs.spot_check import build_spot_check
from cai_core.records import AccessRole, Actor
from cai_core.workspace.baselines import Baseline, list_baselines
from cai_core.workspace.endpoints import read_endpoints
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.locks import hold_lock
from cai_core.workspace.runs import read_status
from cai_core.workspace.schedules import (
    ADD,
    DELETE,
    LOCK,
    PAUSE,
    RESULT,
    RESUME,
    RUN,
    Check,
    Schedule,
    ScheduleState,
    find_schedule,
    read_schedules,
)
from cai_core.workspace.status import RunState, RunStatus

# Of one workspace; each is looked at once a second.
MOST_SCHEDULES, MOST_PROMPTS = 50, 10_000
_MOST_REASONS, _LONGEST_REASON = 8, 400
_GOING_ON = (RunState.QUEUED, RunState.RUNNING)


def add_schedule(
    actor: Actor,
    workspace: Path,
    name: str,
    cron: str,
    model: str,
    prompts: int,
    suite: str | None = None,
) -> Schedule:
    """Have a model checked again and again against the pinned baseline of a suite.

    Args:
        cron: five fields, UTC; see `jobs.cron`.
        model: an endpoint, `demo` or `run:ID`; an admin names any.
        prompts: so many of the baseline's, from 1 to MOST_PROMPTS.
        suite: None takes that of the newest pinned baseline.

    Raises:
        NotAllowedError: the actor may not launch.
        RecipeError: the name, the cron text, the model or the number cannot be.
        WorkspaceError: no baseline is pinned, there is such a schedule, or there are too many.
    """
    require(actor, AccessRole.EDITOR, ADD)
    if not NAME_PATTERN.fullmatch(name):
        raise RecipeError(f"{name!r:.80} is no name of a schedule. It must {NAME_RULE}.")
    told = parse_cron(cron).text
    if not 1 <= prompts <= MOST_PROMPTS:
        raise RecipeError(f"prompts is {prompts}. Give a number from 1 to {MOST_PROMPTS:,}.")
    baseline = _find_pinned(workspace, suite)
    any_model = actor.role.includes(AccessRole.ADMIN)
    endpoints = None if any_model else read_endpoints(workspace).book.endpoints
    build_spot_check(workspace, baseline.run, model, prompts, endpoints=endpoints)
    with hold_lock(workspace, LOCK):
        states = read_schedules(workspace)
        if any(state.schedule.name == name for state in states):
            raise WorkspaceError(f"there is a schedule {name!r}. Delete it, or take another name.")
        if len(states) >= MOST_SCHEDULES:
            raise WorkspaceError(f"there are {len(states)} schedules. Delete one first.")
        fields = {"cron": told, "model": model, "suite": baseline.suite, "prompts": prompts}
        append_event(workspace, Topic.SETTINGS, actor, ADD, {"schedule": name, **fields})
        state = _get(workspace, name)
    ensure_dispatcher(workspace)
    return state.schedule


def pause_schedule(actor: Actor, workspace: Path, name: str) -> None:
    """Nothing is due until it is resumed; a check that runs goes on.

    Raises:
        NotAllowedError: the actor may not launch.
        WorkspaceError: there is no such schedule, or it is paused already.
    """
    require(actor, AccessRole.EDITOR, PAUSE)
    _change(actor, workspace, name, PAUSE, paused=True)


def resume_schedule(actor: Actor, workspace: Path, name: str) -> None:
    """Go on from now; what was due meanwhile is not made up for.

    Raises:
        NotAllowedError: the actor may not launch.
        WorkspaceError: there is no such schedule, or it is not paused.
    """
    require(actor, AccessRole.EDITOR, RESUME)
    _change(actor, workspace, name, RESUME, paused=False)
    ensure_dispatcher(workspace)


def delete_schedule(actor: Actor, workspace: Path, name: str) -> None:
    """Forget it; the evaluations that it made stay.

    Raises:
        NotAllowedError: the actor may not launch.
        WorkspaceError: there is no such schedule.
    """
    require(actor, AccessRole.EDITOR, DELETE)
    with hold_lock(workspace, LOCK):
        _get(workspace, name)
        append_event(workspace, Topic.SETTINGS, actor, DELETE, {"schedule": name})


def run_due(actor: Actor, workspace: Path, at: datetime | None = None) -> list[str]:
    """Tell the results of checks that have ended, and hand in what is due; what was done, in words.

    Each due time is settled once, however many ask at a time; of several missed ones the newest
    alone is run. What cannot be run is told with its reason, and is settled all the same.

    Args:
        at: the time that counts as now.

    Raises:
        NotAllowedError: the actor may not launch.
        WorkspaceError: the journal cannot be read or written.
    """
    require(actor, AccessRole.EDITOR, "run what is due")
    with hold_lock(workspace, LOCK):
        ended = list_ended(workspace, read_schedules(workspace))
        told = [_record(actor, workspace, one.schedule, check, how) for one, check, how in ended]
        dues = list_due(read_schedules(workspace), at or datetime.now(UTC))
        told += [_run(actor, workspace, due) for due in dues]
    return told


def _run(actor: Actor, workspace: Path, due: Due) -> str:
    schedule = due.state.schedule
    run_id = baseline = ""
    reasons: list[str] = []
    try:
        _refuse_twice(workspace, due.state)
        baseline = _find_pinned(workspace, schedule.suite).run
        spec = build_spot_check(
            workspace,
            baseline,
            schedule.model,
            schedule.prompts,
            stem=f"{schedule.name}-{due.due:%Y%m%dT%H%M}",
        )
        # The role was checked when the schedule was made; the audit log names it as who asked.
        asker = Actor(name=f"schedule {schedule.name}", role=AccessRole.EDITOR)
        run_id = submit(asker, workspace, spec).run_id
    except (CaiError, OSError) as error:
        reasons.append(_shorten(str(error)))
    fields: dict[str, Any] = {
        "schedule": schedule.name,
        "due": due.due.isoformat(timespec="minutes"),
        "missed": due.missed,
        "run": run_id,
        "baseline": baseline,
        "reasons": reasons,
    }
    append_event(workspace, Topic.SETTINGS, actor, RUN, fields)
    missed = f"; {describe_missed(due.missed)}" if due.missed else ""
    outcome = f"handed in as {run_id}" if run_id else f"not run: {reasons[0]}"
    return f"{schedule.name}, due {due.due:%Y-%m-%d %H:%M} UTC: {outcome}{missed}"


def _record(
    actor: Actor, workspace: Path, schedule: Schedule, check: Check, status: RunStatus
) -> str:
    outcome, reasons, cases = "", list[str](), 0
    if status.state is RunState.SUCCEEDED:
        outcome, reasons, cases = _compare(workspace, check)
    else:
        why = f": {status.reason}" if status.reason else ""
        reasons = [_shorten(f"the check is {status.state}{why}")]
    fields: Mapping[str, Any] = {
        "schedule": schedule.name,
        "run": check.run,
        "baseline": check.baseline,
        "status": outcome,
        "reasons": reasons,
        "cases": cases,
    }
    append_event(workspace, Topic.SETTINGS, actor, RESULT, fields)
    return f"{schedule.name}, {check.run}: {outcome or reasons[0]}"


def _compare(workspace: Path, check: Check) -> tuple[str, list[str], int]:
    """The gate's word, or `none` where there is none; its reasons; pairs."""
    try:
        rows = load_matrix(workspace, check.baseline, [check.run], None)
    except (CaiError, OSError) as error:
        return "none", [_shorten(f"cannot be compared: {error}")], 0
    if not rows:
        return "none", [f"shares no answered prompt with {check.baseline}"], 0
    (row,) = rows
    if row.gate is None:
        return "none", ["the gate holds nothing that was measured"], row.cases
    told = [_shorten(reason) for reason in row.gate.reasons]
    if len(told) > _MOST_REASONS:
        told[_MOST_REASONS:] = [f"and {len(told) - _MOST_REASONS} more"]
    return row.gate.status, told, row.cases


def _refuse_twice(workspace: Path, state: ScheduleState) -> None:
    """Raise WorkspaceError while a check before has not ended: they would pile up."""
    for check in list_untold(state):
        try:
            status = read_status(workspace / "runs" / check.run)
        except (CaiError, OSError):
            continue  # it was deleted
        if status.state in _GOING_ON:
            raise WorkspaceError(f"the check before it, {check.run}, has not ended.")


def _find_pinned(workspace: Path, suite: str | None) -> Baseline:
    pins = list_baselines(workspace)
    found = next((pin for pin in pins if suite in (None, pin.suite)), None)
    if found is None:
        of = f" for the suite {suite}" if suite is not None else ""
        raise WorkspaceError(
            f"no baseline is pinned{of}. Pin an evaluation on the page Drift first."
        )
    return found


def _change(actor: Actor, workspace: Path, name: str, action: str, *, paused: bool) -> None:
    with hold_lock(workspace, LOCK):
        if _get(workspace, name).paused is paused:
            raise WorkspaceError(f"{name!r} is {'paused already' if paused else 'not paused'}.")
        append_event(workspace, Topic.SETTINGS, actor, action, {"schedule": name})


def _get(workspace: Path, name: str) -> ScheduleState:
    state = find_schedule(workspace, name)
    if state is None:
        known = ", ".join(one.schedule.name for one in read_schedules(workspace))
        raise WorkspaceError(f"no schedule {name!r:.80}. There is: {known or 'none'}.")
    return state


def _shorten(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST_REASON else f"{words[: _LONGEST_REASON - 1]}…"
