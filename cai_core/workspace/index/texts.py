"""search.sqlite: each distinct text once, under a number, and found by any part of it.

What a text holds is looked up by its words (`words.py`, `postings.py`); where words alone cannot
tell, the texts that may be meant are looked through.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self

import numpy as np

from cai_core.workspace.index import postings
from cai_core.workspace.index.blocks import Array
from cai_core.workspace.index.postings import Hits, Segments, fit_hits
from cai_core.workspace.index.vocabulary import Vocabulary
from cai_core.workspace.index.words import Piece, ask, fold, list_words, make_searchable

_CHECKED_BYTES = 256 * 1024 * 1024
# So many texts are looked through at once, so that a page need not wait; the rest page by page.
MOST_CHECKED = 3000
# The words of so many texts are in memory at a time.
_SLICE = 2000
_SCHEMA = (
    """
pragma page_size = 8192;
create table meta (name text, value text);
create table texts (
    id integer primary key autoincrement,  -- never used again: rows hold these numbers
    hash text not null unique,
    text text not null,
    exact blob  -- UTF-8 with surrogates, where `text` is not the text itself
);
create table words (id integer primary key, word text not null);
"""
    + postings.SCHEMA
)
# One statement for many texts: Python gives up its lock at each step of a statement, and to get
# it back beside busy pages takes longer than the step.
_LAST = "select coalesce(max(seq), 0) from sqlite_sequence where name = 'texts'"
_ADD_TEXTS = """
insert into texts (id, hash, text)
select json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')
from json_each(?)
"""
_ADD_WORDS = """
insert into words (id, word) select json_extract(value, '$[0]'), json_extract(value, '$[1]')
from json_each(?)
"""
_REMOVE_TEXTS = "delete from texts where id in (select value from json_each(?))"
_KEEP_WORDS = "delete from words where id not in (select value from json_each(?))"
_LOAD = "select id, text, exact from texts where id in (select value from json_each(?))"
# `text` never holds NUL.
_LOAD_SEARCHABLE = """
select json_group_array(id), group_concat(text, x'00')
from (select id, text from texts where id in (select value from json_each(?)) order by id)
"""
_FIND_HELD = """
select json_group_object(hash, id) from texts where hash in (select value from json_each(?))
"""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a part of a text is, as hits by number; some numbers may be nobody's.

    Attributes:
        folded: the part, as `words.fold` gives it.
        sure: texts that hold it.
        unsure: texts that must be looked through for it; None where there are none.
        is_quick: very much was left unread, so that more texts are unsure than need be.
    """

    folded: str
    sure: Hits
    unsure: Hits | None
    is_quick: bool = False


class TextStore:
    """The open file: one writer at a time (the ingest), readers from any thread.

    Attributes:
        token: names the index.duckdb that it belongs to.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, token: str):
        self._path = path
        self._writer = connection
        self.token = token
        self._readers: list[sqlite3.Connection] = []
        self._segments = Segments()
        self._load_words()

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
            connection.execute("select id, units from chunks limit 1").fetchone()
            query = "select value from meta where name = 'token'"
            token = connection.execute(query).fetchone()
            return cls(path, connection, token[0] if token else "")
        except BaseException:
            connection.close()
            raise

    @classmethod
    def make(cls, path: Path, token: str) -> Self:
        """Make an empty one."""
        connection = _connect(path, made=False)
        connection.executescript(_SCHEMA)
        connection.execute("pragma journal_mode = wal")
        with connection:
            connection.execute("insert into meta values ('token', ?)", (token,))
        return cls(path, connection, token)

    def close(self) -> None:
        """Close every connection."""
        while self._readers:
            self._readers.pop().close()
        self._writer.close()

    def add(self, texts: Iterable[str]) -> dict[str, int]:
        """Number every text, the new ones durably; returns text → number."""
        by_hash = {_hash(text): text for text in texts}
        try:
            with self._writer:
                held = self._find_held(list(by_hash))
                (last,) = self._writer.execute(_LAST).fetchone()
                new = [(key, text) for key, text in by_hash.items() if key not in held]
                numbered = [
                    (number, key, make_searchable(text))
                    for number, (key, text) in enumerate(new, start=last + 1)
                ]
                self._writer.execute(_ADD_TEXTS, [json.dumps(numbered, ensure_ascii=False)])
                self._add_words([(number, shown) for number, _, shown in numbered])
                for (number, key, shown), (_, text) in zip(numbered, new, strict=True):
                    held[key] = number
                    if shown != text:
                        self._writer.execute(
                            "update texts set exact = ? where id = ?", [_encode(text), number]
                        )
        except BaseException:
            # What was numbered in memory is not in the file.
            self._segments = Segments()
            self._load_words()
            raise
        return {text: held[key] for key, text in by_hash.items()}

    def remove(self, numbers: Sequence[int]) -> None:
        """Forget texts, and the words that no other text holds."""
        if not numbers:
            return
        with self._writer:
            self._writer.execute(_REMOVE_TEXTS, [json.dumps(list(numbers))])
            postings.remove_texts(self._writer, self._segments, numbers)
            held = postings.list_held_words(self._writer, self._segments)
            self._writer.execute(_KEEP_WORDS, [json.dumps(held.tolist())])
        self._load_words()

    def load(self, numbers: Iterable[int]) -> dict[int, str]:
        """The texts of some numbers; unknown ones are left out."""
        with self._reader() as reader:
            rows = reader.execute(_LOAD, [json.dumps(sorted(set(numbers)))]).fetchall()
        return {number: text if exact is None else _decode(exact) for number, text, exact in rows}

    def search(self, part: str, *, every: bool = True) -> Found:
        """Which texts contain a part, in any case.

        Args:
            every: False is quick where very many do, and leaves more of them unsure.
        """
        question = ask(part)
        with self._reader() as reader:
            reader.execute("begin")
            try:
                found, is_told = self._find_candidates(reader, question.pieces, every=every)
            finally:
                reader.execute("rollback")
        if question.exact:
            return Found(question.folded, found, None if is_told else ~found, not is_told)
        if not is_told:
            found = np.arange(len(found)) > 0  # any text may be one
        sure = np.zeros(len(found), bool)
        if not (count := int(np.count_nonzero(found))):
            return Found(question.folded, sure, None)
        if count > MOST_CHECKED:
            return Found(question.folded, sure, found, not is_told)
        (numbers,) = self.check(np.flatnonzero(found), [question.folded])
        sure[numbers] = True
        return Found(question.folded, sure, None)

    def settle(self, found: Found, numbers: Array) -> Hits:
        """The texts that hold the part, of these (ascending) and of those that surely do."""
        hits = fit_hits(found.sure, max(len(found.sure), int(numbers.max(initial=0)) + 1))
        if found.unsure is not None:
            unsure = numbers[fit_hits(found.unsure, len(hits))[numbers]]
            for at in range(0, len(unsure), MOST_CHECKED):
                (held,) = self.check(unsure[at : at + MOST_CHECKED], [found.folded])
                hits[held] = True
        return hits

    def check(self, numbers: Array, folded: Sequence[str]) -> list[Array]:
        """For each folded part, those of the texts (ascending) that contain it."""
        with self._reader() as reader:
            asked = [json.dumps(numbers.tolist())]
            ids, joined = reader.execute(_LOAD_SEARCHABLE, asked).fetchone()
        texts = [fold(text) for text in (joined or "").split("\0")]
        held = np.array(json.loads(ids), np.int64)
        return [held[[part in text for text in texts][: len(held)]] for part in folded]

    def find(self, part: str) -> list[int]:
        """Numbers of the texts that contain a part, in any case, ascending."""
        found = self.search(part)
        hits = self.settle(found, np.arange(len(found.sure)))
        return [int(number) for number in np.flatnonzero(hits)]

    def _find_candidates(
        self, reader: sqlite3.Connection, pieces: Sequence[Piece], *, every: bool
    ) -> tuple[Hits, bool]:
        """Texts that have a word for each piece, and whether enough was read to go by.

        Of several pieces one is enough: the texts are looked through for the part anyway.
        """
        (last,) = reader.execute(_LAST).fetchone()
        if len(pieces) == 1:
            words = self._vocabulary.find(pieces[0])
            hits, is_told = self._segments.find(reader, words, every=every)
            return fit_hits(hits, last + 1), is_told
        found, any_told = np.arange(last + 1) > 0, not pieces
        for piece in sorted(pieces, key=lambda piece: -len(piece.text)):
            words = self._vocabulary.find(piece)
            hits, is_told = self._segments.find(reader, words, every=every)
            any_told |= is_told
            if is_told:
                found &= fit_hits(hits, last + 1)
            if not found.any():
                break
        return found, any_told

    def _add_words(self, texts: Sequence[tuple[int, str]]) -> None:
        numbers, held, new = [], [], []
        for start in range(0, len(texts), _SLICE):
            some = texts[start : start + _SLICE]
            words = [list_words(text) for _, text in some]
            new += self._vocabulary.add(words)
            numbers.append(self._vocabulary.list_numbers(words))
            counts = [len(one) for one in words]
            held.append(np.repeat(np.array([number for number, _ in some], np.uint32), counts))
        if new:
            self._writer.execute(_ADD_WORDS, [json.dumps(new, ensure_ascii=False)])
        if numbers:
            pairs = (np.concatenate(numbers), np.concatenate(held))
            postings.add_segments(self._writer, self._segments, *pairs)

    def _load_words(self) -> None:
        query = "select id, word from words order by id"
        self._vocabulary = Vocabulary(self._writer.execute(query).fetchall())

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._readers.pop()
        except IndexError:
            connection = _connect(self._path, read=True)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._readers.append(connection)

    def _find_held(self, hashes: Sequence[str]) -> dict[str, int]:
        (told,) = self._writer.execute(_FIND_HELD, [json.dumps(hashes)]).fetchone()
        return dict(json.loads(told))


def _connect(path: Path, *, read: bool = False, made: bool = True) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    if read:
        connection.isolation_level = None
        connection.execute("pragma query_only = true")
    else:
        if made:
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
