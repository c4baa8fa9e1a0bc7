"""How many pairs of two runs a filter leaves, and what they are: over columns. Pure."""

from __future__ import annotations

import numpy as np

from cai_core.workspace.index.blocks import Bools
from cai_core.workspace.index.principles import OutcomeSums
from cai_core.workspace.index.side_align import KINDS, Aligned
from cai_core.workspace.index.side_views import (
    DIFFER,
    LEFT,
    RIGHT,
    SAME,
    STATUSES,
    SideFilter,
)

# Changes that a page tells: nine of verdicts; chains of many rounds have more.
_MOST_CHANGES = 12


class PairCounts:
    """What each part of a filter leaves of the pairs."""

    def __init__(self, aligned: Aligned, on: str, asked: SideFilter, text: Bools | None):
        self._aligned = aligned
        every = np.ones(len(aligned.kind), bool)
        self._text = every if text is None else text
        self._kind, self._change = every, every
        if asked.kind:
            wanted = KINDS.index(asked.kind) + 1 if asked.kind in KINDS else -1
            self._kind = aligned.kind == wanted
        differs = aligned.differs[on]
        only_left, only_right = aligned.right_place < 0, aligned.left_place < 0
        self._by_status: dict[str, Bools] = {
            SAME: aligned.both & ~differs,
            DIFFER: differs,
            LEFT: only_left,
            RIGHT: only_right,
        }
        self._status = self._by_status[asked.show] if asked.show in STATUSES else every
        if asked.change:
            self._change = self._choose_change(asked.change)

    def build(self) -> Bools:
        """The pairs that every part leaves."""
        return self._text & self._kind & self._change & self._status

    def count_statuses(self) -> dict[str, int]:
        """Pairs of each status."""
        rest = self._text & self._kind
        return {name: int((mask & rest).sum()) for name, mask in self._by_status.items()}

    def count_kinds(self) -> tuple[tuple[str, int], ...]:
        """Pairs of each kind of prompt."""
        rest = self._text & self._change & self._status
        counts = np.bincount(self._aligned.kind[rest], minlength=len(KINDS) + 1)[1:]
        found = [(kind, int(n)) for kind, n in zip(KINDS, counts, strict=True) if n]
        return tuple(sorted(found, key=lambda pair: -pair[1]))

    def count_changes(self) -> tuple[tuple[tuple[str, str], int], ...]:
        """Pairs of each left and right word, the most frequent first."""
        rest = self._aligned.both & self._text & self._kind & self._status
        left, right = self._aligned.change
        words, size = self._aligned.words, len(self._aligned.words)
        codes = (left * size + right)[rest]
        numbers, counts = np.unique(codes, return_counts=True)
        found = [
            ((words[code // size], words[code % size]), count)
            for code, count in zip(numbers.tolist(), counts.tolist(), strict=True)
        ]
        return tuple(sorted(found, key=lambda one: (-one[1], one[0]))[:_MOST_CHANGES])

    def sum_up(self) -> OutcomeSums:
        """How often the aspect differs; pairs of one prompt stand or fall together."""
        rest = self._aligned.both & self._text & self._kind
        if not rest.any():
            return OutcomeSums()
        _, prompt = np.unique(self._aligned.conversation[rest], return_inverse=True)
        each = np.bincount(prompt)
        yes = np.bincount(prompt, weights=self._by_status[DIFFER][rest]).astype(np.int64)
        return OutcomeSums(
            n=int(each.sum()),
            prompts=len(each),
            yes=int(yes.sum()),
            yes_squared=int((yes * yes).sum()),
            crossed=int((yes * each).sum()),
            n_squared=int((each * each).sum()),
        )

    def _choose_change(self, change: str) -> Bools:
        words = self._aligned.words
        asked = [word.strip() for word in change.split(">")]
        if len(asked) != 2 or not all(word in words for word in asked):
            return np.zeros(len(self._aligned.kind), bool)
        left, right = self._aligned.change
        codes = [words.index(word) for word in asked]
        found: Bools = self._aligned.both & (left == codes[0]) & (right == codes[1])
        return found
