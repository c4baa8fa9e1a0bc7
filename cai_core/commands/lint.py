"""`lint`: what can be said of a constitution before a model reads it.

Exit codes: 0 nothing to say but hints, 1 a warning or an error (with --strict a hint too), 2 a
constitution that cannot be read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cai_core.constitution.contradictions import MOST_PAIRS
from cai_core.constitution.findings import Finding, LintContext
from cai_core.constitution.imports import import_constitution
from cai_core.constitution.lint import RULES, count_findings, lint_constitution
from cai_core.constitution.opinions import build_opinion_findings
from cai_core.errors import ConstitutionError, ImportFormatError
from cai_core.jobs.listing import find_run
from cai_core.pipeline.ask_opinion import ask_opinion
from cai_core.pipeline.connect import launch
from cai_core.pipeline.drawn import count_drawn
from cai_core.records import Constitution
from cai_core.workspace.files import get_workspace
from cai_core.workspace.runs import open_run
from cai_core.workspace.versions import resolve_constitution

JSON_FORMAT = 1
# Files that are read as imports: our YAML is what everything else is.
_FOREIGN = (".json", ".md", ".markdown", ".txt", ".csv", ".tsv", ".py")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `lint` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "lint",
        help="check what a constitution says",
        description="Lint constitutions. Exit status 0: hints at most; 1: a warning or an error; "
        "2: one cannot be read.",
    )
    parser.add_argument(
        "constitutions",
        nargs="*",
        metavar="FILE|NAME",
        help="a file of any format that can be imported, NAME, NAME@HASH or NAME@LABEL",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--strict", action="store_true", help="hints count for the exit status")
    parser.add_argument(
        "--context-tokens", type=int, metavar="N", help="the model's context, for requests' length"
    )
    parser.add_argument("--run", dest="run_id", metavar="RUN", help="tell what this run never drew")
    parser.add_argument("--ask", metavar="MODEL", help="ask this model too: harm, contradictions")
    parser.add_argument(
        "--pairs", type=int, default=MOST_PAIRS, metavar="N", help="at most so many pairs"
    )
    parser.add_argument("--rules", action="store_true", help="list the rules, and nothing else")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Lint everything that was named; the exit status."""
    if args.rules:
        print_rules()
        return 0
    if not args.constitutions:
        print("error: name a file or a constitution, or give --rules.", file=sys.stderr)
        return 2
    context = _build_context(args)
    told: list[dict[str, Any]] = []
    for name in args.constitutions:
        try:
            constitution = load_any(name)
        except (ConstitutionError, ImportFormatError) as error:
            told.append({"source": name, "error": str(error)})
            if not args.json:
                print(error, file=sys.stderr)
            continue
        findings = lint_constitution(constitution, context)
        if args.ask:
            findings += _ask(args.ask, constitution, args.pairs, quiet=args.json)
        told.append(build_document(name, constitution, findings))
        if not args.json:
            print_findings(name, constitution, findings)
    if args.json:
        print(json.dumps({"format": JSON_FORMAT, "constitutions": told}, indent=1))
    return choose_status(told, strict=args.strict)


def load_any(name: str) -> Constitution:
    """A constitution by name, version or path; other formats than YAML are imported.

    Raises:
        ConstitutionError: unknown, ambiguous, or broken.
        ImportFormatError: a file of another format that cannot be read.
    """
    if name.lower().endswith(_FOREIGN):
        return import_constitution(Path(name)).constitution
    return resolve_constitution(get_workspace(), name)


def build_document(
    source: str, constitution: Constitution, findings: Sequence[Finding]
) -> dict[str, Any]:
    """What the JSON says of one constitution; keys are only ever added."""
    return {
        "source": source,
        "name": constitution.name,
        "hash": constitution.hash,
        "principles": len(constitution.principles),
        "counts": count_findings(tuple(findings)),
        "findings": [finding.as_dict() for finding in findings],
    }


def choose_status(told: Sequence[dict[str, Any]], *, strict: bool) -> int:
    """The exit status for what was told of each constitution."""
    if any("error" in one for one in told):
        return 2
    counted = ("error", "warning", "hint") if strict else ("error", "warning")
    return int(any(one["counts"][severity] for one in told for severity in counted))


def print_findings(source: str, constitution: Constitution, findings: Sequence[Finding]) -> None:
    """For people: a line a finding, and a sum."""
    for finding in findings:
        place = finding.principle_id or "the whole"
        if finding.field:
            place += f".{finding.field}"
        fix = f" [fix: {finding.fix.label}]" if finding.fix else ""
        print(f"{source}: {place}: {finding.severity}: {finding.message}{fix} ({finding.rule})")
    counts = count_findings(tuple(findings))
    summed = ", ".join(f"{n} {kind}{'' if n == 1 else 's'}" for kind, n in counts.items() if n)
    count = len(constitution.principles)
    print(f"{source}: {constitution.name}, {count} principles: {summed or 'nothing to say'}")


def print_rules() -> None:
    """Every rule with its reason and an example."""
    for rule in RULES.values():
        print(f"{rule.id} ({rule.severity}): {rule.title}")
        print(f"  {rule.reason}\n  e.g. {rule.example}")


def _build_context(args: argparse.Namespace) -> LintContext:
    drawn = None
    if args.run_id:
        workspace = get_workspace()
        drawn = count_drawn(open_run(workspace / "runs" / find_run(workspace, args.run_id)))
    return LintContext(context_tokens=args.context_tokens, drawn=drawn)


def _ask(model: str, constitution: Constitution, pairs: int, *, quiet: bool) -> tuple[Finding, ...]:
    launched = launch(model, get_workspace())
    told = asyncio.run(ask_opinion(launched, constitution, most_pairs=pairs))
    if not quiet:
        print(
            f"{model} was asked about {len(told.harm)} principles and {len(told.pairs)} of "
            f"{told.pairs_there_are} pairs; {told.unreadable} brought no answer"
        )
    return build_opinion_findings([told], constitution)
