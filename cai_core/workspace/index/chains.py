"""One chain whole, and the lists of runs, events and marks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

from cai_core.constitution import load_constitution
from cai_core.errors import CaiError
from cai_core.records import PromptKind, StepKind
from cai_core.workspace.index.prepare import (
    build_chain_key,
    clean,
    parse_prompt_kind,
    parse_text,
    parse_turns,
)
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.transaction import snapshot
from cai_core.workspace.index.views import ChainMarks, ChainView, RunView, StepView
from cai_core.workspace.journal import parse_line
from cai_core.workspace.rows import Row, parse_row
from cai_core.workspace.runs import open_run

NO_MARKS = ChainMarks()
# The model that wrote the responses; the one asked for, while there is none.
_RUNS = """
with listed as (
    select * from runs
    order by started_at = '' desc, started_at desc, run desc limit ?
), counted as (
    select run_number, count(*) as rows, min(model) filter (kind = 'response') as model
    from rows where run_number in (select number from listed) group by run_number
)
select n.run, n.kind, n.state, n.reason, n.started_at, n.constitution,
    coalesce(c.model, n.model), coalesce(c.rows, 0), n.recorded
from listed n left join counted c on c.run_number = n.number
order by n.started_at = '' desc, n.started_at desc, n.run desc
"""
_CHAIN = """
select r.file, r.position, r.length, n.folder, n.kind, n.state, n.started_at, n.recorded,
    n.constitution, n.run
from rows r join runs n on n.number = r.run_number
where r.chain_key = $key and r.chain = $chain and r.run_number = (
    select min(run_number) from rows where chain_key = $key and chain = $chain)
order by r.epoch, r.position
"""
_COUNT_MARKED = """
select count(*) filter (saved), count(*) filter (flagged), count(*) filter (noted),
    (select count(distinct chain) from rounds where chain not in (
        select chain from marks where saved or flagged or noted))
from marks where chain in (select chain from rows)
"""


def get_chain(con: Connection, chain: str) -> ChainView | None:
    """The chain, its rows read from their files; None where there is none (any more)."""
    chain = clean(chain)
    try:
        key = build_chain_key(chain)
    except ValueError:
        return None
    with snapshot(con):
        found = con.execute(_CHAIN, {"key": key, "chain": chain}).fetchall()
        marks = load_marks(con, {chain})
    if not found:
        return None
    folder, kind, state, started_at, recorded, constitution, run_id = found[0][3:]
    path = Path(folder)
    try:
        records = [
            load_record(path / "rows" / name, start, length)
            for name, start, length in (line[:3] for line in found)
        ]
        rows = [(parse_row(record), record) for record in records]
        recipe = load_recipe(path)
    except (CaiError, OSError, ValueError):
        return None  # deleted since the last look
    first = next((row for row, _ in rows if row.kind is StepKind.RESPONSE), None)
    some = first or rows[0][0]
    return ChainView(
        chain=chain,
        run=run_id,
        run_kind=kind,
        run_state=state,
        started_at=started_at,
        prompt_id=some.prompt_id,
        conversation=parse_turns(first.prompt) if first else (),
        kind=(parse_prompt_kind(first.prompt) if first else PromptKind.UNKNOWN).value,
        tags=_parse_tags(first.prompt) if first else (),
        constitution=constitution,
        constitution_hash=some.constitution_hash,
        principle_texts=load_principle_texts(path),
        recipe=deepcopy(recipe),
        steps=tuple(sorted((_build_step(*row) for row in rows), key=lambda step: step.index)),
        recorded=recorded,
        marks=marks.get(chain, NO_MARKS),
    )


def list_runs(con: Connection, limit: int) -> list[RunView]:
    """Newest first; those that have not begun before all others."""
    names = ("run", "kind", "state", "reason", "started_at", "constitution", "model", "rows")
    return [
        RunView(**dict(zip((*names, "recorded"), row, strict=True)))
        for row in con.execute(_RUNS, [limit]).fetchall()
    ]


def list_events(con: Connection, limit: int) -> list[dict[str, Any]]:
    """The newest events of all topics, each with its `topic`."""
    found = con.execute(
        "select topic, record from events order by happened desc, topic, position desc limit ?",
        [limit],
    ).fetchall()
    return [{**json.loads(record), "topic": topic} for topic, record in found]


def load_marks(con: Connection, chains: Iterable[str]) -> dict[str, ChainMarks]:
    """The marks of those chains that have any."""
    found = con.execute(
        "select chain, saved, flagged, notes from marks "
        "where chain in (select unnest(?::varchar[]))",
        [sorted(chains)],
    ).fetchall()
    return {
        chain: ChainMarks(saved=saved, flagged=flagged, notes=tuple(json.loads(notes)))
        for chain, saved, flagged, notes in found
    }


def count_marked(con: Connection) -> dict[str, int]:
    """How many of the chains that there are carry each mark, and of the listed ones none."""
    (counts,) = con.execute(_COUNT_MARKED).fetchall()
    return dict(zip(("saved", "flagged", "noted", "unmarked"), counts, strict=True))


def load_record(path: Path, start: int, length: int) -> dict[str, Any]:
    """One line of a file, by its place. Raises ValueError or OSError when the file changed."""
    with path.open("rb") as file:
        file.seek(start)
        record = parse_line(file.read(length)).record
    if record is None:
        raise ValueError(f"{path}: byte {start} changed")
    return record


def load_recipe(run_folder: Path) -> dict[str, Any]:
    """A run's recipe; to be read only. Raises WorkspaceError when there is none."""
    return _load_recipe(run_folder, _stamp(run_folder / "recipe.yaml"))


def load_principle_texts(run_folder: Path) -> dict[str, str]:
    """Principle id → text, of the version that the run kept; empty where it kept none."""
    path = run_folder / "outputs" / "constitution.yaml"
    return dict(_load_principle_texts(path, _stamp(path)))


def _build_step(row: Row, record: dict[str, Any]) -> StepView:
    return StepView(
        row_id=row.row_id,
        kind=row.kind,
        index=row.index,
        round=row.round,
        principle=row.principle_id,
        text="" if row.text is None else parse_text(row),
        raw=row.text or "",
        finding=row.finding,
        error=row.error,
        cut_short=row.finish_reason == "length",
        record=record,
    )


def _parse_tags(prompt: dict[str, Any] | None) -> tuple[str, ...]:
    tags = (prompt or {}).get("tags")
    return tuple(map(str, tags)) if isinstance(tags, list) else ()


def _stamp(path: Path) -> tuple[int, int, int]:
    """Changes with the file; zeros where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0, 0
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


# YAML takes tens of milliseconds to read, and people go from chain to chain of one run.
@lru_cache(maxsize=128)
def _load_recipe(folder: Path, _: tuple[int, int, int]) -> dict[str, Any]:
    return open_run(folder).recipe


@lru_cache(maxsize=128)
def _load_principle_texts(path: Path, _: tuple[int, int, int]) -> dict[str, str]:
    try:
        constitution = load_constitution(path)
    except CaiError:
        return {}
    return {principle.id: principle.text for principle in constitution.principles}
