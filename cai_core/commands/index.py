"""`index rebuild`: make the workspace's indexes anew from its files."""

from __future__ import annotations

import argparse
import time

from cai_core.workspace.files import get_recordings, get_workspace


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `index` to a command line's subcommands."""
    parser = subparsers.add_parser("index", help="work with the workspace's indexes")
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    rebuild = commands.add_parser(
        "rebuild",
        help="make index.duckdb and search.sqlite anew from the files",
        description="Delete both index files and make them anew from the run folders and "
        "journals of CAI_WORKSPACE. Refuses while an app owns them.",
    )
    rebuild.set_defaults(run=run_rebuild)


def run_rebuild(_: argparse.Namespace) -> int:
    """Rebuild and tell what is in them; the exit status."""
    # DuckDB and Arrow take a moment to load, which the other commands need not wait for.
    from cai_core.workspace.index.owner import WorkspaceIndex

    workspace = get_workspace()
    begun = time.monotonic()
    index = WorkspaceIndex.open(workspace, recordings=get_recordings(), fresh=True)
    try:
        index.ingest()
        report = index.report()
    finally:
        index.close()
    for problem in report.problems:
        print(f"left out: {problem}")
    print(
        f"{workspace}: {report.runs} runs, {report.chains} chains, {report.rows} rows, "
        f"{report.events} events; {report.damaged} lines damaged, {report.doubled} rows doubled, "
        f"{report.late_bytes} bytes late; {time.monotonic() - begun:.1f} s"
    )
    return 0
