"""The list of rounds: filters, counts, and pages by key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from cai_core.records import Finding
from cai_core.workspace.index.blocks import Block, Bools, ListTable
from cai_core.workspace.index.chains import NO_MARKS, load_marks
from cai_core.workspace.index.columns import ColumnCache, Progress
from cai_core.workspace.index.facets import FieldCache, Reader, choose
from cai_core.workspace.index.finding import Condition, build_key, pick
from cai_core.workspace.index.prepare import clean
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.texts import TextStore
from cai_core.workspace.index.views import FACETS, RoundFilter, RoundPage, RoundView

TABLE = ListTable(
    name="rounds",
    combinations="round_combinations",
    # An epoch is a file, and a position a byte in it: a terabyte a file.
    place="(epoch::bigint << 40) | position",
    texts=("critique_text", "revision_text", "conversation_text", "response_text"),
    fields=("principle", "finding", "kind", "model", "constitution_hash"),
)
_READERS: dict[str, Reader] = {
    "constitution": lambda row, run: (run.constitution,),
    "principle": lambda row, run: (row[2],),
    "finding": lambda row, run: (row[3],),
    "kind": lambda row, run: (row[4],),
    "run": lambda row, run: (run.run,),
    "model": lambda row, run: (row[5],),
    "constitution_hash": lambda row, run: (row[6],),
    "recorded": lambda row, run: ("yes" if run.recorded else "no",),
}
_MARKS = {
    "saved": "saved",
    "flagged": "flagged",
    "noted": "noted",
    "unmarked": "saved or flagged or noted",
}
_PAGE = """
select r.seq, r.chain, n.run, r.round, r.prompt_text, r.kind, n.constitution, r.principle, r.model,
    r.finding, r.critique_text, r.revision_text, r.changed, n.recorded, r.objected, n.started_at,
    r.epoch, r.position
from rounds r join runs n on n.number = r.run_number
where r.seq in (select unnest(?::bigint[])) and r.seq between ? and ?
"""


class RoundList:
    """Answers what pages ask of the rounds. Any thread may ask."""

    def __init__(self, texts: TextStore, progress: Progress):
        self._texts = texts
        self._columns = ColumnCache(TABLE, progress)
        self._fields = FieldCache(_READERS)

    def list_rounds(
        self, con: Connection, asked: RoundFilter, *, after: str | None, limit: int, facets: bool
    ) -> RoundPage:
        """One page, and the counts of all that matches. See `owner.WorkspaceIndex.list_rounds`."""
        asked = _clean(asked)
        columns = self._columns.load(con)
        held = self._fields.load(columns)
        wanted = {name: (getattr(asked, name),) for name in FACETS if getattr(asked, name)}
        kept = dict(wanted)
        if asked.constitution_hash:
            wanted["constitution_hash"] = (asked.constitution_hash,)
        if not asked.recorded:
            wanted["recorded"] = ("no",)
        picked = pick(
            columns,
            held,
            self._texts,
            choose(held, len(columns.combinations) + 1, wanted),
            text=asked.text,
            conditions=_build_conditions(con, asked),
            kept=kept,
            after=after,
            limit=limit,
            facets=FACETS if facets else (),
        )
        return RoundPage(
            rounds=self._load_rounds(con, picked.seqs),
            total=picked.total,
            total_is_least=picked.total_is_least,
            next_key=picked.next_key,
            facets=picked.facets,
        )

    def _load_rounds(self, con: Connection, seqs: Sequence[int]) -> tuple[RoundView, ...]:
        if not seqs:
            return ()
        found = con.execute(_PAGE, [list(seqs), min(seqs), max(seqs)]).fetchall()
        rows = {row[0]: row[1:] for row in found}
        shown = [rows[seq] for seq in seqs if seq in rows]  # all, unless a run goes just now
        marks = load_marks(con, {row[0] for row in shown})
        numbers = {row[at] for row in shown for at in (3, 9, 10)}
        loaded = self._texts.load(number for number in numbers if number is not None)
        return tuple(_build_view(row, loaded, marks.get(row[0], NO_MARKS)) for row in shown)


def _clean(asked: RoundFilter) -> RoundFilter:
    texts = {item.name: getattr(asked, item.name) for item in fields(RoundFilter)}
    changes: dict[str, Any] = {k: clean(v) for k, v in texts.items() if isinstance(v, str)}
    return replace(asked, **changes)


def _build_conditions(con: Connection, asked: RoundFilter) -> list[Condition]:
    if not asked.mark:
        return []
    if asked.mark not in _MARKS:
        return [lambda block: np.zeros(len(block.seqs), bool)]
    marked_chains = f"select chain from marks where {_MARKS[asked.mark]}"
    query = f"select seq from rounds where chain in ({marked_chains})"
    marked = np.array([seq for (seq,) in con.execute(query).fetchall()], np.int64)

    def has_mark(block: Block) -> Bools:
        found: Bools = np.isin(block.seqs, marked)
        return ~found if asked.mark == "unmarked" else found

    return [has_mark]


def _build_view(row: tuple[Any, ...], texts: dict[int, str], marks: Any) -> RoundView:
    chain, run, round_, prompt, kind, constitution, principle, model, finding = row[:9]
    critique, revision, changed, recorded, objected, started_at, epoch, position = row[9:]
    return RoundView(
        key=build_key(started_at, run, epoch << 40 | position),
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
        objected=bool(objected),
        recorded=recorded,
        marks=marks,
    )
