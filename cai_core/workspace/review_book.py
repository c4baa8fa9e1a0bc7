"""What counts in each review queue, kept in memory as far as the journal of reviews is read.

A reviewer's newest word of a comparison or critique counts; taken back, the one before it does.
Only what is new in the journal is read, and only what it changes is worked out anew: a queue of
ten thousand is not summed up again for each vote.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from cai_core.workspace.journal import parse_line

# A file and a byte in it.
Position = tuple[int, int]
NOWHERE: Position = (0, 0)


class Word(Protocol):
    """One reviewer's word of one item of a queue."""

    @property
    def vote(self) -> str: ...
    @property
    def queue(self) -> str: ...
    @property
    def item(self) -> str: ...
    @property
    def reviewer(self) -> str: ...
    @property
    def moment(self) -> datetime: ...
    @property
    def discarded(self) -> bool: ...
    @property
    def imported_by(self) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """A word taken back: its id, who said it and of what; `queue` is empty where not told."""

    vote: str
    item: str
    reviewer: str
    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A reviewer's look at harmful text that was not blurred."""

    queue: str
    item: str
    reviewer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A queue that somebody made."""

    queue: str
    at: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Item → the reviewers who have judged it, and those who put it aside."""

    voted: Mapping[str, frozenset[str]]
    discarded: Mapping[str, frozenset[str]]


# Reads an event of the journal; one that is none of these, or broken, says nothing.
EventReader = Callable[[Mapping[str, Any]], Iterable[Word | Undone | Made | Look]]


@dataclass(slots=True)
class _Said:
    moment: datetime
    line: int
    word: Word


@dataclass(slots=True)
class _Queue:
    # (item, reviewer) → their words that were not taken back.
    said: dict[tuple[str, str], list[_Said]] = field(default_factory=dict)
    # Reviewer → their own words in the journal's order, those that were taken back too.
    own: dict[str, list[_Said]] = field(default_factory=dict)
    ever: set[tuple[str, str]] = field(default_factory=set)
    looks: dict[str, set[str]] = field(default_factory=dict)
    voted: dict[str, frozenset[str]] = field(default_factory=dict)
    discarded: dict[str, frozenset[str]] = field(default_factory=dict)
    # What counts, in order; None where more than a new one at its end changed.
    order: list[_Said] | None = None
    standing: tuple[Word, ...] | None = None
    position: Position = NOWHERE


class Book:
    """A journal's words as far as they are read. Not safe for several threads at once."""

    def __init__(self, path: Path, read: EventReader):
        self._path, self._read = path, read
        self._begin()

    def _begin(self) -> None:
        self._inode, self._done, self._count = 0, 0, 0
        self._queues: dict[str, _Queue] = {}
        self.makers: dict[str, tuple[str, str]] = {}

    def catch_up(self) -> None:
        """Read what is new, or all of it where the journal is another one."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            self._begin()
            return
        with file:
            stat = os.fstat(file.fileno())
            if stat.st_ino != self._inode or stat.st_size < self._done:
                self._begin()
                self._inode = stat.st_ino
            file.seek(self._done)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                self._done += len(raw)
                # Most of the journal may be about chains: not worth parsing.
                if b'"queue"' not in raw and b'"undone"' not in raw:
                    continue
                if record := parse_line(raw).record:
                    self._take(record)

    def list_standing(self, queue: str) -> tuple[Word, ...]:
        """What counts, the oldest first; the same object while nothing changes."""
        held = self._queues.get(queue)
        if held is None:
            return ()
        if held.order is None:
            newest = (max(words, key=_rank) for words in held.said.values() if words)
            held.order = sorted(newest, key=_order)
        if held.standing is None:
            held.standing = tuple(one.word for one in held.order)
        return held.standing

    def list_standing_in(self, queues: Iterable[str]) -> list[Word]:
        """What counts in any of these queues, the oldest first; the journal settles a draw."""
        words: list[_Said] = []
        for queue in queues:
            self.list_standing(queue)
            if (held := self._queues.get(queue)) is not None:
                words += held.order or ()
        return [one.word for one in sorted(words, key=_rank)]

    def list_ever(self, queue: str) -> list[Word]:
        """Every word of a queue, also those that newer ones replaced or that were taken back."""
        held = self._queues.get(queue)
        if held is None:
            return []
        told = [one for words in (held.said, held.own) for some in words.values() for one in some]
        return list({one.word.vote: one.word for one in told}.values())

    def get_tally(self, queue: str) -> Tally:
        """Who has judged what, as of now."""
        held = self._queues.get(queue)
        if held is None:
            return Tally(voted={}, discarded={})
        return Tally(voted=dict(held.voted), discarded=dict(held.discarded))

    def get_looks(self, queue: str) -> dict[str, frozenset[str]]:
        """Reviewer → the items of which they have seen harmful text, voted on or not."""
        held = self._queues.get(queue)
        if held is None:
            return {}
        return {who: frozenset(items) for who, items in held.looks.items()}

    def list_queues(self) -> list[str]:
        """Ids of the queues that the journal speaks of."""
        return list(self._queues)

    def get_position(self, queue: str) -> Position:
        """Where the journal speaks of this queue last; NOWHERE where it does not."""
        held = self._queues.get(queue)
        return NOWHERE if held is None else held.position

    def find_newest(self, queue: str, reviewer: str) -> Word | None:
        """What a reviewer said here last and has not taken back; imports are not theirs."""
        held = self._queues.get(queue)
        if held is None:
            return None
        theirs = reversed(held.own.get(reviewer, []))
        stands = (one for one in theirs if one in held.said[(one.word.item, reviewer)])
        return next((one.word for one in stands), None)

    def has_ever_judged(self, queue: str, item: str, reviewer: str) -> bool:
        """Whether a reviewer has judged it here before, taken back or not."""
        held = self._queues.get(queue)
        return held is not None and (item, reviewer) in held.ever

    def _take(self, event: Mapping[str, Any]) -> None:
        for told in self._read(event):
            match told:
                case Made(queue=queue, at=at, actor=actor):
                    self.makers.setdefault(queue, (at, actor))
                case Undone():
                    self._take_back(told)
                case Look(queue=queue, item=item, reviewer=reviewer):
                    held = self._queues.setdefault(queue, _Queue())
                    held.looks.setdefault(reviewer, set()).add(item)
                    held.position = (self._inode, self._done)
                case _:
                    self._add(told)

    def _add(self, word: Word) -> None:
        self._count += 1
        one = _Said(word.moment, self._count, word)
        held = self._queues.setdefault(word.queue, _Queue())
        words = held.said.setdefault((word.item, word.reviewer), [])
        if held.order and not words and _order(one) > _order(held.order[-1]):
            held.order.append(one)
        else:
            held.order = None
        words.append(one)
        if word.imported_by is None:
            held.own.setdefault(word.reviewer, []).append(one)
            held.ever.add((word.item, word.reviewer))
        self._settle(held, word.item, word.reviewer)

    def _take_back(self, told: Undone) -> None:
        named = self._queues.get(told.queue)
        for held in [named] if named is not None else list(self._queues.values()):
            words = held.said.get((told.item, told.reviewer), [])
            kept = [one for one in words if one.word.vote != told.vote]
            if len(kept) < len(words):
                words[:] = kept
                held.order = None
                self._settle(held, told.item, told.reviewer)

    def _settle(self, held: _Queue, item: str, reviewer: str) -> None:
        """What a reviewer's newest word of an item makes of the counts."""
        held.standing, held.position = None, (self._inode, self._done)
        newest = max(held.said[(item, reviewer)], key=_rank, default=None)
        for told, counts in (
            (held.voted, newest is not None and not newest.word.discarded),
            (held.discarded, newest is not None and newest.word.discarded),
        ):
            who = told.get(item, frozenset())
            if counts:
                told[item] = who | {reviewer}
            elif reviewer in who:
                told[item] = who - {reviewer}


def _rank(one: _Said) -> tuple[datetime, int]:
    # Of one moment the later line counts.
    return one.moment, one.line


def _order(one: _Said) -> tuple[datetime, str]:
    # Of one moment the ids decide: an export imported elsewhere keeps its order.
    return one.moment, one.word.vote
