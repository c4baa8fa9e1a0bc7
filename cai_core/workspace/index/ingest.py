"""New bytes of row files into the index: each line once, its offset in the same transaction."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cai_core.errors import WorkspaceError
from cai_core.workspace.index.batch import Batch, write_batch
from cai_core.workspace.index.columns import Progress
from cai_core.workspace.index.journals import JournalIngest
from cai_core.workspace.index.prepare import prepare_row
from cai_core.workspace.index.prepare_labels import BEHIND, prepare_answer, prepare_comparison
from cai_core.workspace.index.schema import Connection, Stores
from cai_core.workspace.index.sources import (
    COMPARISONS,
    LABELS,
    RunFolders,
    SeenFile,
    SeenRun,
    SourceFile,
)
from cai_core.workspace.index.transaction import transaction
from cai_core.workspace.journal import Line, is_header, read_lines
from cai_core.workspace.runs import RowFile
from cai_core.workspace.status import RunState

log = logging.getLogger(__name__)

_TEXT_COLUMNS = {
    "rows": ("text", "prompt_text", "conversation_text"),
    "comparisons": ("prompt_text", "conversation_text", "a_text", "b_text", "reasons_text"),
}
_COLUMNS = [(name, table) for table, names in _TEXT_COLUMNS.items() for name in names]
# Texts that no other run holds; they go with the run.
_OWN_TEXTS = f"""
with own as materialized (
    {" union ".join(f"select {n} as text from {t} where run_number = $run" for n, t in _COLUMNS)}
)
select text from own where text is not null
{
    " ".join(
        f"except select {name} from {table} "
        f"where run_number <> $run and {name} in (select text from own)"
        for name, table in _COLUMNS
    )
}
"""


class Ingest:
    """Keeps both index files in step with the workspace's files. One thread at a time.

    Attributes:
        progress: what it tells the lists' columns.
        problems: what went wrong at the last pass, in words; empty when nothing did.
    """

    def __init__(self, stores: Stores, workspace: Path, recordings: Path | None):
        self.progress = Progress()
        self._con = stores.rows.cursor()
        self._texts = stores.texts
        self._folders = RunFolders(workspace, recordings)
        self._journals = JournalIngest(self._con, workspace)
        self._held: dict[Path, tuple[int, str]] = {}
        self._loaded = False
        self._runs: dict[Path, SeenRun] = {}
        self._last = 0
        self._batch = Batch()
        self._stop = threading.Event()
        self.problems: tuple[str, ...] = ()

    def run_pass(self, stop: threading.Event | None = None) -> None:
        """Bring in what is new.

        Args:
            stop: once it is set, the pass ends after the batch at hand; the next one goes on.

        Raises:
            duckdb.Error, sqlite3.Error: an index file cannot be written or is damaged. What was
                committed before stays, and the next pass goes on from there.
        """
        self._stop = stop or threading.Event()
        try:
            self.problems = tuple(self._bring_in())
        except BaseException:
            self._forget_progress()
            raise

    def _bring_in(self) -> list[str]:
        problems: list[str] = []
        self._batch = Batch()
        self._match_folders()
        for seen in self._folders.choose(list(self._runs.values())):
            if self._stop.is_set():
                break
            try:
                self._look_at(seen)
            except (WorkspaceError, OSError) as error:
                # One folder's trouble, or a folder just deleted; it is looked at again.
                seen.look = ()
                problems.append(str(error))
        self._flush()
        return problems + self._journals.run_pass()

    def _forget_progress(self) -> None:
        """What is in memory may be ahead of what was committed: ask the index again."""
        self._loaded, self._runs, self._batch = False, {}, Batch()

    def close(self) -> None:
        """Close its cursor."""
        self._con.close()

    def _match_folders(self) -> None:
        if not self._loaded:
            self._held = _load_held(self._con)
            self._last = max((number for number, _ in self._held.values()), default=0)
            self._loaded = True
        found = self._folders.find()
        for folder, (_, mark) in list(self._held.items()):
            if folder not in found or found[folder][1] != mark:
                self._forget(folder)
        for folder, (run, mark, recorded) in found.items():
            if folder in self._runs:
                continue
            seen = SeenRun(number=0, folder=folder, run=run, mark=mark, recorded=recorded)
            if folder in self._held:
                seen.number = self._held[folder][0]
                seen.files = _load_files(self._con, seen.number)
            else:
                self._last += 1
                seen.number = self._last
                self._batch.runs[seen.number] = seen
            self._runs[folder] = seen

    def _look_at(self, seen: SeenRun) -> None:
        look = seen.take_look()
        running = seen.status is not None and seen.status.state is RunState.RUNNING
        if look == seen.look and not running:
            return
        if seen.refresh():
            self._batch.runs[seen.number] = seen
        if look != seen.look:
            sources = seen.list_files()
            files = [source.file for source in sources]
            names = {file.path.name for file in files}
            if COMPARISONS in seen.files and LABELS in names - seen.files.keys():
                self._drop_comparisons(seen)  # they come again, those that have one with a label
            gone = seen.files.keys() - names
            if gone or any(_is_other(file, seen.files.get(file.path.name)) for file in files):
                self._start_again(seen)
            for source in sources:
                self._read(seen, source)
            if self._stop.is_set():
                return
        self._batch.looks.append((seen, look))
        if self._batch.is_full:
            self._flush()

    def _read(self, seen: SeenRun, source: SourceFile) -> None:
        file = source.file
        held = seen.files.get(file.path.name)
        mine = SeenFile(inode=file.path.stat().st_ino) if held is None else replace(held)
        mine.late = file.late_bytes
        key = (seen.number, file.path.name)
        # In the batch from the start: an error in the middle then leaves rows and offset agreed.
        self._batch.files[key] = mine
        for line in read_lines(file.path, start=mine.done, limit=file.limit):
            if not is_header(line, file.path):
                self._stage(seen, source, line, mine)
            mine.done = line.offset + line.length
            if self._batch.is_full:
                self._flush()
                if self._stop.is_set():
                    return
                mine = replace(mine)
                self._batch.files[key] = mine

    def _stage(self, seen: SeenRun, source: SourceFile, line: Line, mine: SeenFile) -> None:
        batch, file = self._batch, source.file
        place, mine.lines = mine.lines, mine.lines + 1
        try:
            match source.lines:
                case "chain":
                    batch.rows.append((seen, file, prepare_row(line)))
                case "answers":
                    batch.answers.append((seen, file, prepare_answer(line)))
                case lines:
                    at = place + BEHIND if lines == "unlabelled" else place
                    comparison = prepare_comparison(line, at, labelled=lines == "labels")
                    batch.comparisons.append((seen, file, comparison))
        except ValueError:
            mine.damaged += 1
            return
        batch.size += line.length

    def _start_again(self, seen: SeenRun) -> None:
        """A file was cut, replaced, or sealed below what was read: read the run anew."""
        log.warning("%s: files that were read have changed; reading it again", seen.run.path)
        self._flush()
        self._drop(seen.number)
        seen.files = {}
        self._batch.runs[seen.number] = seen

    def _forget(self, folder: Path) -> None:
        number, _ = self._held[folder]
        self._drop(number)
        del self._held[folder]
        self._runs.pop(folder, None)

    def _drop(self, number: int) -> None:
        found = self._con.execute(_OWN_TEXTS, {"run": number}).fetchall()
        tables = ("rows", "rounds", "answers", "comparisons", "files")
        with self._dropping(number):
            for table in tables:
                self._con.execute(f"delete from {table} where run_number = ?", [number])
            self._con.execute("delete from runs where number = ?", [number])
        self._texts.remove([text for (text,) in found])

    def _drop_comparisons(self, seen: SeenRun) -> None:
        self._flush()
        with self._dropping(seen.number):
            self._con.execute("delete from comparisons where run_number = ?", [seen.number])
            self._con.execute(
                "delete from files where run_number = ? and name = ?", [seen.number, COMPARISONS]
            )
        del seen.files[COMPARISONS]

    @contextmanager
    def _dropping(self, number: int) -> Iterator[None]:
        with transaction(self._con):
            yield
            (seq,) = self._con.execute("select nextval('seqs')").fetchall()[0]
        self.progress.drops.append((number, seq))
        self.progress.changes += 1

    def _flush(self) -> None:
        batch, self._batch = self._batch, Batch()
        by_number = {seen.number: seen for seen in self._runs.values()}
        batch.files = {
            (number, name): file
            for (number, name), file in batch.files.items()
            if file != by_number[number].files.get(name)
        }
        if batch.has_rows or batch.files or batch.runs:
            write_batch(self._con, self._texts, batch)
            self.progress.changes += 1
        for (number, name), file in batch.files.items():
            by_number[number].files[name] = file
        for seen in batch.runs.values():
            self._held[seen.folder] = (seen.number, seen.mark)
        for seen, look in batch.looks:
            seen.look = look


def _is_other(file: RowFile, held: SeenFile | None) -> bool:
    if held is None:
        return False
    stat = file.path.stat()
    cut = stat.st_size < held.done or (file.limit is not None and file.limit < held.done)
    return cut or stat.st_ino != held.inode


def _load_held(con: Connection) -> dict[Path, tuple[int, str]]:
    rows = con.execute("select folder, number, mark from runs").fetchall()
    return {Path(folder): (number, mark) for folder, number, mark in rows}


def _load_files(con: Connection, number: int) -> dict[str, SeenFile]:
    query = (
        "select name, inode, done, damaged, doubled, late, lines from files where run_number = ?"
    )
    return {name: SeenFile(*rest) for name, *rest in con.execute(query, [number]).fetchall()}
