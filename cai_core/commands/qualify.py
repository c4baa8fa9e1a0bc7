"""`qualify`: ask a feedback model about comparisons whose better response is known."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from cai_core.actions.qualifications import save_qualification
from cai_core.evaluation.qualification import LEAST_RATE
from cai_core.jobs.qualifying import choose_known_set, is_of_demo_world
from cai_core.pipeline.connect import launch
from cai_core.pipeline.qualify import Qualified, qualify
from cai_core.pipeline.recipe import TemplateName
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.files import get_workspace

# So many kinds are told each; of more, those that are below.
_FEW_KINDS = 4
# The demo model's context is short, and so are its thoughts.
_WORLD_TOKENS, _TOKENS = 128, 512


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `qualify` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "qualify",
        help="find out whether a model can judge, before it labels",
        description="Ask a feedback model about comparisons whose better response is known: its "
        f"accuracy, planted violations, and both orders. The exit status is 1 below {LEAST_RATE}.",
    )
    parser.add_argument("model", metavar="MODEL", help="an endpoint's name, a folder, or a URL")
    parser.add_argument(
        "--constitution", metavar="NAME", help="ask by its comparison requests, in turn"
    )
    parser.add_argument(
        "--file",
        type=Path,
        metavar="HHH.jsonl",
        help="comparisons of yours, e.g. 438HHHEvaluations.jsonl; else ours, or the demo world's",
    )
    parser.add_argument("--template", choices=get_args(TemplateName), default="chat")
    parser.add_argument("--reasoned", action="store_true", help="with a chain of thought")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask, keep, print; the exit status is 1 where the model does not qualify."""
    workspace = get_workspace()
    known = choose_known_set(args.model, workspace, constitution=args.constitution, file=args.file)
    in_world = is_of_demo_world(args.model, workspace)
    found = asyncio.run(
        qualify(
            launch(args.model, workspace),
            args.model,
            known,
            template=args.template,
            reasoned=args.reasoned,
            max_tokens=_WORLD_TOKENS if in_world else _TOKENS,
        )
    )
    path = save_qualification(LOCAL_ACTOR, workspace, found.as_dict())
    if args.json:
        print(json.dumps({**found.as_dict(), "file": str(path)}))
    else:
        print("\n".join([*describe(found), f"kept in {path}"]))
    return 0 if found.quality.qualifies() else 1


def describe(found: Qualified) -> Iterator[str]:
    """For people."""
    quality, known = found.quality, found.known
    yield f"{found.model}: {quality.n} comparisons of {known.name}, by {known.asked_by}"
    yield f"accuracy {quality.accuracy or 'not known: nothing was asked'}; chance is 50 %"
    kinds = quality.accuracy_by_kind
    for kind, rate in kinds.items() if len(kinds) > 1 else ():
        if len(kinds) <= _FEW_KINDS or rate.rate < LEAST_RATE:
            yield f"  {kind}: {rate}"
    if quality.planted is not None:
        yield f"planted violations found {quality.planted}"
    yield f"the same response in both orders {quality.swap_consistency or 'not known'}"
    if quality.position_bias is not None:
        yield f"mean position bias {quality.position_bias:+.3f}"
    if quality.unreadable:
        error = f"; the first error: {found.first_error}" if found.first_error else ""
        yield f"unreadable: {quality.unreadable} of {quality.n}{error}"
    if found.way is None:
        yield "this server tells no log-probabilities: verdicts were read from text"
    below = quality.list_below()
    if quality.qualifies():
        yield "qualified"
    else:
        told = " and ".join(below) or "nothing could be measured"
        yield f"not qualified: {told} below {LEAST_RATE:.0%}. Labels by it would teach noise."
