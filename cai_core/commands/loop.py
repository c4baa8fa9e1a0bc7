"""`loop`: follow a plan stage by stage, and tell what is reused and what was made.

As `run`, it hands every run of the plan in and leaves what has succeeded alone: a run's id is a
hash of all that goes into it, so a stage is made anew only where its inputs changed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cai_core.commands.run import (
    build_forecast_lines,
    build_standing_lines,
    follow_all,
    refuse_new,
    submit_all,
)
from cai_core.demo_world.judging import describe_truth
from cai_core.jobs.forecast_machine import read_machine
from cai_core.jobs.forecast_runs import check_plan, forecast_runs
from cai_core.jobs.plan_specs import load_plan
from cai_core.jobs.plan_summary import Stage, StageResult, read_stages, summarise
from cai_core.workspace.files import get_workspace
from cai_core.workspace.status import RunState

# Of a log line, what tells a training's end; each trainer has some of them.
_METRICS = ("loss", "accuracy", "reward", "kl", "eval_loss")
_STOPPED = 130


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `loop` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "loop",
        help="follow a plan stage by stage, and tell what was made",
        description="Hand in every run of a plan, such as SL-CAI, comparisons, labels, a reward "
        "model, RL and its evaluation; say which stages are reused, follow the others, and print "
        "what was made. The same command again goes on where it was. The last line is JSON.",
    )
    parser.add_argument("plan", type=Path, metavar="RECIPE.yaml", help="see data/recipes")
    parser.add_argument(
        "--anyway", action="store_true", help="hand in what, by its forecast, cannot fit here"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Hand in, follow, tell; the exit status, 0 only when every run has succeeded."""
    workspace = get_workspace()
    specs = load_plan(args.plan, workspace)
    stages = read_stages(specs, workspace)
    for line in build_stage_lines(stages):
        print(line, flush=True)
    left = {stage.run for stage in stages if not stage.reused}
    machine = read_machine(workspace)
    forecasts = forecast_runs(specs, workspace, machine)
    told = [one for one in forecasts if one.run_id in left]
    for line in build_forecast_lines(told, (), formulas=False):
        print(line, file=sys.stderr)
    for line in build_standing_lines(specs, workspace):
        print(line, file=sys.stderr)
    refuse_new(specs, workspace, check_plan(forecasts, machine), anyway=args.anyway)
    runs = submit_all(specs, workspace, accept_risk=args.anyway, tell=lambda _: None)
    status = follow_all(runs)
    if status == _STOPPED:
        return status
    results = summarise(stages, workspace)
    for line in build_result_lines(results):
        print(line)
    print(json.dumps({"plan": str(args.plan), "stages": [one.as_dict() for one in results]}))
    return status


def build_stage_lines(stages: Sequence[Stage]) -> Iterator[str]:
    """A line for each stage: what it is, where it stands, and whether it is reused."""
    width = max((len(stage.run) for stage in stages), default=0)
    for stage in stages:
        reused = "  reused: its inputs did not change" if stage.reused else ""
        yield f"{stage.run:{width}}  {stage.kind:6}  {stage.stands}{reused}"
    kept = sum(stage.reused for stage in stages)
    yield f"{len(stages)} stages, {kept} reused"


def build_result_lines(results: Sequence[StageResult]) -> Iterator[str]:
    """A table of what was made; below it the oracle's words, where the prompts are of its world."""
    width = max((len(one.run) for one in results), default=0)
    yield ""
    for one in results:
        state = one.status.state if one.status else "not there"
        facts = "; ".join(_describe(one)) if state is RunState.SUCCEEDED else ""
        how = "reused" if one.reused else str(state)
        yield f"{one.run:{width}}  {one.kind:6}  {how:11}  {facts}".rstrip()
    for one in results:
        if one.truth is not None:
            yield f"\n{describe_truth(f'{one.run}, held-out prompts, by the oracle', one.truth)}"


def _describe(one: StageResult) -> Iterator[str]:
    if one.kind == "revise" and one.status is not None:
        counts = one.status.counts
        told = {name: counts[name] for name in ("chains", "failed", "rows_done") if name in counts}
        yield ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in told.items())
    if (labels := one.labels) is not None:
        yield f"{labels.comparisons} labels"
        yield f"A {labels.a}, B {labels.b}, tie {labels.ties}, unparsed {labels.unparsed}"
        if (rate := labels.same_position_rate) is not None:
            yield f"same place preferred {rate:.1%}"
    if (model := one.model) is not None:
        if model.examples is not None:
            yield f"{model.examples} examples"
        if model.steps is not None:
            yield f"{model.steps} steps"
        metrics = model.metrics
        yield from (f"{name} {metrics[name]:.4g}" for name in _METRICS if name in metrics)
        if model.problem:
            yield model.problem
    if one.evaluation:
        yield f"held out: {_describe_evaluation(one.evaluation)}"
    if one.problem:
        yield one.problem


def _describe_evaluation(told: Any) -> str:
    accuracy, n = told.get("accuracy"), told.get("n")
    if isinstance(accuracy, dict):
        interval = f" [{accuracy['low']:.1%}, {accuracy['high']:.1%}]"
        accuracy, n = accuracy["rate"], accuracy["n"]
    else:
        interval = ""
    shown = "not known" if accuracy is None else f"{accuracy:.1%}{interval}"
    return f"accuracy {shown} (n = {n})"
