"""`constitution validate`: check constitution files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cai_core.constitution import load_constitution
from cai_core.errors import ConstitutionError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `constitution` to a command line's subcommands."""
    parser = subparsers.add_parser("constitution", help="work with constitutions")
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    validate = commands.add_parser(
        "validate", help="check files; exit 2 when one has an error", description=__doc__
    )
    validate.add_argument("files", nargs="+", type=Path, metavar="FILE")
    validate.set_defaults(run=run_validate)


def run_validate(args: argparse.Namespace) -> int:
    """Check every file; the exit status."""
    broken = 0
    for path in args.files:
        try:
            found = load_constitution(path)
        except ConstitutionError as error:
            broken += 1
            print(error, file=sys.stderr)
        else:
            print(f"{path}: {found.name}, {len(found.principles)} principles, {found.hash[:12]}")
    return 2 if broken else 0
