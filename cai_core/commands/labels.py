"""`labels show` and `labels export`: what a `label` run made."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from cai_core.actions.labels import export_labels
from cai_core.jobs.listing import find_run
from cai_core.pipeline.label import FORMED, STEP
from cai_core.pipeline.label_answers import read_prob_first
from cai_core.pipeline.label_counts import LabelCounts, count_labels
from cai_core.pipeline.label_export import FORMATS
from cai_core.pipeline.label_recipe import parse_label_recipe
from cai_core.pipeline.label_records import LABELS, read_labels
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.files import get_workspace
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import Run, open_run


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `labels` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "labels",
        help="show or export a run's preference labels",
        description="Show or export the preference labels of a `label` run.",
    )
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = commands.add_parser("show", help="counts, position bias, what could not be read")
    show.add_argument("run_id", metavar="RUN", help="its id, or a beginning that is unique")
    show.add_argument("--json", action="store_true", help="as JSON")
    show.set_defaults(run=run_show)
    export = commands.add_parser("export", help="write a file and a data card beside it")
    export.add_argument("run_id", metavar="RUN", help="its id, or a beginning that is unique")
    export.add_argument("--format", choices=FORMATS, default="jsonl")
    export.add_argument("--out", type=Path, required=True, metavar="FILE")
    export.set_defaults(run=run_export)


def run_show(args: argparse.Namespace) -> int:
    """Print the counts; the exit status."""
    run = _open(args.run_id)
    formed = run.outputs / FORMED
    document = {
        "run": run.run_id,
        "state": run.status().state.value,
        "comparisons": json.loads(formed.read_bytes()) if formed.exists() else {},
        "answers": _count_answers(run),
        "labels": None,
    }
    counts = None
    if (run.outputs / LABELS).exists():
        counts = count_labels(read_labels(run.path))
        document["labels"] = counts.as_dict()
    if args.json:
        print(json.dumps(document, indent=1))
        return 0
    print(f"{run.run_id}: {document['state']}")
    for name in ("comparisons", "answers"):
        told = ", ".join(f"{key} {value}" for key, value in document[name].items() if value)
        print(f"  {name}: {told or 'none yet'}")
    for line in _describe(counts) if counts else ["labels: none yet; they are written at the end"]:
        print(f"  {line}")
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Write the file and its card; the exit status."""
    run = _open(args.run_id)
    card = export_labels(LOCAL_ACTOR, get_workspace(), run.run_id, args.format, args.out)
    print(f"{args.out}\n{card}")
    return 0


def _open(beginning: str) -> Run:
    workspace = get_workspace()
    run = open_run(workspace / "runs" / find_run(workspace, beginning))
    # An import may hold labels, too; others are told what they are.
    return run if run.kind == "import" else open_run(run.path, kind="label")


def _count_answers(run: Run) -> dict[str, int]:
    """Of the rows, so that a run that stopped shows why; nobody was asked for an import."""
    if run.kind == "import":
        return {}
    least_mass = parse_label_recipe(run.recipe).least_mass
    told: Counter[str] = Counter()
    for row in RowIndex(run, STEP).values():
        told["answers"] += 1
        if row.error is not None or row.scoring is None:
            told["failed"] += 1
            continue
        told[f"scored by {row.scoring['way']}"] += 1
        prob = read_prob_first(row.scoring, row.verdict, least_mass=least_mass)
        told["unreadable"] += prob is None
        told["cut short"] += row.finish_reason == "length"
    return dict(told)


def _describe(counts: LabelCounts) -> list[str]:
    lines = [
        (
            f"labels: {counts.comparisons} ({counts.by_model} by the feedback model, "
            f"{counts.human} by people, {counts.by_revision} by construction)"
        ),
        f"verdicts: A {counts.a}, B {counts.b}, tie {counts.ties}, unparsed {counts.unparsed}",
    ]
    if counts.same_position_rate is not None:
        lines.append(
            f"same place preferred in both orders: {counts.same_position} of "
            f"{counts.both_decided} decided ({counts.same_position_rate:.1%}); mean position bias "
            f"{counts.mean_position_bias:+.3f}"
        )
    if counts.held_out:
        lines.append(f"about held-out prompts, not to be trained on: {counts.held_out}")
    return lines
