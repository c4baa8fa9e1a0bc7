"""What commands that make a run in a folder of the caller's say and read alike."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path


def positive(text: str) -> int:
    """An argument that is a whole number, 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def tell_how_to_go_on(out: Path, arguments: Sequence[str]) -> None:
    """After a stop: what is kept, and the command that goes on.

    Args:
        out: the run's folder. arguments: of the command line that made it.
    """
    if not (out / "recipe.yaml").exists():
        print(f"{out}: stopped before the run began; nothing was written", file=sys.stderr)
        return
    command = shlex.join(["python", "-m", "cai_core", *arguments])
    print(f"{out}: every finished row is kept. To go on:\n  {command}", file=sys.stderr)
