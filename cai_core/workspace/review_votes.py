"""What people say of comparisons and critiques in review queues, out of the journal of reviews."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from cai_core.records import Verdict
from cai_core.workspace.events import Topic, get_journal_path
from cai_core.workspace.review_book import Book, Look, Made, Position, Tally, Undone, Word
from cai_core.workspace.review_critiques import (
    PUT_ASIDE,
    REVIEW,
    UNDO_REVIEW,
    CritiqueVote,
    build_item,
    parse_critique_vote,
)
from cai_core.workspace.review_fields import (
    MAX_REASON,
    check_flags,
    check_seconds,
    check_texts,
    parse_moment,
)

MADE = "make review queue"
VOTE, DISCARD, UNDO, IMPORT = (
    "vote on comparison",
    "discard comparison",
    "undo vote",
    "import votes",
)
LOOK = "look at harmful text"
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
    def item(self) -> str:
        """The comparison, as queues call what is judged."""
        return self.comparison

    @property
    def discarded(self) -> bool:
        """Whether it was put aside."""
        return self.choice is VoteChoice.DISCARDED

    @property
    def verdict(self) -> Verdict | None:
        """As a label's verdict, `both bad` as a tie; None where it was discarded."""
        return _VERDICTS.get(self.choice)

    @property
    def moment(self) -> datetime:
        """When."""
        return parse_moment(self.at)

    def as_dict(self) -> dict[str, Any]:
        """The line of an export; `parse_vote` is the inverse."""
        plain = {**asdict(self), "choice": self.choice.value}
        del plain["imported_by"]
        return plain


FIELDS = tuple(name for name in Vote.__dataclass_fields__ if name != "imported_by")
AnyVote = Vote | CritiqueVote


def parse_vote(record: Mapping[str, Any], *, imported_by: str | None = None) -> Vote:
    """Read the plain form of a vote.

    Raises:
        ValueError: it is none; the message says which key is wrong.
    """
    check_texts(record, FIELDS, _TEXTS, ("reason", "choice"), {"reason": MAX_REASON})
    check_flags(record, ("blind", "exposed"))
    if record["choice"] not in list(VoteChoice):
        raise ValueError(f"choice is {record['choice']!r:.40}, not one of {', '.join(VoteChoice)}")
    if record["shown_first"] not in ("A", "B"):
        raise ValueError(f"shown_first is {record['shown_first']!r:.40}, not A or B")
    check_seconds(record["seconds"])
    parse_moment(record["at"])
    told = {name: record[name] for name in FIELDS}
    return Vote(
        **{**told, "choice": VoteChoice(told["choice"]), "seconds": float(told["seconds"])},
        imported_by=imported_by,
    )


def read_votes(workspace: Path, queue: str) -> tuple[Vote, ...]:
    """What counts in a queue of comparisons: each reviewer's word of each, the oldest first.

    Only what is new in the journal is read; events that are no votes, or broken ones, say nothing.
    """
    return tuple(vote for vote in read_words(workspace, queue) if isinstance(vote, Vote))


def read_votes_in(workspace: Path, queues: Iterable[str]) -> tuple[Vote, ...]:
    """The same of several queues together."""
    with _open_book(workspace) as book:
        words = book.list_standing_in(queues)
    return tuple(vote for vote in words if isinstance(vote, Vote))


def read_critique_votes(workspace: Path, queue: str) -> tuple[CritiqueVote, ...]:
    """The same of a queue of critiques."""
    return tuple(vote for vote in read_words(workspace, queue) if isinstance(vote, CritiqueVote))


def read_words(workspace: Path, queue: str) -> tuple[Word, ...]:
    """The same of a queue of either kind; the same object while nothing changes."""
    with _open_book(workspace) as book:
        return book.list_standing(queue)


def read_every_word(workspace: Path, queue: str) -> list[Word]:
    """The same with what newer words replaced, and what was taken back."""
    with _open_book(workspace) as book:
        return book.list_ever(queue)


def read_tally(workspace: Path, queue: str) -> Tally:
    """Who has judged what of a queue."""
    with _open_book(workspace) as book:
        return book.get_tally(queue)


def read_looks(workspace: Path, queue: str) -> dict[str, frozenset[str]]:
    """Reviewer → what they have seen harmful text of, whether they voted on it or not."""
    with _open_book(workspace) as book:
        looks = book.get_looks(queue)
        votes = book.list_standing(queue)
    seen: dict[str, set[str]] = {who: set(items) for who, items in looks.items()}
    for vote in votes:
        if isinstance(vote, Vote | CritiqueVote) and vote.exposed:
            seen.setdefault(vote.reviewer, set()).add(vote.item)
    return {who: frozenset(items) for who, items in seen.items()}


def list_revisions(workspace: Path, chain: str) -> tuple[CritiqueVote, ...]:
    """Votes on a chain's critiques, in any queue, that hold a person's revision."""
    with _open_book(workspace) as book:
        words = [word for queue in book.list_queues() for word in book.list_standing(queue)]
    return tuple(
        word
        for word in words
        if isinstance(word, CritiqueVote) and word.revision and word.chain == chain
    )


def find_position(workspace: Path, queue: str) -> Position:
    """What changes whenever the words of a queue do: the journal's last place about it."""
    with _open_book(workspace) as book:
        return book.get_position(queue)


def find_newest_word(workspace: Path, queue: str, reviewer: str) -> Word | None:
    """What a reviewer said here last and has not taken back; None where there is nothing.

    The journal's order tells, not the clock: two votes may fall in one millisecond.
    """
    with _open_book(workspace) as book:
        return book.find_newest(queue, reviewer)


def read_makers(workspace: Path) -> dict[str, tuple[str, str]]:
    """Queue → when it was made first, and by whom."""
    with _open_book(workspace) as book:
        return dict(book.makers)


def has_ever_judged(workspace: Path, queue: str, item: str, reviewer: str) -> bool:
    """Whether a reviewer has judged it here before, taken back or not.

    They have been told then what a blind queue hides.
    """
    with _open_book(workspace) as book:
        return book.has_ever_judged(queue, item, reviewer)


_lock = threading.Lock()
_MOST_BOOKS = 16
_books: dict[Path, Book] = {}


@contextmanager
def _open_book(workspace: Path) -> Iterator[Book]:
    """The workspace's votes up to now; nobody else reads on meanwhile."""
    path = get_journal_path(workspace, Topic.REVIEWS)
    with _lock:
        book = _books.setdefault(path, Book(path, read_event))
        if len(_books) > _MOST_BOOKS:
            del _books[next(name for name in _books if name != path)]
        book.catch_up()
        yield book


def read_event(event: Mapping[str, Any]) -> Iterator[Word | Undone | Made | Look]:
    """What an event of the journal of reviews says of queues; nothing where it is broken."""
    action = event.get("action")
    if action == MADE:
        at, actor = str(event.get("at", "")), str(event.get("actor", ""))
        yield Made(queue=str(event.get("queue")), at=at, actor=actor)
    elif action == UNDO:
        yield _read_undone(event, str(event.get("comparison")))
    elif action == UNDO_REVIEW:
        yield _read_undone(event, build_item(str(event.get("chain")), _round(event)))
    elif action == LOOK and isinstance(event.get("item"), str):
        queue, actor = str(event.get("queue")), str(event.get("actor"))
        yield Look(queue=queue, item=event["item"], reviewer=actor)
    for record, parse, by in list_said(event):
        try:
            yield parse(record, imported_by=by)
        except (ValueError, TypeError):
            continue


_Parse = Callable[..., Word]


def list_said(event: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], _Parse, str | None]]:
    """The plain votes that an event holds, how each is read, and who brought it in, if so."""
    action, actor = event.get("action"), event.get("actor")
    if action in (VOTE, DISCARD):
        yield {**event, "reviewer": actor}, parse_vote, None
    elif action in (REVIEW, PUT_ASIDE) and "queue" in event:
        told = {"vote": event.get("review"), "reviewer": actor, "revision": ""}
        yield {**told, **event}, parse_critique_vote, None
    elif action == IMPORT:
        votes = event.get("votes")
        for record in votes if isinstance(votes, list) else ():
            if isinstance(record, dict):
                parse = parse_critique_vote if "chain" in record else parse_vote
                yield record, parse, str(actor)


def _read_undone(event: Mapping[str, Any], item: str) -> Undone:
    return Undone(
        vote=str(event.get("undone")),
        item=item,
        reviewer=str(event.get("actor")),
        queue=str(event.get("queue") or ""),
    )


def _round(event: Mapping[str, Any]) -> int:
    told = event.get("round")
    return told if type(told) is int else 0
