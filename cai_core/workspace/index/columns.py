"""What a list is filtered and ordered by, in memory: some 50 bytes a row, for millions of rows.

index.duckdb keeps the rows; this keeps the columns that every question touches. A row's fields with
few values are one number, its *combination*: counting rows by combination answers every count that
a page shows, and filters choose among some thousand combinations instead of a million rows.

New rows are taken over from the table by their rising `seq`: a large block that stays as it is, and
a small one with what came since. A row that was derived anew has the place of the one before.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from cai_core.workspace.index.blocks import (
    Array,
    Block,
    Bools,
    ListTable,
    build_block,
    bury_places,
    bury_run,
    merge_blocks,
)
from cai_core.workspace.index.schema import Connection

# The second block is merged into the first when it has so many rows.
_MOST_NEW = 50_000
# Rows looked at in one step when a page is filled, from the newest on.
_FIRST_STEP, _LARGEST_STEP = 2048, 262_144


@dataclass(slots=True)
class Progress:
    """What the ingest tells the columns, which live in the same process.

    Attributes:
        changes: commits so far.
        drops: (run number, seq): the run's rows up to that seq are gone.
    """

    changes: int = 0
    drops: list[tuple[int, int]] = field(default_factory=list)


class Place(NamedTuple):
    """Where a row is: in its run, and in the columns."""

    run: int
    place: int
    block: int
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a list shows of a run."""

    number: int
    run: str
    constitution: str
    constitution_hash: str
    recorded: bool
    started_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """A list's columns as they were at one moment.

    Attributes:
        blocks: the large one and the new one.
        combinations: rows of the table of combinations; row k has the id k + 1.
        combination_runs: run number of each id; that of 0, which is none's, is 0.
        runs: by number. order: run numbers, the newest run first.
        counts: live rows of each combination; index 0 is none's.
        most_text: the highest number of a text.
    """

    blocks: tuple[Block, ...]
    combinations: tuple[tuple[Any, ...], ...]
    combination_runs: Array
    runs: dict[int, RunFacts]
    order: tuple[int, ...]
    counts: Array
    most_text: int

    def count(self, masks: Sequence[Bools] | None) -> Array:
        """Rows of each combination, of those that a mask for each block leaves."""
        if masks is None:
            return self.counts
        size = len(self.combinations) + 1
        total = np.zeros(size, np.int64)
        for block, mask in zip(self.blocks, masks, strict=True):
            total += np.bincount(block.combinations[mask], minlength=size)
        return total

    def walk(
        self,
        chosen: Bools,
        masks: Sequence[Bools] | None,
        counts: Array,
        after: tuple[str, str, int] | None,
    ) -> Iterator[Place]:
        """Every row that matches, in the list's order.

        Args:
            chosen: combinations that are asked for.
            after: begin behind this one: when its run started, the run, its place there.
        """
        held = set(np.unique(self.combination_runs[chosen & (counts > 0)]).tolist())
        for number in self.order:
            if number not in held:
                continue
            facts, before = self.runs[number], None
            if after is not None:
                if (facts.started_at, facts.run) > after[:2]:
                    continue
                before = after[2] if (facts.started_at, facts.run) == after[:2] else None
            walks = [
                self._walk_run(at, number, before, chosen, None if masks is None else masks[at])
                for at in range(len(self.blocks))
            ]
            for negative, at, row in heapq.merge(*walks):
                yield Place(number, -negative, at, row)

    def _walk_run(
        self, at: int, run: int, before: int | None, chosen: Bools, mask: Bools | None
    ) -> Iterator[tuple[int, int, int]]:
        block = self.blocks[at]
        begin, end = block.find_run(run)
        if before is not None:
            end = begin + int(np.searchsorted(block.places[begin:end], before))
        keep, step = block.live if mask is None else mask, _FIRST_STEP
        while begin < end:
            start = max(begin, end - step)
            found = start + np.flatnonzero(keep[start:end] & chosen[block.combinations[start:end]])
            for row in found[::-1].tolist():
                yield -int(block.places[row]), at, row
            end, step = start, min(2 * step, _LARGEST_STEP)


class ColumnCache:
    """Keeps one list's columns in step with its table. Any thread may ask."""

    def __init__(self, table: ListTable, progress: Progress):
        self._table = table
        self._progress = progress
        self._lock = threading.Lock()
        self._changes = -1
        self._drops = self._last = 0
        self._columns = Columns(
            blocks=(build_block(table, []),) * 2,
            combinations=(),
            combination_runs=np.zeros(1, np.int32),
            runs={},
            order=(),
            counts=np.zeros(1, np.int64),
            most_text=0,
        )

    def load(self, con: Connection) -> Columns:
        """The columns with everything that was committed before this is called."""
        with self._lock:
            changes = self._progress.changes
            if changes != self._changes:
                self._columns = self._refresh(con)
                self._changes = changes
            return self._columns

    def _refresh(self, con: Connection) -> Columns:
        drops = self._progress.drops[self._drops :]
        con.execute("begin")
        try:
            runs = _load_runs(con)
            combinations = self._load_combinations(con)
            new = self._load_new(con)
        finally:
            con.execute("rollback")
        old, recent = self._columns.blocks
        for run, seq in drops:
            old, recent = bury_run(old, run, seq), bury_run(recent, run, seq)
        if len(new.seqs):
            self._last = int(new.seqs.max())
            old = bury_places(old, new)
            recent = merge_blocks(recent, new)
        if len(recent.seqs) > max(_MOST_NEW, len(old.seqs) // 20):
            old, recent = merge_blocks(old, recent), recent.take(np.zeros(0, np.int64))
        self._drops += len(drops)
        changed = Columns(
            blocks=(old, recent),
            combinations=combinations,
            combination_runs=self._list_combination_runs(combinations),
            runs=runs,
            order=_order_runs(runs),
            counts=np.zeros(0, np.int64),
            most_text=max(
                self._columns.most_text, *(int(column.max(initial=0)) for column in new.texts)
            ),
        )
        return replace(changed, counts=changed.count((old.live, recent.live)))

    def _load_new(self, con: Connection) -> Block:
        table = self._table
        columns = ", ".join(
            [
                f"run_number, {table.place} as place, seq, combination",
                *(f"coalesce({name}, 0)::integer as {name}" for name in table.texts),
                *(f"coalesce({name}, -1)::tinyint as {name}" for name in table.flags),
                *(
                    f"least(coalesce({name}, -1), 32767)::smallint as {name}"
                    for name in table.measures
                ),
            ]
        )
        found = con.execute(
            f"select {columns} from {table.name} where seq > ? order by run_number, place",
            [self._last],
        ).fetchnumpy()
        return build_block(table, [np.ma.getdata(column) for column in found.values()])

    def _load_combinations(self, con: Connection) -> tuple[tuple[Any, ...], ...]:
        held = self._columns.combinations
        columns = ", ".join(("id", "run_number", *self._table.fields))
        new = con.execute(
            f"select {columns} from {self._table.combinations} where id > ? order by id",
            [len(held)],
        ).fetchall()
        return held + tuple(new) if new else held

    def _list_combination_runs(self, combinations: tuple[tuple[Any, ...], ...]) -> Array:
        held = self._columns.combination_runs
        new = [row[1] for row in combinations[len(held) - 1 :]]
        return np.concatenate((held, np.array(new, np.int32)))


def _load_runs(con: Connection) -> dict[int, RunFacts]:
    names = ("number", "run", "constitution", "constitution_hash", "recorded", "started_at")
    found = con.execute(f"select {', '.join(names)} from runs").fetchall()
    return {row[0]: RunFacts(**dict(zip(names, row, strict=True))) for row in found}


def _order_runs(runs: dict[int, RunFacts]) -> tuple[int, ...]:
    facts = sorted(runs.values(), key=lambda one: (one.started_at, one.run), reverse=True)
    return tuple(one.number for one in facts)
