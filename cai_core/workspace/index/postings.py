"""Which texts hold which words: segments of search.sqlite, merged as they become many.

A segment covers the texts of one or more batches. It has the numbers of its words, ascending, where
each word's texts begin, and these texts' numbers one word after the other, cut into chunks, so that
a word is found with a few reads. Texts never change: a new batch is a new segment, and the newest
segments are merged, by sorting, where several are of one size.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cai_core.workspace.index.vocabulary import Numbers

SCHEMA = """
create table segments (
    id integer primary key autoincrement,  -- never used again: readers keep what they know by it
    words blob,  -- numbers of words, ascending: little-endian, 4 bytes each, as all here
    starts blob,  -- where each word's texts begin, and where the last one's end
    lowest integer,  -- the numbers of its texts
    highest integer
);
create table chunks (
    id integer primary key,  -- segment << 24 | place
    texts blob
);
"""
_CHUNK = 16_384
_PLACE_BITS = 24
# So many neighbours of about one size become one, up to so many entries: 34 MB, and half a second.
_NEIGHBOURS, _MOST_ENTRIES = 6, 8_400_000
# From so many words on, their texts are picked together and not one word after the other.
_MANY_WORDS = 64
_INSERT_CHUNKS = """
insert into chunks select (?1 << 24) | value, substr(?2, value * ?3 + 1, ?3)
from json_each(?4)
"""
_Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Segment:
    """What is known of a segment without its texts, whose numbers are from lowest to highest."""

    number: int
    words: Numbers
    starts: Numbers
    lowest: int
    highest: int

    @property
    def entries(self) -> int:
        """Pairs of a word and a text."""
        return int(self.starts[-1])


class Segments:
    """The segments that a connection sees, each one's words read once."""

    def __init__(self) -> None:
        self._known: dict[int, Segment] = {}

    def load(self, con: sqlite3.Connection) -> list[Segment]:
        """All there are, oldest first."""
        (told,) = con.execute("select json_group_array(id) from segments").fetchone()
        numbers = sorted(json.loads(told))
        known = self._known
        if any(number not in known for number in numbers):
            known = {number: known.get(number) or _load(con, number) for number in numbers}
            self._known = known
        return [known[number] for number in numbers]

    def find(self, con: sqlite3.Connection, words: Numbers) -> Numbers:
        """The texts that hold any of these words (ascending), in no order, some perhaps twice."""
        found = []
        for segment in self.load(con):
            at = np.searchsorted(segment.words, words).clip(max=len(segment.words) - 1)
            at = at[segment.words[at] == words]
            if len(at):
                found.append(_read_ranges(con, segment, at))
        return np.concatenate(found) if found else np.empty(0, np.uint32)


def add_segment(
    con: sqlite3.Connection, segments: Segments, words: Numbers, texts: Numbers
) -> None:
    """Write what a batch's texts hold, and merge where there are many neighbours.

    Args:
        words, texts: word and text of each pair, in any order.
    """
    if not len(words):
        return
    _write(con, *_sort(words, texts))
    held = segments.load(con)
    while (count := _count_neighbours(held)) > 0:
        merged, held = held[-count:], held[:-count]
        pairs = [_read_pairs(con, segment) for segment in merged]
        columns = _sort(*(np.concatenate(column) for column in zip(*pairs, strict=True)))
        _delete(con, [segment.number for segment in merged])
        _write(con, *columns)
        held = segments.load(con)


def remove_texts(con: sqlite3.Connection, segments: Segments, gone: Sequence[int]) -> None:
    """Take texts out of every segment that has one of them."""
    wanted = np.array(sorted(gone), np.uint32)
    for segment in segments.load(con):
        first = int(np.searchsorted(wanted, segment.lowest))
        if first == len(wanted) or wanted[first] > segment.highest:
            continue
        words, texts = _read_pairs(con, segment)
        stay = ~np.isin(texts, wanted)
        if not stay.all():
            _delete(con, [segment.number])
            if stay.any():
                _write(con, *_sort(words[stay], texts[stay]))


def list_held_words(con: sqlite3.Connection, segments: Segments) -> Numbers:
    """Numbers of the words that any text holds."""
    words = [segment.words for segment in segments.load(con)]
    return np.unique(np.concatenate(words)) if words else np.empty(0, np.uint32)


def _count_neighbours(held: Sequence[Segment]) -> int:
    """How many of the newest segments are to be merged now; 0 for none."""
    sizes = [segment.entries for segment in held[::-1]]
    level = _level(sizes[0]) if sizes else 0
    count = total = 0
    for size in sizes:
        if _level(size) > level or total + size > _MOST_ENTRIES:
            break
        count, total = count + 1, total + size
    return count if count >= _NEIGHBOURS else 0


def _level(entries: int) -> int:
    return max(0, (entries // 4096).bit_length() - 1) // 3


def _sort(words: Numbers, texts: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    # The stable sort is quick where runs that are sorted already are to be merged.
    order = np.argsort(words, kind="stable")
    words, texts = words[order], texts[order]
    numbers, starts = np.unique(words, return_index=True)
    ends = np.append(starts, len(words)).astype(np.uint32)
    return numbers.astype(np.uint32), ends, texts.astype(np.uint32)


def _write(con: sqlite3.Connection, words: Numbers, starts: Numbers, texts: Numbers) -> None:
    con.execute(
        "insert into segments (words, starts, lowest, highest) values (?, ?, ?, ?)",
        [
            words.astype("<u4").tobytes(),
            starts.astype("<u4").tobytes(),
            int(texts.min()),
            int(texts.max()),
        ],
    )
    (number,) = con.execute("select max(id) from segments").fetchone()
    places = json.dumps(list(range(-(-len(texts) // _CHUNK))))
    con.execute(_INSERT_CHUNKS, [number, texts.astype("<u4").tobytes(), 4 * _CHUNK, places])


def _delete(con: sqlite3.Connection, numbers: Iterable[int]) -> None:
    for number in numbers:
        span = [number << _PLACE_BITS, (number + 1) << _PLACE_BITS]
        con.execute("delete from chunks where id >= ? and id < ?", span)
        con.execute("delete from segments where id = ?", [number])


def _load(con: sqlite3.Connection, number: int) -> Segment:
    query = "select words, starts, lowest, highest from segments where id = ?"
    words, starts, *ends = con.execute(query, [number]).fetchone()
    return Segment(number, np.frombuffer(words, "<u4"), np.frombuffer(starts, "<u4"), *ends)


def _read_pairs(con: sqlite3.Connection, segment: Segment) -> tuple[Numbers, Numbers]:
    chunks = _read_chunks(con, segment, None)
    texts = np.concatenate([chunks(place) for place in range(-(-segment.entries // _CHUNK))])
    starts = segment.starts.astype(np.int64)
    counts = starts[1:] - starts[:-1]
    return np.repeat(segment.words, counts), texts


def _read_ranges(con: sqlite3.Connection, segment: Segment, at: _Places) -> Numbers:
    """The texts of some of the segment's words."""
    begins, ends = segment.starts[at].astype(np.int64), segment.starts[at + 1].astype(np.int64)
    places = {p for b, e in zip(begins, ends, strict=True) for p in _list_places(int(b), int(e))}
    chunk = _read_chunks(con, segment, sorted(places))
    if len(at) > _MANY_WORDS:
        return _pick_entries([chunk(place) for place in sorted(places)], places, begins, ends)
    found = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        for place in _list_places(begin, end):
            base = place * _CHUNK
            found.append(chunk(place)[max(begin - base, 0) : end - base])
    return np.concatenate(found)


def _pick_entries(
    chunks: Sequence[Numbers], places: set[int], begins: _Places, ends: _Places
) -> Numbers:
    """The same for many words, most of which few texts hold: all ranges at once."""
    counts = ends - begins
    first = np.repeat(begins - np.cumsum(counts) + counts, counts)
    entries = first + np.arange(int(counts.sum()))
    # Every chunk but a segment's last is full, so its place among those read tells where it is.
    order = np.array(sorted(places), np.int64)
    where = np.searchsorted(order, entries // _CHUNK) * _CHUNK + entries % _CHUNK
    picked: Numbers = np.concatenate(chunks)[where]
    return picked


def _list_places(begin: int, end: int) -> range:
    return range(begin // _CHUNK, (end - 1) // _CHUNK + 1)


def _read_chunks(
    con: sqlite3.Connection, segment: Segment, places: Sequence[int] | None
) -> Callable[[int], Numbers]:
    base = segment.number << _PLACE_BITS
    if places is None:
        query = "select id, texts from chunks where id >= ? and id < ?"
        rows = con.execute(query, [base, base + (1 << _PLACE_BITS)])
    else:
        query = "select id, texts from chunks where id in (select value from json_each(?))"
        rows = con.execute(query, [json.dumps([base | place for place in places])])
    chunks = {number - base: np.frombuffer(texts, "<u4") for number, texts in rows}
    return chunks.__getitem__
