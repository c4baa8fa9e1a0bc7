"""`verify`: check the workspace's files themselves, without any index.

Journals by their hash chains, rows by their ids, constitutions, prompt sets, suites and review
queues by their hashes, votes by the queues that they name.
One line a problem: where, what, and the fix.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cai_core.constitution import load_constitution
from cai_core.errors import CaiError, ConstitutionError, WorkspaceError
from cai_core.jobs.evaluate_suites import load_suite_version
from cai_core.pipeline.evaluate import KIND as EVALUATE_KIND
from cai_core.pipeline.evaluate_plan import STEP as EVALUATE_STEP
from cai_core.pipeline.frozen_prompts import load_frozen_prompts
from cai_core.pipeline.prompt_file import prompts_hash
from cai_core.workspace.events import Topic, get_journal_path, read_events
from cai_core.workspace.files import get_workspace, replace_file
from cai_core.workspace.index.sources import CHAIN_KINDS, CHAIN_STEP
from cai_core.workspace.journal import (
    FORMAT,
    Line,
    chain_head,
    is_header,
    read_journal,
    read_lines,
    verify_chain,
)
from cai_core.workspace.prompt_sets import get_prompt_set_path, read_prompt_sets
from cai_core.workspace.review_check import ReviewTally, check_reviews
from cai_core.workspace.rows import Row, build_row_id, parse_row
from cai_core.workspace.runs import ROW_FILE, RowFile, Run, open_run
from cai_core.workspace.suites import read_suites
from cai_core.workspace.versions import RESTORE, SAVE, get_version_path

_RESTORE = "Restore it from a backup"
_SET_FILE = re.compile(r"[0-9a-f]{64}\.jsonl")


@dataclass(slots=True)
class _Tally:
    journals: int = 0
    runs: int = 0
    rows: int = 0
    late_bytes: int = 0
    constitutions: int = 0
    prompt_sets: int = 0
    suites: int = 0
    reviews: ReviewTally = field(default_factory=ReviewTally)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `verify` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "verify",
        help="check the workspace's files; exit 1 when one is not whole",
        description="Check every journal, row, constitution, prompt set, suite and review queue of "
        "CAI_WORKSPACE.",
    )
    parser.add_argument(
        "--head",
        type=Path,
        metavar="FILE",
        help="heads exported earlier and kept elsewhere: finds a cut or rewritten journal",
    )
    parser.add_argument(
        "--export-head", type=Path, metavar="FILE", help="write the journals' heads, if whole"
    )
    parser.set_defaults(run=run_verify)


def run_verify(args: argparse.Namespace) -> int:
    """Check all and print each problem; the exit status."""
    workspace = get_workspace()
    if not workspace.is_dir():
        raise WorkspaceError(f"{workspace}: is no folder. Set CAI_WORKSPACE to a workspace.")
    heads = _load_heads(args.head) if args.head else {}
    tally = _Tally()
    journal_problems = _show(_check_journals(workspace, heads, tally))
    problems = journal_problems
    problems += _show(_check_runs(workspace, tally))
    problems += _show(_check_constitutions(workspace, tally))
    problems += _show(_check_prompt_sets(workspace, tally))
    problems += _show(_check_suites(workspace, tally))
    problems += _show(check_reviews(workspace, tally.reviews))
    if args.export_head and journal_problems:
        print(f"{args.export_head}: not written, since the journals are not whole.")
    elif args.export_head:
        _save_heads(workspace, args.export_head)
    outcome = "whole" if problems == 0 else f"{problems} problem{'s' if problems > 1 else ''}"
    if tally.late_bytes:
        # As it should be: an old worker woke up after another had taken over.
        print(f"{workspace}: {tally.late_bytes} bytes written after a takeover are ignored")
    print(
        f"{workspace}: {tally.journals} journals, {tally.runs} runs, {tally.rows} rows, "
        f"{tally.constitutions} constitution versions, {tally.prompt_sets} prompt set versions"
        f"{_describe_suites(tally.suites)}{_describe_reviews(tally.reviews)}: {outcome}"
    )
    return 1 if problems else 0


def _describe_suites(suites: int) -> str:
    """Nothing where there are none, as in most workspaces."""
    return f", {suites} suite versions" if suites else ""


def _describe_reviews(reviews: ReviewTally) -> str:
    """Nothing where there are none, as in most workspaces."""
    if not (reviews.queues or reviews.votes):
        return ""
    return f", {reviews.queues} review queues, {reviews.votes} votes in queues"


def _show(problems: Iterator[str]) -> int:
    count = 0
    for problem in problems:
        print(" ".join(problem.split()))  # one line each, whatever a parser says
        count += 1
    return count


def _list_journals(workspace: Path) -> list[Path]:
    return sorted((workspace / "journal").glob("*.jsonl"))


def _check_journals(workspace: Path, heads: dict[str, str], tally: _Tally) -> Iterator[str]:
    paths = _list_journals(workspace)
    for path in paths:
        tally.journals += 1
        for problem in verify_chain(path, exported_head=heads.get(path.name)):
            yield f"{problem}. {_RESTORE}; the log cannot be mended."
    for name in sorted(heads.keys() - {path.name for path in paths}):
        yield f"{workspace / 'journal' / name}: is gone; its head was exported. {_RESTORE}."


def _load_heads(path: Path) -> dict[str, str]:
    try:
        document = json.loads(path.read_text("utf-8"))
        heads = document["heads"]
        if document["format"] != FORMAT or not isinstance(heads, dict):
            raise ValueError("not a file of heads")
        return {str(name): str(head) for name, head in heads.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkspaceError(
            f"{path}: cannot be read as heads: {error}. Give a file that `verify --export-head` "
            "wrote."
        ) from error


def _save_heads(workspace: Path, path: Path) -> None:
    found = {journal.name: chain_head(journal) for journal in _list_journals(workspace)}
    heads = {name: head for name, head in found.items() if head is not None}
    text = json.dumps({"format": FORMAT, "heads": heads}, indent=1) + "\n"
    replace_file(path.absolute(), [text.encode()])
    print(f"{path}: {len(heads)} heads. Keep it where the workspace's people cannot write.")


def _check_runs(workspace: Path, tally: _Tally) -> Iterator[str]:
    for folder in sorted((workspace / "runs").glob("*/")):
        if not (folder / "recipe.yaml").exists():
            # Without rows it is what a stop in the middle of its making leaves behind.
            if any((folder / "rows").glob("*.jsonl")):
                yield f"{folder}: has rows and no recipe.yaml. {_RESTORE}."
            continue
        try:
            run = open_run(folder)
            tally.runs += 1
            tally.late_bytes += sum(file.late_bytes for file in run.row_files())
            yield from _check_epochs(run)
            yield from _check_rows(run, tally)
            yield from _check_run_constitution(run)
        except (CaiError, OSError) as error:
            yield str(error)


def _check_epochs(run: Run) -> Iterator[str]:
    path = run.path / "epochs.jsonl"
    for line in read_journal(path).damaged:
        yield f"{path}:{line.number}: {line.damage}. {_RESTORE}, or leave it: it is skipped."
    for name in sorted(path.name for path in (run.path / "rows").glob("*.jsonl")):
        if not ROW_FILE.fullmatch(name):
            yield f"{run.path / 'rows' / name}: no name of a row file. Move it elsewhere."


def _check_rows(run: Run, tally: _Tally) -> Iterator[str]:
    seen: set[str] = set()
    for file in run.row_files():
        yield from _check_seal(file)
        match = ROW_FILE.fullmatch(file.path.name)
        checked = match is not None and match["step"] == _find_step(run)
        for line in read_lines(file.path, limit=file.limit):
            if is_header(line, file.path):
                continue
            tally.rows += 1
            where = f"{file.path}:{line.number}"
            if line.record is None:
                yield f"{where}: damaged, {line.damage}. It is skipped; resume the run to redo it."
            elif checked:
                yield from (f"{where}: {problem}" for problem in _check_row(run, line, seen))


def _find_step(run: Run) -> str | None:
    """The step whose rows are checked one by one; None where a run of its kind has none."""
    if run.kind in CHAIN_KINDS:
        return CHAIN_STEP
    return EVALUATE_STEP if run.kind == EVALUATE_KIND else None


def _check_seal(file: RowFile) -> Iterator[str]:
    size = file.path.stat().st_size
    if file.limit is not None and size < file.limit:
        yield f"{file.path}: has {size} bytes, sealed with {file.limit}: it was cut. {_RESTORE}."


def _check_row(run: Run, line: Line, seen: set[str]) -> Iterator[str]:
    try:
        row = parse_row(line.record or {})
        expected = _build_id(row)
    except (ValueError, TypeError) as error:
        yield f"damaged, no row: {error}. It is skipped; resume the run to redo it."
        return
    if row.run_id != run.run_id:
        yield f"belongs to run {row.run_id!r}, not {run.run_id!r}. Move it back there."
    if row.row_id != expected:
        yield (
            f"its id is {row.row_id!r}, its fields give {expected}: one was changed. {_RESTORE}."
        )
    if row.row_id in seen:
        yield f"row {row.row_id} is there twice; the first counts. Two workers wrote at once?"
    seen.add(row.row_id)


def _build_id(row: Row) -> str:
    return build_row_id(
        run_id=row.run_id,
        prompt_id=row.prompt_id,
        sample=row.sample,
        step=row.step,
        order=row.order,
        cot=row.cot,
    )


def _check_run_constitution(run: Run) -> Iterator[str]:
    path = run.outputs / "constitution.yaml"
    expected = run.recipe.get("constitution_hash")
    if not path.exists() or expected is None:
        return
    found = load_constitution(path).hash
    if found != expected:
        yield f"{path}: hash {found}, the recipe says {expected}: it was changed. {_RESTORE}."


def _check_constitutions(workspace: Path, tally: _Tally) -> Iterator[str]:
    for event in read_events(workspace, Topic.CONSTITUTIONS):
        if event.get("action") not in (SAVE, RESTORE):
            continue  # labels move among versions that these made, and rules name none
        name, version = str(event.get("name")), str(event.get("version"))
        try:
            path = get_version_path(workspace, name, version)
        except ConstitutionError as error:
            yield f"{get_journal_path(workspace, Topic.CONSTITUTIONS)}: {error}"
            continue
        if not path.exists():
            yield f"{path}: the journal names this version and it is gone. {_RESTORE}."
    for path in sorted((workspace / "constitutions").glob("*/*.yaml")):
        tally.constitutions += 1
        try:
            found = load_constitution(path)
        except ConstitutionError as error:
            yield str(error)
            continue
        if found.hash != path.stem:
            yield f"{path}: its content's hash is {found.hash}: it was changed. {_RESTORE}."


def _check_prompt_sets(workspace: Path, tally: _Tally) -> Iterator[str]:
    for name, versions in read_prompt_sets(workspace).items():
        for version in versions:
            try:
                path = get_prompt_set_path(workspace, name, version.hash)
            except CaiError as error:
                yield f"{get_journal_path(workspace, Topic.PROMPTS)}: {error}"
                continue
            if not path.exists():
                yield f"{path}: the journal names this prompt set and it is gone. {_RESTORE}."
    for path in sorted((workspace / "prompts").glob("*/*.jsonl")):
        if not _SET_FILE.fullmatch(path.name):
            continue  # the lines that were no prompts
        tally.prompt_sets += 1
        try:
            found = prompts_hash(load_frozen_prompts(path))
        except (CaiError, OSError) as error:
            yield str(error)
            continue
        if found != path.stem:
            yield f"{path}: its content's hash is {found}: it was changed. {_RESTORE}."


def _check_suites(workspace: Path, tally: _Tally) -> Iterator[str]:
    for versions in read_suites(workspace).values():
        for version in versions:
            tally.suites += 1
            try:
                load_suite_version(workspace, version)
            except CaiError as error:
                yield str(error)
