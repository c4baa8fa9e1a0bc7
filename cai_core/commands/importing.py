"""`import`: bring in what others made, from a path you give."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import get_args

from cai_core.actions.imports import import_data
from cai_core.actions.runs import import_samples
from cai_core.pipeline.import_formats import FORMAT_TABLE
from cai_core.pipeline.import_reading import describe_place
from cai_core.pipeline.import_records import KINDS, ImportSettings
from cai_core.pipeline.import_run import ImportReport
from cai_core.pipeline.label_records import LabelSource
from cai_core.records import LOCAL_ACTOR, PromptKind
from cai_core.workspace.files import get_workspace

_SAMPLES = "anthropic-samples"
_MOST_TOLD = 20


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `import` to a command line's subcommands."""
    formats = "\n".join(f"  {name:16} {one.words}" for name, one in FORMAT_TABLE.items())
    parser = subparsers.add_parser(
        "import",
        help="import data from elsewhere",
        description="Import a file or a folder as a run: chains, preferences or questions.\n"
        f"What it holds is found by its content. Formats:\n{formats}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "path",
        nargs="+",
        metavar="PATH",
        help="a file, a folder of files, or a dataset's folder (JSON lines, JSON, CSV, Parquet, "
        f"Arrow; .gz too); `{_SAMPLES} PATH --out DIR` takes the paper's sample chains alone",
    )
    parser.add_argument("--format", choices=FORMAT_TABLE, help="of the records; else found")
    parser.add_argument("--kind", choices=KINDS, help="where a file or folder could be several")
    parser.add_argument("--encoding", help="of text files that are not UTF-8, e.g. utf-16")
    parser.add_argument(
        "--label-source",
        choices=get_args(LabelSource),
        help="who prefers, where the file does not say; human if left out",
    )
    parser.add_argument(
        "--verdict",
        action="append",
        default=[],
        metavar="WORD=A",
        help="what a word of the file means: A, B or tie; may be repeated",
    )
    parser.add_argument("--prompt-kind", choices=list(PromptKind), help="of every prompt")
    parser.add_argument("--tag", action="append", default=[], help="for every prompt; repeatable")
    parser.add_argument("--out", type=Path, metavar="DIR", help="run folder; else in the workspace")
    parser.add_argument("--json", action="store_true", help="print what it came to as JSON")
    parser.set_defaults(run=run_import, parser=parser)


def run_import(args: argparse.Namespace) -> int:
    """Import and tell what was left out; the exit status, 2 where nothing could be taken."""
    if args.path[0] == _SAMPLES and len(args.path) == 2:
        if args.out is None:
            args.parser.error(f"{_SAMPLES} needs --out DIR")
        return _run_samples(Path(args.path[1]), args.out)
    if len(args.path) > 1:
        args.parser.error(f"give one path, not {len(args.path)}; a folder takes all its files")
    path = Path(args.path[0])
    if not path.exists():
        args.parser.error(f"{path}: no such file or folder")
    settings = ImportSettings(
        format=args.format,
        kind=args.kind,
        encoding=args.encoding,
        label_source=args.label_source,
        verdicts=dict(_split(args, word) for word in args.verdict),
        prompt_kind=args.prompt_kind and PromptKind(args.prompt_kind),
        tags=tuple(args.tag),
    )
    report = import_data(LOCAL_ACTOR, get_workspace(), path, settings, out=args.out)
    if args.json:
        print(json.dumps(report.as_dict(), indent=1))
    else:
        _show(report)
    return 0 if report.records else 2


def _split(args: argparse.Namespace, told: str) -> tuple[str, str]:
    word, sign, verdict = told.rpartition("=")
    if not sign:
        args.parser.error(f"--verdict {told}: write WORD=A, WORD=B or WORD=tie")
    return word, verdict


def _show(report: ImportReport) -> None:
    for line in report.told[:_MOST_TOLD]:
        print(f"{describe_place(line)}: left out: {line.reason}", file=sys.stderr)
    if report.rejected > _MOST_TOLD:
        rest = report.rejected - _MOST_TOLD
        print(f"and {rest} more: {report.folder / 'outputs/rejected.json'}", file=sys.stderr)
    formats = ", ".join(sorted(set(report.formats.values()))) or "no known format"
    counts = ", ".join(f"{count} {name}" for name, count in report.counts.items())
    print(f"{report.run_id}: {report.records} records ({formats}), {report.rejected} left out")
    print(f"  {counts or 'nothing was imported'}")
    print(f"  {'written to' if report.added else 'in'} {report.folder}")


def _run_samples(path: Path, out: Path) -> int:
    report = import_samples(LOCAL_ACTOR, get_workspace(), path, out)
    for line in report.rejected:
        print(f"{line.file}:{line.line}: left out: {line.reason}", file=sys.stderr)
    print(f"{out}: {report.chains} chains, {report.rows} rows, {len(report.rejected)} left out")
    return 0 if report.chains else 2
