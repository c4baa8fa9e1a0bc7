"""What an import writes into its run: rows, preferences, questions, what it left out.

Each file but the rows is written aside and renamed: a run that was killed has it whole or not.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from cai_core.constitution import dump_constitution
from cai_core.errors import ImportFormatError, WorkspaceError
from cai_core.pipeline.comparison_records import FormedComparison
from cai_core.pipeline.import_reading import ImportLook, ImportSource
from cai_core.pipeline.import_records import (
    ImportedChain,
    ImportedPair,
    ImportedQuestion,
    RejectedLine,
)
from cai_core.pipeline.import_rows import build_chain_rows
from cai_core.pipeline.import_sources import SourceFile, hash_file, place_file
from cai_core.pipeline.inputs import FOLDER
from cai_core.pipeline.label import COUNTS, FORMED
from cai_core.pipeline.label_counts import count_labels
from cai_core.pipeline.label_records import COMPARISONS, LABELS, LabelRecord
from cai_core.records import Constitution, content_hash
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import encode_record
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import Run
from cai_core.workspace.writer import RunWriter

ROWS_STEP = "chain"  # as in `pipeline.revise`
QUESTIONS, VOTES = "questions.jsonl", "votes.jsonl"
REJECTED, SUMMARY = "rejected.json", "import.json"
MOST_TOLD = 100
# Rows of one fsync: large enough to be quick, small enough that a crash costs little.
_BATCH = 512
_PIECE = 1024 * 1024


def copy_files(
    run: Run, files: Sequence[SourceFile], recipe: Mapping[str, Any]
) -> tuple[SourceFile, ...]:
    """The run's own copies, checked against the recipe's hashes."""
    hashes = {one["name"]: one["sha256"] for one in recipe["files"]}
    folder = run.path / FOLDER
    copies = tuple(place_file(file, folder) for file in files)
    for file, copy in zip(files, copies, strict=True):
        if not copy.path.exists():
            try:
                copy.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise WorkspaceError(f"{copy.path}: cannot be made: {error.strerror}.") from error
            replace_file(copy.path, _read_pieces(file.path))
        if hash_file(copy.path) != hashes[file.name]:
            copy.path.unlink()
            raise ImportFormatError(f"{file.path}: changed while it was read. Import it again.")
    return copies


def _read_pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def read_rejected(run_folder: Path) -> list[RejectedLine]:
    """Every line that an import left out, in order.

    Raises:
        WorkspaceError: the run has no such file, or it is damaged.
    """
    path = run_folder / "outputs" / REJECTED
    try:
        return [RejectedLine(**one) for one in json.loads(path.read_bytes())]
    except (OSError, ValueError, TypeError) as error:
        raise WorkspaceError(
            f"{path}: cannot be read: {error}. Import the file again; it is made anew."
        ) from error


def write_rejected(run: Run, rejected: Iterator[RejectedLine] | Sequence[RejectedLine]) -> None:
    """Replace the run's list of lines left out, a line each."""

    def build() -> Iterator[bytes]:
        lead = b"["
        for one in rejected:
            yield lead + b"\n " + json.dumps(one.as_dict()).encode("ascii")
            lead = b","
        yield b"[]\n" if lead == b"[" else b"\n]\n"

    replace_file(run.outputs / REJECTED, build())


def write_rows(
    run: Run,
    writer: RunWriter,
    source: ImportSource,
    files: Sequence[SourceFile],
    constitution: Constitution,
) -> int:
    if constitution.principles:
        text = dump_constitution(constitution)
        replace_file(run.outputs / "constitution.yaml", [text.encode("utf-8")])
    index = RowIndex(run, ROWS_STEP)
    own_hash = constitution.hash if constitution.principles else ""
    rows = (
        row.as_dict()
        for one in source.read(files)
        if isinstance(one, ImportedChain)
        for row in build_chain_rows(one, run.run_id, own_hash)
        if row.row_id not in index
    )
    added = 0
    while batch := list(islice(rows, _BATCH)):
        writer.append_rows(ROWS_STEP, batch)
        added += len(batch)
    return added


def write_preferences(run: Run, source: ImportSource, files: Sequence[SourceFile]) -> int:
    """Comparisons, labels and votes, in one way through the files; returns how many comparisons."""
    names = (COMPARISONS, LABELS, VOTES)
    with ExitStack() as stack:
        # Without a name, beside the outputs: a run that is killed leaves nothing of them.
        held = {name: stack.enter_context(TemporaryFile(dir=run.outputs)) for name in names}
        spools = _Spools(held)
        own_ids = "labels" in source.formats.values()
        pairs = (one for one in source.read(files) if isinstance(one, ImportedPair))
        counts = count_labels(_spool(pairs, spools, once=own_ids))
        # An empty file of labels would say that there are no comparisons.
        for name in names:
            if spools.counts[name]:
                replace_file(run.outputs / name, spools.take(name))
        formed = {"formed": spools.counts[COMPARISONS], "labelled": spools.counts[LABELS]}
    if formed["labelled"]:
        replace_file(run.outputs / COUNTS, [encode_record(counts.as_dict())])
    replace_file(run.outputs / FORMED, [encode_record(formed)])
    return formed["formed"]


def _spool(pairs: Iterable[ImportedPair], spools: _Spools, *, once: bool) -> Iterator[LabelRecord]:
    """The labels, while everything is written; a comparison once, however many labels it has."""
    seen: set[int] = set()
    for pair in pairs:
        key = int(content_hash(pair.comparison.comparison_id)[:16], 16) if once else 0
        if key not in seen:
            spools.add(COMPARISONS, pair.comparison)
        if once:
            seen.add(key)
        for vote in pair.votes:
            spools.add(VOTES, vote)
        if pair.label is not None:
            spools.add(LABELS, pair.label)
            yield pair.label


class _Spools:
    """Files whose lines are taken once all are there."""

    def __init__(self, files: Mapping[str, IO[bytes]]) -> None:
        self.counts: Counter[str] = Counter()
        self._files = files

    def add(self, name: str, record: FormedComparison | LabelRecord | Mapping[str, Any]) -> None:
        """One more line."""
        self.counts[name] += 1
        plain = record if isinstance(record, Mapping) else _build_plain(record)
        try:
            self._files[name].write(encode_record(plain))
        except OSError as error:
            raise WorkspaceError(f"{name}: cannot be written: {error.strerror}.") from error

    def take(self, name: str) -> Iterator[bytes]:
        """All lines, in pieces."""
        file = self._files[name]
        file.seek(0)
        while piece := file.read(_PIECE):
            yield piece


def _build_plain(record: FormedComparison | LabelRecord) -> dict[str, Any]:
    """As `as_dict`, which copies every value deeply: a third of the whole import's time."""
    plain = {name: getattr(record, name) for name in record.__dataclass_fields__}
    plain["conversation"] = [turn.as_dict() for turn in record.conversation]
    return plain


def write_questions(run: Run, source: ImportSource, files: Sequence[SourceFile]) -> int:
    written = 0

    def build() -> Iterator[bytes]:
        nonlocal written
        for one in source.read(files):
            if isinstance(one, ImportedQuestion):
                written += 1
                yield encode_record(one.as_dict())

    replace_file(run.outputs / QUESTIONS, build())
    return written


def write_summary(
    run: Run, source: ImportSource, files: Sequence[SourceFile], found: ImportLook
) -> None:
    whole = found.rejected == len(found.told)
    told = found.told if whole else (r for r in source.read(files) if isinstance(r, RejectedLine))
    write_rejected(run, told)
    summary = {
        "kind": source.kind,
        "formats": dict(source.formats),
        "records": found.records,
        "rejected": found.rejected,
        "counts": dict(sorted(found.counts.items())),
        "told": [one.as_dict() for one in found.told[:MOST_TOLD]],
    }
    text = json.dumps(summary, indent=1)
    replace_file(run.outputs / SUMMARY, [text.encode("ascii"), b"\n"])
