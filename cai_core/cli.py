"""The command line: `python -m cai_core COMMAND`. Each command lives in a module of its own.

Exit codes: 0 done, 1 done and not well (`lint`, `qualify`, `drift --gate`), 2 bad input or a server
that is gone (one message on stderr, no traceback), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from cai_core import __version__
from cai_core.commands import (
    choices,
    compare,
    constitution,
    doctor,
    drift,
    evaluate,
    evidence,
    importing,
    index,
    jobs,
    labels,
    lint,
    loop,
    models,
    prompts,
    qualify,
    report,
    reviews,
    revise,
    reward,
    run,
    verify,
    vllm,
    ways,
)
from cai_core.demo_world import cli as demo_cli
from cai_core.errors import CaiError
from cai_core.inference import serve_cli


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="python -m cai_core", description="Constitutional AI from the command line."
    )
    parser.add_argument("--version", action="version", version=f"CAI Workbench {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    every = (
        revise,
        run,
        loop,
        jobs,
        labels,
        reviews,
        qualify,
        ways,
        evaluate,
        compare,
        evidence,
        choices,
        drift,
        report,
        prompts,
        constitution,
        lint,
        importing,
        models,
        reward,
        serve_cli,
        vllm,
        demo_cli,
        index,
        verify,
        doctor,
    )
    for module in every:
        module.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(arguments)
    args.arguments = arguments
    try:
        status = int(args.run(args))
        sys.stdout.flush()  # here, where a reader that has left is no error
        return status
    except CaiError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output (`| head`) has left: nothing more to say, and no traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
