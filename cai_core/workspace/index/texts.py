"""search.sqlite: each distinct text once, under a number, and found by any part of it.

FTS5's trigram tokenizer finds substrings of three characters and more in any script; shorter
ones are looked for in the texts themselves.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Self

# What people type is a few words. Beyond these, more text would not find less than the start
# of it does, and SQLite's own limits are far away.
MAX_QUERY = 1000
MAX_WORDS = 32
_TRIGRAM = 3
_CHECKED_BYTES = 256 * 1024 * 1024
# A phrase in quotes, or whatever stands between white space.
_WORD = re.compile(r'"([^"]+)"(?!\S)|(\S+)')
# SQLite's text functions end at NUL, and lone surrogates are no UTF-8.
_UNSEARCHABLE = re.compile("[\0\ud800-\udfff]")
_SCHEMA = """
create table meta (name text, value text);
create table texts (
    id integer primary key autoincrement,  -- never used again: rows hold these numbers
    hash text not null unique,
    text text not null,
    exact blob  -- UTF-8 with surrogates, where `text` is not the text itself
);
create virtual table words using fts5 (
    text, content = 'texts', content_rowid = 'id', tokenize = 'trigram'
);
"""
# One statement for many texts: Python gives up its lock at each step of a statement, and to get
# it back beside busy pages takes longer than the step.
_LAST = "select coalesce(max(seq), 0) from sqlite_sequence where name = 'texts'"
_ADD_TEXTS = """
insert into texts (id, hash, text)
select json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')
from json_each(?)
"""
_ADD_WORDS = "insert into words (rowid, text) select id, text from texts where id > ? order by id"
_REMOVE_WORDS = """
insert into words (words, rowid, text)
select 'delete', id, text from texts where id in (select value from json_each(?))
"""
_REMOVE_TEXTS = "delete from texts where id in (select value from json_each(?))"
_LOAD = "select id, text, exact from texts where id in (select value from json_each(?))"


class TextStore:
    """The open file: one writer at a time (the ingest), readers from any thread.

    Attributes:
        token: names the index.duckdb that it belongs to.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, token: str):
        self._path = path
        self._writer = connection
        self.token = token

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open and check. Raises sqlite3.Error when it is damaged or lacks a table."""
        connection = _connect(path)
        try:
            if path.stat().st_size <= _CHECKED_BYTES:
                (verdict,) = connection.execute("pragma quick_check(1)").fetchone()
                if verdict != "ok":
                    raise sqlite3.DatabaseError(verdict)
            connection.execute("select id, hash, text, exact from texts limit 1").fetchone()
            connection.execute("select rowid from words limit 1").fetchone()
            query = "select value from meta where name = 'token'"
            token = connection.execute(query).fetchone()
        except BaseException:
            connection.close()
            raise
        return cls(path, connection, token[0] if token else "")

    @classmethod
    def make(cls, path: Path, token: str) -> Self:
        """Make an empty one."""
        connection = _connect(path)
        connection.executescript(_SCHEMA)
        with connection:
            connection.execute("insert into meta values ('token', ?)", (token,))
        return cls(path, connection, token)

    def close(self) -> None:
        """Close the writer's connection."""
        self._writer.close()

    def add(self, texts: Iterable[str]) -> dict[str, int]:
        """Number every text, the new ones durably; returns text → number."""
        by_hash = {_hash(text): text for text in texts}
        with self._writer:
            held = self._find_held(list(by_hash))
            (last,) = self._writer.execute(_LAST).fetchone()
            new = [(key, text) for key, text in by_hash.items() if key not in held]
            numbered = [
                (number, key, make_searchable(text))
                for number, (key, text) in enumerate(new, start=last + 1)
            ]
            self._writer.execute(_ADD_TEXTS, [json.dumps(numbered, ensure_ascii=False)])
            self._writer.execute(_ADD_WORDS, [last])
            for (number, key, shown), (_, text) in zip(numbered, new, strict=True):
                held[key] = number
                if shown != text:
                    self._writer.execute(
                        "update texts set exact = ? where id = ?", [_encode(text), number]
                    )
        return {text: held[key] for key, text in by_hash.items()}

    def remove(self, numbers: Sequence[int]) -> None:
        """Forget texts."""
        with self._writer:
            # What the words were made of must be told to take them back.
            self._writer.execute(_REMOVE_WORDS, [json.dumps(list(numbers))])
            self._writer.execute(_REMOVE_TEXTS, [json.dumps(list(numbers))])

    def load(self, numbers: Iterable[int]) -> dict[int, str]:
        """The texts of some numbers; unknown ones are left out."""
        with self._reader() as reader:
            rows = reader.execute(_LOAD, [json.dumps(sorted(set(numbers)))]).fetchall()
        return {number: text if exact is None else _decode(exact) for number, text, exact in rows}

    def find(self, word: str) -> list[int]:
        """Numbers of the texts that contain the word, in any case."""
        with self._reader() as reader:
            if len(word) >= _TRIGRAM:
                # In quotes, with quotes doubled, nothing in it is syntax.
                quoted = '"' + word.replace('"', '""') + '"'
                query = "select json_group_array(rowid) from words where words match ?"
                found = reader.execute(query, [quoted])
            else:
                cases = sorted(_list_cases(word))
                condition = " or ".join(["text like ? escape '\\'"] * len(cases))
                patterns = [f"%{_escape(case)}%" for case in cases]
                query = f"select json_group_array(id) from texts where {condition}"
                found = reader.execute(query, patterns)
            (numbers,) = found.fetchone()
        return list(json.loads(numbers))

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        connection = _connect(self._path, read=True)
        try:
            yield connection
        finally:
            connection.close()

    def _find_held(self, hashes: Sequence[str]) -> dict[str, int]:
        query = "select hash, id from texts where hash in (select value from json_each(?))"
        return dict(self._writer.execute(query, [json.dumps(hashes)]).fetchall())


def parse_query(text: str) -> tuple[str, ...]:
    """The words and "quoted phrases" of what somebody typed; all of them must occur.

    Only the first MAX_QUERY characters and MAX_WORDS words are looked at.
    """
    found = _WORD.findall(make_searchable(text[:MAX_QUERY]))
    return tuple(dict.fromkeys(phrase or word for phrase, word in found))[:MAX_WORDS]


def make_searchable(text: str) -> str:
    """The text with what cannot be searched (NUL, lone surrogates) replaced by U+FFFD."""
    return _UNSEARCHABLE.sub("\ufffd", text)


def _connect(path: Path, *, read: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    if read:
        connection.execute("pragma query_only = true")
    else:
        connection.execute("pragma journal_mode = wal")
        # index.duckdb must never hold the number of a text that a power cut took.
        connection.execute("pragma synchronous = full")
    return connection


def _hash(text: str) -> str:
    return sha256(_encode(text)).hexdigest()[:32]  # 128 bits, as row ids have


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decode(exact: bytes) -> str:
    return exact.decode("utf-8", "surrogatepass")


def _list_cases(word: str) -> set[str]:
    # SQLite's LIKE knows the cases of ASCII only.
    cases = {""}
    for letter in word:
        cases = {case + form for case in cases for form in {letter, letter.lower(), letter.upper()}}
    return cases


def _escape(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)
