"""What the drift page shows, read and computed once for each state of its files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from cai_core.evaluation.drift_flips import Flip, list_flips
from cai_core.evaluation.drift_side import Key
from cai_core.evaluation.measures import MEASURES, WORDS, Reader, get_measure
from cai_core.jobs.drift_cache import Cell, MatrixRow, Stamp, Word
from cai_core.jobs.drift_matrix import Evaluation, list_evaluated, load_matrix, stamp
from cai_core.jobs.drift_study import load_side
from cai_core.pipeline.evaluate_plan import STEP
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import open_run

__all__ = [
    "Cell",
    "Evaluation",
    "MatrixRow",
    "Word",
    "list_evaluated",
    "load_flips",
    "load_matrix",
    "load_reasons",
]


def load_flips(
    workspace: Path, baseline: str, candidate: str, measure: str, reader: Reader | None
) -> tuple[Flip, ...]:
    """Flipped cases, the worse ones first.

    Raises:
        CaiError: an evaluation cannot be read.
    """
    stamps = (stamp(workspace, baseline), stamp(workspace, candidate))
    return _list_flips(workspace, stamps, measure, reader)


def load_reasons(workspace: Path, run: str, key: Key, measure: str) -> list[tuple[str, str]]:
    """(question, what the judge wrote) about one answer, of what decides the measure.

    Raises:
        CaiError: the run's rows cannot be read.
    """
    line = load_side(workspace, run).lines[key]
    wanted = "judge-"
    if measure not in MEASURES:
        wanted = f"keeps-{measure.partition(': ')[2]}"
    elif get_measure(measure).unit == "scale":
        wanted = f"rate-{measure}"
    asked = {step: row for step, row in line["reasons"].items() if step.startswith(wanted)}
    if not asked:
        return []
    rows = _index_rows(workspace, stamp(workspace, run))
    found = [(step.partition("-")[2], rows[row].text) for step, row in asked.items() if row in rows]
    return [(name, text) for name, text in found if text]


@lru_cache(maxsize=16)
def _list_flips(
    workspace: Path, stamps: tuple[Stamp, Stamp], measure: str, reader: Reader | None
) -> tuple[Flip, ...]:
    baseline, side = (load_side(workspace, run) for run, _ in stamps)
    who = "judge" if get_measure(measure).unit == "scale" else reader or ""
    told = [one.values.get(measure, {}) for one in (baseline, side)]
    if measure == WORDS or any(who not in readers for readers in told):
        return ()
    keys = tuple(key for key in baseline.keys if key in side.lines)
    return tuple(list_flips(measure, who, baseline, side, keys))


@lru_cache(maxsize=8)
def _index_rows(workspace: Path, of: Stamp) -> RowIndex:
    return RowIndex(open_run(workspace / "runs" / of[0]), STEP)
