"""Two runs side by side: which runs there are, and their pairs filtered, counted and paged.

Bringing two runs together takes some tenths of a second for 100,000 prompts (`side_align.py`); it
is done once for each state of their files and kept as columns, and every page after that filters
these. Texts are fetched for the page alone.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cai_core.errors import CaiError, WorkspaceError
from cai_core.workspace.index.blocks import Array, Bools
from cai_core.workspace.index.chains import load_recipe, load_record
from cai_core.workspace.index.prepare import clean
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.side_align import Aligned, align_chains, align_labels
from cai_core.workspace.index.side_counts import PairCounts
from cai_core.workspace.index.side_pairs import load_pairs
from cai_core.workspace.index.side_views import (
    CHAIN_ASPECTS,
    LABEL_ASPECTS,
    By,
    Maker,
    Side,
    SideFilter,
    SidePage,
    SideRun,
)
from cai_core.workspace.index.texts import TextStore
from cai_core.workspace.index.transaction import snapshot
from cai_core.workspace.index.words import parse_query

# Pairs of runs whose columns are kept; 100,000 prompts take some 12 MB.
_MOST_HELD = 4
_MOST_SEARCHES = 4
_RUNS = """
with listed as (select * from runs where ? or run in (?, ?)),
chains as (
    select run_number, count(*) as count from rows
    where kind = 'response' and run_number in (select number from listed) group by run_number
), labels as (
    select run_number, count(*) as count from comparisons
    where run_number in (select number from listed) group by run_number
)
select n.number, n.folder, n.run, n.kind, n.state, n.started_at, n.constitution,
    n.constitution_hash, n.model, n.recorded, coalesce(c.count, 0), coalesce(l.count, 0)
from listed n left join chains c on c.run_number = n.number
    left join labels l on l.run_number = n.number
where c.count > 0 or l.count > 0
order by n.started_at = '' desc, n.started_at desc, n.run desc
"""
# Whatever changes with a run's files.
_STAMP = """
select run_number, name, inode, done, late from files where run_number in (?, ?) order by all
"""
_FIRST_ROWS = """
select arg_min(file, place), arg_min(position, place), arg_min(length, place)
from (select kind, file, position, length, epoch::bigint << 40 | position as place
    from rows where run_number = ? and kind in ('response', 'critique'))
group by kind order by kind desc
"""
_FIRST_ANSWER = """
select file, position, length from answers where run_number = ? order by epoch, position limit 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A run, its number here and its folder."""

    number: int
    folder: str
    facts: SideRun


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """Two runs as they were at one moment.

    Attributes:
        found: what was searched for last → the pairs that have it: every page asks once more.
    """

    stamp: tuple[Any, ...]
    aligned: Aligned
    makers: tuple[tuple[Maker, ...], tuple[Maker, ...]]
    found: OrderedDict[str, Bools | None] = field(default_factory=OrderedDict)


class SideBySide:
    """Answers what pages ask of two runs. Any thread may ask."""

    def __init__(self, texts: TextStore):
        self._texts = texts
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[int, int, str], _Held] = OrderedDict()

    def list_runs(self, con: Connection) -> tuple[SideRun, ...]:
        """Every run that can be a side. See `owner.WorkspaceIndex.list_side_runs`."""
        return tuple(known.facts for known in _load_runs(con))

    def compare(
        self, con: Connection, asked: SideFilter, *, after: str | None, limit: int
    ) -> SidePage:
        """One page, and the counts. See `owner.WorkspaceIndex.compare_runs`."""
        left, right = _find_sides(con, asked)
        held = self._align(con, left, right, asked.by)
        aligned = held.aligned
        aspects = CHAIN_ASPECTS if aligned.holds == "chains" else LABEL_ASPECTS
        on = asked.on if asked.on in aspects else aspects[0]
        masks = PairCounts(aligned, on, asked, self._find_text(held, asked.text))
        chosen = masks.build()
        rows = np.flatnonzero(chosen)
        begin = _find_begin(aligned, rows, after)
        shown = rows[begin : begin + limit]
        more = begin + limit < len(rows)
        with snapshot(con):
            pairs = load_pairs(
                con, self._texts, aligned, shown, (left.number, right.number), left.folder,
                right.folder,
            )  # fmt: skip
        keyed = (
            replace(pair, key=_build_key(aligned, row))
            for pair, row in zip(pairs, shown.tolist(), strict=True)
        )
        return SidePage(
            left=Side(run=left.facts, recipe=_read_recipe(left), makers=held.makers[0]),
            right=Side(run=right.facts, recipe=_read_recipe(right), makers=held.makers[1]),
            holds=aligned.holds,
            by=aligned.by,
            on=on,
            aspects=aspects,
            shared=int(aligned.both.sum()),
            counts=masks.count_statuses(),
            kinds=masks.count_kinds(),
            changes=masks.count_changes(),
            sums=masks.sum_up(),
            pairs=tuple(keyed),
            total=len(rows),
            next_key=_build_key(aligned, int(shown[-1])) if more and len(shown) else None,
        )

    def _align(self, con: Connection, left: _Known, right: _Known, by: str) -> _Held:
        stamp = tuple(con.execute(_STAMP, [left.number, right.number]).fetchall())
        key = (left.number, right.number, by)
        with self._lock:
            held = self._held.get(key)
        if held is None or held.stamp != stamp:
            with snapshot(con):
                aligned = _bring_together(con, left, right, by)
                makers = (_load_makers(con, left), _load_makers(con, right))
            held = _Held(stamp=stamp, aligned=aligned, makers=makers)
        with self._lock:
            self._held[key] = held
            self._held.move_to_end(key)
            while len(self._held) > _MOST_HELD:
                self._held.popitem(last=False)
        return held

    def _find_text(self, held: _Held, text: str) -> Bools | None:
        """The pairs with a text for each of the words; None where nothing was typed."""
        with self._lock:
            if text in held.found:
                return held.found[text]
        mask = self._search(held.aligned, text)
        with self._lock:
            held.found[text] = mask
            while len(held.found) > _MOST_SEARCHES:
                held.found.popitem(last=False)
        return mask

    def _search(self, aligned: Aligned, text: str) -> Bools | None:
        mask: Bools | None = None
        for part in parse_query(text):
            found = self._texts.search(part)
            # Where words alone cannot tell, the texts of the two runs are looked through.
            hit = self._texts.settle(found, np.unique(np.concatenate(aligned.texts)))
            hit[0] = False
            here = np.logical_or.reduce([hit[column] for column in aligned.texts])
            mask = here if mask is None else mask & here
        return mask


def _bring_together(con: Connection, left: _Known, right: _Known, by: str) -> Aligned:
    if left.facts.holds == "chains":
        return align_chains(con, left.number, right.number)
    asked: By = "prompt" if by == "prompt" else "comparison"
    aligned = align_labels(con, left.number, right.number, asked)
    if not by and not aligned.both.any():
        by_prompt = align_labels(con, left.number, right.number, "prompt")
        return by_prompt if by_prompt.both.any() else aligned
    return aligned


def _find_sides(con: Connection, asked: SideFilter) -> tuple[_Known, _Known]:
    names = (clean(asked.left), clean(asked.right))
    found = {known.facts.run: known for known in _load_runs(con, names)}
    if missing := [name for name in names if name not in found]:
        raise CaiError(
            f"{missing[0]}: no run of that name here holds chains or labels. Choose another."
        )
    left, right = found[names[0]], found[names[1]]
    if left is right:
        raise CaiError(f"{names[0]} is on both sides. Choose another run for one of them.")
    if left.facts.holds != right.facts.holds:
        raise CaiError(
            f"{names[0]} holds {left.facts.holds}, {names[1]} holds {right.facts.holds}. "
            "Choose two runs that hold the same."
        )
    return left, right


def _load_runs(con: Connection, names: tuple[str, str] | None = None) -> list[_Known]:
    asked = [names is None, *(names or ("", ""))]
    known = []
    for number, folder, run, kind, state, started, *rest in con.execute(_RUNS, asked).fetchall():
        constitution, version, model, recorded, chains, labels = rest
        facts = SideRun(
            run=run,
            kind=kind,
            holds="chains" if chains else "labels",
            count=chains or labels,
            state=state,
            started_at=started,
            constitution=constitution,
            constitution_hash=version,
            model=model,
            recorded=recorded,
        )
        known.append(_Known(number=number, folder=folder, facts=facts))
    return known


def _load_makers(con: Connection, known: _Known) -> tuple[Maker, ...]:
    query = _FIRST_ROWS if known.facts.holds == "chains" else _FIRST_ANSWER
    makers = []
    for name, position, length in con.execute(query, [known.number]).fetchall():
        try:
            record = load_record(Path(known.folder) / "rows" / name, position, length)
        except (OSError, ValueError):
            continue  # deleted just now
        makers.append(
            Maker(
                role=str(record.get("role") or ""),
                model_id=str(record.get("model_id") or ""),
                weights_hash=record.get("weights_hash"),
                engine=f"{record.get('engine', '')} {record.get('engine_version', '')}".strip(),
            )
        )
    return tuple(makers)


def _read_recipe(known: _Known) -> dict[str, Any]:
    try:
        return dict(load_recipe(Path(known.folder)))
    except (WorkspaceError, OSError):
        return {}


def _find_begin(aligned: Aligned, rows: Array, after: str | None) -> int:
    """Where the page begins among the rows that are shown; a key that was made up begins anew."""
    place = _parse_key(after)
    if place is None:
        return 0
    alone, at = place
    left, right = aligned.left_place[rows], aligned.right_place[rows]
    # Pairs by the left place, then what the right side has alone by the right one.
    split = int((left >= 0).sum())
    if not alone:
        return int(np.searchsorted(left[:split], at, side="right"))
    return split + int(np.searchsorted(right[split:], at, side="right"))


def _build_key(aligned: Aligned, row: int) -> str:
    left, right = int(aligned.left_place[row]), int(aligned.right_place[row])
    packed = json.dumps([int(left < 0), right if left < 0 else left]).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _parse_key(key: str | None) -> tuple[int, int] | None:
    try:
        alone, place = json.loads(
            base64.urlsafe_b64decode((key or "") + "=" * (-len(key or "") % 4))
        )
    except (ValueError, TypeError, RecursionError):
        return None
    if alone not in (0, 1) or type(place) is not int or not 0 <= place < 2**63:
        return None
    return int(alone), place
