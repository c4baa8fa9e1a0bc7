"""`vllm`: start a `vllm serve` on this machine, watch it, start it again when it dies, stop it.

    python -m cai_core vllm Qwen/Qwen3-8B --max-model-len 8192

What is not listed here goes to vLLM unchanged; everything after `--` does. The model comes first.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cai_core.errors import EndpointError, UnknownModelError
from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.vllm_plan import IDLE_SECONDS, KeeperTimes
from cai_core.inference.vllm_record import VllmRecord, VllmState
from cai_core.inference.vllm_server import (
    find_vllm,
    keep_vllm,
    list_vllm,
    read_vllm_key,
    start_vllm,
    stop_named,
)
from cai_core.workspace.endpoints import load_book
from cai_core.workspace.files import get_workspace


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `vllm` to a command line's subcommands."""
    # Parsed again in `run`: only there can unknown options be left to vLLM.
    # With no character that begins an option, all of them are in `rest`.
    parser = subparsers.add_parser(
        "vllm", help="start and watch a vllm serve", add_help=False, prefix_chars="\0"
    )
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do what was asked; the exit status."""
    asked, options = parse_arguments(args.rest)
    workspace = get_workspace()
    if asked.list:
        return _print_list(list_vllm(workspace))
    if asked.status is not None:
        return _print_status(asked.status, workspace)
    if asked.stop is not None:
        return _stop(asked.stop, workspace)
    if asked.key is not None:
        return _print_key(asked.key, workspace)
    if asked.model is None:
        raise UnknownModelError(
            "Name a model: `demo`, a folder, a hub id, or an endpoint of kind vllm. "
            "`python -m cai_core vllm --help` tells the rest."
        )
    config = build_config(asked.model, asked.name, options, workspace)
    times = KeeperTimes(idle_seconds=asked.idle_seconds)
    if asked.detach:
        return _detach(config, workspace, asked.port, times)
    return _keep(config, workspace, asked.port, times)


def parse_arguments(arguments: Sequence[str]) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """Our own arguments, and what goes to vLLM."""
    own = list(arguments)
    rest: list[str] = []
    if "--" in own:
        cut = own.index("--")
        own, rest = own[:cut], own[cut + 1 :]
    asked, unknown = _build_parser().parse_known_args(own)
    return asked, (*unknown, *rest)


def build_config(
    model: str, name: str | None, options: tuple[str, ...], workspace: Path
) -> EndpointConfig:
    """The endpoint that is meant: one of the workspace's by its name, or a new one.

    Raises:
        EndpointError: of another kind, or a name that cannot be.
    """
    known = load_book(workspace).endpoints.get(model)
    if known is not None and known.kind == "vllm":
        if options or name:
            raise EndpointError(
                f"endpoint {model!r} has its options and its name in the workspace's endpoints. "
                "Change them there, or name the model itself here."
            )
        return known
    chosen = name or _build_name(model)
    return EndpointConfig(name=chosen, kind="vllm", model=model, options=options)


def _build_name(model: str) -> str:
    """`Qwen/Qwen3-8B` → `qwen3-8b`."""
    last = Path(model).expanduser().name.lower()
    name = re.sub(r"[^a-z0-9._-]+", "-", last).strip("-._")[:60]
    return f"{name}-vllm" if name == "demo" else name or "vllm"


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cai_core vllm",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "model", nargs="?", help="demo, a folder, a Hugging Face id, or an endpoint's name"
    )
    parser.add_argument("--name", help="the endpoint's name (default: from the model's)")
    parser.add_argument("--port", type=int, help="default: any free one")
    parser.add_argument(
        "--idle-seconds",
        type=float,
        default=IDLE_SECONDS,
        help="stop after that long without a request; 0 never stops (default: %(default)s)",
    )
    parser.add_argument("--detach", action="store_true", help="keep it in the background")
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--list", action="store_true", help="every one of this workspace")
    one.add_argument(
        "--status", nargs="?", const="", metavar="NAME", help="how one stands, or all of them"
    )
    one.add_argument("--stop", metavar="NAME", help="stop one, by its name or model")
    one.add_argument("--key", metavar="NAME", help="print its API key, and nothing else")
    return parser


def _detach(config: EndpointConfig, workspace: Path, port: int | None, times: KeeperTimes) -> int:
    started = start_vllm(config, workspace, port=port, times=times)
    state = find_vllm(config, workspace)
    print(f"{config.name}: {'starting' if started else f'is {state.state} already'}")
    print(_describe_use(config.name, state.url or "", state.model_id))
    return 0


def _keep(config: EndpointConfig, workspace: Path, port: int | None, times: KeeperTimes) -> int:
    """0 when it was stopped or idle, 2 when it failed."""
    if keep_vllm(config, workspace, port=port, times=times, on_state=_print_change) == 0:
        return 0
    state = find_vllm(config, workspace)
    print(f"error: {state.reason} Its log, {state.log}, ends:", file=sys.stderr)
    print(state.log_tail(), file=sys.stderr)
    return 2


def _print_change(record: VllmRecord) -> None:
    when = time.strftime("%H:%M:%S")
    print(f"{when} {record.name}: {record.state}" + (f": {record.reason}" if record.reason else ""))
    if record.state == "ready":
        print(_describe_use(record.name, record.endpoint.base_url, record.model_id))
    sys.stdout.flush()


def _describe_use(name: str, url: str, model_id: str) -> str:
    return (
        f"  {url}#{model_id}\n"
        f'  export CAI_API_KEY="$(python -m cai_core vllm --key {name})"\n'
        f"  and then --model '{url}#{model_id}'.\n"
        f"  An endpoint of kind vllm named {name} is found by --model {name}, without a key."
    )


def _print_list(states: Sequence[VllmState]) -> int:
    if not states:
        print("no vLLM is kept in this workspace")
    for state in states:
        print(f"{state.name:<24} {state.state:<10} {state.url or '-':<24} {state.model}")
    return 0


def _print_status(name: str, workspace: Path) -> int:
    """0 when (each of) it is ready or on its way, else 1."""
    states = list_vllm(workspace)
    if name:
        states = [_choose(name, states)]
    for state in states:
        since = "" if state.since is None else time.strftime("%F %T", time.localtime(state.since))
        print(f"{state.name}: {state.state} {since}\n  model {state.model}")
        if state.reason:
            print(f"  {state.reason}")
        if state.url:
            print(f"  {state.url}, keeper {state.pid}, {state.restarts} restarts")
        print(f"  log {state.log}; key in {state.record}")
        if state.state == "failed":
            print(state.log_tail())
    good = ("ready", "starting", "restarting")
    return 0 if states and all(state.state in good for state in states) else 1


def _stop(name: str, workspace: Path) -> int:
    state = _choose(name, list_vllm(workspace))
    stopped = stop_named(state.name, workspace)
    print(f"{state.name}: {'stopped' if stopped else 'did not run'}")
    return 0


def _print_key(name: str, workspace: Path) -> int:
    key = read_vllm_key(_choose(name, list_vllm(workspace)).name, workspace)
    if key is None:
        raise UnknownModelError(f"{name!r} is not running. Start it: python -m cai_core vllm …")
    print(key)
    return 0


def _choose(name: str, states: Sequence[VllmState]) -> VllmState:
    """By name, else by model."""
    found = [state for state in states if state.name == name]
    found = found or [state for state in states if state.model == name]
    if len(found) != 1:
        known = ", ".join(state.name for state in states) or "none"
        many = "several vLLMs serve" if found else "there is no vLLM named"
        raise UnknownModelError(f"{many} {name!r}. Known are: {known}. Give one of these names.")
    return found[0]
