"""Evaluations against a baseline, measure by measure; computed once for a state of their files."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cai_core.errors import CaiError
from cai_core.evaluation.corrections import adjust_holm
from cai_core.evaluation.drift import compute_changes
from cai_core.evaluation.drift_side import Key, Side
from cai_core.evaluation.drift_warnings import list_warnings
from cai_core.evaluation.gate import ALPHA, compute_gate
from cai_core.evaluation.measures import THRESHOLDS, Reader, get_measure
from cai_core.evaluation.paired import PairedChange
from cai_core.jobs.drift_cache import Cell, MatrixRow, Stamp, Word, load_row, save_rows
from cai_core.jobs.drift_study import list_evaluations, load_side
from cai_core.pipeline.evaluate import METRICS, read_metrics, shorten_model
from cai_core.pipeline.evaluate_records import JUDGEMENTS
from cai_core.workspace.runs import open_run, read_status
from cai_core.workspace.status import RunState

# How far a look is: evaluations read, of how many.
Tell = Callable[[int, int], None]
# Rows in memory; the disk has the others.
_REMEMBERED = 512
_rows: OrderedDict[tuple[Any, ...], MatrixRow] = OrderedDict()
_matrices: OrderedDict[tuple[Any, ...], tuple[MatrixRow, ...]] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One evaluation as lists name it.

    Attributes:
        name: the model's, with the constitution that stands before it as a system prompt.
        at: when it ended (UTC, ISO 8601).
    """

    run: str
    name: str
    suite: str
    at: str
    recipe: Mapping[str, Any]


def list_evaluated(workspace: Path) -> list[Evaluation]:
    """The evaluations that have succeeded and can be read, in order of time."""
    found = []
    for run in list_evaluations(workspace):
        folder = workspace / "runs" / run
        try:
            status = read_status(folder)
            stat = (folder / "outputs" / METRICS).stat()
            if status.state is RunState.SUCCEEDED:
                head = _read_head(folder, stat.st_mtime_ns, stat.st_size)
                found.append(Evaluation(run=run, at=status.updated_at, **head))
        except (CaiError, OSError, KeyError, TypeError):
            continue  # `verify` tells
    return sorted(found, key=lambda one: (one.at, one.run))


def load_matrix(
    workspace: Path,
    baseline: str,
    candidates: Sequence[str],
    reader: Reader | None,
    tell: Tell | None = None,
) -> tuple[MatrixRow, ...]:
    """Every candidate against the baseline; those that share no prompt with it are left out.

    Args:
        reader: as in `evaluation.drift.compute_drift`.
        tell: called for every evaluation that must be read; nothing is read where all is known.

    Raises:
        CaiError: an evaluation cannot be read.
    """
    held, *stamps = (stamp(workspace, run) for run in (baseline, *candidates))
    key = (workspace, held, tuple(stamps), reader)
    with _lock:
        if (matrix := _matrices.get(key)) is not None:
            _matrices.move_to_end(key)
            return matrix
    rows = {one: row for one in stamps if (row := _find(workspace, held, one, reader)) is not None}
    missing = [one for one in stamps if one not in rows]
    if missing:
        made = _compute(workspace, baseline, [run for run, _ in missing], reader, tell)
        rows |= zip(missing, made, strict=True)
        save_rows(workspace, held, list(zip(missing, made, strict=True)), reader)
    matrix = tuple(rows[one] for one in stamps if rows[one].cases)
    with _lock:
        for one, row in rows.items():
            _rows[workspace, held, one, reader] = row
        _matrices[key] = matrix
        for cache, most in ((_rows, _REMEMBERED), (_matrices, 16)):
            while len(cache) > most:
                cache.popitem(last=False)
    return matrix


def load_header(workspace: Path, run: str) -> Mapping[str, Any]:
    """metrics.json of an evaluation: who judged what, without its answers; quick when asked again.

    Raises:
        WorkspaceError: there is none, or it is damaged.
    """
    folder = workspace / "runs" / run
    try:
        stat = (folder / "outputs" / METRICS).stat()
    except OSError:
        return read_metrics(folder)  # says what is wrong
    return _read_header(folder, stat.st_mtime_ns, stat.st_size)


def stamp(workspace: Path, run: str) -> Stamp:
    """What tells whether an evaluation's files are still the same."""
    told: list[int] = []
    for name in (JUDGEMENTS, METRICS):
        try:
            stat = (workspace / "runs" / run / "outputs" / name).stat()
            told += (stat.st_mtime_ns, stat.st_size)
        except OSError:
            told += (0, 0)  # `load_side` says what is wrong
    return run, tuple(told)


def _find(workspace: Path, baseline: Stamp, one: Stamp, reader: Reader | None) -> MatrixRow | None:
    with _lock:
        row = _rows.get((workspace, baseline, one, reader))
    if row is not None:
        return row
    # A run that is not there, or was resumed, is not taken from what was once known of it.
    for run, _ in (baseline, one):
        if read_status(workspace / "runs" / run).state is not RunState.SUCCEEDED:
            return None
    return load_row(workspace, baseline, one, reader)


@lru_cache(maxsize=512)
def _read_header(folder: Path, _changed: int, _size: int) -> dict[str, Any]:
    return read_metrics(folder)


@lru_cache(maxsize=512)
def _read_head(folder: Path, changed: int, size: int) -> dict[str, Any]:
    header = _read_header(folder, changed, size)
    name = shorten_model(str(header["model"]["name"]))
    if (system := header.get("system_constitution")) is not None:
        name += f" + {system['name']} as system prompt"
    recipe = open_run(folder).recipe
    return {"name": name, "suite": str(header["suite"]["name"]), "recipe": recipe}


def _compute(
    workspace: Path,
    baseline_run: str,
    candidates: Sequence[str],
    reader: Reader | None,
    tell: Tell | None,
) -> list[MatrixRow]:
    """A row for each candidate, in their order; without cases where no prompt is shared."""
    sides = []
    for number, run in enumerate((baseline_run, *candidates)):
        if tell is not None:
            tell(number, len(candidates) + 1)
        sides.append(load_side(workspace, run))
    baseline, *others = sides
    # Measures are read by whom all of a group have, so a group is of evaluations that are alike.
    groups: dict[tuple[object, tuple[Key, ...]], list[Side]] = {}
    for side in others:
        keys = tuple(key for key in baseline.keys if key in side.lines)
        readers = frozenset((name, who) for name, told in side.values.items() for who in told)
        groups.setdefault((readers, keys), []).append(side)
    rows: dict[str, MatrixRow] = {}
    for (_, keys), alike in groups.items():
        if not keys:
            rows |= {side.run: _build_empty(baseline, side) for side in alike}
            continue
        changes = compute_changes(baseline, alike, keys=keys, reader=reader)
        for place, side in enumerate(alike):
            own = {name: (who, told[place]) for name, (who, told) in changes.items()}
            rows[side.run] = _build_row(baseline, side, keys, own)
    return [rows[side.run] for side in others]


def _build_empty(baseline: Side, side: Side) -> MatrixRow:
    unpaired = len(baseline.lines) + len(side.lines)
    return MatrixRow(run=side.run, cases=0, unpaired=unpaired, cells={}, gate=None, warnings=())


def _build_row(
    baseline: Side,
    side: Side,
    keys: tuple[Key, ...],
    changes: Mapping[str, tuple[Reader | None, PairedChange | None]],
) -> MatrixRow:
    listed = [(name, who, one) for name, (who, one) in changes.items() if one is not None]
    judged = any(who == "judge" or get_measure(name).unit == "scale" for name, who, _ in listed)
    warnings = tuple(list_warnings(baseline, side, judged=judged))
    known = baseline.values.keys() | side.values.keys()
    held = [one for one in THRESHOLDS if one.metric in known]
    gate = None
    if held:
        gate = compute_gate({name: one for name, _, one in listed}, held, cautions=warnings)
    verdicts = {one.threshold.metric: one for one in (gate.verdicts if gate else ())}
    corrected = adjust_holm([one.p for _, _, one in listed])
    cells = {}
    for (name, who, change), p in zip(listed, corrected, strict=True):
        verdict = verdicts.get(name)
        own = p if verdict is None or verdict.p is None else verdict.p
        word = _tell(name, change, own)
        if verdict is not None and word != "better":
            word = verdict.status
        cells[name] = Cell(
            change=change,
            reader=who,
            word=word,
            reason="" if verdict is None else verdict.reason,
            p=own,
            allowed=None if verdict is None else verdict.threshold.allowed,
        )
    return MatrixRow(
        run=side.run,
        cases=len(keys),
        unpaired=len(baseline.lines.keys() | side.lines.keys()) - len(keys),
        cells=cells,
        gate=gate,
        warnings=warnings,
    )


def _tell(name: str, change: PairedChange, p: float) -> Word:
    if not change.difference:
        return "no change"
    if p >= ALPHA:
        return "may be chance"
    better = get_measure(name).better
    if better is None:
        return "changed"
    return "better" if (change.difference > 0) is (better == "higher") else "worse"
