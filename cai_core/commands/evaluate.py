"""`evaluate`: ask a model a suite, have its answers judged, and tell the figures.

The run belongs to the workspace's dispatcher; the same command again goes on with it, or tells what
was found.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cai_core.commands.folder_run import positive
from cai_core.commands.run import build_forecast_lines, follow_all, refuse_new, submit_all
from cai_core.jobs.forecast_machine import read_machine
from cai_core.jobs.forecast_runs import check_plan, forecast_runs
from cai_core.jobs.plan_lookup import MODEL_KINDS
from cai_core.jobs.plan_names import RUN
from cai_core.jobs.plan_specs import build_plan
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.evaluate import KIND, read_metrics, shorten_model
from cai_core.workspace.files import get_workspace
from cai_core.workspace.runs import open_run

# As the plan file has them; what is not given is left to the recipe.
_KEYS = (
    "judge",
    "rubric",
    "constitution",
    "system_constitution",
    "best_of",
    "feedback_model",
    "feedback_constitution",
    "limit",
    "samples",
    "seed",
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `evaluate` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "evaluate",
        help="ask a model a suite, and have its answers judged",
        description="Ask a model every prompt of a suite, have a judge and, in the demo world, its "
        "oracle say what the answers are, and print rates with 95 % intervals. Stopped or broken "
        "off, the same command goes on.",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="an endpoint's name, the id of a run, a folder, or a URL"
    )
    add_asking(parser, required=True)
    parser.add_argument("--json", action="store_true", help="print metrics.json")
    parser.set_defaults(run=run)


def add_asking(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """The arguments that say what is asked, and by whom it is judged."""
    add = parser.add_argument
    add(
        "--suite",
        metavar="NAME,NAME",
        required=required,
        help="demo, demo-harmful, harmful, borderline, … (data/suites), a prompt set, or a file",
    )
    add("--judge", metavar="MODEL", help="who judges; nobody without, but oracle and phrases")
    add("--rubric", metavar="NAME|FILE", help="what the judge is asked; see data/judging")
    add("--constitution", metavar="NAME", help="ask the judge about each principle of it, too")
    add("--system-constitution", metavar="NAME", help="put it before the model as a system prompt")
    add(
        "--best-of",
        type=positive,
        metavar="N",
        help="draw N answers for each, of which the feedback model chooses one",
    )
    add("--feedback-model", metavar="MODEL", help="who chooses with --best-of")
    add("--feedback-constitution", metavar="NAME", help="by whose principles it chooses")
    add("--limit", type=positive, metavar="N", help="so many prompts, spread over the categories")
    add("--samples", type=positive, metavar="N", help="answers to each prompt (default: 4)")
    add("--seed", type=int, metavar="N", help="of the run (default: 0)")
    add("--ratings", action="store_true", help="have the judge rate from 0 to 4 as well")
    add("--anyway", action="store_true", help="go on where the forecast says it cannot fit")


def run(args: argparse.Namespace) -> int:
    """Hand in, follow, tell; the exit status."""
    workspace = get_workspace()
    spec = build_spec(workspace, args.model, args)
    if status := finish(workspace, [spec], anyway=args.anyway):
        return status
    metrics = read_metrics(workspace / "runs" / spec.run_id)
    if args.json:
        print(json.dumps({"run": spec.run_id, **metrics}))
    else:
        print("\n".join([f"{spec.run_id}:", *build_lines(metrics)]))
    return 0


def build_spec(workspace: Path, model: str, args: argparse.Namespace) -> RunSpec:
    """The run that the arguments mean.

    Raises:
        RecipeError: something that they name is not there, or cannot be.
    """
    name = name_model(workspace, model)
    entry: dict[str, Any] = {
        "name": _build_slug(model),
        "kind": KIND,
        "model": name,
        "suite": [word.strip() for word in args.suite.split(",") if word.strip()],
        "ratings": args.ratings,
    }
    entry |= {key: value for key in _KEYS if (value := getattr(args, key)) is not None}
    text = yaml.safe_dump({"format": 1, "name": "evaluate", "runs": [entry]})
    (spec,) = build_plan(text, "evaluate", Path.cwd(), workspace)
    return spec


def name_model(workspace: Path, model: str) -> str:
    """`run:ID` for the id of a run that made a model; any other name as it is."""
    bare = model.removeprefix(RUN)
    return f"{RUN}{bare}" if find_kind(workspace, bare) in MODEL_KINDS else model


def find_kind(workspace: Path, name: str) -> str | None:
    """The kind of the run of that id; None where there is none."""
    try:
        there = (workspace / "runs" / name / "recipe.yaml").exists()
    except OSError:  # a name that is too long for a file
        return None
    if name != Path(name).name or not there:
        return None
    return open_run(workspace / "runs" / name).kind


def finish(workspace: Path, specs: Sequence[RunSpec], *, anyway: bool) -> int:
    """Hand runs in and follow them to their end; 0 only when every one has succeeded."""
    machine = read_machine(workspace)
    forecasts = forecast_runs(specs, workspace, machine)
    for line in build_forecast_lines(forecasts, (), formulas=False):
        print(line, file=sys.stderr)
    refuse_new(specs, workspace, check_plan(forecasts, machine), anyway=anyway)
    return follow_all(submit_all(specs, workspace, accept_risk=anyway, tell=lambda _: None))


def build_lines(metrics: Mapping[str, Any]) -> Iterator[str]:
    """The figures for people."""
    suite, judge = metrics["suite"], metrics["judge"]
    yield (
        f"{shorten_model(metrics['model']['name'])} on {suite['name']}@{suite['hash'][:12]}: "
        f"{metrics['responses']} responses to {suite['prompts']} prompts"
    )
    if judge is not None:
        rubric = f"{judge['rubric']}@{judge['rubric_hash'][:12]}"
        yield f"judge {shorten_model(judge['name'])}, by rubric {rubric}"
    for name, readers in metrics["measures"].items():
        for reader, told in readers.items():
            yield f"  {name}, by {_name_reader(reader)}: {_describe(told)}"
    for name, told in metrics["ratings"].items():
        yield f"  {name}, 0 to 4: {_describe_mean(told['mean'])}{_describe_unparsed(told)}"
    for name, readers in metrics["principles"].items():
        for reader, told in readers.items():
            yield f"  keeps to {name}, by {_name_reader(reader)}: {_describe(told)}"
    text = metrics["text"]["all"]
    yield f"  words: {_describe_mean(text['words'])}; distinct pairs {_percent(text['distinct_2'])}"
    for name, told in metrics["agreement"].items():
        if told["bias"] is not None:
            yield (
                f"  judge − oracle, {name}: {100 * told['bias']:+.1f} points (n = {told['n']}, "
                f"the same word in {_percent(told['agreement']['rate'])})"
            )
    yield from (f"  careful: {caution['text']}" for caution in metrics["cautions"])


def _name_reader(reader: str) -> str:
    return reader if reader == "phrases" else f"the {reader}"


def _describe(told: Mapping[str, Any]) -> str:
    rate = told["rate"]
    shown = (
        "not known"
        if rate is None
        else (
            f"{_percent(rate['rate'])} [{_percent(rate['low'])}, {_percent(rate['high'])}] "
            f"(n = {rate['n']})"
        )
    )
    return shown + _describe_unparsed(told)


def _describe_unparsed(told: Mapping[str, Any]) -> str:
    return f", unparsed {told['unparsed']}" if told["unparsed"] else ""


def _describe_mean(mean: Mapping[str, Any] | None) -> str:
    if mean is None:
        return "not known"
    return f"{mean['mean']:.2f} [{mean['low']:.2f}, {mean['high']:.2f}] (n = {mean['n']})"


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{100 * share:.1f} %"


def _build_slug(model: str) -> str:
    """Of a model's name, what a run's name may hold."""
    bare = model.removeprefix(RUN).rstrip("/")
    parts = [part for part in re.split(r"[/#]", bare) if part]
    # Below a run's folder every model is called `model`.
    last = parts[-3] if parts[-2:] == ["outputs", "model"] and len(parts) > 2 else parts[-1]
    return re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:40] or "model"
