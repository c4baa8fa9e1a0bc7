"""A page of a list: the rows that match, newest first, and the counts of all that match.

What the filter says of fields is settled by combinations (`facets.py`), what it says of texts by
the words that they hold. Where words alone cannot tell and too many texts may be meant, rows are
looked through from the newest on, and the counts are of those.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from cai_core.workspace.index.blocks import Array, Block, Bools
from cai_core.workspace.index.columns import Columns, Place
from cai_core.workspace.index.facets import Chosen, Counts, Field, count_values
from cai_core.workspace.index.prepare import clean
from cai_core.workspace.index.texts import TextStore
from cai_core.workspace.index.vocabulary import Numbers
from cai_core.workspace.index.words import parse_query

# Counted exactly up to here: beyond, a page says "at least".
MOST_COUNTED = 10_000
# Rows looked through for a page whose words cannot tell: in one step, for the counts, and at most.
_STEP, _LEAST_LOOKED, _MOST_LOOKED = 250, 500, 20_000

Key = tuple[str, str, int]
# Of a block's rows, those that are asked for.
Condition = Callable[[Block], Bools]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """The rows of a page and the counts.

    Attributes:
        seqs: of the rows, in the list's order.
        next_key: where the next page begins; None on the last.
    """

    seqs: tuple[int, ...]
    total: int
    total_is_least: bool
    next_key: str | None
    facets: dict[str, Counts]


def pick(
    columns: Columns,
    fields: Mapping[str, Field],
    texts: TextStore,
    chosen: Chosen,
    *,
    text: str,
    conditions: Sequence[Condition],
    kept: Mapping[str, Sequence[str]],
    after: str | None,
    limit: int,
    facets: Sequence[str],
) -> Picked:
    """Find a page.

    Args:
        text: what somebody typed.
        conditions: of rows, beside their fields and texts.
        kept: field → values to be told however seldom they are.
        facets: the fields to count; none leaves the counts empty.
    """
    found = [texts.search(word) for word in parse_query(text)]
    masks = _build_masks(columns, [one.texts for one in found], conditions)
    counts = columns.count(masks)
    key = parse_key(after)
    parts = [one.unchecked for one in found if one.unchecked is not None]
    last = None
    if parts:
        sift = _Sift(columns, texts, parts)
        picked, last = sift.fill(columns.walk(chosen.every, masks, counts, key), limit + 1)
        counts, is_least = sift.count(columns.walk(chosen.every, masks, counts, None))
    else:
        picked = list(islice(columns.walk(chosen.every, masks, counts, key), limit + 1))
        is_least = False
    total = int(counts[chosen.every].sum())
    shown = picked[:limit]
    end = shown[-1] if len(picked) > limit else last
    return Picked(
        seqs=tuple(int(columns.blocks[place.block].seqs[place.row]) for place in shown),
        total=min(total, MOST_COUNTED),
        total_is_least=is_least or total > MOST_COUNTED,
        next_key=None if end is None else _build_key(columns, end),
        facets={
            name: count_values(fields[name], counts, chosen.others[name], kept.get(name, ()))
            for name in facets
        },
    )


def build_key(started_at: str, run: str, place: int) -> str:
    """A row's place in the order: when its run began, and where in it the row lies."""
    packed = json.dumps([started_at, run, place]).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def parse_key(key: str | None) -> Key | None:
    """The place; None for a key that was made up, which gives the first page."""
    try:
        started_at, run, place = json.loads(
            base64.urlsafe_b64decode((key or "") + "=" * (-len(key or "") % 4))
        )
    except (ValueError, TypeError, RecursionError):
        return None
    texts = isinstance(started_at, str) and isinstance(run, str)
    if not (texts and type(place) is int and 0 <= place < 2**63):
        return None
    return clean(started_at), clean(run), place


def _build_key(columns: Columns, place: Place) -> str:
    facts = columns.runs[place.run]
    return build_key(facts.started_at, facts.run, place.place)


@dataclass(frozen=True, slots=True)
class _Sift:
    """Looks through rows for parts of texts that words alone cannot tell."""

    columns: Columns
    texts: TextStore
    parts: Sequence[str]

    def fill(self, rows: Iterator[Place], limit: int) -> tuple[list[Place], Place | None]:
        """The first rows that hold the parts, and where it gave up, if it did."""
        kept: list[Place] = []
        for _ in range(_MOST_LOOKED // _STEP):
            step = list(islice(rows, _STEP))
            kept += self._keep(step)
            if len(kept) >= limit or len(step) < _STEP:
                return kept[:limit], None
        return kept, step[-1]

    def count(self, rows: Iterator[Place]) -> tuple[Array, bool]:
        """The newest rows that hold the parts, by combination, and whether there may be more."""
        step = list(islice(rows, _LEAST_LOOKED))
        blocks = self.columns.blocks
        found = [blocks[place.block].combinations[place.row] for place in self._keep(step)]
        size = len(self.columns.combinations) + 1
        return np.bincount(np.array(found, np.int64), minlength=size), len(step) == _LEAST_LOOKED

    def _keep(self, rows: Sequence[Place]) -> list[Place]:
        blocks = self.columns.blocks
        held = [{int(column[place.row]) for column in blocks[place.block].texts} for place in rows]
        numbers = np.array(sorted(set().union(*held)), np.uint32)
        hits = [set(found.tolist()) for found in self.texts.check(numbers, self.parts)]
        return [
            place
            for place, texts in zip(rows, held, strict=True)
            if not any(texts.isdisjoint(hit) for hit in hits)
        ]


def _build_masks(
    columns: Columns, found: Sequence[Numbers], conditions: Sequence[Condition]
) -> list[Bools] | None:
    """The rows of each block that the words and conditions leave; None where there are none."""
    if not found and not conditions:
        return None
    hits = []
    for numbers in found:
        hit = np.zeros(max(columns.most_text, int(numbers.max(initial=0))) + 1, bool)
        hit[numbers] = True
        hit[0] = False  # where a row has no text
        hits.append(hit)
    masks = []
    for block in columns.blocks:
        mask = block.live.copy()
        for hit in hits:
            here = hit.take(block.texts[0])
            for column in block.texts[1:]:
                here |= hit.take(column)
            mask &= here
        for condition in conditions:
            mask &= condition(block)
        masks.append(mask)
    return masks
