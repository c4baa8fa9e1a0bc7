"""`report`: a baseline and its candidates as one HTML file, for people who were not there."""

from __future__ import annotations

import argparse
from pathlib import Path

from cai_core.actions.reports import write_report
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.files import get_workspace


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `report` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "report",
        help="write evaluations up as one HTML file, and as Markdown",
        description="Write a report on evaluations that are there: figures with intervals, the "
        "gate's word, examples side by side, lineage, constitution, cards, costs and limits. The "
        "HTML file opens without a network and prints.",
    )
    add = parser.add_argument
    add("baseline", metavar="BASELINE", help="an evaluation's id, or a model: its newest one then")
    add("candidates", metavar="CANDIDATE", nargs="+", help="the same, one or more")
    add("--out", type=Path, required=True, metavar="FILE", help="the HTML file")
    add("--markdown", type=Path, metavar="FILE", help="the same as Markdown")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the files and name them; the exit status."""
    written = write_report(
        LOCAL_ACTOR,
        get_workspace(),
        [args.baseline, *args.candidates],
        args.out,
        markdown=args.markdown,
    )
    print("\n".join(str(path) for path in (written.html, written.markdown) if path is not None))
    return 0
