"""One transaction of the ingest: rows with their texts, the rounds they change, and offsets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from cai_core.workspace.index.prepare import PreparedRow, clean
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.sources import SeenFile, SeenRun
from cai_core.workspace.index.texts import TextStore
from cai_core.workspace.index.transaction import insert, transaction
from cai_core.workspace.runs import RowFile

# One transaction: large enough to be quick, small enough for memory and for a reader's patience.
BATCH_ROWS, BATCH_BYTES, BATCH_FILES = 5000, 32_000_000, 500

_ROW_SCHEMA = pa.schema(
    [
        ("run_number", pa.int32()),
        *((name, pa.string()) for name in ("row_id", "chain", "kind")),
        ("round", pa.int32()),
        ("file", pa.string()),
        ("epoch", pa.int32()),
        ("position", pa.int64()),
        ("length", pa.int64()),
        *((name, pa.string()) for name in ("principle", "model", "finding")),
        *((name, pa.string()) for name in ("constitution_hash", "prompt_kind")),
        *((name, pa.int64()) for name in ("text", "prompt_text", "conversation_text")),
    ]
)
# The rounds of the chains that got rows, derived anew. A round is there with its critique (with
# its revision, in runs without critiques), so its place in the list never changes.
_ADD_ROUNDS = """
with here as materialized (
    select * from rows
    where run_number in (select run_number from touched) and chain in (select chain from touched)
    qualify row_number() over (
        partition by run_number, chain, kind, round order by epoch, position) = 1
), objected as (
    select run_number, chain, text from here where kind = 'response' and prompt_kind = 'red-team'
    union
    select b.run_number, b.chain, b.text from here c join here b
        on b.run_number = c.run_number and b.chain = c.chain and b.round = c.round - 1
        and b.kind = case when c.round = 1 then 'response' else 'revision' end
    where c.kind = 'critique' and c.finding = 'found'
)
insert into rounds by name
select d.run_number, d.chain, d.round, d.epoch, d.position, d.principle, d.model,
    case when d.kind = 'revision' then 'direct' else d.finding end as finding,
    coalesce(p.prompt_kind, 'unknown') as kind,
    d.constitution_hash, p.prompt_text, p.conversation_text, p.text as response_text,
    case when d.kind = 'critique' then d.text end as critique_text,
    r.text as revision_text, r.text <> b.text as changed,
    exists (select 1 from objected o where o.run_number = d.run_number and o.chain = d.chain
        and o.text = r.text) as objected
from here d
join runs n on n.number = d.run_number
left join here p on p.run_number = d.run_number and p.chain = d.chain and p.kind = 'response'
left join here r on r.run_number = d.run_number and r.chain = d.chain
    and r.kind = 'revision' and r.round = d.round
left join here b on b.run_number = d.run_number and b.chain = d.chain
    and b.kind = case when d.round = 1 then 'response' else 'revision' end
    and b.round = d.round - 1
where d.text is not null and d.kind = case when n.direct then 'revision' else 'critique' end
"""
_DROP_ROUNDS = """
delete from rounds
where run_number in (select run_number from touched) and chain in (select chain from touched)
"""
Key = tuple[int, str]


@dataclass(slots=True)
class Batch:
    """What one transaction brings in.

    Attributes:
        files: by run number and name, as they are once the batch is in.
        looks: to be kept by the runs then.
        size: bytes of the rows' lines.
    """

    rows: list[tuple[SeenRun, RowFile, PreparedRow]] = field(default_factory=list)
    files: dict[Key, SeenFile] = field(default_factory=dict)
    runs: dict[int, SeenRun] = field(default_factory=dict)
    looks: list[tuple[SeenRun, tuple[object, ...]]] = field(default_factory=list)
    size: int = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to write it."""
        return (
            len(self.rows) >= BATCH_ROWS
            or self.size >= BATCH_BYTES
            or len(self.files) + len(self.runs) >= BATCH_FILES
        )


def write_batch(con: Connection, texts: TextStore, batch: Batch) -> None:
    """Write all of it or nothing. Rows that are there already are counted as doubled.

    Raises:
        duckdb.Error, sqlite3.Error: an index file cannot be written or is damaged.
    """
    rows = _build_rows(con, texts, batch)
    with transaction(con):
        _save_runs(con, list(batch.runs.values()))
        if rows is not None:
            insert(con, "rows", rows)
            _save_rounds(con, rows)
        _save_files(con, batch.files)


def _build_rows(con: Connection, texts: TextStore, batch: Batch) -> pa.Table | None:
    """The batch's rows that are new, as columns; their texts are durable before they are."""
    if not batch.rows:
        return None
    taken = _find_held(con, {(seen.number, row.row_id) for seen, _, row in batch.rows})
    new = []
    for seen, file, row in batch.rows:
        if (seen.number, row.row_id) in taken:
            batch.files[(seen.number, file.path.name)].doubled += 1
            continue
        taken.add((seen.number, row.row_id))
        new.append((seen, file, row))
    wanted = {text for _, _, row in new for text in (row.text, row.prompt, row.conversation)}
    numbers: dict[str | None, int | None] = {None: None}
    numbers.update(texts.add(text for text in wanted if text is not None))
    columns = {
        "run_number": [seen.number for seen, _, _ in new],
        "file": [file.path.name for _, file, _ in new],
        "epoch": [file.epoch for _, file, _ in new],
        "text": [numbers[row.text] for _, _, row in new],
        "prompt_text": [numbers[row.prompt] for _, _, row in new],
        "conversation_text": [numbers[row.conversation] for _, _, row in new],
    }
    for name in _ROW_SCHEMA.names:
        if name not in columns:
            columns[name] = [getattr(row, name) for _, _, row in new]
    return pa.table(columns, schema=_ROW_SCHEMA)


def _find_held(con: Connection, asked: set[Key]) -> set[Key]:
    """Which of these (run number, row id) the index has."""
    con.register(
        "asked",
        pa.table(
            {
                "run_number": pa.array([number for number, _ in asked], pa.int32()),
                "row_id": [row_id for _, row_id in asked],
            }
        ),
    )
    found = con.execute(
        "select run_number, row_id from rows "
        "where run_number in (select run_number from asked) "
        "and row_id in (select row_id from asked)"
    ).fetchall()
    con.unregister("asked")
    return set(found)


def _save_rounds(con: Connection, rows: pa.Table) -> None:
    touched = rows.select(["run_number", "chain"]).group_by(["run_number", "chain"])
    con.register("touched", touched.aggregate([]))
    con.execute(_DROP_ROUNDS)
    con.execute(_ADD_ROUNDS)
    con.unregister("touched")


def _save_runs(con: Connection, runs: list[SeenRun]) -> None:
    if not runs:
        return
    numbers = [seen.number for seen in runs]
    con.execute("delete from runs where number in (select unnest(?))", [numbers])
    columns: dict[str, list[Any]] = {
        "number": numbers,
        "folder": [str(seen.folder) for seen in runs],
        "mark": [seen.mark for seen in runs],
        "run": [clean(seen.run.run_id) for seen in runs],
        "kind": [clean(seen.run.kind) for seen in runs],
        "recorded": [seen.recorded for seen in runs],
        "direct": [seen.direct for seen in runs],
        "state": [seen.status.state.value if seen.status else "" for seen in runs],
        "reason": [_reason(seen) for seen in runs],
        "started_at": [clean(seen.started_at) for seen in runs],
        "constitution": [clean(seen.constitution) for seen in runs],
        "model": [clean(seen.model) for seen in runs],
    }
    reason = pa.array(columns.pop("reason"), pa.string())
    insert(con, "runs", pa.table({**columns, "reason": reason}))


def _save_files(con: Connection, files: dict[Key, SeenFile]) -> None:
    for (number, name), file in files.items():
        _save_file(con, number, name, file)


def _save_file(con: Connection, number: int, name: str, file: SeenFile) -> None:
    """Keep how far a file was read."""
    con.execute("delete from files where run_number = ? and name = ?", [number, name])
    con.execute(
        "insert into files values (?, ?, ?, ?, ?, ?, ?)",
        [number, name, file.inode, file.done, file.damaged, file.doubled, file.late],
    )


def _reason(seen: SeenRun) -> str | None:
    reason = seen.status.reason if seen.status else None
    return None if reason is None else clean(str(reason))
