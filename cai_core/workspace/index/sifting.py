"""Looking through rows for parts of texts that words alone cannot tell, from the newest row on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from cai_core.workspace.index.blocks import Array, Bools
from cai_core.workspace.index.columns import Columns, Place
from cai_core.workspace.index.postings import Hits, fit_hits
from cai_core.workspace.index.texts import Found, TextStore

# Rows looked through: in the first step and in later ones, for the counts, and for a page at most.
_FIRST_STEP, _STEP, _COUNTED, _MOST_LOOKED = 50, 500, 1000, 20_000


class Sift:
    """What it learns of a text it keeps: none is looked through twice."""

    def __init__(self, columns: Columns, texts: TextStore, found: Sequence[Found]):
        self._columns = columns
        self._texts = texts
        size = columns.most_text + 1
        self._found = [
            replace(
                one,
                sure=fit_hits(one.sure, size),
                unsure=None if one.unsure is None else fit_hits(one.unsure, size),
            )
            for one in found
        ]

    def list_possible(self) -> list[Hits]:
        """For each part, the texts that may hold it."""
        return [one.sure if one.unsure is None else one.sure | one.unsure for one in self._found]

    def fill(self, rows: Iterator[Place], limit: int) -> tuple[list[Place], Place | None]:
        """The first rows that hold every part, and where it gave up, if it did."""
        kept: list[Place] = []
        looked, size = 0, _FIRST_STEP
        while True:
            step = list(islice(rows, size))
            kept += self._keep(step)
            looked += len(step)
            if len(kept) >= limit or len(step) < size:
                return kept[:limit], None
            if looked >= _MOST_LOOKED:
                return kept, step[-1]
            size = min(2 * size, _STEP)

    def count(self, rows: Iterator[Place]) -> tuple[Array, bool]:
        """The newest rows that hold every part, by combination; whether there may be more."""
        step = list(islice(rows, _COUNTED))
        blocks = self._columns.blocks
        found = [blocks[place.block].combinations[place.row] for place in self._keep(step)]
        size = len(self._columns.combinations) + 1
        return np.bincount(np.array(found, np.int64), minlength=size), len(step) == _COUNTED

    def _keep(self, rows: Sequence[Place]) -> list[Place]:
        keep = np.zeros(len(rows), bool)
        for number, block in enumerate(self._columns.blocks):
            here = [at for at, place in enumerate(rows) if place.block == number]
            if here:
                at = [rows[one].row for one in here]
                keep[here] = self._look(np.stack([column[at] for column in block.texts]))
        return [rows[at] for at in np.flatnonzero(keep).tolist()]

    def _look(self, texts: Array) -> Bools:
        """Which rows hold every part; `texts` are theirs, a column for each row."""
        keep = np.ones(texts.shape[1], bool)
        for part in self._found:
            held = part.sure[texts].any(0)
            if part.unsure is not None:
                asked = texts[:, keep & ~held]
                asked = np.unique(asked[part.unsure[asked]])
                if len(asked):
                    (numbers,) = self._texts.check(asked, [part.folded])
                    part.sure[numbers] = True
                    part.unsure[asked] = False
                    held = part.sure[texts].any(0)
            keep &= held
        return keep
