"""What the drift page shows, read and computed once for each state of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from cai_core.errors import CaiError
from cai_core.evaluation.corrections import adjust_holm
from cai_core.evaluation.drift import compute_changes
from cai_core.evaluation.drift_flips import Flip, list_flips
from cai_core.evaluation.drift_side import Key, Side
from cai_core.evaluation.drift_warnings import list_warnings
from cai_core.evaluation.gate import ALPHA, Gate, compute_gate
from cai_core.evaluation.measures import MEASURES, THRESHOLDS, WORDS, Reader, get_measure
from cai_core.evaluation.paired import PairedChange
from cai_core.jobs.drift_study import list_evaluations, load_side
from cai_core.pipeline.evaluate import METRICS, read_metrics, shorten_model
from cai_core.pipeline.evaluate_plan import STEP
from cai_core.pipeline.evaluate_records import JUDGEMENTS
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import open_run, read_status
from cai_core.workspace.status import RunState

Word = Literal["fail", "warn", "pass", "better", "worse", "changed", "may be chance", "no change"]
_Stamp = tuple[str, int, int]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """How one measure changed from the baseline.

    Attributes:
        reader: who says so; None for a measure that nobody reads.
        word: the gate's where it holds the measure and it did not get better beyond chance.
        reason: the gate's; empty where it does not hold the measure.
        p: corrected by Holm: over the gate's measures where it holds this one, else over all.
        allowed: the largest loss that passes; None where the gate does not hold the measure.
    """

    change: PairedChange
    reader: Reader | None
    word: Word
    reason: str
    p: float
    allowed: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """One evaluation against the baseline.

    Attributes:
        cases: answers to the same prompts. unpaired: those that only one of them has.
        gate: None where it holds nothing that was measured.
    """

    run: str
    cases: int
    unpaired: int
    cells: Mapping[str, Cell]
    gate: Gate | None
    warnings: tuple[str, ...]


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
    workspace: Path, baseline: str, candidates: Sequence[str], reader: Reader | None
) -> tuple[MatrixRow, ...]:
    """Every candidate against the baseline; those that share no prompt with it are left out.

    Raises:
        CaiError: an evaluation cannot be read.
    """
    stamps = tuple(_stamp(workspace, run) for run in (baseline, *candidates))
    return _compute(workspace, stamps, reader)


def load_flips(
    workspace: Path, baseline: str, candidate: str, measure: str, reader: Reader | None
) -> tuple[Flip, ...]:
    """Flipped cases, the worse ones first.

    Raises:
        CaiError: an evaluation cannot be read.
    """
    stamps = (_stamp(workspace, baseline), _stamp(workspace, candidate))
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
    rows = _index_rows(workspace, _stamp(workspace, run))
    found = [(step.partition("-")[2], rows[row].text) for step, row in asked.items() if row in rows]
    return [(name, text) for name, text in found if text]


def _stamp(workspace: Path, run: str) -> _Stamp:
    try:
        stat = (workspace / "runs" / run / "outputs" / JUDGEMENTS).stat()
    except OSError:
        return run, 0, 0  # `load_side` says what is wrong
    return run, stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=512)
def _read_head(folder: Path, _changed: int, _size: int) -> dict[str, Any]:
    header = read_metrics(folder)
    name = shorten_model(str(header["model"]["name"]))
    if (system := header.get("system_constitution")) is not None:
        name += f" + {system['name']} as system prompt"
    recipe = open_run(folder).recipe
    return {"name": name, "suite": str(header["suite"]["name"]), "recipe": recipe}


@lru_cache(maxsize=16)
def _compute(
    workspace: Path, stamps: tuple[_Stamp, ...], reader: Reader | None
) -> tuple[MatrixRow, ...]:
    baseline, *candidates = (load_side(workspace, run) for run, _, _ in stamps)
    # Measures are read by whom all of a group have, so a group is of evaluations that are alike.
    groups: dict[tuple[object, tuple[Key, ...]], list[Side]] = {}
    for side in candidates:
        keys = tuple(key for key in baseline.keys if key in side.lines)
        readers = frozenset((name, who) for name, told in side.values.items() for who in told)
        if keys:
            groups.setdefault((readers, keys), []).append(side)
    rows: dict[str, MatrixRow] = {}
    for (_, keys), sides in groups.items():
        changes = compute_changes(baseline, sides, keys=keys, reader=reader)
        for place, side in enumerate(sides):
            own = {name: (who, told[place]) for name, (who, told) in changes.items()}
            rows[side.run] = _build_row(baseline, side, keys, own)
    return tuple(rows[side.run] for side in candidates if side.run in rows)


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


@lru_cache(maxsize=16)
def _list_flips(
    workspace: Path, stamps: tuple[_Stamp, _Stamp], measure: str, reader: Reader | None
) -> tuple[Flip, ...]:
    baseline, side = (load_side(workspace, run) for run, _, _ in stamps)
    who = "judge" if get_measure(measure).unit == "scale" else reader or ""
    told = [one.values.get(measure, {}) for one in (baseline, side)]
    if measure == WORDS or any(who not in readers for readers in told):
        return ()
    keys = tuple(key for key in baseline.keys if key in side.lines)
    return tuple(list_flips(measure, who, baseline, side, keys))


@lru_cache(maxsize=8)
def _index_rows(workspace: Path, stamp: _Stamp) -> RowIndex:
    return RowIndex(open_run(workspace / "runs" / stamp[0]), STEP)
