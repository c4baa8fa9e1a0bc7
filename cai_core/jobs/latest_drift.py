"""The newest evaluation against the pinned baseline, in a few words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cai_core.errors import CaiError
from cai_core.jobs.drift_matrix import list_evaluated, load_matrix
from cai_core.workspace.baselines import find_baseline
from cai_core.workspace.schedules import read_schedules


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestDrift:
    """What the newest evaluation of the pinned baseline's suite came to.

    Attributes:
        run, baseline: ids of the two evaluations. name, baseline_name: their models, for people.
        status: the gate's; None where it holds nothing that was measured.
        reasons: the worst first; empty for a pass.
        cases: answers to the same prompts.
        at: when the evaluation ended (UTC, ISO 8601).
        schedule: name of the schedule that asked for it; empty where a person did.
    """

    run: str
    name: str
    baseline: str
    baseline_name: str
    suite: str
    status: Literal["pass", "warn", "fail"] | None
    reasons: tuple[str, ...]
    cases: int
    at: str
    schedule: str


def load_latest_drift(workspace: Path) -> LatestDrift | None:
    """The newest evaluation that shares a prompt with the newest pinned baseline.

    Quick when asked again; None where nothing is pinned, nothing else was evaluated by that suite,
    or it cannot be read.
    """
    evaluations = list_evaluated(workspace)
    by_run = {one.run: one for one in evaluations}
    pinned = find_baseline(workspace, by_run)
    if pinned is None:
        return None
    baseline = by_run[pinned.run]
    same = [one for one in evaluations if one.suite == baseline.suite and one != baseline]
    for one in reversed(same):
        try:
            rows = load_matrix(workspace, baseline.run, [one.run], None)
        except (CaiError, OSError):
            continue
        if rows:
            (row,) = rows
            return LatestDrift(
                run=one.run,
                name=one.name,
                baseline=baseline.run,
                baseline_name=baseline.name,
                suite=one.suite,
                status=None if row.gate is None else row.gate.status,
                reasons=() if row.gate is None else row.gate.reasons,
                cases=row.cases,
                at=one.at,
                schedule=_find_schedule(workspace, one.run),
            )
    return None


def _find_schedule(workspace: Path, run: str) -> str:
    for state in read_schedules(workspace):
        if any(check.run == run for check in state.checks):
            return state.schedule.name
    return ""
