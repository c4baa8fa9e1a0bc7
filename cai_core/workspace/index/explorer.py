"""The list of rounds: filters, counts, and pages by key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cai_core.records import Finding
from cai_core.workspace.index.blocks import Block, Bools, ListTable
from cai_core.workspace.index.chains import NO_MARKS, load_marks
from cai_core.workspace.index.columns import ColumnCache, Columns, Progress
from cai_core.workspace.index.facets import Chosen, Field, FieldCache, Reader, choose
from cai_core.workspace.index.finding import Condition, build_key, find_rows, pick
from cai_core.workspace.index.pictures import RoundPictures, picture_rounds
from cai_core.workspace.index.prepare import clean
from cai_core.workspace.index.reviews import OPEN, find_judged, load_states
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.texts import TextStore
from cai_core.workspace.index.views import FACETS, ChainMarks, RoundFilter, RoundPage, RoundView

TABLE = ListTable(
    name="rounds",
    combinations="round_combinations",
    # An epoch is a file, and a position a byte in it: a terabyte a file.
    place="(epoch::bigint << 40) | position",
    texts=("critique_text", "revision_text", "conversation_text", "response_text"),
    flags=("changed",),
    measures=("round", "words_before", "words_after", "distance"),
    fields=("principle", "finding", "kind", "model", "constitution_hash", "category"),
)
_READERS: dict[str, Reader] = {
    "constitution": lambda row, run: (run.constitution,),
    "principle": lambda row, run: (row[2],),
    "finding": lambda row, run: (row[3],),
    "kind": lambda row, run: (row[4],),
    "run": lambda row, run: (run.run,),
    "model": lambda row, run: (row[5],),
    "constitution_hash": lambda row, run: (row[6],),
    "category": lambda row, run: (row[7],),
    "recorded": lambda row, run: ("yes" if run.recorded else "no",),
}
_MARKS = {
    "saved": "saved",
    "flagged": "flagged",
    "noted": "noted",
    "unmarked": "saved or flagged or noted",
}
# What a round's flag says: the revision changed the text, did not, or is not there.
_CHANGED = {"yes": 1, "no": 0, "none": -1}
_NUMBER = re.compile(r"[0-9]{1,4}")
_NO_ROUND = -2
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
        kept = {name: (getattr(asked, name),) for name in FACETS if getattr(asked, name)}
        picked = pick(
            columns,
            held,
            self._texts,
            _choose(columns, held, asked),
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

    def picture(self, con: Connection, asked: RoundFilter) -> RoundPictures:
        """What pictures show of all rounds that match."""
        asked = _clean(asked)
        columns = self._columns.load(con)
        held = self._fields.load(columns)
        rows = find_rows(
            columns,
            held,
            self._texts,
            _choose(columns, held, asked),
            text=asked.text,
            conditions=_build_conditions(con, asked),
        )
        return picture_rounds(con, rows)

    def _load_rounds(self, con: Connection, seqs: Sequence[int]) -> tuple[RoundView, ...]:
        if not seqs:
            return ()
        found = con.execute(_PAGE, [list(seqs), min(seqs), max(seqs)]).fetchall()
        rows = {row[0]: row[1:] for row in found}
        shown = [rows[seq] for seq in seqs if seq in rows]  # all, unless a run goes just now
        chains = {row[0] for row in shown}
        marks, states = load_marks(con, chains), load_states(con, chains)
        numbers = {row[at] for row in shown for at in (3, 9, 10)}
        loaded = self._texts.load(number for number in numbers if number is not None)
        return tuple(
            _build_view(
                row, loaded, marks.get(row[0], NO_MARKS), states.get((row[0], row[2]), (OPEN, 0))
            )
            for row in shown
        )


def _clean(asked: RoundFilter) -> RoundFilter:
    texts = {item.name: getattr(asked, item.name) for item in fields(RoundFilter)}
    changes: dict[str, Any] = {k: clean(v) for k, v in texts.items() if isinstance(v, str)}
    return replace(asked, **changes)


def _choose(columns: Columns, fields: Mapping[str, Field], asked: RoundFilter) -> Chosen:
    names = (*FACETS, "constitution_hash", "category")
    wanted = {name: (getattr(asked, name),) for name in names if getattr(asked, name)}
    if not asked.recorded:
        wanted["recorded"] = ("no",)
    return choose(fields, len(columns.combinations) + 1, wanted)


def _build_conditions(con: Connection, asked: RoundFilter) -> list[Condition]:
    conditions: list[Condition] = []
    if asked.round:
        number = int(asked.round) if _NUMBER.fullmatch(asked.round) else _NO_ROUND
        conditions.append(lambda block: block.measures[0] == number)
    if asked.changed:
        wanted = _CHANGED.get(asked.changed)
        conditions.append(lambda block: block.flags[0] == (2 if wanted is None else wanted))
    if asked.review:
        judged = find_judged(con, asked.review)
        conditions.append(_among(judged, inverted=asked.review == OPEN))
    if asked.mark:
        # Of a mark that there is none of, nothing.
        marked_chains = f"select chain from marks where {_MARKS.get(asked.mark, 'false')}"
        query = f"select seq from rounds where chain in ({marked_chains})"
        marked = np.array([seq for (seq,) in con.execute(query).fetchall()], np.int64)
        conditions.append(_among(marked, inverted=asked.mark == "unmarked"))
    return conditions


def _among(seqs: npt.NDArray[np.int64], *, inverted: bool) -> Condition:
    def holds(block: Block) -> Bools:
        found: Bools = np.isin(block.seqs, seqs, invert=inverted)
        return found

    return holds


def _build_view(
    row: tuple[Any, ...], texts: dict[int, str], marks: ChainMarks, review: tuple[str, int]
) -> RoundView:
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
        review=review[0],
        reviewers=review[1],
    )
