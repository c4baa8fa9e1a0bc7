"""A page of a list: the rows that match, newest first, and the counts of all that match.

What the filter says of fields is settled by combinations (`facets.py`), what it says of texts by
the words that they hold. Where words alone cannot tell and too many texts may be meant, rows are
looked through from the newest on (`sifting.py`), and the counts are of those. Where more than
MOST_COUNTED rows hold a part for sure, the others are not counted.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from cai_core.workspace.index.blocks import Array, Block, Bools
from cai_core.workspace.index.columns import Columns, Place
from cai_core.workspace.index.facets import Chosen, Counts, Field, count_values
from cai_core.workspace.index.postings import Hits, fit_hits
from cai_core.workspace.index.prepare import clean
from cai_core.workspace.index.sifting import Sift
from cai_core.workspace.index.texts import TextStore
from cai_core.workspace.index.words import parse_query

# Counted exactly up to here: beyond, a page says "at least".
MOST_COUNTED = 10_000
# Texts looked through for a picture.
_MOST_SETTLED = 5000

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
    found = [texts.search(word, every=False) for word in parse_query(text)]
    masks = _build_masks(columns, [one.sure for one in found], conditions)
    counts = columns.count(masks)
    if any(one.is_quick for one in found) and not _are_many(counts, chosen):
        found = [texts.search(word) for word in parse_query(text)]
        masks = _build_masks(columns, [one.sure for one in found], conditions)
        counts = columns.count(masks)
    key = parse_key(after)
    last, is_least = None, False
    if all(one.unsure is None for one in found):
        picked = list(islice(columns.walk(chosen.every, masks, counts, key), limit + 1))
    else:
        sift = Sift(columns, texts, found)
        masks = _build_masks(columns, sift.list_possible(), conditions)
        held = columns.count(masks)
        picked, last = sift.fill(columns.walk(chosen.every, masks, held, key), limit + 1)
        if not _are_many(counts, chosen):
            counts, is_least = sift.count(columns.walk(chosen.every, masks, held, None))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """All rows that a filter leaves.

    Attributes:
        columns, fields: that they are in.
        masks: the rows of each block.
        is_partial: some are left out: too many texts would have to be looked through.
    """

    columns: Columns
    fields: Mapping[str, Field]
    masks: tuple[Bools, ...]
    is_partial: bool


def find_rows(
    columns: Columns,
    fields: Mapping[str, Field],
    texts: TextStore,
    chosen: Chosen,
    *,
    text: str,
    conditions: Sequence[Condition],
) -> Rows:
    """Every row that matches; arguments as in `pick`."""
    masks = [
        mask & chosen.every[block.combinations]
        for mask, block in zip(
            _build_masks(columns, [], conditions) or [block.live for block in columns.blocks],
            columns.blocks,
            strict=True,
        )
    ]
    is_partial = False
    for word in parse_query(text):
        found = texts.search(word)
        asked = np.zeros(0, np.int64)
        if found.unsure is not None:
            held = np.zeros(max(columns.most_text + 1, len(found.unsure)), bool)
            for block, mask in zip(columns.blocks, masks, strict=True):
                for column in block.texts:
                    held[column[mask]] = True
            asked = np.flatnonzero(held & fit_hits(found.unsure, len(held)))
            is_partial |= len(asked) > _MOST_SETTLED
        hits = texts.settle(found, asked[-_MOST_SETTLED:])
        told = _build_masks(columns, [hits], ()) or []
        masks = [mask & here for mask, here in zip(masks, told, strict=True)]
    return Rows(columns=columns, fields=fields, masks=tuple(masks), is_partial=is_partial)


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


def _are_many(counts: Array, chosen: Chosen) -> bool:
    return int(counts[chosen.every].sum()) > MOST_COUNTED


def _build_masks(
    columns: Columns, found: Sequence[Hits], conditions: Sequence[Condition]
) -> list[Bools] | None:
    """The rows of each block that the words and conditions leave; None where there are none."""
    if not found and not conditions:
        return None
    hits = [fit_hits(hit, columns.most_text + 1) for hit in found]
    for hit in hits:
        hit[0] = False  # where a row has no text
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
