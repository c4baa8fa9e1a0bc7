"""Which texts hold which words: segments of search.sqlite, merged as they become many.

A segment has the texts of one span of 65,536 numbers that came in with one or more batches. For
each of its words it says which of the span's texts hold it, in the form that is shorter: their
places in the span, two bytes each, or a bit for every place (Chambi, Lemire, Kaser and Godin 2016,
"Better bitmap performance with Roaring bitmaps", section 2). These lists lie one after the other,
cut into chunks, so that a word is found with a few reads. Texts never change: a new batch is a new
segment, the newest ones are merged where several are of one size, and a span's are once it is full.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cai_core.workspace.index.vocabulary import Numbers

SCHEMA = """
create table segments (
    id integer primary key autoincrement,  -- never used again: readers keep what they know by it
    span integer,  -- its texts are numbered from span << 16 on
    words blob,  -- numbers of words, ascending: little-endian, 4 bytes each
    starts blob,  -- where each word's list begins, and the last ends: units of 2 bytes; likewise
    entries integer  -- pairs of a word and a text
);
create table chunks (
    id integer primary key,  -- segment << 24 | place
    units blob
);
"""
_SPAN_BITS = 16
_SPAN = 1 << _SPAN_BITS
# Units of a list of bits: a list of places that is as long is written so.
_BITS = _SPAN // 16
# So that two of them lie in a page of 8192 bytes.
_CHUNK = 2000
_PLACE_BITS = 24
# So many neighbours of about one size become one.
_NEIGHBOURS = 6
# Lists shorter than that are picked together and not one after the other.
_SHORT = 256
# Up to so many words are looked up one by one.
_FEW_WORDS = 64
# What finding a list takes, in units read from it; and the most that a quick search reads.
_LIST_COST, _MOST_READ = 400, 1_500_000
_INSERT_CHUNKS = """
insert into chunks select (?1 << 24) | value, substr(?2, value * ?3 + 1, ?3)
from json_each(?4)
"""
# In one step: Python gives up its lock at each (see `texts.py`). SQLite's texts may be any bytes.
_READ_CHUNKS = """
select cast(group_concat(cast(units as text), '') as blob)
from (select units from chunks where id in (select value from json_each(?)) order by id)
"""
_Places = npt.NDArray[np.int64]
_Units = npt.NDArray[np.uint16]
Hits = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Segment:
    """What is known of a segment without its lists."""

    number: int
    span: int
    words: Numbers
    starts: Numbers
    entries: int


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

    def find(
        self, con: sqlite3.Connection, words: Numbers, *, every: bool = True
    ) -> tuple[Hits, bool]:
        """Which texts hold any of these words (ascending), as hits by number.

        Args:
            every: False reads the longest lists alone where there are very many.

        Returns:
            The hits, and whether all lists were read.
        """
        segments = self.load(con)
        hits = np.zeros(_SPAN * (1 + max((one.span for one in segments), default=0)), bool)
        if not len(words):
            return hits, True
        asked = np.zeros(int(words[-1]) + 1, bool)
        asked[words] = True
        places = [_find_words(segment, words, asked) for segment in segments]
        least = 0 if every else _find_least(segments, places)
        lists = [_Lists.find(*pair, least) for pair in zip(segments, places, strict=True)]
        units = _read(con, [number for one in lists for number in one.chunk_ids])
        for one in lists:
            base = one.span << _SPAN_BITS
            one.mark(units[: one.size], hits[base : base + _SPAN])
            units = units[one.size :]
        return hits, least == 0


def add_segments(
    con: sqlite3.Connection, segments: Segments, words: Numbers, texts: Numbers
) -> None:
    """Write what a batch's texts hold, and merge where there are many neighbours.

    Args:
        words, texts: word and text of each pair, in any order.
    """
    spans = texts >> _SPAN_BITS
    for span in np.unique(spans).tolist():
        here = spans == span
        _write(con, span, words[here], texts[here])
        _merge(con, segments, span)


def fit_hits(hits: Hits, size: int) -> Hits:
    """The hits of so many numbers."""
    return np.append(hits, np.zeros(max(0, size - len(hits)), bool))[:size]


def remove_texts(con: sqlite3.Connection, segments: Segments, gone: Sequence[int]) -> None:
    """Take texts out of every segment that has one of them."""
    wanted = np.array(sorted(gone), np.uint32)
    spans = set((wanted >> _SPAN_BITS).tolist())
    for segment in segments.load(con):
        if segment.span not in spans:
            continue
        words, texts = _read_pairs(con, segment)
        stay = ~np.isin(texts, wanted)
        if not stay.all():
            _delete(con, [segment.number])
            if stay.any():
                _write(con, segment.span, words[stay], texts[stay])


def list_held_words(con: sqlite3.Connection, segments: Segments) -> Numbers:
    """Numbers of the words that any text holds."""
    words = [segment.words for segment in segments.load(con)]
    return np.unique(np.concatenate(words)) if words else np.empty(0, np.uint32)


@dataclass(frozen=True, slots=True)
class _Lists:
    """Some words' lists in a segment.

    Attributes:
        chunk_ids: those they lie in, ascending.
        starts, ends: where each list lies in these chunks put together, which have `size` units.
    """

    span: int
    chunk_ids: list[int]
    starts: _Places
    ends: _Places
    size: int

    @classmethod
    def find(cls, segment: Segment, at: _Places, least: int) -> _Lists:
        """Where the lists of the words at these places lie, if they have so many units."""
        begins = segment.starts[at].astype(np.int64)
        ends = segment.starts[at + 1].astype(np.int64)
        long = ends - begins >= least
        begins, ends = begins[long], ends[long]
        last = int(segment.starts[-1] - 1) // _CHUNK
        edges = np.zeros(last + 2, np.int64)
        np.add.at(edges, begins // _CHUNK, 1)
        np.add.at(edges, (ends - 1) // _CHUNK + 1, -1)
        chunks = np.flatnonzero(np.cumsum(edges))
        skipped = _CHUNK * (begins // _CHUNK - np.searchsorted(chunks, begins // _CHUNK))
        size = _CHUNK * len(chunks)
        if len(chunks) and chunks[-1] == last:  # which is not full
            size -= _CHUNK * (last + 1) - int(segment.starts[-1])
        ids = (segment.number << _PLACE_BITS) | chunks
        return cls(segment.span, ids.tolist(), begins - skipped, ends - skipped, size)

    def mark(self, units: _Units, hits: Hits) -> None:
        """Set what the lists tell in the span's hits."""
        lengths = self.ends - self.starts
        full = lengths == _BITS
        if full.any():
            bits = np.zeros(_BITS, np.uint16)
            for start in self.starts[full].tolist():
                bits |= units[start : start + _BITS]
            hits |= np.unpackbits(bits.view(np.uint8), bitorder="little").view(bool)
        short = lengths < _SHORT
        if short.any():
            hits[units[_list_entries(self.starts[short], lengths[short])]] = True
        rest = ~(full | short)
        for start, end in zip(self.starts[rest].tolist(), self.ends[rest].tolist(), strict=True):
            hits[units[start:end]] = True


def _find_words(segment: Segment, words: Numbers, asked: Hits) -> _Places:
    """Where the segment has some of these words, which `asked` tells, too."""
    if len(words) > _FEW_WORDS:
        last = int(np.searchsorted(segment.words, len(asked)))
        return np.flatnonzero(asked[segment.words[:last]])
    at = np.searchsorted(segment.words, words).clip(max=len(segment.words) - 1)
    found: _Places = at[segment.words[at] == words]
    return found


def _find_least(segments: Sequence[Segment], places: Sequence[_Places]) -> int:
    """The units that a list must have so that not too much is read; 0 where all may be."""
    lengths = np.concatenate(
        [
            segment.starts[at + 1].astype(np.int64) - segment.starts[at]
            for segment, at in zip(segments, places, strict=True)
        ]
        or [np.zeros(0, np.int64)]
    )
    if len(lengths) * _LIST_COST + int(lengths.sum()) <= _MOST_READ:
        return 0
    longest = np.sort(lengths)[::-1]
    affordable = int(np.searchsorted(np.cumsum(longest + _LIST_COST), _MOST_READ))
    # Lists of bits are the longest, all alike, and tell most: they are always read.
    return min(int(longest[affordable]) + 1, _BITS)


def _list_entries(starts: _Places, lengths: _Places) -> _Places:
    """All numbers from each start on, so many of each."""
    ends = np.cumsum(lengths)
    entries: _Places = np.repeat(starts - ends + lengths, lengths)
    entries += np.arange(int(ends[-1]))
    return entries


def _merge(con: sqlite3.Connection, segments: Segments, span: int) -> None:
    """Merge segments that are neighbours; those of the span before as soon as a new one begins."""
    held = [segment for segment in segments.load(con) if segment.span >= span - 1]
    before = [segment for segment in held if segment.span < span]
    if len(before) > 1:
        _join(con, before)
    here = [segment for segment in held if segment.span == span]
    while (count := _count_neighbours(here)) > 0:
        _join(con, here[-count:])
        here = [segment for segment in segments.load(con) if segment.span == span]


def _join(con: sqlite3.Connection, merged: Sequence[Segment]) -> None:
    pairs = [_read_pairs(con, segment) for segment in merged]
    words, texts = (np.concatenate(column) for column in zip(*pairs, strict=True))
    _delete(con, [segment.number for segment in merged])
    _write(con, merged[0].span, words, texts)


def _count_neighbours(held: Sequence[Segment]) -> int:
    """How many of the newest segments are to be merged now; 0 for none."""
    sizes = [segment.entries for segment in held[::-1]]
    level = _level(sizes[0]) if sizes else 0
    count = 0
    for size in sizes:
        if _level(size) > level:
            break
        count += 1
    return count if count >= _NEIGHBOURS else 0


def _level(entries: int) -> int:
    return max(0, (entries // 4096).bit_length() - 1) // 3


def _write(con: sqlite3.Connection, span: int, words: Numbers, texts: Numbers) -> None:
    pairs = (words.astype(np.uint64) << _SPAN_BITS) | (texts & (_SPAN - 1))
    pairs.sort()
    numbers, first = np.unique(pairs >> _SPAN_BITS, return_index=True)
    counts = np.diff(np.append(first, len(pairs)))
    places = (pairs & (_SPAN - 1)).astype(np.uint16)
    starts, units = _build_lists(places, counts)
    con.execute(
        "insert into segments (span, words, starts, entries) values (?, ?, ?, ?)",
        [span, numbers.astype("<u4").tobytes(), starts.astype("<u4").tobytes(), len(pairs)],
    )
    (number,) = con.execute("select max(id) from segments").fetchone()
    chunks = json.dumps(list(range(-(-len(units) // _CHUNK))))
    con.execute(_INSERT_CHUNKS, [number, units.astype("<u2").tobytes(), 2 * _CHUNK, chunks])


def _build_lists(places: _Units, counts: _Places) -> tuple[_Places, _Units]:
    """Each word's list, of words of so many places: where they begin, and their units."""
    many = counts >= _BITS
    lengths = np.where(many, _BITS, counts)
    starts = np.append(0, np.cumsum(lengths))
    units = np.empty(starts[-1], np.uint16)
    units[np.repeat(~many, lengths)] = places[np.repeat(~many, counts)]
    first = np.cumsum(counts) - counts
    for at in np.flatnonzero(many).tolist():
        held = np.zeros(_SPAN, bool)
        held[places[first[at] : first[at] + counts[at]]] = True
        bits = np.packbits(held, bitorder="little").view(np.uint16)
        units[starts[at] : starts[at + 1]] = bits
    return starts, units


def _read_pairs(con: sqlite3.Connection, segment: Segment) -> tuple[Numbers, Numbers]:
    """Word and text of each pair."""
    starts = segment.starts.astype(np.int64)
    last = (int(starts[-1]) - 1) // _CHUNK
    base = segment.number << _PLACE_BITS
    units = _read(con, [base | place for place in range(last + 1)])
    lengths = np.diff(starts)
    many = lengths == _BITS
    words = [np.repeat(segment.words[~many], lengths[~many])]
    places = [units[np.repeat(~many, lengths)].astype(np.uint32)]
    for at in np.flatnonzero(many).tolist():
        bits = units[starts[at] : starts[at + 1]].view(np.uint8)
        held = np.flatnonzero(np.unpackbits(bits, bitorder="little")).astype(np.uint32)
        words.append(np.full(len(held), segment.words[at]))
        places.append(held)
    texts = np.concatenate(places) | np.uint32(segment.span << _SPAN_BITS)
    return np.concatenate(words), texts


def _read(con: sqlite3.Connection, chunk_ids: Sequence[int]) -> _Units:
    """The units of some chunks, in ascending order, one after the other."""
    if not chunk_ids:
        return np.empty(0, np.uint16)
    (held,) = con.execute(_READ_CHUNKS, [json.dumps(chunk_ids)]).fetchone()
    return np.frombuffer(held, "<u2")


def _delete(con: sqlite3.Connection, numbers: Iterable[int]) -> None:
    for number in numbers:
        span = [number << _PLACE_BITS, (number + 1) << _PLACE_BITS]
        con.execute("delete from chunks where id >= ? and id < ?", span)
        con.execute("delete from segments where id = ?", [number])


def _load(con: sqlite3.Connection, number: int) -> Segment:
    query = "select span, words, starts, entries from segments where id = ?"
    span, words, starts, entries = con.execute(query, [number]).fetchone()
    return Segment(number, span, np.frombuffer(words, "<u4"), np.frombuffer(starts, "<u4"), entries)
