"""`schedule`: spot checks that run by themselves while the workspace's dispatcher lives."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cai_core.actions.schedules import (
    add_schedule,
    delete_schedule,
    pause_schedule,
    resume_schedule,
    run_due,
)
from cai_core.commands.evaluate import name_model
from cai_core.jobs.schedules import describe_missed, describe_next, find_next
from cai_core.jobs.spot_check import DEFAULT
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.files import get_workspace
from cai_core.workspace.schedules import Check, read_schedules

# Whom the audit log names for what nobody asked for in person.
DISPATCHER = Actor(name="dispatcher", role=AccessRole.EDITOR)
_CHANGES = {"pause": pause_schedule, "resume": resume_schedule, "remove": delete_schedule}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `schedule` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "schedule",
        help="check a model again and again against the pinned baseline",
        description="Spot checks by a cron text, in UTC. They run while the workspace's dispatcher "
        "lives, which stays as long as a schedule is active; times that it was not there for are "
        "made up for once.",
    )
    ways = parser.add_subparsers(dest="way", required=True, metavar="COMMAND")
    ways.add_parser("list", help="schedules, their last result and next time")
    adding = ways.add_parser("add", help="add one")
    adding.add_argument("name", metavar="NAME")
    adding.add_argument("--cron", required=True, help="e.g. '0 6 * * mon-fri', in UTC")
    adding.add_argument("--model", required=True, help="an endpoint, the id of a run, a URL")
    adding.add_argument("--prompts", type=int, default=DEFAULT, metavar="N")
    adding.add_argument("--suite", metavar="NAME", help="as the pinned baseline names it")
    for way in _CHANGES:
        one = ways.add_parser(way, help=f"{way} one")
        one.add_argument("name", metavar="NAME")
    ways.add_parser("due", help="hand in what is due now, as the dispatcher does by itself")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do what is asked and tell it; the exit status."""
    workspace = get_workspace()
    match args.way:
        case "add":
            _add(workspace, args)
        case "list":
            told = list(build_lines(workspace))
            print("\n".join(told or ["no schedule; `schedule add` makes one"]))
        case "due":
            for line in run_due(DISPATCHER, workspace):
                print(_clean(line), flush=True)
        case way:
            _CHANGES[way](LOCAL_ACTOR, workspace, args.name)
            print(f"{args.name}: {way}d")
    return 0


def build_lines(workspace: Path) -> Iterator[str]:
    """Every schedule in a few lines."""
    now = datetime.now(UTC)
    for state in read_schedules(workspace):
        one, due = state.schedule, find_next(state, now)
        standing = "paused" if state.paused else "its cron text cannot be read"
        if due is not None:
            standing = f"next {describe_next(due, now)}"
        yield _clean(
            f"{one.name}: {one.cron} UTC, {one.model}, {one.prompts} prompts of {one.suite}; "
            f"{standing}"
        )
        if state.last is not None:
            yield _clean(f"  last: {describe_check(state.last)}")


def describe_check(check: Check) -> str:
    """What came of it, in one line."""
    told = f"{check.due} {check.status or ('runs' if check.run else 'not run')}"
    if check.run:
        told += f", {check.run}"
    if check.reasons:
        told += f": {'; '.join(check.reasons)}"
    if check.missed:
        told += f" ({describe_missed(check.missed)})"
    return told


def _add(workspace: Path, args: argparse.Namespace) -> None:
    model = name_model(workspace, args.model)
    made = add_schedule(
        LOCAL_ACTOR, workspace, args.name, args.cron, model, args.prompts, args.suite
    )
    (state,) = (one for one in read_schedules(workspace) if one.schedule == made)
    due, now = find_next(state), datetime.now(UTC)
    assert due is not None
    print(_clean(f"{made.name}: next {describe_next(due, now)}"))


def _clean(line: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in line)
