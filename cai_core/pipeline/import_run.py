"""An import as a run: files are copied into it, looked through, and become its rows and outputs.

inputs/…                                       the files, byte for byte
rows/chain.<epoch>.jsonl                       chains
outputs/comparisons.jsonl, labels.jsonl        preferences, as a `label` run has them
outputs/votes.jsonl                            what further annotators prefer
outputs/questions.jsonl                        multiple-choice questions
outputs/constitution.yaml                      the principles that chains quote
outputs/rejected.json, import.json             every line left out and why; what it came to

A run's id follows from its files and settings: importing them again opens the same run, adds what a
crash left out, and doubles nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cai_core.pipeline.import_chains import IMPORTED
from cai_core.pipeline.import_outputs import (
    MOST_TOLD,
    REJECTED,
    ROWS_STEP,
    SUMMARY,
    copy_files,
    write_preferences,
    write_questions,
    write_rows,
    write_summary,
)
from cai_core.pipeline.import_reading import ImportLook, ImportSource, look, open_source
from cai_core.pipeline.import_records import ImportKind, ImportSettings, RejectedLine
from cai_core.pipeline.import_sources import SourceFile, find_files, hash_file
from cai_core.records import Constitution, content_hash
from cai_core.workspace.files import check_disk
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import Run, create_run, open_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter

RUN_KIND = "import"
_PIECE = 1024 * 1024
_NO_NAME = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import came to.

    Attributes:
        folder: of the run.
        kind: None where no record was of a known format.
        formats: by file.
        records: lines or rows that were taken, all of which are in the run now.
        added: records (of chains: rows) that this call wrote; 0 when everything was there already.
        rejected: how many were left out; `told` are the first of them.
        counts: as in `ImportLook`.
    """

    run_id: str
    folder: Path
    kind: ImportKind | None
    formats: Mapping[str, str]
    records: int
    added: int
    rejected: int
    told: tuple[RejectedLine, ...]
    counts: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Plain form, the first of the refused lines included."""
        return {
            "run": self.run_id,
            "folder": str(self.folder),
            "kind": self.kind,
            "formats": dict(self.formats),
            "records": self.records,
            "added": self.added,
            "rejected": self.rejected,
            "rejected_file": str(self.folder / "outputs" / REJECTED),
            "rejected_first": [one.as_dict() for one in self.told],
            "counts": dict(self.counts),
        }


def import_files(
    path: Path, runs: Path, settings: ImportSettings, *, out: Path | None = None
) -> ImportReport:
    """Import a file or a folder into a run of the kind `import`.

    Args:
        runs: the workspace's folder of runs.
        out: the run's folder, anywhere; None names it by what is imported.

    Raises:
        ImportFormatError: nothing to import at `path`, or it holds several kinds of things.
        RunMismatchError: `out` holds another run.
        WorkspaceError: the disk is full or refuses, or another process imports the same.
    """
    files = find_files(path)
    hashes = [_describe_file(file) for file in files]
    own = {"source": path.resolve().name, "files": hashes, "settings": settings.as_dict()}
    folder = out or runs / _build_run_id(path, own)
    if (before := _load_report(folder, own)) is not None:
        return before
    source = open_source(files, settings)
    found = look(source)
    constitution = found.build_constitution(_clean(path))
    recipe = {**own, "kind": source.kind, "formats": dict(source.formats), "reader": IMPORTED}
    if found.direct:
        # The rounds of such a run are its revisions.
        recipe["chain"] = {"critique": False}
    return write_import(folder, source, found, recipe, constitution)


def write_import(
    folder: Path,
    source: ImportSource,
    found: ImportLook,
    recipe: Mapping[str, Any],
    constitution: Constitution,
) -> ImportReport:
    """Write what a look has found; as `import_files`."""
    sizes = sum(file.path.stat().st_size for file in source.files)
    check_disk(folder, 4 * sizes)
    run = create_run(Path(folder).absolute(), kind=RUN_KIND, recipe=recipe)
    added = 0
    if not _is_whole(run, found):
        with RunWriter(run) as writer:
            files = copy_files(run, source.files, recipe)
            # Read under the lock: another import may have ended in between.
            match source.kind:
                case "chains":
                    added = write_rows(run, writer, source, files, constitution)
                case "preferences":
                    added = write_preferences(run, source, files)
                case "questions":
                    added = write_questions(run, source, files)
            write_summary(run, source, files, found)
            counts = _count(found)
            if found.records:
                writer.set_status(RunState.SUCCEEDED, counts=counts)
            else:
                reason = "no line could be taken; outputs/rejected.json says why"
                writer.set_status(RunState.FAILED, reason=reason, counts=counts)
    return _build_report(run, source, found, added)


def _count(found: ImportLook) -> dict[str, int]:
    kept = ("chains", "rows", "comparisons", "labels", "questions")
    counts = {name: found.counts[name] for name in kept if found.counts[name]}
    return {"records": found.records, **counts, "rejected": found.rejected}


def _is_whole(run: Run, found: ImportLook) -> bool:
    done = run.status().state in (RunState.SUCCEEDED, RunState.FAILED)
    if not done or not (run.outputs / SUMMARY).exists():
        return False
    rows = found.counts["rows"]
    # The quick way first: a file that was never cut or gone on with has a line a row.
    return _count_lines(run) == rows or len(RowIndex(run, ROWS_STEP)) == rows


def _count_lines(run: Run) -> int:
    """Whole lines of the run's rows, without each file's `format` line."""
    lines = 0
    for file in run.row_files(ROWS_STEP):
        lines -= 1
        with file.path.open("rb") as raw:
            while piece := raw.read(_PIECE):
                lines += piece.count(b"\n")
    return lines


def _load_report(folder: Path, own: Mapping[str, Any]) -> ImportReport | None:
    """What an import of these very files came to that has ended; None where there is none."""
    if not (folder / "outputs" / SUMMARY).exists():
        return None
    run = open_run(folder, kind=RUN_KIND)
    asked = {name: run.recipe.get(name) for name in own}
    if asked != json.loads(json.dumps(own)):
        return None
    try:
        told = json.loads((run.outputs / SUMMARY).read_bytes())
        found = ImportLook(
            records=told["records"],
            rejected=told["rejected"],
            told=[RejectedLine(**one) for one in told["told"]],
        )
        found.counts.update(told["counts"])
    except (ValueError, KeyError, TypeError):
        return None  # damaged; it is written again
    if not _is_whole(run, found):
        return None
    return ImportReport(
        run_id=run.run_id,
        folder=run.path,
        kind=told["kind"],
        formats=told["formats"],
        records=found.records,
        added=0,
        rejected=found.rejected,
        told=tuple(found.told),
        counts=dict(found.counts),
    )


def _build_report(run: Run, source: ImportSource, found: ImportLook, added: int) -> ImportReport:
    return ImportReport(
        run_id=run.run_id,
        folder=run.path,
        kind=source.kind,
        formats=source.formats,
        records=found.records,
        added=added,
        rejected=found.rejected,
        told=tuple(found.told[:MOST_TOLD]),
        counts={name: count for name, count in found.counts.items() if count},
    )


def _describe_file(file: SourceFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "sha256": hash_file(file.path),
        "bytes": file.path.stat().st_size,
    }


def _build_run_id(path: Path, own: Mapping[str, Any]) -> str:
    return f"import-{_clean(path)}-{content_hash(dict(own))[:8]}"


def _clean(path: Path) -> str:
    name = path.resolve().name.lower().removesuffix(".gz")
    stem = name.rsplit(".", 1)[0] if path.is_file() else name
    return _NO_NAME.sub("-", stem).strip("-")[:40].strip("-") or "file"
