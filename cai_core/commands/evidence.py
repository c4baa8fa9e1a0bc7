"""`evidence`: what Constitutional AI changed, method by method, on one suite.

Picks the newest model of each kind by itself: base, system prompt only, SL-CAI, DPO, RL-CAI.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from cai_core.commands.evaluate import finish
from cai_core.errors import RecipeError
from cai_core.evaluation.evidence import Change, Column, Evidence, Figure, compute_evidence
from cai_core.evaluation.measures import READERS
from cai_core.jobs.drift_study import load_side
from cai_core.jobs.evidence_plan import PRESETS, build_evaluation_plan, build_like, get_preset
from cai_core.jobs.evidence_study import (
    SuiteOfEvidence,
    find_methods,
    group_evidence,
    list_evaluated_models,
)
from cai_core.jobs.plan_specs import build_plan
from cai_core.workspace.files import get_workspace


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `evidence` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "evidence",
        help="what each method changed: base, system prompt, SL-CAI, DPO, RL-CAI on one suite",
        description="Hold the newest model of each kind against the base by one suite and judge: "
        "rates with 95 % intervals, paired differences corrected for their number. With --run "
        "what is missing is evaluated first.",
    )
    add = parser.add_argument
    add("--suite", metavar="NAME", help="as evaluations have it (default: the one with most)")
    add("--run", action="store_true", dest="evaluate", help="evaluate what is missing")
    add(
        "--preset",
        choices=[one.name for one in PRESETS],
        help="what --run asks where no evaluation is there to go by (default: demo)",
    )
    add("--judge", metavar="MODEL", help="who judges with --preset; the oracle and phrases without")
    add("--seed", type=int, default=0, metavar="N", help="of new evaluations")
    add("--by", choices=READERS, help="whose word counts (default: the first of these that knows)")
    add("--anyway", action="store_true", help="go on where the forecast says it cannot fit")
    add("--json", action="store_true", help="print everything as one JSON line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate where asked, compare, tell; the exit status."""
    workspace = get_workspace()
    group = _find_group(workspace, args.suite)
    if args.evaluate:
        if status := _evaluate(workspace, args, group):
            return status
        group = _find_group(workspace, args.suite)
    if group is None or not group.found:
        raise RecipeError(
            "no model of a method was evaluated yet. Train one (`make demo`), then add --run."
        )
    runs = {label: one.run for label, one in group.found.items()}
    sides = [load_side(workspace, run) for run in runs.values()]
    found = compute_evidence(sides[0], sides[1:], reader=args.by)
    if args.json:
        print(json.dumps(build_document(group, found)))
    else:
        for line in build_lines(group, found):
            print("".join(sign if sign.isprintable() else "?" for sign in line))
    return 0


def build_document(group: SuiteOfEvidence, found: Evidence) -> dict[str, object]:
    """Everything, for JSON; keys are only ever added."""
    labels = {one.run: label for label, one in group.found.items()}
    return {
        "format": 1,
        "suite": {"name": group.name, "hash": group.hash},
        "reference": labels[found.reference],
        "methods": {label: one.run for label, one in group.found.items()},
        "missing": [one.label for one in group.missing],
        "compared": found.compared,
        "measures": [asdict(one) for one in found.columns],
        "figures": [
            {"measure": name, "method": labels[run], **asdict(one)}
            for (name, run), one in found.figures.items()
        ],
        "changes": [
            {"measure": name, "method": labels[run], **asdict(one)}
            for (name, run), one in found.changes.items()
        ],
        "warnings": {labels[run]: list(told) for run, told in found.warnings.items()},
    }


def build_lines(group: SuiteOfEvidence, found: Evidence) -> Iterator[str]:
    """For people."""
    labels = {one.run: label for label, one in group.found.items()}
    yield f"{group.name}@{group.hash[:12]}, against {labels[found.reference]}"
    for column in found.columns:
        by = f", by the {column.reader}" if column.reader else ""
        yield f"{column.name}{by}"
        for run, label in labels.items():
            figure = found.figures.get((column.name, run))
            change = found.changes.get((column.name, run))
            yield f"  {label}: {describe_figure(column, figure)}{_tell_change(column, change)}"
    yield f"p corrected by Holm for {found.compared} changes"
    for run, warnings in found.warnings.items():
        yield from (f"careful, {labels[run]}: {warning}" for warning in warnings)
    if group.missing:
        told = ", ".join(one.label for one in group.missing)
        yield f"not evaluated by this suite: {told}; add --run"


def describe_figure(column: Column, figure: Figure | None) -> str:
    """`13.4 % [10.3, 17.4] (n = 440)`."""
    if figure is None:
        return "not measured"
    scale, unit, digits = _scale(column)
    interval = f"[{scale * figure.low:.{digits}f}, {scale * figure.high:.{digits}f}]"
    told = f"{scale * figure.value:.{digits}f}{unit} {interval} (n = {figure.n})"
    return told + (f", unparsed {figure.unparsed}" if figure.unparsed else "")


def describe_change(column: Column, change: Change) -> str:
    """`−86.6 points [−89.1, −84.0]`."""
    scale, _, digits = _scale(column)
    moved, low, high = (
        f"{round(scale * value, digits) + 0.0:+.{digits}f}"
        for value in (change.difference, change.low, change.high)
    )
    return f"{moved} [{low}, {high}]"


def _tell_change(column: Column, change: Change | None) -> str:
    if change is None:
        return ""
    return f"; {describe_change(column, change)}, p = {change.p:.2g}"


def _scale(column: Column) -> tuple[int, str, int]:
    if column.unit == "points":
        return 100, " %", 1
    return 1, "", 2 if column.unit == "scale" else 1


def _find_group(workspace: Path, suite: str | None) -> SuiteOfEvidence | None:
    groups = group_evidence(find_methods(workspace), list_evaluated_models(workspace))
    named = [one for one in groups if suite is None or suite in (one.name, one.hash)]
    return next(iter(named), None)


def _evaluate(workspace: Path, args: argparse.Namespace, group: SuiteOfEvidence | None) -> int:
    """Hand in what is missing; 0 where nothing is, or all has succeeded."""
    methods = find_methods(workspace)
    if not methods:
        raise RecipeError("no run of this workspace has made a model. Train one: `make demo`.")
    like = _find_like(group)
    if group is not None and like is not None and args.preset is None:
        if not group.missing:
            return 0
        text = build_like(group.missing, like)
    else:
        preset = get_preset(args.preset or "demo")
        text = build_evaluation_plan(methods, preset, judge=args.judge, seed=args.seed)
    specs = build_plan(text, "evidence", Path.cwd(), workspace)
    return finish(workspace, specs, anyway=args.anyway)


def _find_like(group: SuiteOfEvidence | None) -> Mapping[str, object] | None:
    if group is None:
        return None
    return next((one.recipe for one in group.found.values()), None)
