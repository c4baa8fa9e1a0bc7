"""`runs`, `stop`, `resume`, `logs`: the runs that go on in the background."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from cai_core.actions import jobs
from cai_core.commands.log_reading import read_log
from cai_core.commands.run import build_comparison_lines
from cai_core.errors import CaiError, WorkspaceError
from cai_core.jobs.launch import find_dispatcher
from cai_core.jobs.listing import JobView, find_run, list_jobs
from cai_core.jobs.run_files import WORKER_LOG, is_at_work
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.files import get_workspace

_FOLLOW_SECONDS = 0.3
_LOG_LINES = 1000
_HEADINGS = ("RUN", "KIND", "STATE", "PLACE", "PROGRESS", "REASON")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the four to a command line's subcommands."""
    _add_runs(subparsers)
    stop = _add(subparsers, "stop", "stop a run, or take it out of the queue", run_stop)
    stop.add_argument("--kill", action="store_true", help="at once, when it does not react")
    _add(subparsers, "resume", "queue a run that was stopped, interrupted or failed", run_resume)
    logs = _add(subparsers, "logs", "show the log of a run's worker", run_logs)
    logs.add_argument(
        "-n",
        "--lines",
        type=_not_negative,
        default=_LOG_LINES,
        metavar="N",
        help="the last N lines; 0 shows all (default: %(default)s)",
    )
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")


def run_list(args: argparse.Namespace) -> int:
    """Print the runs; the exit status."""
    workspace = get_workspace()
    views = list_jobs(workspace, chains=args.all)
    if args.json:
        print(json.dumps([view.as_dict() for view in views], indent=1))
        return 0
    if not views:
        print(f"{workspace}: no runs yet")
        return 0
    for line in _build_table(views):
        print(line)
    if any(view.position for view in views) and find_dispatcher(workspace) is None:
        print("note: no dispatcher runs. `resume` of any queued run starts one.", file=sys.stderr)
    return 0


def run_move(args: argparse.Namespace) -> int:
    """Move a queued run; the exit status."""
    run_id = find_run(get_workspace(), args.run_id)
    jobs.move_run(LOCAL_ACTOR, get_workspace(), run_id, args.place)
    return 0


def run_clone(args: argparse.Namespace) -> int:
    """Submit a run again with other values; the exit status."""
    run_id = find_run(get_workspace(), args.run_id)
    changes = dict(_parse_change(text) for text in args.set)
    clone = jobs.clone_run(LOCAL_ACTOR, get_workspace(), run_id, changes)
    print(f"{clone.run_id}: {clone.status().state}")
    return 0


def run_delete(args: argparse.Namespace) -> int:
    """Delete a run; the exit status."""
    run_id = find_run(get_workspace(), args.run_id)
    files = jobs.delete_run(LOCAL_ACTOR, get_workspace(), run_id)
    size = sum(file.bytes for file in files)
    print(f"{run_id}: {len(files)} files, {size / 1e6:.1f} MB deleted; recipe and tombstone stay")
    return 0


def run_forecast(args: argparse.Namespace) -> int:
    """Print what was forecast of a run and what came of it; the exit status."""
    run_id = find_run(get_workspace(), args.run_id)
    lines = list(build_comparison_lines(get_workspace() / "runs" / run_id))
    print("\n".join(lines) or f"{run_id}: has no forecast; it was begun without one")
    return 0


def run_stop(args: argparse.Namespace) -> int:
    """Stop a run; the exit status."""
    run_id = find_run(get_workspace(), args.run_id)
    if args.kill:
        jobs.kill_run(LOCAL_ACTOR, get_workspace(), run_id)
    else:
        jobs.stop_run(LOCAL_ACTOR, get_workspace(), run_id)
    print(f"{run_id}: {'killed' if args.kill else 'is stopping'}; what is finished is kept")
    return 0


def run_resume(args: argparse.Namespace) -> int:
    """Queue a run again; the exit status."""
    run_id = find_run(get_workspace(), args.run_id)
    jobs.resume_run(LOCAL_ACTOR, get_workspace(), run_id)
    print(f"{run_id}: queued")
    return 0


def run_logs(args: argparse.Namespace) -> int:
    """Print a worker's log; the exit status."""
    folder = get_workspace() / "runs" / find_run(get_workspace(), args.run_id)
    path = folder / WORKER_LOG
    if not path.exists() and not args.follow:
        raise WorkspaceError(f"{path}: is not there: no worker was at this run yet.")

    def goes_on() -> bool:
        return args.follow and is_at_work(folder)

    for text in read_log(path, args.lines, goes_on, lambda: time.sleep(_FOLLOW_SECONDS)):
        print(_clean(text), end="", flush=True)
    return 0


def _add_runs(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    runs = subparsers.add_parser("runs", help="list runs; move, clone or delete one")
    runs.add_argument("--json", action="store_true", help="as JSON")
    runs.add_argument("--all", action="store_true", help="list the pages' single chains, too")
    runs.set_defaults(run=run_list)
    commands = runs.add_subparsers(dest="action", metavar="ACTION")
    move = _add(commands, "move", "give a queued run another place", run_move)
    move.add_argument("place", type=int, metavar="N", help="1 begins next")
    clone = _add(commands, "clone", "submit a run again with other values", run_clone)
    clone.add_argument(
        "--set",
        action="append",
        required=True,
        metavar="KEY=VALUE",
        help="a key of its recipe, e.g. chain.seed=2 (may be repeated)",
    )
    _add(commands, "forecast", "show forecast and actual side by side", run_forecast)
    _add(commands, "delete", "delete what a run made; recipe and tombstone stay", run_delete)


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, told: str, run: Any
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=told, description=f"{told[0].upper()}{told[1:]}.")
    parser.add_argument("run_id", metavar="RUN", help="its id, or a beginning that is unique")
    parser.set_defaults(run=run)
    return parser


def _build_table(views: Sequence[JobView]) -> Iterator[str]:
    lines = [_HEADINGS, *(_build_line(view) for view in views)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS) - 1)]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        yield "  ".join([*cells, line[-1]]).rstrip()


def _build_line(view: JobView) -> tuple[str, ...]:
    place = str(view.position or "")
    progress = "" if view.done is None else f"{view.done}/{view.total or '?'}"
    reason = " ".join(_clean(view.reason or "").split())
    return (view.run, view.kind, view.state, place, progress, reason)


def _parse_change(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    try:
        if not (key.strip() and equals):
            raise ValueError("write KEY=VALUE")
        return key.strip(), yaml.safe_load(value)
    except (ValueError, yaml.YAMLError) as error:
        raise CaiError(f"--set {text}: {error}") from error


def _not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return number


def _clean(text: str) -> str:
    """Without what would steer a terminal: a log holds what servers said."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "?" for sign in text)
