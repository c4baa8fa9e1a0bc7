"""`constitution`: check constitution files, and bring them from and to other formats."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cai_core.commands.effect import add_effect_parser
from cai_core.commands.lint import load_any
from cai_core.constitution import dump_constitution, load_constitution
from cai_core.constitution.exports import FORMATS, SUFFIXES, export_constitution
from cai_core.constitution.imports import KINDS, Imported, import_constitution
from cai_core.errors import ConstitutionError, ImportFormatError
from cai_core.prompts.system_prompt import build_system_prompt
from cai_core.workspace.files import replace_file

PROVENANCE_SUFFIX = ".provenance.json"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `constitution` to a command line's subcommands."""
    parser = subparsers.add_parser("constitution", help="work with constitutions")
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    validate = commands.add_parser(
        "validate", help="check files; exit 2 when one has an error", description=__doc__
    )
    validate.add_argument("files", nargs="+", type=Path, metavar="FILE")
    validate.set_defaults(run=run_validate)
    read = commands.add_parser(
        "import",
        help="turn a file of another format into YAML",
        description="Read lists, tables of votes, LangChain and ICAI principles, the official "
        f"files. Where each principle came from is kept beside it in FILE{PROVENANCE_SUFFIX}.",
    )
    read.add_argument("file", type=Path, metavar="FILE")
    read.add_argument("--kind", choices=KINDS, default="auto")
    read.add_argument("--name", metavar="NAME", help="of the constitution")
    read.add_argument("--out", type=Path, required=True, metavar="FILE.yaml")
    read.set_defaults(run=run_import)
    write = commands.add_parser(
        "export", help="write YAML, JSON, Markdown or a page to print", description=__doc__
    )
    write.add_argument(
        "constitution", metavar="FILE|NAME", help="a file, NAME, NAME@HASH or NAME@LABEL"
    )
    write.add_argument("--format", choices=FORMATS, help="by default as the file's name ends")
    write.add_argument("--out", type=Path, metavar="FILE", help="else it is printed")
    write.set_defaults(run=run_export)
    render = commands.add_parser(
        "system-prompt",
        help="print a constitution as a system prompt, for any model that chats",
        description="Print the principles that are on as one system prompt. Its template, length "
        "and version go to stderr.",
    )
    render.add_argument(
        "constitution", metavar="NAME|FILE", help="NAME, NAME@LABEL, NAME@HASH, or a file"
    )
    render.set_defaults(run=run_system_prompt)
    add_effect_parser(commands)


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


def run_import(args: argparse.Namespace) -> int:
    """Write the YAML file and the provenance beside it; the exit status."""
    imported = import_constitution(args.file, args.kind, args.name)
    _check_free(args.out)
    beside = args.out.with_name(args.out.name + PROVENANCE_SUFFIX)
    provenance = json.dumps(imported.provenance_as_dict(), indent=1, ensure_ascii=False) + "\n"
    replace_file(args.out, [dump_constitution(imported.constitution).encode("utf-8")])
    replace_file(beside, [provenance.encode("utf-8")])
    for warning in imported.warnings:
        print(warning, file=sys.stderr)
    print(describe(args.out, imported))
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Print or write one constitution; the exit status."""
    constitution = load_any(args.constitution)
    suffix = args.out.suffix.lower() if args.out else ""
    known = {ending: name for name, ending in SUFFIXES.items()}
    text = export_constitution(constitution, args.format or known.get(suffix, "yaml"))
    if args.out is None:
        sys.stdout.write(text)
        return 0
    _check_free(args.out)
    replace_file(args.out, [text.encode("utf-8")])
    print(f"{args.out}: {constitution.name}, {constitution.hash[:12]}")
    return 0


def run_system_prompt(args: argparse.Namespace) -> int:
    """Print the system prompt alone on stdout, so that it can be piped; the exit status."""
    prompt = build_system_prompt(load_any(args.constitution))
    print(prompt.text)
    print(
        f"{prompt.constitution}@{prompt.constitution_hash[:12]}, {len(prompt.principle_ids)} "
        f"principles, {prompt.words} words, {prompt.characters} characters, {prompt.version}",
        file=sys.stderr,
    )
    return 0


def describe(path: Path, imported: Imported) -> str:
    """One line about what was imported."""
    found = imported.constitution
    off = sum(not principle.enabled for principle in found.principles)
    told = f", {off} of them off" if off else ""
    return (
        f"{path}: {found.name}, {len(found.principles)} principles{told}, {found.hash[:12]}; "
        f"{len(imported.warnings)} remarks"
    )


def _check_free(path: Path) -> None:
    if path.exists():
        raise ImportFormatError(f"{path} is there already. Give another --out, or delete it.")
