"""Every word that the texts hold, in memory, and which of them have a given part."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain

import numpy as np
import numpy.typing as npt

from cai_core.workspace.index.words import Piece

Numbers = npt.NDArray[np.uint32]
# New words are looked through one by one until there are so many, then with all others.
_MOST_NEW = 2000


class Vocabulary:
    """Words and their numbers. One thread adds; any may ask."""

    def __init__(self, words: Iterable[tuple[int, str]]):
        self._numbers = {word: number for number, word in words}
        self._last = max(self._numbers.values(), default=0)
        self._lock = threading.Lock()
        self._new: list[str] = []
        self._join()

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, texts: Sequence[set[str]]) -> list[tuple[int, str]]:
        """Number the words of some texts that are not there yet; returns them, numbered."""
        words = sorted(set().union(*texts).difference(self._numbers))
        with self._lock:
            added = list(enumerate(words, start=self._last + 1))
            self._numbers.update((word, number) for number, word in added)
            self._last += len(added)
            self._new = self._new + words
        return added

    def list_numbers(self, texts: Iterable[set[str]]) -> Numbers:
        """The numbers of the words of some texts, one text after the other."""
        words = chain.from_iterable(texts)
        return np.fromiter(map(self._numbers.__getitem__, words), np.uint32)

    def find(self, piece: Piece) -> Numbers:
        """Numbers of the words that are like the piece, ascending."""
        if piece.place == "whole":
            number = self._numbers.get(piece.text)
            return np.array([] if number is None else [number], np.uint32)
        with self._lock:
            if len(self._new) > _MOST_NEW:
                self._join()
            joined, starts, numbers, new = self._joined, self._starts, self._ordered, self._new
        found = [numbers[at] for at in _find_lines(joined, starts, piece)]
        found += [self._numbers[word] for word in new if _is_like(word, piece)]
        return np.array(sorted(set(found)), np.uint32)

    def _join(self) -> None:
        words = list(self._numbers)
        self._ordered = [self._numbers[word] for word in words]
        # A word holds no line break, so what is found between two of them is in one word.
        self._joined = "\n" + "\n".join(words) + "\n"
        self._starts = list(accumulate((len(word) + 1 for word in words), initial=1))
        self._new = []


def _find_lines(joined: str, starts: Sequence[int], piece: Piece) -> Iterable[int]:
    wanted = piece.text
    if piece.place == "start":
        wanted = "\n" + wanted
    elif piece.place == "end":
        wanted += "\n"
    at = joined.find(wanted)
    while at >= 0:
        line = bisect_right(starts, at + (piece.place == "start")) - 1
        yield line
        at = joined.find(wanted, starts[line + 1] - 1)


def _is_like(word: str, piece: Piece) -> bool:
    match piece.place:
        case "start":
            return word.startswith(piece.text)
        case "end":
            return word.endswith(piece.text)
        case _:
            return piece.text in word
