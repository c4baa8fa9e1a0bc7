"""The tables of index.duckdb, and opening it: a file that cannot be trusted is moved aside.

Rows, rounds and comparisons hold no texts, only the numbers that search.sqlite gives them
(`texts.py`): the two files belong together by a token, and are made anew together.
"""

from __future__ import annotations

import logging
import sqlite3
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from cai_core.errors import WorkspaceError
from cai_core.workspace.index.texts import TextStore

log = logging.getLogger(__name__)

Connection = duckdb.DuckDBPyConnection

# Raise it with every change of a table or of what ingest puts into one: old files are rebuilt.
VERSION = "8"
INDEX, SEARCH = "index.duckdb", "search.sqlite"
_CONFIG = {
    "enable_external_access": "false",
    # Pages, models and training share the machine with the index.
    "threads": "2",
    "memory_limit": "800MB",
}
_TABLES = {
    "meta": "name varchar, value varchar",
    # number: the run's within this index; mark: of its recipe file, to know a new folder by.
    "runs": """number integer, folder varchar, mark varchar, run varchar, kind varchar,
        recorded boolean, direct boolean, state varchar, reason varchar, started_at varchar,
        constitution varchar, constitution_hash varchar, model varchar""",
    # What was read of a run; journals have run number 0. done: bytes; lines: of comparisons.
    "files": """run_number integer, name varchar, inode ubigint, done bigint, damaged integer,
        doubled integer, late bigint, lines integer""",
    # position, length: where in the file the row lies. text and its like: numbers of texts.
    # chain_key: the first 60 bits of the chain's id, which are found among millions at once.
    "rows": """run_number integer, row_id varchar, chain varchar, chain_key bigint, kind varchar,
        round integer, file varchar, epoch integer, position bigint, length bigint,
        principle varchar, model varchar, finding varchar, constitution_hash varchar,
        prompt_kind varchar, text bigint, prompt_text bigint, conversation_text bigint,
        category varchar, words integer""",
    # Derived from rows, so that lists and counts need no join of rows with rows. seq: rises with
    # each insert; combination: of the fields that a list counts (`columns.py`). words_before: of
    # what was revised; distance: how much of it changed, in thousandths; null without a revision.
    "rounds": """seq bigint, combination integer, run_number integer, chain varchar,
        round integer, epoch integer, position bigint, principle varchar, model varchar,
        finding varchar, kind varchar, constitution_hash varchar, prompt_text bigint,
        conversation_text bigint, response_text bigint, critique_text bigint,
        revision_text bigint, changed boolean, objected boolean, category varchar,
        words_before integer, words_after integer, distance smallint""",
    # Never deleted: the ids run from 1 without a gap.
    "round_combinations": """id integer, run_number integer, principle varchar, finding varchar,
        kind varchar, model varchar, constitution_hash varchar, category varchar""",
    # place: among the run's comparisons; position, length: of its line. principles: a JSON list.
    # traits: bits (`prepare_labels.py`); the bins are null where a label has no such number.
    "comparisons": """seq bigint, combination integer, run_number integer, comparison varchar,
        place integer, file varchar, position bigint, length bigint, principles varchar,
        verdict varchar, source varchar, kind varchar, model varchar, traits integer,
        prob_a double, position_bias double, confidence_bin tinyint, bias_bin tinyint,
        prompt_text bigint, conversation_text bigint, a_text bigint, b_text bigint,
        reasons_text bigint""",
    "comparison_combinations": """id integer, run_number integer, principles varchar,
        verdict varchar, source varchar, kind varchar, model varchar, traits integer""",
    # Where the feedback model's answers about a comparison lie.
    "answers": """run_number integer, place integer, file varchar, epoch integer,
        position bigint, length bigint""",
    "events": "topic varchar, position bigint, happened varchar, chain varchar, record varchar",
    # Derived from the events of reviews. notes: a JSON list.
    "marks": "chain varchar, saved boolean, flagged boolean, noted boolean, notes varchar",
    # Derived likewise: each reviewer's newest word of each critique. position: of its event.
    "critique_reviews": """chain varchar, round integer, reviewer varchar, review varchar,
        verdict varchar, reason varchar, blind boolean, happened varchar, position bigint""",
}


@dataclass(frozen=True, slots=True)
class Stores:
    """Both index files, open.

    Attributes:
        rebuilt: why they were made anew, None when they were not.
    """

    rows: Connection
    texts: TextStore
    rebuilt: str | None

    def close(self) -> None:
        """Close both."""
        self.rows.close()
        self.texts.close()


def open_stores(workspace: Path) -> Stores:
    """Open both files, or make them where they are missing, damaged or of another version.

    Raises:
        WorkspaceError: they cannot be made: the disk is full, or the folder is read-only.
    """
    try:
        reason = _find_missing(workspace)
        if reason is None:
            try:
                return _open_checked(workspace)
            except (duckdb.Error, sqlite3.Error, OSError, _StaleError) as error:
                reason = _describe(error)
        if reason:
            log.warning("%s: the indexes are made anew: %s", workspace, reason)
        _move_aside(workspace)
        return _make(workspace, reason or None)
    except (duckdb.Error, sqlite3.Error, OSError) as error:
        raise WorkspaceError(
            f"{workspace}: the indexes cannot be made: {error}. Make room on the disk, or make "
            "the folder writable; the run folders are untouched."
        ) from error


def remove_stores(workspace: Path) -> None:
    """Delete both files, and the journals beside them. Raises WorkspaceError when refused."""
    try:
        for path in _list_present(workspace):
            path.unlink()
    except OSError as error:
        raise WorkspaceError(
            f"{error.filename}: cannot be deleted: {error.strerror}. Delete it by hand."
        ) from error


def _move_aside(workspace: Path) -> None:
    """Rename what there is of both files to `….broken-<n>`, the journals beside them too."""
    present = _list_present(workspace)
    number = 1
    while any(path.with_name(f"{path.name}.broken-{number}").exists() for path in present):
        number += 1
    for path in present:
        path.rename(path.with_name(f"{path.name}.broken-{number}"))


def _list_present(workspace: Path) -> list[Path]:
    names = (INDEX, f"{INDEX}.wal", SEARCH, f"{SEARCH}-wal", f"{SEARCH}-shm")
    return [workspace / name for name in names if (workspace / name).exists()]


class _StaleError(Exception):
    """The files can be read but are not the ones that this version goes on with."""


def _find_missing(workspace: Path) -> str | None:
    """Why there is nothing to open: "" on a first start, None when both files are there."""
    missing = [name for name in (INDEX, SEARCH) if not (workspace / name).exists()]
    if len(missing) == 2:
        return ""
    return f"{missing[0]} is missing" if missing else None


def _open_checked(workspace: Path) -> Stores:
    rows = _connect(workspace / INDEX)
    texts = None
    try:
        meta = dict(rows.execute("select name, value from meta").fetchall())
        if meta.get("version") != VERSION:
            raise _StaleError(
                f"{INDEX} has version {meta.get('version')}; this workbench makes {VERSION}"
            )
        for table in _TABLES:
            # Reads every block, so that a damaged one shows now and not on somebody's page.
            rows.execute(f"select bit_xor(hash(t)) from {table} t").fetchall()
        texts = TextStore.open(workspace / SEARCH)
        if texts.token != meta.get("token"):
            raise _StaleError(f"{SEARCH} belongs to another {INDEX}")
    except BaseException:
        rows.close()
        if texts is not None:
            texts.close()
        raise
    return Stores(rows, texts, None)


def _make(workspace: Path, reason: str | None) -> Stores:
    token = uuid.uuid4().hex
    # The text file first: an index without its texts would be taken for a whole one.
    texts = TextStore.make(workspace / SEARCH, token)
    rows = _connect(workspace / INDEX)
    rows.execute("begin")
    for table, columns in _TABLES.items():
        rows.execute(f"create table {table} ({columns})")
    rows.execute("create sequence seqs")
    rows.executemany("insert into meta values (?, ?)", [("version", VERSION), ("token", token)])
    rows.execute("commit")
    return Stores(rows, texts, reason)


def _connect(path: Path) -> Connection:
    connection = duckdb.connect(str(path), config=dict[str, Any](_CONFIG))
    connection.execute("set lock_configuration = true")
    return connection


def _describe(error: Exception) -> str:
    if isinstance(error, _StaleError):
        return str(error)
    name = SEARCH if isinstance(error, sqlite3.Error) else INDEX
    return f"{name} cannot be read: {str(error).splitlines()[0] if str(error) else error!r}"
