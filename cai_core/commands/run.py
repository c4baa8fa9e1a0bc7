"""`run`: hand in every run of a plan file, and follow them to their end.

The runs belong to the workspace's dispatcher: they go on when this command is stopped, and the
same command again finds them where they are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cai_core.actions.jobs import submit
from cai_core.commands.follow import Follower, describe_status
from cai_core.errors import CaiError
from cai_core.jobs.plan_specs import load_plan
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
    parser.add_argument("--detach", action="store_true", help="hand in and do not follow")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Hand in and follow; the exit status, 0 only when every run has succeeded."""
    workspace = get_workspace()
    specs = load_plan(args.plan, workspace)
    if args.dry_run:
        for spec in specs:
            _tell_spec(spec, workspace)
        return 0
    runs = _submit(specs, workspace)
    if args.detach:
        return 0
    return _follow(runs)


def _submit(specs: Sequence[RunSpec], workspace: Path) -> list[Run]:
    runs: list[Run] = []
    try:
        for spec in specs:
            runs.append(submit(LOCAL_ACTOR, workspace, spec))
            print(spec.run_id, flush=True)
    except CaiError:
        if runs:
            told = ", ".join(run.run_id for run in runs)
            print(f"handed in before this, and they go on: {told}", file=sys.stderr)
        raise
    return runs


def _follow(runs: Sequence[Run]) -> int:
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
