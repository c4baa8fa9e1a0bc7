"""The list of comparisons, and one comparison whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from cai_core.errors import CaiError
from cai_core.records import StepKind, Verdict
from cai_core.workspace.comparison_votes import (
    OPEN,
    Votes,
    read_comparison_votes,
    settle_state,
)
from cai_core.workspace.index.blocks import Block, Bools, ListTable
from cai_core.workspace.index.chains import load_principle_texts, load_recipe, load_record
from cai_core.workspace.index.columns import ColumnCache, Progress
from cai_core.workspace.index.comparison_views import (
    COMPARISON_FACETS,
    AnswerView,
    ComparisonDetail,
    ComparisonFilter,
    ComparisonPage,
    ComparisonView,
)
from cai_core.workspace.index.facets import FieldCache, Reader, choose
from cai_core.workspace.index.finding import Condition, build_key, find_rows, pick
from cai_core.workspace.index.pictures import ComparisonPictures, picture_comparisons
from cai_core.workspace.index.prepare import clean, parse_turns
from cai_core.workspace.index.prepare_labels import TRAITS
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.texts import TextStore
from cai_core.workspace.index.transaction import snapshot
from cai_core.workspace.rows import Row, build_row_id, parse_row

TABLE = ListTable(
    name="comparisons",
    combinations="comparison_combinations",
    place="place::bigint",
    texts=("conversation_text", "a_text", "b_text", "reasons_text"),
    flags=("confidence_bin", "bias_bin"),
    fields=("principles", "verdict", "source", "kind", "model", "traits"),
)


def _list_traits(bits: int) -> tuple[str, ...]:
    return tuple(trait for bit, trait in enumerate(TRAITS) if bits >> bit & 1)


_READERS: dict[str, Reader] = {
    "constitution": lambda row, run: (run.constitution,),
    "principle": lambda row, run: dict.fromkeys(json.loads(row[2])).keys(),
    "verdict": lambda row, run: (row[3],),
    "source": lambda row, run: (row[4],),
    "kind": lambda row, run: (row[5],),
    "run": lambda row, run: (run.run,),
    "model": lambda row, run: (row[6],),
    "traits": lambda row, run: _list_traits(row[7]),
    "constitution_hash": lambda row, run: (run.constitution_hash,),
}
_COLUMNS = """
select c.seq, n.run, c.comparison, c.place, c.prompt_text, c.kind, n.constitution, c.principles,
    c.verdict, c.source, c.model, c.prob_a, c.position_bias, c.traits, c.a_text, c.b_text,
    n.started_at
"""
_PAGE = f"""
{_COLUMNS}
from comparisons c join runs n on n.number = c.run_number
where c.seq in (select unnest(?::bigint[])) and c.seq between ? and ?
"""
_ONE = f"""
{_COLUMNS}, n.number, n.folder, n.kind, n.state, n.constitution_hash, c.file, c.position, c.length
from comparisons c join runs n on n.number = c.run_number
where c.comparison = ? and n.run = ?
"""
_ANSWERS = """
select file, position, length from answers where run_number = ? and place = ?
order by epoch, position
"""
_VERDICTS = """
select seq, comparison, verdict from comparisons
where comparison in (select unnest(?::varchar[]))
"""
_HELD_CHAINS = "select distinct chain from rows where chain in (select unnest(?::varchar[]))"


class ComparisonList:
    """Answers what pages ask of the comparisons. Any thread may ask."""

    def __init__(self, texts: TextStore, progress: Progress, workspace: Path):
        self._texts = texts
        self._workspace = workspace
        self._columns = ColumnCache(TABLE, progress)
        self._fields = FieldCache(_READERS)

    def list_comparisons(
        self,
        con: Connection,
        asked: ComparisonFilter,
        *,
        after: str | None,
        limit: int,
        facets: bool,
    ) -> ComparisonPage:
        """One page, and the counts. See `owner.WorkspaceIndex.list_comparisons`."""
        asked = _clean(asked)
        columns = self._columns.load(con)
        held = self._fields.load(columns)
        wanted = _list_wanted(asked)
        chosen = choose(held, len(columns.combinations) + 1, wanted)
        chosen.others["traits"] = chosen.every
        picked = pick(
            columns,
            held,
            self._texts,
            chosen,
            text=asked.text,
            conditions=self._build_conditions(con, asked),
            kept=wanted,
            after=after,
            limit=limit,
            facets=COMPARISON_FACETS if facets else (),
        )
        return ComparisonPage(
            comparisons=self._load_page(con, picked.seqs),
            total=picked.total,
            total_is_least=picked.total_is_least,
            next_key=picked.next_key,
            facets=picked.facets,
        )

    def picture(self, con: Connection, asked: ComparisonFilter) -> ComparisonPictures:
        """What pictures show of all comparisons that match."""
        asked = _clean(asked)
        columns = self._columns.load(con)
        held = self._fields.load(columns)
        rows = find_rows(
            columns,
            held,
            self._texts,
            choose(held, len(columns.combinations) + 1, _list_wanted(asked)),
            text=asked.text,
            conditions=self._build_conditions(con, asked),
        )
        return picture_comparisons(rows)

    def load_comparison(
        self, con: Connection, run: str, comparison: str
    ) -> ComparisonDetail | None:
        """The comparison as that run has it, out of the run's files; None where there is none."""
        with snapshot(con):
            found = con.execute(_ONE, [clean(comparison), clean(run)]).fetchall()
            if not found:
                return None
            row = found[0]
            number, folder, kind, state, version, file, position, length = row[17:]
            answers = con.execute(_ANSWERS, [number, row[3]]).fetchall()
        path = Path(folder)
        try:
            record = load_record(path / "outputs" / file, position, length)
            rows = [load_record(path / "rows" / name, *place) for name, *place in answers]
            conversation = parse_turns(record)
            recipe = load_recipe(path)
        except (CaiError, OSError, ValueError):
            return None  # deleted or made anew since the last look
        chains = [_find_chain(record.get(f"source_{side}")) for side in "ab"]
        held = {
            chain for (chain,) in con.execute(_HELD_CHAINS, [list(filter(None, chains))]).fetchall()
        }
        return ComparisonDetail(
            view=_build_view(row, self._load_texts([row]), read_comparison_votes(self._workspace)),
            conversation=conversation,
            tags=tuple(map(str, record["tags"])),
            record=record,
            answers=_build_answers(rows),
            chain_a=chains[0] if chains[0] in held else None,
            chain_b=chains[1] if chains[1] in held else None,
            run_kind=kind,
            run_state=state,
            started_at=row[16],
            constitution_hash=version,
            principle_texts=load_principle_texts(path),
            recipe=deepcopy(recipe),
        )

    def _build_conditions(self, con: Connection, asked: ComparisonFilter) -> list[Condition]:
        conditions: list[Condition] = []
        for at, number in enumerate((asked.confidence, asked.bias)):
            if number is not None:
                conditions.append(_build_condition(at, number))
        if asked.review:
            conditions.append(self._build_review(con, asked.review))
        return conditions

    def _build_review(self, con: Connection, state: str) -> Condition:
        """Few comparisons have votes: those that are in the state are found by their ids."""
        votes = read_comparison_votes(self._workspace)
        found = con.execute(_VERDICTS, [list(map(clean, votes))]).fetchall()
        by_id = {clean(comparison): told for comparison, told in votes.items()}
        states = {
            seq: settle_state(by_id[comparison], _read_verdict(verdict))
            for seq, comparison, verdict in found
        }
        if state == OPEN:
            judged = [seq for seq, told in states.items() if told != OPEN]
        else:
            judged = [seq for seq, told in states.items() if told == state]
        seqs = np.array(judged, np.int64)

        def is_in_state(block: Block) -> Bools:
            among: Bools = np.isin(block.seqs, seqs, invert=state == OPEN)
            return among

        return is_in_state

    def _load_page(self, con: Connection, seqs: Sequence[int]) -> tuple[ComparisonView, ...]:
        if not seqs:
            return ()
        found = con.execute(_PAGE, [list(seqs), min(seqs), max(seqs)]).fetchall()
        rows = {row[0]: row for row in found}
        texts, votes = self._load_texts(found), read_comparison_votes(self._workspace)
        return tuple(_build_view(rows[seq], texts, votes) for seq in seqs if seq in rows)

    def _load_texts(self, rows: Sequence[tuple[Any, ...]]) -> dict[int, str]:
        return self._texts.load(row[at] for row in rows for at in (4, 14, 15))


def _clean(asked: ComparisonFilter) -> ComparisonFilter:
    held = {item.name: getattr(asked, item.name) for item in fields(ComparisonFilter)}
    changes: dict[str, Any] = {k: clean(v) for k, v in held.items() if isinstance(v, str)}
    return replace(asked, **changes, traits=tuple(map(clean, asked.traits)))


def _list_wanted(asked: ComparisonFilter) -> dict[str, tuple[str, ...]]:
    wanted: dict[str, tuple[str, ...]] = {"traits": asked.traits}
    for name in _READERS:
        if name != "traits" and (value := getattr(asked, name)):
            wanted[name] = (value,)
    return wanted


def _build_condition(at: int, number: int) -> Condition:
    def has_number(block: Block) -> Bools:
        found: Bools = block.flags[at] == number
        return found

    return has_number


def _read_verdict(word: str) -> Verdict | None:
    return Verdict(word) if word in list(Verdict) else None


def _build_view(row: tuple[Any, ...], texts: dict[int, str], votes: Votes) -> ComparisonView:
    _, run, comparison, place, prompt, kind, constitution, principles, verdict = row[:9]
    source, model, prob_a, bias, traits, response_a, response_b, started_at = row[9:17]
    return ComparisonView(
        key=build_key(started_at, run, place),
        run=run,
        comparison=comparison,
        place=place,
        prompt=texts.get(prompt, ""),
        kind=kind,
        constitution=constitution,
        principles=tuple(json.loads(principles)),
        verdict=_read_verdict(verdict),
        source=source,
        model=model,
        prob_a=prob_a,
        position_bias=bias,
        traits=_list_traits(traits),
        response_a=texts.get(response_a, ""),
        response_b=texts.get(response_b, ""),
        votes=votes.get(comparison, ()),
    )


def _build_answers(records: Sequence[dict[str, Any]]) -> tuple[AnswerView, ...]:
    """The answers in the order of their questions; of two with one id the first written counts."""
    rows: dict[str, tuple[Row, dict[str, Any]]] = {}
    for record in records:
        row = parse_row(record)
        rows.setdefault(row.row_id, (row, record))
    ordered = sorted(rows.values(), key=lambda pair: (pair[0].index, pair[0].cot, pair[0].order))
    return tuple(
        AnswerView(
            row_id=row.row_id,
            principle=row.principle_id,
            order=row.order,
            cot=row.cot,
            text=row.text or "",
            verdict=row.verdict,
            error=row.error,
            record=record,
        )
        for row, record in ordered
    )


def _find_chain(source: Any) -> str | None:
    """The id of the chain that a label's `{"run": …, "chain": "<prompt id>/<sample>"}` means."""
    if not isinstance(source, dict):
        return None
    run, chain = source.get("run"), source.get("chain")
    if not (isinstance(run, str) and isinstance(chain, str)):
        return None
    prompt_id, _, sample = chain.rpartition("/")
    if not (sample.isascii() and sample.isdecimal() and len(sample) < 10):
        return None
    return build_row_id(
        run_id=run, prompt_id=prompt_id, sample=int(sample), step=StepKind.RESPONSE.value
    )
