"""One transaction of the ingest: rows and comparisons with their texts, the rounds they change, and
offsets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa

from cai_core.workspace.index import comparisons, explorer
from cai_core.workspace.index.blocks import ListTable
from cai_core.workspace.index.measuring import measure_distance
from cai_core.workspace.index.prepare import PreparedRow, clean
from cai_core.workspace.index.prepare_labels import BEHIND, PreparedAnswer, PreparedComparison
from cai_core.workspace.index.reasons import load_reasons
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.sources import SeenFile, SeenRun
from cai_core.workspace.index.tables import build_answers, build_comparisons, build_rows
from cai_core.workspace.index.texts import TextStore
from cai_core.workspace.index.transaction import insert, transaction
from cai_core.workspace.runs import RowFile

# One transaction: large enough to be quick, small enough for memory and for a reader's patience.
BATCH_ROWS, BATCH_BYTES, BATCH_FILES = 20_000, 64_000_000, 500

# The rounds of the chains that got rows, derived anew. A round is there with its critique (with
# its revision, in runs without critiques), so its place in the list never changes.
_DERIVE_ROUNDS = """
create or replace temp table fresh as
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
select d.run_number, d.chain, d.round, d.epoch, d.position, d.principle, d.model,
    case when d.kind = 'revision' then 'direct' else d.finding end as finding,
    coalesce(p.prompt_kind, 'unknown') as kind,
    d.constitution_hash, p.prompt_text, p.conversation_text, p.text as response_text,
    case when d.kind = 'critique' then d.text end as critique_text,
    r.text as revision_text, b.text as before_text, r.text <> b.text as changed,
    coalesce(p.category, '') as category, b.words as words_before, r.words as words_after,
    case when r.text = b.text then 0 end::smallint as distance,
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
_PAIRS = "select distinct before_text, revision_text from fresh where changed"
_SAVE_DISTANCES = """
update fresh set distance = m.distance from measured m
where m.before = fresh.before_text and m.after = fresh.revision_text
"""
_DROP_ROUNDS = """
delete from rounds
where run_number in (select run_number from touched) and chain in (select chain from touched)
"""
Key = tuple[int, str]
_T = TypeVar("_T", PreparedRow, PreparedComparison)


@dataclass(slots=True)
class Batch:
    """What one transaction brings in.

    Attributes:
        files: by run number and name, as they are once the batch is in.
        looks: to be kept by the runs then.
        size: bytes of the rows' lines.
    """

    rows: list[tuple[SeenRun, RowFile, PreparedRow]] = field(default_factory=list)
    answers: list[tuple[SeenRun, RowFile, PreparedAnswer]] = field(default_factory=list)
    comparisons: list[tuple[SeenRun, RowFile, PreparedComparison]] = field(default_factory=list)
    files: dict[Key, SeenFile] = field(default_factory=dict)
    runs: dict[int, SeenRun] = field(default_factory=dict)
    looks: list[tuple[SeenRun, tuple[object, ...]]] = field(default_factory=list)
    size: int = 0

    @property
    def has_rows(self) -> bool:
        """Whether it brings in anything that is listed or read."""
        return bool(self.rows or self.answers or self.comparisons)

    @property
    def is_full(self) -> bool:
        """Whether it is time to write it."""
        return (
            len(self.rows) + len(self.answers) + len(self.comparisons) >= BATCH_ROWS
            or self.size >= BATCH_BYTES
            or len(self.files) + len(self.runs) >= BATCH_FILES
        )


def write_batch(con: Connection, texts: TextStore, batch: Batch) -> None:
    """Write all of it or nothing. What is there already is counted as doubled.

    Raises:
        duckdb.Error, sqlite3.Error: an index file cannot be written or is damaged.
    """
    rows = _keep_new(con, "rows", "row_id", batch.rows, batch.files)
    comparisons_ = _keep_new(con, "comparisons", "comparison", batch.comparisons, batch.files)
    reasons = load_reasons(con, comparisons_, batch.answers)
    compared = [one for _, _, one in comparisons_]
    numbers = _number_texts(texts, [row for _, _, row in rows], compared, reasons)
    with transaction(con):
        _save_runs(con, list(batch.runs.values()))
        if rows:
            table = build_rows(rows, numbers)
            insert(con, "rows", table)
            _save_rounds(con, texts, table, numbers)
        if comparisons_:
            con.register("formed", build_comparisons(comparisons_, numbers, reasons))
            con.execute("create or replace temp table fresh as select * from formed")
            con.unregister("formed")
            _add_listed(con, comparisons.TABLE)
        if batch.answers:
            insert(con, "answers", build_answers(batch.answers))
        _save_files(con, batch.files)


def _number_texts(
    texts: TextStore,
    rows: Sequence[PreparedRow],
    compared: Sequence[PreparedComparison],
    reasons: Sequence[str | None],
) -> dict[str | None, int | None]:
    """A number for each text; the texts are durable before what holds them."""
    wanted = [text for row in rows for text in (row.text, row.prompt, row.conversation)]
    for one in compared:
        wanted += (one.prompt, one.conversation, one.response_a, one.response_b)
    wanted += reasons
    numbers: dict[str | None, int | None] = {None: None}
    if found := [text for text in dict.fromkeys(wanted) if text is not None]:
        numbers.update(texts.add(found))
    return numbers


def _keep_new(
    con: Connection,
    table: str,
    column: str,
    found: Sequence[tuple[SeenRun, RowFile, _T]],
    files: dict[Key, SeenFile],
) -> list[tuple[SeenRun, RowFile, _T]]:
    """Those whose id the run does not have yet; the others are counted.

    A comparison that was looked at for the lack of a label, and has one, is no doubled one.
    """
    if not found:
        return []
    keys = [(seen.number, getattr(one, column)) for seen, _, one in found]
    taken = _find_held(con, table, column, set(keys))
    new = []
    for key, (seen, file, one) in zip(keys, found, strict=True):
        if key in taken:
            if not (isinstance(one, PreparedComparison) and one.place >= BEHIND):
                files[(seen.number, file.path.name)].doubled += 1
            continue
        taken.add(key)
        new.append((seen, file, one))
    return new


def _find_held(con: Connection, table: str, column: str, asked: set[Key]) -> set[Key]:
    """Which of these (run number, id) the table has."""
    con.register(
        "asked",
        pa.table(
            {
                "run_number": pa.array([number for number, _ in asked], pa.int32()),
                "id": [id_ for _, id_ in asked],
            }
        ),
    )
    found = con.execute(
        f"select run_number, {column} from {table} "
        "where run_number in (select run_number from asked) "
        f"and {column} in (select id from asked)"
    ).fetchall()
    con.unregister("asked")
    return set(found)


def _save_rounds(
    con: Connection, texts: TextStore, rows: pa.Table, numbers: Mapping[str | None, int | None]
) -> None:
    touched = rows.select(["run_number", "chain"]).group_by(["run_number", "chain"])
    con.register("touched", touched.aggregate([]))
    con.execute(_DERIVE_ROUNDS)
    con.execute(_DROP_ROUNDS)
    con.unregister("touched")
    _measure_rounds(con, texts, numbers)
    _add_listed(con, explorer.TABLE)


def _measure_rounds(
    con: Connection, texts: TextStore, numbers: Mapping[str | None, int | None]
) -> None:
    """How much each revision in `fresh` changed; `numbers` are those of the batch's texts."""
    pairs = con.execute(_PAIRS).fetchall()
    held = {n: text for text, n in numbers.items() if n is not None and text is not None}
    held |= texts.load({number for pair in pairs for number in pair if number not in held})
    known = [pair for pair in pairs if all(number in held for number in pair)]
    if known:
        told = [measure_distance(held[before], held[after]) for before, after in known]
        columns = {"before": [b for b, _ in known], "after": [a for _, a in known]}
        con.register("measured", pa.table({**columns, "distance": told}))
        con.execute(_SAVE_DISTANCES)
        con.unregister("measured")
    con.execute("alter table fresh drop column before_text")


def _add_listed(con: Connection, table: ListTable) -> None:
    """Append the rows of `fresh` to a table that is listed, with their combinations."""
    fields = ", ".join(("run_number", *table.fields))
    con.execute(
        f"insert into {table.combinations} "
        f"select (select coalesce(max(id), 0) from {table.combinations}) "
        f"+ row_number() over (), {fields} "
        f"from (select distinct {fields} from fresh) "
        f"anti join {table.combinations} using ({fields})"
    )
    con.execute(
        f"insert into {table.name} by name "
        "select nextval('seqs') as seq, c.id as combination, f.* from fresh f "
        f"join {table.combinations} c using ({fields})"
    )


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
        "constitution_hash": [clean(seen.constitution_hash) for seen in runs],
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
        "insert into files values (?, ?, ?, ?, ?, ?, ?, ?)",
        [number, name, file.inode, file.done, file.damaged, file.doubled, file.late, file.lines],
    )


def _reason(seen: SeenRun) -> str | None:
    reason = seen.status.reason if seen.status else None
    return None if reason is None else clean(str(reason))
