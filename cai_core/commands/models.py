"""`models`: what answers here under which name, who plays which role, and what was made here."""

from __future__ import annotations

import argparse
import json
import shlex

from cai_core.actions.endpoints import check_model, remove_endpoint, save_endpoint, set_role
from cai_core.errors import EndpointError
from cai_core.inference.endpoints import (
    CONCURRENCY,
    ROLES,
    TIMEOUT_SECONDS,
    EndpointConfig,
)
from cai_core.jobs.registry import list_models
from cai_core.pipeline.model_look import look
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.endpoints import load_book, read_endpoints
from cai_core.workspace.files import get_workspace


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `models` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "models", help="list, add, check and remove models; give them roles", description=__doc__
    )
    parser.set_defaults(run=run_list)
    commands = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = commands.add_parser("list", help="every endpoint with its state and roles")
    listing.set_defaults(run=run_list)
    made = commands.add_parser("made", help="the models that runs of this workspace made")
    made.add_argument("--json", action="store_true", help="one JSON list, with cards and metrics")
    made.set_defaults(run=run_made)
    check = commands.add_parser("check", help="find out what a model can do")
    check.add_argument("model", metavar="NAME_OR_URL", help="an endpoint, a folder or a URL")
    check.set_defaults(run=run_check)
    remove = commands.add_parser("remove", help="forget an endpoint")
    remove.add_argument("name", metavar="NAME")
    remove.set_defaults(run=run_remove)
    role = commands.add_parser("role", help="let an endpoint play a role")
    role.add_argument("role", choices=ROLES)
    role.add_argument("name", metavar="NAME")
    role.set_defaults(run=run_role)
    _add_add(commands)


def run_list(_: argparse.Namespace) -> int:
    """Tell every endpoint in a line; the exit status."""
    workspace = get_workspace()
    book = load_book(workspace)
    width = max(map(len, book.endpoints))
    for name, config in book.endpoints.items():
        server = look(config, workspace)
        roles = ", ".join(role for role in ROLES if book.roles[role] == name)
        state = "runs elsewhere" if server.state == "elsewhere" else server.state
        facts = [config.kind, config.model or "-", server.url, state, roles]
        _print(f"{name:<{width}}  {'  '.join(fact for fact in facts if fact)}")
        if server.reason:
            _print(f"{'':<{width}}  {' '.join(server.reason.split())}")
    return 0


def run_made(args: argparse.Namespace) -> int:
    """Tell every model that was made here, the newest first; the exit status."""
    models = list_models(get_workspace())
    if args.json:
        print(json.dumps([model.as_dict() for model in models], indent=1))
        return 0
    for model in models:
        loss = model.metrics.get("loss")
        facts = [
            model.created[:16].replace("T", " "),
            f"{model.method or model.kind} of {model.base}" if model.base else model.kind,
            ", ".join(model.constitutions),
            f"weights {model.weights_hash[:12]}" if model.weights_hash else "",
            f"loss {loss:.3f}" if loss is not None else "",
            str(model.folder or ""),
        ]
        _print(f"{model.run}  {'  '.join(fact for fact in facts if fact)}")
        if model.problem:
            _print(f"  {model.problem}")
    if not models:
        print("no run has made a model yet")
    return 0


def run_check(args: argparse.Namespace) -> int:
    """Check one model and tell what was found; the exit status."""
    result = check_model(LOCAL_ACTOR, get_workspace(), args.model)
    found = result.found
    _print(f"{', '.join(result.servers)}: {found.engine} {found.engine_version}".rstrip())
    _print(f"  model: {found.model_id}")
    _print(f"  context: {found.context_length or 'not told'}")
    _print(f"  scoring: {found.scoring_way or 'options cannot be scored'}")
    for ability in found.capabilities:
        less = f"; instead: {ability.fallback}" if ability.fallback else ""
        _print(f"  {ability.support:<8}{ability.name}: {ability.evidence}{less}")
    return 0


def run_add(args: argparse.Namespace) -> int:
    """Add an endpoint; the exit status."""
    url, _, named = (args.url[0] if args.url else "").partition("#")
    urls = (url, *args.url[1:]) if args.url else ()
    config = EndpointConfig(
        name=args.name,
        kind=args.kind,
        model=args.model or named,
        urls=urls,
        key_env=args.key_env,
        options=tuple(shlex.split(args.options)),
        concurrency=args.concurrency,
        timeout_seconds=args.timeout,
        price_prompt=args.price_prompt,
        price_completion=args.price_completion,
        extra_body=_parse_body(args.extra_body),
    )
    workspace = get_workspace()
    seen = read_endpoints(workspace).hash
    file = save_endpoint(LOCAL_ACTOR, workspace, config, seen=seen, new=not args.replace)
    print(f"{file.path}: {config.name} is written")
    return 0


def run_remove(args: argparse.Namespace) -> int:
    """Remove an endpoint; the exit status."""
    workspace = get_workspace()
    seen = read_endpoints(workspace).hash
    file = remove_endpoint(LOCAL_ACTOR, workspace, args.name, seen=seen)
    print(f"{file.path}: {args.name} is removed")
    return 0


def run_role(args: argparse.Namespace) -> int:
    """Set a role; the exit status."""
    workspace = get_workspace()
    seen = read_endpoints(workspace).hash
    file = set_role(LOCAL_ACTOR, workspace, args.role, args.name, seen=seen)
    print(f"{file.path}: {args.role} is {args.name}")
    if file.book.roles["judge"] == file.book.roles["feedback"] and args.role in (
        "judge",
        "feedback",
    ):
        print("note: judge and feedback model are the same; another model judges more fairly")
    return 0


def _add_add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("add", help="add an endpoint")
    add = parser.add_argument
    add("name", metavar="NAME")
    add("--kind", required=True, choices=("bundled", "vllm", "url"))
    add("--model", default="", help="a folder or hub id; for a URL what the server calls it")
    add("--url", action="append", default=[], help="http://host:port[#model]; several share load")
    add("--key-env", metavar="VAR", help="the variable that holds the key, not the key")
    add("--options", default="", metavar="TEXT", help="further options of vllm serve, one text")
    add("--concurrency", type=int, default=CONCURRENCY, help="requests at once (%(default)s)")
    add("--timeout", type=float, default=TIMEOUT_SECONDS, help="seconds of silence (%(default)s)")
    add("--price-prompt", type=float, metavar="USD", help="for a million tokens")
    add("--price-completion", type=float, metavar="USD", help="for a million tokens")
    add("--extra-body", default="", metavar="JSON", help="fields of every request")
    add("--replace", action="store_true", help="put it in the place of the one of that name")
    parser.set_defaults(run=run_add)


def _print(line: str) -> None:
    """A line that holds what servers said: without what would steer a terminal."""
    print("".join(sign if sign.isprintable() else "?" for sign in line))


def _parse_body(text: str) -> dict[str, object]:
    try:
        body = json.loads(text) if text else {}
    except ValueError as error:
        raise EndpointError(f"--extra-body is no JSON: {error}.") from error
    if not isinstance(body, dict):
        raise EndpointError("--extra-body must be one JSON object.")
    return body
