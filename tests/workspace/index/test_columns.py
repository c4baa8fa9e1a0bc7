"""A list's columns in memory: whatever comes in and goes, they are what the table holds."""

from __future__ import annotations

from collections import Counter
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cai_core.workspace.index import columns
from cai_core.workspace.index.blocks import ListTable
from cai_core.workspace.index.columns import ColumnCache, Progress

TABLE = ListTable(
    name="listed",
    combinations="combinations",
    place="place::bigint",
    texts=("text",),
    flags=("flag",),
    fields=("word",),
)
RUNS = {1: "a", 2: "b", 3: "c"}
# What happens: rows (run, place, combination) come, some in the place of older ones, or a run goes.
STEPS = st.lists(
    st.one_of(
        st.lists(
            st.tuples(st.sampled_from(sorted(RUNS)), st.integers(0, 12), st.integers(1, 3)),
            min_size=1,
            max_size=8,
            unique_by=lambda row: row[:2],
        ),
        st.sampled_from(sorted(RUNS)),
    ),
    max_size=14,
)


class Table:
    """A real table, and what is in it in the order of the list."""

    def __init__(self) -> None:
        self.con = duckdb.connect()
        self.progress = Progress()
        self.rows: dict[tuple[int, int], tuple[int, int]] = {}
        self._seq = 0
        self.con.execute(
            "create table listed (run_number integer, place integer, seq bigint, "
            "combination integer, text bigint, flag tinyint);"
            "create table combinations (id integer, run_number integer, word varchar);"
            "create table runs (number integer, run varchar, constitution varchar, "
            "constitution_hash varchar, recorded boolean, started_at varchar)"
        )
        for number, name in RUNS.items():
            values = [number, name, str(-number)]
            self.con.execute("insert into runs values (?, ?, '', '', false, ?)", values)
        for number in (1, 2, 3):
            # Combination k is run k's here, but rows of any run may have it: walks must cope.
            self.con.execute("insert into combinations values (?, ?, ?)", [number, number, "w"])

    def put(self, rows: list[tuple[int, int, int]]) -> None:
        for run, place, _ in rows:
            self._seq += 1
            self.con.execute("delete from listed where run_number = ? and place = ?", [run, place])
            values = [run, place, self._seq, run, self._seq, place]
            self.con.execute("insert into listed values (?, ?, ?, ?, ?, ?)", values)
            self.rows[run, place] = (self._seq, run)
        self.progress.changes += 1

    def drop(self, run: int) -> None:
        self._seq += 1
        self.con.execute("delete from listed where run_number = ?", [run])
        self.rows = {key: row for key, row in self.rows.items() if key[0] != run}
        self.progress.drops.append((run, self._seq))
        self.progress.changes += 1

    def order(self) -> list[tuple[int, int, int]]:
        """(run, place, seq), the newest run first, each run's last row first."""
        started = {number: str(-number) for number in RUNS}
        keys = sorted(self.rows, key=lambda key: (started[key[0]], RUNS[key[0]], key[1]))
        return [(*key, self.rows[key][0]) for key in keys[::-1]]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, asked=st.lists(st.booleans(), min_size=14, max_size=14))
def test_columns_are_what_the_table_holds(
    monkeypatch: pytest.MonkeyPatch, steps: list[Any], asked: list[bool]
) -> None:
    monkeypatch.setattr(columns, "_MOST_NEW", 4)
    table = Table()
    cache = ColumnCache(TABLE, table.progress)
    for step, ask in zip(steps, asked, strict=False):
        if isinstance(step, int):
            table.drop(step)
        else:
            table.put(step)
        if ask:
            cache.load(table.con)
    held = cache.load(table.con)
    everything = np.ones(4, bool)
    walked = list(held.walk(everything, None, held.counts, None))
    expected = table.order()
    assert [
        (place.run, place.place, int(held.blocks[place.block].seqs[place.row])) for place in walked
    ] == expected
    counts = Counter(run for run, _, _ in expected)
    assert held.counts.tolist() == [0, *(counts[run] for run in RUNS)]
    assert held.most_text >= max((seq for _, _, seq in expected), default=0)
    for at, (run, place, _) in enumerate(expected):
        after = (str(-run), RUNS[run], place)
        rest = held.walk(everything, None, held.counts, after)
        assert [(one.run, one.place) for one in rest] == [row[:2] for row in expected[at + 1 :]]
    masks = [block.live & (block.flags[0] % 2 == 0) for block in held.blocks]
    even = [row for row in expected if row[1] % 2 == 0]
    walked = list(held.walk(everything, masks, held.count(masks), None))
    assert [(one.run, one.place) for one in walked] == [row[:2] for row in even]
    one = np.array([False, True, False, False])
    walked = list(held.walk(one, None, held.counts, None))
    assert {place.run for place in walked} <= {1}
    table.con.close()


def test_nothing_is_loaded_while_nothing_changes() -> None:
    table = Table()
    table.put([(1, 1, 1)])
    cache = ColumnCache(TABLE, table.progress)
    assert cache.load(table.con) is cache.load(table.con)
    table.con.close()
