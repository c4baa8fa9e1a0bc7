"""Two evaluations of a workspace side by side. Reads files alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from cai_core.errors import WorkspaceError
from cai_core.evaluation.drift import Drift, compute_drift
from cai_core.evaluation.drift_side import Side, build_side
from cai_core.evaluation.gate import Threshold
from cai_core.evaluation.measures import THRESHOLDS, Reader
from cai_core.pipeline.evaluate import KIND, METRICS, read_metrics, shorten_model
from cai_core.pipeline.evaluate_records import JUDGEMENTS, read_judged
from cai_core.workspace.runs import open_run, read_status
from cai_core.workspace.status import RunState

# A few that are read now. A thousand responses take about 3 MB and many objects each, and Streamlit
# has Python's garbage collector go through all objects after each look at a page.
_REMEMBERED = 8


def list_evaluations(workspace: Path) -> list[str]:
    """Ids of the evaluations that have their figures, the newest first."""
    found = [
        (path.stat().st_mtime, path.parents[1].name)
        for path in (workspace / "runs").glob(f"*/outputs/{METRICS}")
        if (path.parent / JUDGEMENTS).exists()
    ]
    return [name for _, name in sorted(found, reverse=True)]


def load_side(workspace: Path, run_id: str) -> Side:
    """An evaluation, ready to be compared; quick when asked again.

    Raises:
        WorkspaceError: there is no such evaluation, or it has not succeeded.
    """
    folder = workspace / "runs" / run_id
    if (state := read_status(folder).state) is not RunState.SUCCEEDED:
        raise WorkspaceError(f"{run_id} is {state}, not succeeded. Resume it, or choose another.")
    try:
        stats = [(folder / "outputs" / name).stat() for name in (JUDGEMENTS, METRICS)]
    except OSError as error:
        raise WorkspaceError(f"{run_id}: has no {JUDGEMENTS}. Choose an evaluation.") from error
    return _load(folder, tuple((stat.st_mtime_ns, stat.st_size) for stat in stats))


def study_drift(
    workspace: Path,
    baseline: str,
    candidate: str,
    *,
    reader: Reader | None = None,
    thresholds: Sequence[Threshold] = THRESHOLDS,
) -> Drift:
    """Compare two evaluations by their runs' ids.

    Raises:
        WorkspaceError: as `load_side`, or they share no case, or no threshold is of what they
            measured.
    """
    sides = load_side(workspace, baseline), load_side(workspace, candidate)
    if not sides[0].lines.keys() & sides[1].lines.keys():
        raise WorkspaceError(
            f"{baseline} and {candidate} have no answered prompt in common. Evaluate both by the "
            "same suite."
        )
    try:
        return compute_drift(*sides, reader=reader, thresholds=thresholds)
    except ValueError as error:
        measured = sorted({name for side in sides for name in side.values})
        raise WorkspaceError(
            f"the gate holds nothing that was measured ({', '.join(measured)}): {error}"
        ) from error


@lru_cache(maxsize=_REMEMBERED)
def _load(folder: Path, stamps: tuple[tuple[int, int], ...]) -> Side:
    del stamps  # of its two files: the key of what is remembered
    open_run(folder, kind=KIND)
    header = read_metrics(folder)
    try:
        name = shorten_model(str(header["model"]["name"]))
        return build_side(name, folder.name, header, read_judged(folder))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WorkspaceError(
            f"{folder}: outputs/judgements.jsonl holds a line that is no judgement ({error!r}). "
            "Delete the file and resume the run; it is made anew from the rows."
        ) from error
