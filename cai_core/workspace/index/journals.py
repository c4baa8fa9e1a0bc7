"""The audit log's journals into the index: events, and what reviews say of each chain."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from cai_core.errors import WorkspaceError
from cai_core.workspace.events import Topic, get_journal_path
from cai_core.workspace.index.prepare import clean
from cai_core.workspace.index.reviews import save_reviews
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.sources import SeenFile
from cai_core.workspace.index.transaction import insert, transaction
from cai_core.workspace.journal import is_header, read_lines
from cai_core.workspace.review_folding import is_review

_TEXT = pa.string()
_EVENTS = pa.schema(
    [
        ("topic", _TEXT),
        ("position", pa.int64()),
        ("happened", _TEXT),
        ("chain", _TEXT),
        ("record", _TEXT),
    ]
)
_MARKS = pa.schema(
    [
        ("chain", _TEXT),
        *((name, pa.bool_()) for name in ("saved", "flagged", "noted")),
        ("notes", _TEXT),
    ]
)


class JournalIngest:
    """Follows the journal of every topic. One thread at a time."""

    def __init__(self, con: Connection, workspace: Path):
        self._con = con
        self._workspace = workspace
        query = "select name, inode, done, damaged from files where run_number = 0"
        self._seen = {
            name: SeenFile(inode=inode, done=done, damaged=damaged)
            for name, inode, done, damaged in con.execute(query).fetchall()
        }

    def run_pass(self) -> list[str]:
        """Bring in what is new; returns what could not be read, in words."""
        problems = []
        for topic in Topic:
            try:
                self._read(topic)
            except (WorkspaceError, OSError) as error:
                problems.append(str(error))
        return problems

    def _read(self, topic: Topic) -> None:
        path = get_journal_path(self._workspace, topic)
        held = self._seen.get(topic.value)
        stat = path.stat() if path.exists() else None
        if held is not None and (
            stat is None or stat.st_ino != held.inode or stat.st_size < held.done
        ):
            self._forget(topic)
            held = None
        if stat is None or (held is not None and stat.st_size == held.done):
            return
        mine = SeenFile(inode=stat.st_ino)
        if held is not None:
            mine.done, mine.damaged = held.done, held.damaged
        events = []
        for line in read_lines(path, start=mine.done):
            mine.done = line.offset + line.length
            if line.record is None:
                mine.damaged += 1
            elif not is_header(line, path):
                events.append(_build_event(topic, line.offset, line.record))
        if mine != held:
            self._save(topic, mine, events)

    def _save(self, topic: Topic, mine: SeenFile, events: list[dict[str, Any]]) -> None:
        with transaction(self._con):
            if events:
                insert(self._con, "events", pa.Table.from_pylist(events, schema=_EVENTS))
            if topic is Topic.REVIEWS:
                said = [(e["chain"], json.loads(e["record"])) for e in events if e["chain"]]
                self._save_marks({chain for chain, event in said if not is_review(event)})
                save_reviews(self._con, {chain for chain, event in said if is_review(event)})
            self._con.execute("delete from files where run_number = 0 and name = ?", [topic.value])
            self._con.execute(
                "insert into files values (0, ?, ?, ?, ?, 0, 0, 0)",
                [topic.value, mine.inode, mine.done, mine.damaged],
            )
        self._seen[topic.value] = mine

    def _save_marks(self, chains: Iterable[str]) -> None:
        wanted = sorted(chains)
        if not wanted:
            return
        found = self._con.execute(
            "select chain, record from events "
            "where topic = ? and chain in (select unnest(?::varchar[])) order by position",
            [Topic.REVIEWS.value, wanted],
        ).fetchall()
        reviews: dict[str, list[dict[str, Any]]] = {}
        for chain, record in found:
            reviews.setdefault(chain, []).append(json.loads(record))
        self._con.execute(
            "delete from marks where chain in (select unnest(?::varchar[]))", [wanted]
        )
        marks = [{"chain": chain, **fold_marks(events)} for chain, events in reviews.items()]
        if marks:
            insert(self._con, "marks", pa.Table.from_pylist(marks, schema=_MARKS))

    def _forget(self, topic: Topic) -> None:
        """The journal is gone or another one: what it said is taken back."""
        with transaction(self._con):
            self._con.execute("delete from events where topic = ?", [topic.value])
            if topic is Topic.REVIEWS:
                self._con.execute("delete from marks")
                self._con.execute("delete from critique_reviews")
            self._con.execute("delete from files where run_number = 0 and name = ?", [topic.value])
        self._seen.pop(topic.value, None)


def fold_marks(reviews: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What a chain's reviews come to, oldest first: the last word counts, notes add up."""
    saved = flagged = False
    notes = []
    for review in reviews:
        if isinstance(value := review.get("saved"), bool):
            saved = value
        if isinstance(value := review.get("flagged"), bool):
            flagged = value
        if isinstance(text := review.get("note"), str) and text:
            at, actor = str(review.get("at", "")), str(review.get("actor", ""))
            notes.append({"at": at, "actor": actor, "text": text})
    return {"saved": saved, "flagged": flagged, "noted": bool(notes), "notes": json.dumps(notes)}


def _build_event(topic: Topic, position: int, record: dict[str, Any]) -> dict[str, Any]:
    return {
        "topic": topic.value,
        "position": position,
        "happened": clean(str(record.get("at", ""))),
        "chain": clean(str(record.get("chain", ""))) if topic is Topic.REVIEWS else "",
        # ASCII: the index cannot hold lone surrogates, and escapes give them back.
        "record": json.dumps(record),
    }
