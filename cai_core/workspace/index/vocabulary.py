"""Every word that the texts hold, in memory, and which of them have a given part."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from cai_core.workspace.index.words import Piece

Numbers = npt.NDArray[np.uint32]
# New words are looked through one by one until there are so many, then with all others.
_MOST_NEW = 2000
_BREAK = b"\n"


class Vocabulary:
    """Words and their numbers. One thread adds; any may ask."""

    def __init__(self, words: Iterable[tuple[int, str]]):
        self._numbers = {word: number for number, word in words}
        self._last = max(self._numbers.values(), default=0)
        self._lock = threading.Lock()
        self._new: list[str] = []
        self._joined = _Joined.build(self._numbers)

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
                self._joined, self._new = _Joined.build(self._numbers), []
            joined, new = self._joined, self._new
        more = [self._numbers[word] for word in new if _is_like(word, piece)]
        return np.unique(np.append(joined.find(piece), np.array(more, np.uint32)))


@dataclass(frozen=True, slots=True)
class _Joined:
    """Words in UTF-8 between line breaks, as an array: a part of a word is a part of its bytes.

    Attributes:
        starts: where each word begins. numbers: of the words.
        counts: how often each byte occurs.
    """

    letters: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    numbers: Numbers
    counts: npt.NDArray[np.int64]

    @classmethod
    def build(cls, numbers: dict[str, int]) -> _Joined:
        # A word holds no line break, so what is found between two of them is in one word.
        joined = _BREAK + b"".join(word.encode() + _BREAK for word in numbers)
        letters = np.frombuffer(joined, np.uint8)
        return cls(
            letters=letters,
            starts=np.flatnonzero(letters == _BREAK[0])[:-1] + 1,
            numbers=np.fromiter(numbers.values(), np.uint32),
            counts=np.bincount(letters, minlength=256),
        )

    def find(self, piece: Piece) -> Numbers:
        """Numbers of the words that are like the piece, in no order, some perhaps twice."""
        begins = piece.place == "start"
        wanted = begins * _BREAK + piece.text.encode() + (piece.place == "end") * _BREAK
        # From its least frequent byte on, the fewest places are looked at.
        first = min(range(len(wanted)), key=lambda at: self.counts[wanted[at]])
        end = len(self.letters) - len(wanted) + 1
        found = np.flatnonzero(self.letters[first : max(end, 0) + first] == wanted[first])
        for at, letter in enumerate(wanted):
            found = found[self.letters[found + at] == letter]
        words = np.searchsorted(self.starts, found + begins, side="right") - 1
        return self.numbers[words]


def _is_like(word: str, piece: Piece) -> bool:
    match piece.place:
        case "start":
            return word.startswith(piece.text)
        case "end":
            return word.endswith(piece.text)
        case _:
            return piece.text in word
