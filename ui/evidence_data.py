"""What the evidence page shows, read and computed once for each state of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cai_core.evaluation.drift_side import Key, Side
from cai_core.evaluation.evidence import Evidence, compute_evidence
from cai_core.evaluation.measures import KEEPS, MEASURES, Reader, get_measure
from cai_core.evaluation.pairwise import Pairwise, compute_pairwise
from cai_core.jobs.drift_study import load_side
from cai_core.jobs.evidence_study import (
    EvaluatedModel,
    Method,
    SuiteOfEvidence,
    find_methods,
    group_evidence,
    list_evaluated_models,
)
from cai_core.jobs.pairwise_study import PairwiseStudy, load_pairwise
from cai_core.pipeline.evaluate_plan import STEP
from cai_core.pipeline.evaluate_records import JUDGEMENTS
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import open_run

_Stamp = tuple[str, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The evaluations that stand beside each other, the reference first.

    Attributes:
        labels: run → its method, of others the model; no two are alike.
        group: what they were chosen from; `methods` what the workspace has.
    """

    runs: tuple[str, ...]
    labels: Mapping[str, str]
    group: SuiteOfEvidence
    methods: tuple[Method, ...]

    @property
    def reference(self) -> str:
        """The run that others are held against."""
        return self.runs[0]


def list_groups(workspace: Path) -> tuple[tuple[Method, ...], tuple[SuiteOfEvidence, ...]]:
    """The methods of the workspace, and its evaluations suite by suite."""
    methods = find_methods(workspace)
    return methods, group_evidence(methods, list_evaluated_models(workspace))


def label_evaluations(group: SuiteOfEvidence) -> dict[str, str]:
    """Run → what it is called, of every evaluation of a suite, methods first."""
    found = {one.run: label for label, one in group.found.items()}
    names = [*found.values(), *(one.name for one in group.others)]
    for one in group.others:
        found[one.run] = one.name if names.count(one.name) == 1 else f"{one.name} ({one.run})"
    return found


def list_runs(group: SuiteOfEvidence) -> dict[str, EvaluatedModel]:
    """Run → its evaluation, of every one of a suite."""
    return {one.run: one for one in (*group.found.values(), *group.others)}


def choose_runs(group: SuiteOfEvidence, *, asked: Sequence[str], against: str) -> tuple[str, ...]:
    """The runs that are shown: those that are asked for, else the methods', else the newest.

    Args:
        against: the reference, where it is one of the suite's; else the first is.
    """
    there = label_evaluations(group)
    runs = [run for run in dict.fromkeys(asked) if run in there]
    if not runs:
        runs = [one.run for one in group.found.values()]
    if len(runs) < 2:
        runs += [one.run for one in group.others if one.run not in runs][: 5 - len(runs)]
    reference = against if against in there else runs[0]
    return (reference, *(run for run in runs if run != reference))


def load_evidence(workspace: Path, runs: Sequence[str], reader: Reader | None) -> Evidence:
    """The table of these evaluations, the reference first.

    Raises:
        CaiError: an evaluation cannot be read.
    """
    return _compute(workspace, tuple(_stamp(workspace, run) for run in runs), reader)


def load_sides(workspace: Path, runs: Sequence[str]) -> list[Side]:
    """The evaluations themselves; raises as `load_evidence`."""
    return [load_side(workspace, run) for run in runs]


def load_reasons(workspace: Path, run: str, key: Key, measure: str) -> list[tuple[str, str]]:
    """(question, what the judge wrote) about one answer, of what decides the measure.

    Raises:
        CaiError: the run's rows cannot be read.
    """
    line = load_side(workspace, run).lines[key]
    wanted = "judge-"
    if measure.startswith(KEEPS):
        wanted = f"keeps-{measure.removeprefix(KEEPS)}"
    elif measure in MEASURES and get_measure(measure).unit == "scale":
        wanted = f"rate-{measure}"
    asked = {step: row for step, row in line["reasons"].items() if step.startswith(wanted)}
    if not asked:
        return []
    rows = _index_rows(workspace, _stamp(workspace, run))
    found = [(step.partition("-")[2], rows[row].text) for step, row in asked.items() if row in rows]
    return [(name, text) for name, text in found if text]


def load_pairs(workspace: Path, run: str, anchor: str) -> tuple[PairwiseStudy, Pairwise]:
    """A label run's comparisons between models, and what they come to.

    Args:
        anchor: a run that was compared; else the first one is.

    Raises:
        CaiError: the run cannot be read, or compared nothing.
    """
    study = load_pairwise(workspace, run)
    return study, _rate(study, anchor if anchor in study.order else study.order[0])


@lru_cache(maxsize=16)
def _compute(workspace: Path, stamps: tuple[_Stamp, ...], reader: Reader | None) -> Evidence:
    reference, *others = (load_side(workspace, run) for run, _, _ in stamps)
    return compute_evidence(reference, others, reader=reader)


_rated: dict[tuple[int, str], tuple[PairwiseStudy, Pairwise]] = {}


def _rate(study: PairwiseStudy, anchor: str) -> Pairwise:
    """Remembered with its study, which a changed file makes another one."""
    key = (id(study), anchor)
    held = _rated.get(key)
    if held is None or held[0] is not study:
        if len(_rated) >= 16:
            _rated.clear()
        held = _rated[key] = (study, compute_pairwise(study.matches, study.order, anchor))
    return held[1]


@lru_cache(maxsize=8)
def _index_rows(workspace: Path, stamp: _Stamp) -> RowIndex:
    return RowIndex(open_run(workspace / "runs" / stamp[0]), STEP)


def _stamp(workspace: Path, run: str) -> _Stamp:
    try:
        stat = (workspace / "runs" / run / "outputs" / JUDGEMENTS).stat()
    except OSError:
        return run, 0, 0  # `load_side` says what is wrong
    return run, stat.st_mtime_ns, stat.st_size
