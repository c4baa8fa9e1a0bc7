"""`run`: hand in every run of a plan file, and follow them to their end.

The runs belong to the workspace's dispatcher: they go on when this command is stopped, and the
same command again finds them where they are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cai_core.actions.jobs import submit
from cai_core.commands.follow import Follower, describe_status
from cai_core.errors import CaiError
from cai_core.jobs.forecast import Forecast, describe, describe_formulas, describe_line
from cai_core.jobs.forecast_machine import read_machine
from cai_core.jobs.forecast_runs import (
    check_plan,
    compare_forecast,
    forecast_runs,
    refuse_what_cannot_fit,
)
from cai_core.jobs.plan_specs import load_plan
from cai_core.jobs.qualifying import describe_standing
from cai_core.jobs.spec import RunSpec
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.files import get_workspace
from cai_core.workspace.runs import Run, dump_recipe, open_run
from cai_core.workspace.status import RunState


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `run` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "run",
        help="hand in the runs of a plan file, and follow them",
        description="Hand in every run of a plan file, later ones made from earlier ones, and "
        "follow them to their end. The same file again goes on with the same runs.",
    )
    parser.add_argument("plan", type=Path, metavar="RECIPE.yaml", help="see data/recipes")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be handed in, and do nothing"
    )
    parser.add_argument(
        "--formulas", action="store_true", help="with each forecast, how it is reckoned"
    )
    parser.add_argument(
        "--anyway", action="store_true", help="hand in what, by its forecast, cannot fit here"
    )
    parser.add_argument("--detach", action="store_true", help="hand in and do not follow")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Hand in and follow; the exit status, 0 only when every run has succeeded."""
    workspace = get_workspace()
    specs = load_plan(args.plan, workspace)
    machine = read_machine(workspace)
    forecasts = forecast_runs(specs, workspace, machine)
    refusals = check_plan(forecasts, machine)
    if args.dry_run:
        for spec in specs:
            _tell_spec(spec, workspace)
        for line in build_forecast_lines(forecasts, refusals, formulas=args.formulas):
            print(f"# {line}")
        for line in build_standing_lines(specs, workspace):
            print(f"# {line}")
        return 0
    for line in build_forecast_lines(forecasts, (), formulas=args.formulas):
        print(line, file=sys.stderr)
    for line in build_standing_lines(specs, workspace):
        print(line, file=sys.stderr)
    refuse_new(specs, workspace, refusals, anyway=args.anyway)
    runs = submit_all(specs, workspace, accept_risk=args.anyway, tell=_tell_id)
    if args.detach:
        return 0
    return follow_all(runs)


def refuse_new(
    specs: Sequence[RunSpec], workspace: Path, refusals: Sequence[str], *, anyway: bool
) -> None:
    """Raise RecipeError with the refusals where a run would be new and may not go `anyway`."""
    new = [spec for spec in specs if not (workspace / "runs" / spec.run_id).exists()]
    if new and not anyway:
        refuse_what_cannot_fit(refusals)


def _tell_id(run_id: str) -> None:
    print(run_id, flush=True)


def submit_all(
    specs: Sequence[RunSpec], workspace: Path, *, accept_risk: bool, tell: Callable[[str], None]
) -> list[Run]:
    """Hand in every run, in order; `tell` gets each one's id.

    Raises:
        CaiError: as `submit`; what was handed in before is told on stderr, and goes on.
    """
    runs: list[Run] = []
    try:
        for spec in specs:
            runs.append(submit(LOCAL_ACTOR, workspace, spec, accept_risk=accept_risk))
            tell(spec.run_id)
    except CaiError:
        if runs:
            told = ", ".join(run.run_id for run in runs)
            print(f"handed in before this, and they go on: {told}", file=sys.stderr)
        raise
    return runs


def build_forecast_lines(
    forecasts: Sequence[Forecast], refusals: Sequence[str], *, formulas: bool
) -> Iterator[str]:
    """A line for each run, its formulas below it where they are asked for, then what is wrong."""
    for forecast in forecasts:
        yield f"forecast {forecast.run_id}: {describe_line(forecast)}"
        if formulas:
            for name, value, formula, basis in describe_formulas(forecast):
                yield f"  {name}: {value} = {formula}" + (f" [{basis}]" if basis else "")
        for warning in forecast.warnings:
            yield f"warning {forecast.run_id}: {warning}"
    for refusal in refusals:
        yield f"cannot fit: {refusal}"


def build_standing_lines(specs: Sequence[RunSpec], workspace: Path) -> Iterator[str]:
    """How the feedback model of each label run that is yet to be made is qualified."""
    for spec in specs:
        if spec.kind == "label" and not (workspace / "runs" / spec.run_id).exists():
            yield f"feedback model {spec.run_id}: {describe_standing(workspace, spec.recipe)}"


def build_comparison_lines(run_folder: Path) -> Iterator[str]:
    """Forecast and actual of a run side by side; nothing where it has no forecast.

    Raises:
        WorkspaceError: its forecast is damaged.
    """
    rows = compare_forecast(run_folder)
    if rows:
        yield f"{'':20} {'forecast':>12} {'actual':>12} {'ratio':>6}"
    for row in rows:
        shown = [describe(row.key, value) for value in (row.forecast, row.actual)]
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        yield f"{row.name:20} {shown[0]:>12} {shown[1]:>12} {ratio:>6}".rstrip()


def follow_all(runs: Sequence[Run]) -> int:
    """Follow to the end; 0 when every run has succeeded, 2 with the reasons, 130 by Ctrl-C."""
    try:
        found = Follower(runs).follow()
    except KeyboardInterrupt:
        print(
            "\nNo longer followed; the runs go on. `python -m cai_core runs` lists and stops them.",
            file=sys.stderr,
        )
        return 130
    bad = {name: status for name, status in found.items() if status.state is not RunState.SUCCEEDED}
    for name, status in bad.items():
        print(f"error: {describe_status(name, status)}", file=sys.stderr)
    return 2 if bad else 0


def _tell_spec(spec: RunSpec, workspace: Path) -> None:
    """The run's recipe.yaml as it would be, and whether the run is there already."""
    folder = workspace / "runs" / spec.run_id
    there = (folder / "recipe.yaml").exists()
    stands = f"is there, {open_run(folder).status().state}" if there else "would be new"
    document = {
        "run_id": spec.run_id,
        "kind": spec.kind,
        "parents": list(spec.parents),
        "recipe": dict(spec.recipe),
    }
    print(f"# {spec.run_id}: {stands}\n---\n{dump_recipe(document)}", end="")
