"""Texts as words to be indexed, and what somebody typed as a question about these words. Pure.

A word is a run of letters and digits in one case. Every sign is a word of its own. Scripts that are
written without spaces are cut into pairs of characters, and very long words into windows, so that
the vocabulary stays small whatever people write. A part of a text is then found in two ways: where
it lies inside one word, the words that contain it tell exactly which texts do; otherwise they tell
which texts may, and these are looked through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

# What people type is a few words; more text would not find less than the start of it does.
MAX_QUERY = 1000
MAX_WORDS = 32
# Words longer than a window are cut, each window beginning in the middle of the one before: a part
# of up to WINDOW − STEP + 1 characters then lies whole in one of them.
WINDOW, STEP = 64, 32
_WHOLE = WINDOW - STEP + 1

# Thai, Lao, Tibetan, Burmese, Khmer, kana, Han.
_UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_SIGNS = (
    "\\x00-\\x08\\x0e-\\x1b!-/:-@\\[-`{-\\x84\\x86-\\x9f\xa1-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7"
    "\u2010-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u206f\u2190-\u2bff\u3001-\u3003\u3008-\u3020"
    "\u3030\u303d\ufe30-\ufe4f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\ufffd"
)
_TOKEN = re.compile(f"[{_UNSPACED}]+|[{_SIGNS}]|[^\\s{_SIGNS}{_UNSPACED}]+")
_ASCII_TOKEN = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")
_PAIRED = re.compile(f"[{_UNSPACED}]")
# A phrase in quotes, or whatever stands between white space.
_TYPED = re.compile(r'"([^"]+)"(?!\S)|(\S+)')
# SQLite's text functions end at NUL, and lone surrogates are no UTF-8.
_UNSEARCHABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Piece:
    """What one word of a text must be like.

    Attributes:
        text: a part of the word, folded.
        place: `within` the word anywhere, at its `start` or its `end`, or the `whole` of it.
    """

    text: str
    place: Literal["within", "start", "end", "whole"]


@dataclass(frozen=True, slots=True)
class Question:
    """What the words of a text say about a part of it.

    Attributes:
        folded: the part itself, as `fold` gives it.
        pieces: a text that contains the part has a word for each of them.
        exact: every text that has them contains the part.
    """

    folded: str
    pieces: tuple[Piece, ...]
    exact: bool


def fold(text: str) -> str:
    """The text in one case, with what cannot be searched (NUL, lone surrogates) as U+FFFD.

    Folding works character by character: a part of a text, folded, is a part of the folded text.
    """
    return text.lower() if text.isascii() and "\0" not in text else make_searchable(text).casefold()


def list_words(text: str) -> set[str]:
    """The different words of a text."""
    folded = fold(text)
    if folded.isascii():
        words = set(_ASCII_TOKEN.findall(folded))
        if max(map(len, words), default=0) <= WINDOW:
            return words
    return {word for token in _TOKEN.findall(folded) for word in _cut(token)}


def ask(part: str) -> Question:
    """The question that a part of a text is, as somebody typed it."""
    folded = fold(part)
    tokens = list(_TOKEN.finditer(folded))
    pieces: list[Piece] = []
    exact = len(tokens) == 1 and len(tokens[0][0]) == len(folded)
    for token in tokens:
        # Where the part goes on beside the word, so does the text: the word ends there.
        place = _find_place(token.start() > 0, token.end() < len(folded))
        cut = list(_cut_piece(token[0], place))
        exact = exact and len(cut) == 1
        pieces += cut
    return Question(folded, tuple(dict.fromkeys(pieces)), exact)


def parse_query(text: str) -> tuple[str, ...]:
    """The words and "quoted phrases" of what somebody typed; all of them must occur.

    Only the first MAX_QUERY characters and MAX_WORDS words are looked at.
    """
    found = _TYPED.findall(make_searchable(text[:MAX_QUERY]))
    typed = (phrase or word for phrase, word in found)
    return tuple(dict.fromkeys(word for word in typed if word.strip()))[:MAX_WORDS]


def make_searchable(text: str) -> str:
    """The text with what cannot be searched (NUL, lone surrogates) replaced by U+FFFD."""
    return text if text.isascii() and "\0" not in text else _UNSEARCHABLE.sub("\ufffd", text)


def _cut(token: str) -> Iterator[str]:
    """The words that a run of characters is indexed under."""
    if len(token) == 1:
        yield token
    elif _PAIRED.match(token):
        yield from map("".join, pairwise(token))
    elif len(token) <= WINDOW:
        yield token
    else:
        for start in range(0, len(token) - STEP, STEP):
            yield token[start : start + WINDOW]


def _cut_piece(token: str, place: Literal["within", "start", "end", "whole"]) -> Iterator[Piece]:
    if _PAIRED.match(token):
        if len(token) == 1:
            yield Piece(token, "within")
        for pair in pairwise(token):
            yield Piece("".join(pair), "whole")
    elif len(token) <= _WHOLE:
        yield Piece(token, place)
    else:
        yield Piece(token[:_WHOLE], "within")
        yield Piece(token[-_WHOLE:], "within")


def _find_place(before: bool, after: bool) -> Literal["within", "start", "end", "whole"]:
    if before:
        return "whole" if after else "start"
    return "end" if after else "within"
