"""Blocks of rows: what a list is filtered and ordered by, as arrays. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTable:
    """A table that is listed.

    Attributes:
        name: of the table; `combinations` of the one with its combinations.
        place: SQL for a row's place in its run, rising, below 2^63.
        texts: columns with numbers of texts that a search looks at.
        flags: small numbers that are filtered by beside the combination.
        measures: numbers from 0 to 32,767 that pictures are drawn of; higher ones count as that.
        fields: columns of the combinations, after `id` and `run_number`.
    """

    name: str
    combinations: str
    place: str
    texts: tuple[str, ...]
    flags: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows by run number and place; all columns of one length; −1 where there is no number."""

    runs: Array
    places: Array
    seqs: Array
    combinations: Array
    texts: tuple[Array, ...]
    flags: tuple[Array, ...]
    measures: tuple[Array, ...]
    live: Bools

    def take(self, rows: Array) -> Block:
        """Some of the rows, by index or mask."""
        return Block(
            runs=self.runs[rows],
            places=self.places[rows],
            seqs=self.seqs[rows],
            combinations=self.combinations[rows],
            texts=tuple(column[rows] for column in self.texts),
            flags=tuple(column[rows] for column in self.flags),
            measures=tuple(column[rows] for column in self.measures),
            live=self.live[rows],
        )

    def find_run(self, run: int) -> tuple[int, int]:
        """Where the run's rows begin and end."""
        begin, end = np.searchsorted(self.runs, [run, run + 1])
        return int(begin), int(end)


def build_block(table: ListTable, columns: Sequence[Array]) -> Block:
    """A block of rows that are in order, or of none.

    Args:
        columns: run, place, seq, combination, texts, flags, measures.
    """
    ends = (len(table.texts), len(table.texts) + len(table.flags))
    if not columns:
        columns = [np.zeros(0, np.int64)] * (4 + ends[1] + len(table.measures))
    runs, places, seqs, combinations, *others = columns
    return Block(
        runs=runs.astype(np.int32),
        places=places.astype(np.int64),
        seqs=seqs.astype(np.int64),
        combinations=combinations.astype(np.int32),
        texts=tuple(column.astype(np.int32) for column in others[: ends[0]]),
        flags=tuple(column.astype(np.int8) for column in others[ends[0] : ends[1]]),
        measures=tuple(column.astype(np.int16) for column in others[ends[1] :]),
        live=np.ones(len(runs), bool),
    )


def bury_run(block: Block, run: int, seq: int) -> Block:
    """The block without the run's rows up to that seq."""
    begin, end = block.find_run(run)
    if begin == end:
        return block
    live = block.live.copy()
    live[begin:end] &= block.seqs[begin:end] > seq
    return replace(block, live=live)


def bury_places(block: Block, new: Block) -> Block:
    """The block without the rows whose places new ones take."""
    live = None
    for run in np.unique(new.runs).tolist():
        begin, end = block.find_run(run)
        if begin == end:
            continue
        wanted = new.places[slice(*new.find_run(run))]
        at = np.searchsorted(block.places[begin:end], wanted)
        inside = at < end - begin
        at, wanted = begin + at[inside], wanted[inside]
        same = at[block.places[at] == wanted]
        if len(same):
            live = block.live.copy() if live is None else live
            live[same] = False
    return block if live is None else replace(block, live=live)


def merge_blocks(older: Block, newer: Block) -> Block:
    """Both blocks' live rows in order; where they have one place, the newer's."""
    older = bury_places(older, newer)
    older, newer = older.take(older.live), newer.take(newer.live)
    at = np.empty(len(newer.runs), np.int64)
    for run in np.unique(newer.runs).tolist():
        begin, end = newer.find_run(run)
        first, last = older.find_run(run)
        places = older.places[first:last]
        at[begin:end] = first + np.searchsorted(places, newer.places[begin:end])

    def insert(old: Array, new: Array) -> Array:
        return np.insert(old, at, new)

    return Block(
        runs=insert(older.runs, newer.runs),
        places=insert(older.places, newer.places),
        seqs=insert(older.seqs, newer.seqs),
        combinations=insert(older.combinations, newer.combinations),
        texts=tuple(map(insert, older.texts, newer.texts)),
        flags=tuple(map(insert, older.flags, newer.flags)),
        measures=tuple(map(insert, older.measures, newer.measures)),
        live=np.ones(len(older.runs) + len(at), bool),
    )
