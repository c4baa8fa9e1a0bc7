"""`prompts`: the prompt sets of the workspace: list them, add, look into one, export."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Mapping

from cai_core.actions.prompt_sets import add_prompt_set
from cai_core.pipeline.prompt_preview import export_prompts
from cai_core.pipeline.prompt_sets import list_versions, resolve_prompts
from cai_core.pipeline.prompt_tables import COLUMNS
from cai_core.records import LOCAL_ACTOR, Prompt, PromptKind
from cai_core.workspace.files import get_workspace
from cai_core.workspace.prompt_sets import PromptSetVersion, load_rejected

_SHOWN = 20
_MOST_CHARS = 160


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `prompts` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "prompts", help="list, add and show prompt sets", description=__doc__
    )
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = commands.add_parser("list", help="every set's newest version with its counts")
    listing.set_defaults(run=run_list)
    _add_add(commands)
    show = commands.add_parser("show", help="a set's prompts, or the lines that were none")
    show.add_argument("name", metavar="NAME", help="a set, NAME@HASH, or a .jsonl or .txt file")
    show.add_argument(
        "--limit", type=int, default=_SHOWN, metavar="N", help="the first N (default: %(default)s)"
    )
    show.add_argument("--rejected", action="store_true", help="the rejected lines instead")
    show.set_defaults(run=run_show)
    export = commands.add_parser("export", help="a set as the lines of a .jsonl file, to stdout")
    export.add_argument("name", metavar="NAME", help="as for show")
    export.set_defaults(run=run_export)


def run_list(_: argparse.Namespace) -> int:
    """Tell every set in a line; the exit status."""
    for version in list_versions(get_workspace()):
        _print(describe(version))
    return 0


def run_add(args: argparse.Namespace) -> int:
    """Add a set and tell what was rejected; the exit status."""
    kind = None if args.kind is None else PromptKind(args.kind)
    added = add_prompt_set(
        LOCAL_ACTOR,
        get_workspace(),
        args.name,
        args.source,
        column=args.column,
        kind=kind,
        tags=args.tag,
        held_out=args.held_out,
        seed=args.seed,
    )
    for line in added.rejected:
        print(_clean(f"{args.source}:{line.line}: rejected: {line.reason}"), file=sys.stderr)
    _print(describe(added.version))
    if not added.fresh:
        _print("It is the newest version already; nothing was added.")
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Tell the first prompts, or rejected lines, of a set; the exit status."""
    if args.rejected:
        return _show_rejected(args.name, args.limit)
    found = resolve_prompts(get_workspace(), args.name)
    for prompt in itertools.islice(found.prompts, max(0, args.limit)):
        _print(_describe_prompt(prompt))
    _print_rest(found.label, len(found.prompts), args.limit, "prompts")
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Write a set's prompts to stdout; the exit status."""
    found = resolve_prompts(get_workspace(), args.name)
    for line in export_prompts(found.prompts):
        sys.stdout.write(line.decode())
    return 0


def describe(version: PromptSetVersion) -> str:
    """A set's version in a line: what it holds, and where it comes from."""
    facts = [f"{version.prompts} prompts", _describe_counts(version.kinds)]
    if version.splits:
        facts.append(f"split {_describe_counts(version.splits)}")
    if version.rejected:
        facts.append(f"{version.rejected} lines rejected")
    facts.append(f"from {version.source}, {version.at[:10]}" if version.number else "shipped")
    return f"{version.label}  {'; '.join(fact for fact in facts if fact)}"


def _show_rejected(ref: str, limit: int) -> int:
    name, _, prefix = ref.partition("@")
    workspace = get_workspace()
    for version in list_versions(workspace, name):
        if version.hash.startswith(prefix) and version.number:
            lines = load_rejected(workspace, version)
            for line in lines[: max(0, limit)]:
                _print(f"{version.source}:{line['line']}: {line['reason']}")
            _print_rest(version.label, len(lines), limit, "rejected lines")
            return 0
    # A file, or a set that ships with the workbench: read it and say.
    found = resolve_prompts(workspace, ref)
    for rejected in found.rejected[: max(0, limit)]:
        _print(f"{found.label}:{rejected.line}: {rejected.reason}")
    _print_rest(found.label, len(found.rejected), limit, "rejected lines")
    return 0


def _add_add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "add",
        help="add a file or a dataset as the newest version of a set",
        description="Every line that is a prompt is kept as it is; the others are told with "
        "their line and the reason.",
    )
    add = parser.add_argument
    add("name", metavar="NAME", help="of the set")
    add(
        "source",
        metavar="FILE",
        help="a .jsonl, .txt, .csv or .parquet file, or hf:owner/name[:[config/]split]",
    )
    add("--column", metavar="NAME", help=f"holds the prompt (default: {', '.join(COLUMNS)})")
    add(
        "--kind",
        choices=[kind.value for kind in PromptKind],
        help="of every prompt, whatever the file says",
    )
    add("--tag", action="append", default=[], metavar="TAG", help="given to every prompt")
    add(
        "--held-out",
        type=float,
        metavar="SHARE",
        help="hold this share out of training (tags split:held-out and split:train), of the "
        "prompts that have no split",
    )
    add("--seed", type=int, default=0, help="of the split (default: %(default)s)")
    parser.set_defaults(run=run_add)


def _describe_prompt(prompt: Prompt) -> str:
    text = " ".join(prompt.text.split())
    if len(text) > _MOST_CHARS:
        text = text[: _MOST_CHARS - 1] + "…"
    turns = f", {len(prompt.conversation)} turns" if len(prompt.conversation) > 1 else ""
    tags = f", {', '.join(prompt.tags)}" if prompt.tags else ""
    return f"{prompt.prompt_id}  [{prompt.kind}{tags}{turns}]  {text}"


def _describe_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _print_rest(label: str, total: int, limit: int, what: str) -> None:
    shown = min(total, max(0, limit))
    _print(f"{label}: {shown} of {total} {what}")


def _print(line: str) -> None:
    print(_clean(line))


def _clean(line: str) -> str:
    """Without what would steer a terminal: prompts are other people's texts."""
    return "".join(sign if sign.isprintable() else "?" for sign in line)
