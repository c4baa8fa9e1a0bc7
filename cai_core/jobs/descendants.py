"""What was made from a run: labels of its chains, and models that its texts or labels trained."""

from __future__ import annotations

from pathlib import Path

from cai_core.jobs.listing import JobView, list_jobs
from cai_core.jobs.schedule import TRAINING_KINDS
from cai_core.workspace.status import RunState

_MOST = 200


def list_descendants(workspace: Path, run_id: str) -> list[JobView]:
    """Every run that names it among its parents, or one of those that do; the nearest first.

    Deleted runs are left out. At most 200 are told.
    """
    children: dict[str, list[JobView]] = {}
    for view in list_jobs(workspace):
        if view.state is not RunState.DELETED:
            for parent in view.parents:
                children.setdefault(parent, []).append(view)
    found: dict[str, JobView] = {}
    waiting = [run_id]
    while waiting and len(found) < _MOST:
        for view in children.get(waiting.pop(0), ()):
            if view.run not in found and view.run != run_id:
                found[view.run] = view
                waiting.append(view.run)
    return list(found.values())


def trains(view: JobView) -> bool:
    """Whether a run of its kind makes a model."""
    return view.kind in TRAINING_KINDS
