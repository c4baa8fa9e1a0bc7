"""The runs of a workspace as lists show them. Reads files alone; needs no index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from cai_core.errors import CaiError, WorkspaceError
from cai_core.jobs.queue import load_queue
from cai_core.workspace.runs import open_run, read_status
from cai_core.workspace.status import RunState

# A page's chain is a run of its own; there may be thousands.
_OF_PAGES = "interactive-"
_LAST = 10**9
_DONE_AND_TOTAL = (("rows_done", "rows_total"), ("steps_done", "steps_total"))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One run.

    Attributes:
        position: in the queue, from 1; None when it is not queued there.
        done, total: rows or training steps; None before they are counted.
        counts: all that the stage counts.
    """

    run: str
    kind: str
    state: RunState
    reason: str | None
    position: int | None
    done: int | None
    total: int | None
    parents: tuple[str, ...]
    updated_at: str
    counts: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)


def list_jobs(workspace: Path, *, chains: bool = False) -> list[JobView]:
    """Those that run, then the queue in its order, then the others, newest first.

    A folder that cannot be read is left out; `verify` tells.

    Args:
        chains: list the chains of the pages, too.
    """
    queue = load_queue(workspace)
    views = []
    for path in (workspace / "runs").glob("*/recipe.yaml"):
        if chains or not path.parent.name.startswith(_OF_PAGES):
            try:
                views.append(_build_view(path.parent, queue))
            except (CaiError, OSError, TypeError):
                continue
    newest = sorted(views, key=lambda view: view.updated_at, reverse=True)
    return sorted(newest, key=_rank)


def find_job(workspace: Path, name: str) -> JobView | None:
    """One run as lists show it; None where there is none that can be read."""
    if not name or name != Path(name).name or "\0" in name:
        return None
    try:
        return _build_view(workspace / "runs" / name, load_queue(workspace))
    except (CaiError, OSError, TypeError):
        return None


def find_run(workspace: Path, beginning: str) -> str:
    """The id of the one run whose id begins so, or is just that.

    Raises:
        WorkspaceError: none does, or several do.
    """
    names = sorted(path.parent.name for path in (workspace / "runs").glob("*/recipe.yaml"))
    if beginning in names:
        return beginning
    found = [name for name in names if beginning and name.startswith(beginning)]
    if not found:
        raise WorkspaceError(
            f"No run's id begins with {beginning!r:.80}. `python -m cai_core runs` lists them."
        )
    if len(found) > 1:
        some = ", ".join(found[:5]) + (", …" if len(found) > 5 else "")
        raise WorkspaceError(f"{len(found)} runs' ids begin with {beginning!r}: {some}. Give more.")
    return found[0]


def _build_view(folder: Path, queue: list[str]) -> JobView:
    stat = (folder / "recipe.yaml").stat()
    kind, parents = _read_head(folder, stat.st_mtime_ns, stat.st_size)
    status = read_status(folder)
    done = total = None
    for names in _DONE_AND_TOTAL:
        if names[0] in status.counts:
            done, total = (status.counts.get(name) for name in names)
    position = queue.index(folder.name) + 1 if folder.name in queue else None
    reason = status.reason
    if status.state is RunState.QUEUED and position is None and reason is None:
        reason = "is not in the queue; resume it to put it there"
    return JobView(
        run=folder.name,
        kind=kind,
        state=status.state,
        reason=reason,
        position=position,
        done=done,
        total=total,
        parents=parents,
        updated_at=status.updated_at,
        counts=status.counts,
    )


# Recipes are frozen, and their YAML takes milliseconds to read.
@lru_cache(maxsize=4096)
def _read_head(folder: Path, _changed: int, _size: int) -> tuple[str, tuple[str, ...]]:
    run = open_run(folder)
    return run.kind, run.parents


def _rank(view: JobView) -> tuple[int, int]:
    if view.state is RunState.RUNNING:
        return 0, 0
    if view.state is RunState.QUEUED:
        return 1, view.position or _LAST
    return 2, 0
