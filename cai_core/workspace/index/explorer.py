"""The list of rounds: filters, counts, and pages by key."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import pyarrow as pa

from cai_core.records import Finding
from cai_core.workspace.index.chains import NO_MARKS, load_marks
from cai_core.workspace.index.prepare import clean
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.texts import TextStore, parse_query
from cai_core.workspace.index.transaction import snapshot
from cai_core.workspace.index.views import FACETS, RoundFilter, RoundPage, RoundView

# Counted exactly up to here: beyond, a page says "at least".
MOST_COUNTED = 10_000
# Values of one field; the chosen one is always among them.
MOST_VALUES = 200

# A field of the filter → the expression that it asks for. Names from here only enter SQL.
_FACET_COLUMNS = {
    "constitution": "n.constitution",
    "principle": "r.principle",
    "finding": "r.finding",
    "kind": "r.kind",
    "run": "n.run",
    "model": "r.model",
}
_MARK_CONDITIONS = {
    "saved": "r.chain in (select chain from marks where saved)",
    "flagged": "r.chain in (select chain from marks where flagged)",
    "noted": "r.chain in (select chain from marks where noted)",
    "unmarked": "r.chain not in (select chain from marks where saved or flagged or noted)",
}
_FROM = "from rounds r join runs n on n.number = r.run_number"
_TEXT_COLUMNS = (
    "r.critique_text",
    "r.revision_text",
    "r.conversation_text",
    "r.response_text",
)
_PAGE_COLUMNS = """r.chain, n.run, r.round, r.prompt_text, r.kind, n.constitution, r.principle,
    r.model, r.finding, r.critique_text, r.revision_text, r.changed, n.recorded, n.started_at,
    r.epoch, r.position, r.objected"""

_Condition = tuple[str, list[Any]]


def list_rounds(
    con: Connection,
    texts: TextStore,
    asked: RoundFilter,
    *,
    after: str | None,
    limit: int,
    facets: bool,
) -> RoundPage:
    """One page, and the counts of all that matches. See `owner.WorkspaceIndex.list_rounds`."""
    asked = _clean(asked)
    words = [texts.find(word) for word in parse_query(asked.text)]
    for number, found in enumerate(words):
        con.register(f"word_{number}", pa.table({"text": pa.array(found, pa.int64())}))
    with snapshot(con):
        _find_hits(con, len(words))
        base = _build_base(asked, by_text=bool(words))
        total, counts = _count(con, base, asked, facets)
        rows = _load_page(con, base, asked, after, limit + 1)
        marks = load_marks(con, {row[0] for row in rows})
    shown = rows[:limit]
    loaded = texts.load({n for row in shown for n in (row[3], row[9], row[10]) if n is not None})
    return RoundPage(
        rounds=tuple(_build_view(row, loaded, marks.get(row[0], NO_MARKS)) for row in shown),
        total=min(total, MOST_COUNTED),
        total_is_least=total > MOST_COUNTED,
        next_key=_build_key(shown[-1]) if shown and len(rows) > limit else None,
        facets=counts,
    )


def _clean(asked: RoundFilter) -> RoundFilter:
    texts = {item.name: getattr(asked, item.name) for item in fields(RoundFilter)}
    changes: dict[str, Any] = {k: clean(v) for k, v in texts.items() if isinstance(v, str)}
    return replace(asked, **changes)


def _find_hits(con: Connection, words: int) -> None:
    """Keep the rounds in which every word occurs, for this snapshot: asked once, used twice."""
    if not words:
        return
    conditions = []
    for number in range(words):
        within = f"in (select text from word_{number})"
        # A comparison with NULL is NULL, and `or` then leaves it to the other texts.
        conditions.append(f"({' or '.join(f'{column} {within}' for column in _TEXT_COLUMNS)})")
    con.execute(
        "create temp table hits as select r.rowid as round from rounds r "
        f"where {' and '.join(conditions)}"
    )


def _build_base(asked: RoundFilter, *, by_text: bool) -> _Condition:
    """What every count is filtered by: all but the fields that are counted."""
    conditions, values = ["true"], list[Any]()
    if asked.constitution_hash:
        conditions.append("r.constitution_hash = ?")
        values.append(asked.constitution_hash)
    if asked.mark:
        conditions.append(_MARK_CONDITIONS.get(asked.mark, "false"))
    if not asked.recorded:
        conditions.append("not n.recorded")
    if by_text:
        conditions.append("r.rowid in (select round from hits)")
    return " and ".join(conditions), values


def _build_chosen(asked: RoundFilter, columns: dict[str, str]) -> _Condition:
    chosen = [name for name in columns if getattr(asked, name)]
    conditions = ["true", *(f"{columns[name]} = ?" for name in chosen)]
    return " and ".join(conditions), [getattr(asked, name) for name in chosen]


def _count(
    con: Connection, base: _Condition, asked: RoundFilter, facets: bool
) -> tuple[int, dict[str, tuple[tuple[str, int], ...]]]:
    """The total, and each field's values. One look at the rounds serves all of them."""
    if not facets:
        chosen = _build_chosen(asked, _FACET_COLUMNS)
        query = f"select count(*) {_FROM} where {base[0]} and {chosen[0]}"
        return int(_one(con, query, base[1] + chosen[1])), {}
    plain = {name: name for name in FACETS}
    everything = _build_chosen(asked, plain)
    parts, values = [f"select '', '', sum(rounds) from cube where {everything[0]}"], everything[1]
    for name in FACETS:
        others = _build_chosen(asked, {other: other for other in FACETS if other != name})
        parts.append(
            f"select '{name}', {name}, sum(rounds) from cube where {others[0]} and {name} <> '' "
            f"group by {name}"
        )
        values = values + others[1]
    columns = ", ".join(f"{column} as {name}" for name, column in _FACET_COLUMNS.items())
    query = (
        f"with cube as materialized (select {columns}, count(*) as rounds {_FROM} "
        f"where {base[0]} group by all) {' union all '.join(parts)}"
    )
    counts: dict[str, list[tuple[str, int]]] = {name: [] for name in FACETS}
    total = 0
    for name, value, count in con.execute(query, base[1] + values).fetchall():
        if name:
            counts[name].append((value, int(count)))
        else:
            total = int(count or 0)
    return total, {name: _rank(found, getattr(asked, name)) for name, found in counts.items()}


def _rank(found: Sequence[tuple[str, int]], chosen: str) -> tuple[tuple[str, int], ...]:
    ranked = sorted(found, key=lambda pair: (-pair[1], pair[0]))
    kept = ranked[:MOST_VALUES]
    return tuple(kept + [pair for pair in ranked[MOST_VALUES:] if pair[0] == chosen])


def _load_page(
    con: Connection, base: _Condition, asked: RoundFilter, after: str | None, limit: int
) -> list[tuple[Any, ...]]:
    chosen = _build_chosen(asked, _FACET_COLUMNS)
    conditions, values = [base[0], chosen[0]], base[1] + chosen[1]
    if (key := _parse_key(after)) is not None:
        conditions.append("(n.started_at, n.run, r.epoch, r.position) < (?, ?, ?, ?)")
        values = values + list(key)
    query = (
        f"select {_PAGE_COLUMNS} {_FROM} where {' and '.join(conditions)} "
        "order by n.started_at desc, n.run desc, r.epoch desc, r.position desc limit ?"
    )
    return con.execute(query, [*values, limit]).fetchall()


def _build_view(row: tuple[Any, ...], texts: dict[int, str], marks: Any) -> RoundView:
    chain, run, round_, prompt, kind, constitution, principle, model, finding = row[:9]
    critique, revision, changed, recorded = row[9:13]
    return RoundView(
        key=_build_key(row),
        chain=chain,
        run=run,
        round=round_,
        prompt=texts.get(prompt, ""),
        kind=kind,
        constitution=constitution,
        principle=principle,
        model=model,
        finding=Finding(finding) if finding in list(Finding) else None,
        critique=texts.get(critique),
        revision=texts.get(revision),
        changed=changed,
        objected=bool(row[16]),
        recorded=recorded,
        marks=marks,
    )


def _build_key(row: tuple[Any, ...]) -> str:
    """The round's place in the order: where its run began, and where in its files it lies."""
    started_at, epoch, position = row[13:16]
    packed = json.dumps([started_at, row[1], epoch, position]).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _parse_key(key: str | None) -> tuple[str, str, int, int] | None:
    """The place; None for a key that was made up, which gives the first page."""
    try:
        started_at, run, epoch, position = json.loads(
            base64.urlsafe_b64decode((key or "") + "=" * (-len(key or "") % 4))
        )
    except (ValueError, TypeError, RecursionError):
        return None
    texts = isinstance(started_at, str) and isinstance(run, str)
    numbers = type(epoch) is int and type(position) is int
    if not (texts and numbers and 0 <= epoch < 2**31 and 0 <= position < 2**63):
        return None
    return clean(started_at), clean(run), epoch, position


def _one(con: Connection, query: str, values: list[Any]) -> Any:
    row = con.execute(query, values).fetchone()
    return row[0] if row else None
