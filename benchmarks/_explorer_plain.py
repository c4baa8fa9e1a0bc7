"""Plain DuckDB and plain SQLite FTS5 over the same rows, for `benchmarks.explorer`.

The DuckDB tables hold every row with its texts, one column a field, in the list's order. The FTS5
table has one document a round, in the same order, and whole words only; the fields lie in a table
beside it. Both are asked the way one asks them without anything built around them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

ROUND_FIELDS = ("constitution", "principle", "finding", "kind", "run", "model")
COMPARISON_FIELDS = ("constitution", "principle", "verdict", "source", "kind", "run", "model")
MOST = 10_001
_STEP = 5000
_TEXTS = {
    "rounds": ("prompt", "conversation", "response", "critique", "revision"),
    "comparisons": ("prompt", "conversation", "a", "b"),
}
# What a list is ordered by.
ORDER = {
    "rounds": ("started_at", "run", "epoch", "position"),
    "comparisons": ("started_at", "run", "place"),
}


class Plain:
    """The open comparison stores."""

    def __init__(self, folder: Path):
        self.con = duckdb.connect(
            str(folder / "plain.duckdb"), config={"threads": "2", "memory_limit": "1GB"}
        )
        self.fts = sqlite3.connect(folder / "plain.sqlite")

    def build(self, workspace: Path) -> None:
        """Copy what the closed index of a workspace holds."""
        index = duckdb.connect(str(workspace / "index.duckdb"), read_only=True)
        texts = sqlite3.connect(workspace / "search.sqlite")
        self.fts.executescript(
            "pragma journal_mode = off; pragma synchronous = off;"
            "create table facts (id integer primary key, constitution, principle, finding, kind, "
            "run, model);"
            "create virtual table words using fts5 (prompt, response, critique, revision, "
            "content = '', tokenize = 'unicode61');"
        )
        for table in ("rounds", "comparisons"):
            self._copy(index, texts, table)
        self.fts.execute("insert into words (words) values ('optimize')")
        self.fts.commit()
        index.close()
        texts.close()

    def _copy(self, index: Any, texts: sqlite3.Connection, table: str) -> None:
        columns = ", ".join(f"t.{name}_text as {name}" for name in _TEXTS[table])
        principle = "" if table == "rounds" else ", t.principles->>'$[0]' as principle"
        cursor = index.sql(
            f"select row_number() over () as id, n.run, n.started_at, n.constitution, t.* exclude "
            f"(run_number, seq, combination, {', '.join(f'{name}_text' for name in _TEXTS[table])})"
            f"{principle}, {columns} from (select * from {table}) t "
            f"join runs n on n.number = t.run_number "
            f"order by n.started_at, n.run, {', '.join(ORDER[table][2:])}"
        )
        for batch in cursor.to_arrow_reader(_STEP):
            rows = pa.Table.from_batches([batch])
            held = _load_texts(texts, rows, _TEXTS[table])
            for name in _TEXTS[table]:
                place = rows.column_names.index(name)
                values = [held.get(number) for number in rows.column(name).to_pylist()]
                rows = rows.set_column(place, name, pa.array(values, pa.string()))
            self._insert(table, rows)
        self.con.execute("checkpoint")

    def _insert(self, table: str, rows: pa.Table) -> None:
        self.con.register("incoming", rows)
        self.con.execute(f"create table if not exists {table} as from incoming limit 0")
        (first,) = self.con.execute(f"select count(*) from {table}").fetchall()[0]
        self.con.execute(
            f"insert into {table} select * replace ({first} + row_number() over () as id) "
            "from incoming"
        )
        self.con.unregister("incoming")
        if table != "rounds":
            return
        columns = rows.to_pydict()
        ids = range(first + 1, first + len(rows) + 1)
        names = ("constitution", "principle", "finding", "kind", "run", "model")
        self.fts.executemany(
            "insert into facts values (?, ?, ?, ?, ?, ?, ?)",
            zip(ids, *(columns[name] for name in names), strict=True),
        )
        names = ("conversation", "response", "critique", "revision")
        self.fts.executemany(
            "insert into words (rowid, prompt, response, critique, revision) "
            "values (?, ?, ?, ?, ?)",
            zip(ids, *(columns[name] for name in names), strict=True),
        )

    def list_rows(
        self,
        table: str,
        asked: Mapping[str, str],
        *,
        below: Sequence[Any] | None = None,
        contains: str = "",
    ) -> tuple[int, dict[str, list[Any]], list[Any]]:
        """Total, the counts of each field without its own filter, and 25 rows."""
        fields = ROUND_FIELDS if table == "rounds" else COMPARISON_FIELDS
        base = {"contains": contains} if contains else {}
        total = self._ask(table, "count(*)", {**asked, **base})[0][0]
        facets = {
            name: self._ask(
                table,
                f"{name}, count(*)",
                {**{k: v for k, v in asked.items() if k != name}, **base},
                f"group by {name} order by 2 desc limit 200",
            )
            for name in fields
        }
        return total, facets, self.page(table, asked, below=below, contains=contains)

    def page(
        self,
        table: str,
        asked: Mapping[str, str],
        *,
        below: Sequence[Any] | None = None,
        contains: str = "",
    ) -> list[Any]:
        """25 rows with their texts, newest first."""
        more = ({"contains": contains} if contains else {}) | (
            {} if below is None else {"below": below}
        )
        order = ", ".join(f"{name} desc" for name in ORDER[table])
        return self._ask(table, "*", {**asked, **more}, f"order by {order} limit 25")

    def find_place(self, number: int) -> list[Any]:
        """Where the round of that number, in the list's order from its end, stands in it."""
        columns = ", ".join(ORDER["rounds"])
        query = f"select {columns} from rounds where id = ?"
        return list(self.con.execute(query, [number]).fetchall()[0])

    def _ask(self, table: str, columns: str, asked: Mapping[str, Any], rest: str = "") -> list[Any]:
        conditions, values = ["true"], []
        for name, value in asked.items():
            match name:
                case "contains":
                    texts = [n for n in _TEXTS[table] if n != "prompt"]
                    conditions.append(
                        "(" + " or ".join(f"contains(lower({n}), ?)" for n in texts) + ")"
                    )
                    values += [value] * len(texts)
                case "below":
                    place = ", ".join(ORDER[table])
                    marks = ", ".join("?" * len(ORDER[table]))
                    conditions.append(f"({place}) < ({marks})")
                    values += value
                case _:
                    conditions.append(f"{name} = ?")
                    values.append(value)
        query = f"select {columns} from {table} where {' and '.join(conditions)} {rest}"
        return self.con.execute(query, values).fetchall()

    def search(self, word: str, asked: Mapping[str, str]) -> tuple[int, list[int]]:
        """FTS5: matches up to MOST, and the newest 25 rounds."""
        quoted = f'"{word}"'
        if asked:
            facts = " and ".join(f"facts.{name} = ?" for name in asked)
            base = (
                f"from words join facts on facts.id = words.rowid where words match ? and {facts}"
            )
        else:
            base = "from words where words match ?"
        values = [quoted, *asked.values()]
        (count,) = self.fts.execute(
            f"select count(*) from (select 1 {base} limit {MOST})", values
        ).fetchone()
        found = self.fts.execute(
            f"select words.rowid {base} order by words.rowid desc limit 25", values
        ).fetchall()
        return count, [row for (row,) in found]

    def count(self, word: str) -> int:
        """FTS5: matches up to MOST."""
        query = f"select count(*) from (select 1 from words where words match ? limit {MOST})"
        (count,) = self.fts.execute(query, [f'"{word}"']).fetchone()
        return int(count)

    def chain(self, chain: str) -> list[Any]:
        """The rounds of a chain."""
        return self.con.execute(
            "select * from rounds where chain = ? order by round", [chain]
        ).fetchall()

    def close(self) -> None:
        """Close both."""
        self.con.close()
        self.fts.close()


def _load_texts(
    texts: sqlite3.Connection, rows: pa.Table, names: tuple[str, ...]
) -> dict[int, str]:
    numbers = {number for name in names for number in rows.column(name).to_pylist()}
    query = "select id, text from texts where id in (select value from json_each(?))"
    return dict(texts.execute(query, [json.dumps(sorted(numbers - {None}))]).fetchall())
