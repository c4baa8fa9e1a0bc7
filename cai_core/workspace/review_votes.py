"""What people say of comparisons in review queues, out of the journal of reviews.

A reviewer's newest word of a comparison counts; taken back, the one before it does.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from cai_core.records import Verdict
from cai_core.workspace.events import Topic, get_journal_path
from cai_core.workspace.journal import parse_line

MADE = "make review queue"
VOTE, DISCARD, UNDO, IMPORT = (
    "vote on comparison",
    "discard comparison",
    "undo vote",
    "import votes",
)
MAX_REASON, MAX_TEXT = 4000, 300
MAX_SECONDS = 24 * 3600.0
_TEXTS = ("vote", "queue", "comparison", "reviewer", "at")


class VoteChoice(StrEnum):
    """What a person says of a comparison. A and B are the record's own, however it was shown."""

    A = "A"
    B = "B"
    TIE = "tie"
    BOTH_BAD = "both bad"
    DISCARDED = "discarded"


_VERDICTS = {
    VoteChoice.A: Verdict.A,
    VoteChoice.B: Verdict.B,
    VoteChoice.TIE: Verdict.TIE,
    # Neither is preferred; the word itself is kept in the vote.
    VoteChoice.BOTH_BAD: Verdict.TIE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One reviewer's word of one comparison.

    Attributes:
        vote: its id. at: when (ISO 8601, with its zone).
        choice: `discarded` where the reviewer cannot or will not judge it.
        blind: whether principle, models, AI label and others' votes were hidden, and had been all
            along: a vote that is changed or given again is not blind.
        shown_first: the record's response that was on the left, `A` or `B`.
        seconds: from showing to voting, in [0, MAX_SECONDS].
        exposed: whether harmful text was shown unblurred.
        imported_by: who brought the vote in from a file; None where it was given here.
    """

    vote: str
    queue: str
    comparison: str
    reviewer: str
    at: str
    choice: VoteChoice
    reason: str
    blind: bool
    shown_first: str
    seconds: float
    exposed: bool
    imported_by: str | None = None

    @property
    def verdict(self) -> Verdict | None:
        """As a label's verdict, `both bad` as a tie; None where it was discarded."""
        return _VERDICTS.get(self.choice)

    @property
    def moment(self) -> datetime:
        """When."""
        return _parse_moment(self.at)

    def as_dict(self) -> dict[str, Any]:
        """The line of an export; `parse_vote` is the inverse."""
        plain = {**asdict(self), "choice": self.choice.value}
        del plain["imported_by"]
        return plain


FIELDS = tuple(name for name in Vote.__dataclass_fields__ if name != "imported_by")


def parse_vote(record: Mapping[str, Any], *, imported_by: str | None = None) -> Vote:
    """Read the plain form of a vote.

    Raises:
        ValueError: it is none; the message says which key is wrong.
    """
    for name in FIELDS:
        if name not in record:
            raise ValueError(f"{name} is missing")
    for name in (*_TEXTS, "reason", "choice"):
        most = MAX_REASON if name == "reason" else MAX_TEXT
        if not isinstance(record[name], str):
            raise ValueError(f"{name} is {record[name]!r:.40}, not a text")
        if len(record[name]) > most:
            raise ValueError(f"{name} has {len(record[name])} characters, more than {most}")
        if name in _TEXTS and not record[name].strip():
            raise ValueError(f"{name} is empty")
    _check_values(record)
    told = {name: record[name] for name in FIELDS}
    return Vote(
        **{**told, "choice": VoteChoice(told["choice"]), "seconds": float(told["seconds"])},
        imported_by=imported_by,
    )


def _check_values(record: Mapping[str, Any]) -> None:
    for name in ("blind", "exposed"):
        if not isinstance(record[name], bool):
            raise ValueError(f"{name} is {record[name]!r:.40}, not true or false")
    if record["choice"] not in list(VoteChoice):
        raise ValueError(f"choice is {record['choice']!r:.40}, not one of {', '.join(VoteChoice)}")
    if record["shown_first"] not in ("A", "B"):
        raise ValueError(f"shown_first is {record['shown_first']!r:.40}, not A or B")
    seconds = record["seconds"]
    if type(seconds) not in (int, float) or not math.isfinite(seconds):
        raise ValueError(f"seconds is {seconds!r:.40}, not a number")
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f"seconds is {seconds!r:.40}, not from 0 to {MAX_SECONDS:g}")
    _parse_moment(record["at"])


def read_votes(workspace: Path, queue: str) -> tuple[Vote, ...]:
    """What counts in a queue: each reviewer's word of each comparison, the oldest first.

    Only what is new in the journal is read; events that are no votes, or broken ones, say nothing.
    """
    with _open_book(workspace) as book:
        return book.list_standing(queue)


def find_newest_vote(workspace: Path, queue: str, reviewer: str) -> Vote | None:
    """What a reviewer said here last and has not taken back; None where there is nothing.

    The journal's order tells, not the clock: two votes may fall in one millisecond.
    """
    with _open_book(workspace) as book:
        return book.find_newest(queue, reviewer)


def read_makers(workspace: Path) -> dict[str, tuple[str, str]]:
    """Queue → when it was made first, and by whom."""
    with _open_book(workspace) as book:
        return dict(book.makers)


def has_ever_judged(workspace: Path, queue: str, comparison: str, reviewer: str) -> bool:
    """Whether a reviewer has judged a comparison here before, taken back or not.

    They have been told then what a blind queue hides.
    """
    with _open_book(workspace) as book:
        return book.has_ever_judged(queue, comparison, reviewer)


@dataclass(frozen=True, slots=True)
class _Said:
    moment: datetime
    line: int
    vote: Vote


def _rank(one: _Said) -> tuple[datetime, int]:
    # Of one moment the later line counts.
    return one.moment, one.line


def _order(one: _Said) -> tuple[datetime, str]:
    # Of one moment the ids decide: an export imported elsewhere keeps its order.
    return one.moment, one.vote.vote


class _Book:
    """A journal's votes as far as they are read."""

    def __init__(self, path: Path):
        self._path = path
        self._begin()

    def _begin(self) -> None:
        self._inode, self._done = 0, 0
        # Queue → (comparison, reviewer) → their votes that were not taken back.
        self._said: dict[str, dict[tuple[str, str], list[_Said]]] = {}
        # What counts of a queue, in order; rebuilt where more than a new one at its end changed.
        self._standing: dict[str, list[_Said]] = {}
        self._count = 0
        self._ever: set[tuple[str, str, str]] = set()
        self.makers: dict[str, tuple[str, str]] = {}

    def catch_up(self) -> None:
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            self._begin()
            return
        with file:
            stat = self._path.stat()
            if stat.st_ino != self._inode or stat.st_size < self._done:
                self._begin()
                self._inode = stat.st_ino
            file.seek(self._done)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                self._done += len(raw)
                # Most of the journal may be about chains: not worth parsing.
                if b'"queue"' in raw and (record := parse_line(raw).record):
                    self._take(record)

    def list_standing(self, queue: str) -> tuple[Vote, ...]:
        if queue not in self._standing:
            said = self._said.get(queue, {}).values()
            self._standing[queue] = sorted(
                (max(votes, key=_rank) for votes in said if votes), key=_order
            )
        return tuple(one.vote for one in self._standing[queue])

    def find_newest(self, queue: str, reviewer: str) -> Vote | None:
        theirs = (
            one
            for (_, who), votes in self._said.get(queue, {}).items()
            if who == reviewer
            for one in votes
            if one.vote.imported_by is None
        )
        newest = max(theirs, key=lambda one: one.line, default=None)
        return None if newest is None else newest.vote

    def has_ever_judged(self, queue: str, comparison: str, reviewer: str) -> bool:
        return (queue, comparison, reviewer) in self._ever

    def _take(self, event: Mapping[str, Any]) -> None:
        if event.get("action") == UNDO:
            self._take_back(event)
        elif event.get("action") == MADE:
            told = (str(event.get("at", "")), str(event.get("actor", "")))
            self.makers.setdefault(str(event.get("queue")), told)
        for vote in _list_votes(event):
            self._count += 1
            one = _Said(vote.moment, self._count, vote)
            said = self._said.setdefault(vote.queue, {})
            votes = said.setdefault((vote.comparison, vote.reviewer), [])
            standing = self._standing.get(vote.queue)
            if standing and not votes and _order(one) > _order(standing[-1]):
                standing.append(one)
            else:
                self._standing.pop(vote.queue, None)
            votes.append(one)
            if vote.imported_by is None:
                self._ever.add((vote.queue, vote.comparison, vote.reviewer))

    def _take_back(self, event: Mapping[str, Any]) -> None:
        queue, place = event.get("queue"), (event.get("comparison"), event.get("actor"))
        votes = self._said.get(str(queue), {}).get((str(place[0]), str(place[1])), [])
        votes[:] = [one for one in votes if one.vote.vote != event.get("undone")]
        self._standing.pop(str(queue), None)


_lock = threading.Lock()
_MOST_BOOKS = 16
_books: dict[Path, _Book] = {}


@contextmanager
def _open_book(workspace: Path) -> Iterator[_Book]:
    """The workspace's votes up to now; nobody else reads on meanwhile."""
    path = get_journal_path(workspace, Topic.REVIEWS)
    with _lock:
        book = _books.setdefault(path, _Book(path))
        if len(_books) > _MOST_BOOKS:
            del _books[next(name for name in _books if name != path)]
        book.catch_up()
        yield book


def _list_votes(event: Mapping[str, Any]) -> Iterator[Vote]:
    told: list[Any] = []
    if event.get("action") in (VOTE, DISCARD):
        told = [{**event, "reviewer": event.get("actor")}]
    elif event.get("action") == IMPORT and isinstance(event.get("votes"), list):
        told = event["votes"]
    by = str(event.get("actor")) if event.get("action") == IMPORT else None
    for record in told:
        try:
            yield parse_vote(record, imported_by=by)
        except (ValueError, TypeError):
            continue


def _parse_moment(at: str) -> datetime:
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise ValueError(f"at is {at!r:.40}, not a time such as 2026-01-31T12:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
