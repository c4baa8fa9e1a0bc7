"""`import`: bring in what others made, from a path you give."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cai_core.actions.runs import import_samples
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.files import get_workspace


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `import` to a command line's subcommands."""
    parser = subparsers.add_parser("import", help="import data from elsewhere")
    sources = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    samples = sources.add_parser(
        "anthropic-samples",
        help="the paper's sample chains (*_SLMADISON.jsonl)",
        description="Import the paper's sample chains as a run folder.",
    )
    samples.add_argument("path", type=Path, metavar="PATH", help="a file, or a folder of them")
    samples.add_argument("--out", type=Path, required=True, metavar="DIR", help="run folder")
    samples.set_defaults(run=run_samples)


def run_samples(args: argparse.Namespace) -> int:
    """Import and tell what was left out; the exit status."""
    report = import_samples(LOCAL_ACTOR, get_workspace(), args.path, args.out)
    for line in report.rejected:
        print(f"{line.file}:{line.line}: left out: {line.reason}", file=sys.stderr)
    print(
        f"{args.out}: {report.chains} chains, {report.rows} rows, {len(report.rejected)} left out"
    )
    return 0 if report.chains else 2
