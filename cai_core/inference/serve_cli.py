"""`serve`: run the bundled model server in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys

from cai_core.errors import CaiError, ServerUnavailableError
from cai_core.inference.model_url import LOOPBACK

# A server that nobody asks for ten minutes leaves (docs/architecture.md).
IDLE_SECONDS = 600.0
DEFAULT_PORT = 8600


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `serve` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "serve", help="serve a model over HTTP on this machine", description=__doc__
    )
    parser.add_argument(
        "--model", required=True, help="demo, a transformers folder, or a Hugging Face id"
    )
    parser.add_argument("--host", default=LOOPBACK[0], help="address to listen on")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="0 takes a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--allow-remote",
        action="store_true",
        help="let --host be another address than this machine's loopback",
    )
    parser.add_argument(
        "--idle-seconds",
        type=float,
        default=IDLE_SECONDS,
        help="leave after that long without a request; 0 never leaves (default: %(default)s)",
    )
    parser.add_argument(
        "--api-key-env", metavar="VAR", help="ask for the API key in this environment variable"
    )
    # The launcher hands over a socket that listens already, so no port can be lost in between.
    parser.add_argument("--socket-fd", type=int, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until stopped or idle; the exit status."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        api_key = _read_api_key(args.api_key_env)
        with _listen(args) as listener:
            _pin_arithmetic()
            from cai_core.inference.local_server.main import run_server

            run_server(args.model, listener, idle_seconds=args.idle_seconds, api_key=api_key)
    except CaiError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _pin_arithmetic() -> None:
    # MKL's strict reproducible mode: a row of a matrix product comes out the same to the last
    # bit whatever the number of rows and threads, which makes `repeatability: exact` true and
    # not just likely. Must be set before torch loads MKL. It slows large products; set another
    # value to choose speed, and the server's self-check then reports `statistical`.
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")


def _read_api_key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.pop(variable, "")
    if not key:
        raise ServerUnavailableError(
            f"--api-key-env names {variable}, which is not set. Set it, or leave the option out."
        )
    return key


def _listen(args: argparse.Namespace) -> socket.socket:
    if args.socket_fd is not None:
        return socket.socket(fileno=args.socket_fd)
    if args.host not in LOOPBACK:
        if not args.allow_remote:
            raise ServerUnavailableError(
                f"--host {args.host} would let others on the network use this server. Use "
                "127.0.0.1, or add --allow-remote (and --api-key-env)."
            )
        open_to = "anyone who can reach it" if args.api_key_env is None else "holders of the key"
        logging.warning("%s:%s is open to %s", args.host, args.port, open_to)
    family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
    try:
        return socket.create_server((args.host, args.port), family=family)
    except (OSError, OverflowError) as error:  # OverflowError: no such port number
        reason = getattr(error, "strerror", None) or error
        raise ServerUnavailableError(
            f"Cannot listen on {args.host}:{args.port}: {reason}. "
            "Choose another --port; 0 takes a free one."
        ) from error


def main(arguments: list[str] | None = None) -> int:
    """`python -m cai_core.inference.serve_cli serve …`, for use without the whole CLI."""
    parser = argparse.ArgumentParser(prog="cai_core.inference.serve_cli")
    add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(arguments)
    return int(args.run(args))


if __name__ == "__main__":
    sys.exit(main())
