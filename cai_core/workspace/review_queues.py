"""Review queues: what people shall judge, and how. Immutable.

Comparisons of a `label` run, or critiques of any runs.

queues/<id>.json    the id is a hash of its content; the journal says who made it, and when
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from cai_core.errors import CaiError, WorkspaceError
from cai_core.records import content_hash
from cai_core.workspace.files import replace_file
from cai_core.workspace.review_critiques import build_item
from cai_core.workspace.review_votes import read_makers

FORMAT = 1
MAX_OVERLAP = 9
MAX_NAME = 120
QueueKind = Literal["comparisons", "critiques"]
KINDS: tuple[QueueKind, ...] = get_args(QueueKind)
_ID = re.compile(r"[0-9a-f]{16}")
_SHARED = ("name", "run", "overlap", "blind", "selection", "population", "width", "seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedRound:
    """A critique to be judged, with what its rows say of it.

    Attributes:
        chain: row id of the chain's initial response. round: of the critique, from 1.
        run, principle, model: ids; `model` is the critic.
        finding: a `Finding`'s word; empty where the row has none.
        kind: a `PromptKind`'s word.
    """

    chain: str
    round: int
    run: str
    principle: str
    model: str
    finding: str
    kind: str

    @property
    def item(self) -> str:
        """Its id in a queue."""
        return build_item(self.chain, self.round)


@dataclass(frozen=True, kw_only=True)
class ReviewQueue:
    """What is to be judged, and how.

    Attributes:
        queue_id: 16 hex digits, a hash of what follows but `at` and `actor`.
        kind: what it is made of; files of queues without one hold comparisons.
        run: id of the run; of critiques, empty where they are several runs'.
        items: ids of the comparisons, or of the critiques (`build_item`), in the queue's order.
        rounds: of critiques, in the same order; else empty.
        overlap: how many reviewers shall judge each, in [1, MAX_OVERLAP].
        blind: whether principle, models, the AI's finding or label and others' votes stay hidden
            from a reviewer until they have voted.
        selection: which of all there are, in words; empty where any.
        population: how many the selection has.
        width: of the 95 % interval that the sample was drawn for, in (0, 1); None where the queue
            has the whole selection.
        seed: of the drawing.
        at, actor: when it was made and by whom; empty where no journal tells.
    """

    queue_id: str
    name: str
    run: str
    items: tuple[str, ...]
    overlap: int
    blind: bool
    selection: str
    population: int
    width: float | None
    seed: int
    kind: QueueKind = "comparisons"
    rounds: tuple[QueuedRound, ...] = ()
    at: str = ""
    actor: str = ""

    @cached_property
    def by_item(self) -> dict[str, QueuedRound]:
        """Item → its round; empty for comparisons."""
        return {one.item: one for one in self.rounds}

    @cached_property
    def members(self) -> frozenset[str]:
        """The items, to look one up."""
        return frozenset(self.items)

    def as_dict(self) -> dict[str, Any]:
        """The content of its file."""
        shared = {name: getattr(self, name) for name in _SHARED}
        if self.kind == "comparisons":
            return {**shared, "comparisons": list(self.items)}
        return {**shared, "kind": self.kind, "rounds": [list(astuple(one)) for one in self.rounds]}


def build_queue(
    *, rounds: Iterable[QueuedRound] = (), items: Iterable[str] = (), **content: Any
) -> ReviewQueue:
    """A queue of this content, under its id: of rounds where there are some, else of items."""
    told = tuple(rounds)
    queue = ReviewQueue(
        queue_id="",
        kind="critiques" if told else "comparisons",
        rounds=told,
        items=tuple(one.item for one in told) or tuple(items),
        **content,
    )
    return replace(queue, queue_id=_build_id(queue.as_dict()))


def check_settings(*, overlap: int, width: float | None, name: str) -> str:
    """Refuse what makes no queue; the name as it is kept.

    Raises:
        CaiError: a value is out of range.
    """
    if type(overlap) is not int or not 1 <= overlap <= MAX_OVERLAP:
        raise CaiError(f"overlap is {overlap!r}. Give a whole number from 1 to {MAX_OVERLAP}.")
    if width is not None and not 0 < width < 1:
        raise CaiError(f"width is {width!r}. Give more than 0 and less than 1.")
    told = " ".join(name.split())
    if len(told) > MAX_NAME:
        raise CaiError(f"The name has {len(told)} characters. Shorten it to {MAX_NAME}.")
    return told


def get_queue_folder(workspace: Path) -> Path:
    """Where queues lie."""
    return workspace / "queues"


def is_queue_id(name: str) -> bool:
    """Whether it has the form of a queue's id; nothing is looked for."""
    return _ID.fullmatch(name) is not None


def load_queue(workspace: Path, queue_id: str) -> ReviewQueue:
    """Read a queue's file, without what the journal says of it.

    Raises:
        WorkspaceError: no queue of that id, or its file was changed.
    """
    if not is_queue_id(queue_id):
        raise WorkspaceError(f"{queue_id!r:.80} is no review queue's id. Choose one of the list.")
    path = get_queue_folder(workspace) / f"{queue_id}.json"
    try:
        stat = path.stat()
    except OSError as error:
        raise WorkspaceError(
            f"{path}: cannot be read: {error.strerror}. Choose another queue, or make a new one."
        ) from error
    return _load(path, stat.st_mtime_ns, stat.st_size)


def list_queues(workspace: Path) -> tuple[list[ReviewQueue], list[str]]:
    """Every queue, the one made last first, and what could not be read, in words."""
    made = read_makers(workspace)
    queues, unread = [], []
    for path in get_queue_folder(workspace).glob("*.json"):
        if not is_queue_id(path.stem):
            continue  # the claims beside it
        try:
            at, actor = made.get(path.stem, ("", ""))
            queues.append(replace(load_queue(workspace, path.stem), at=at, actor=actor))
        except WorkspaceError as error:
            unread.append(str(error))
    return sorted(queues, key=lambda one: (one.at, one.queue_id), reverse=True), unread


def write_queue(workspace: Path, queue: ReviewQueue) -> None:
    """Write a queue's file. Only `cai_core.actions` calls this.

    Raises:
        WorkspaceError: the disk refuses.
    """
    folder = get_queue_folder(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": FORMAT, **queue.as_dict()}, indent=1) + "\n"
    replace_file(folder / f"{queue.queue_id}.json", [text.encode()])


@lru_cache(maxsize=64)
def _load(path: Path, _changed: int, _size: int) -> ReviewQueue:
    try:
        document = json.loads(path.read_bytes())
        if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
            raise ValueError("another format")
        if _build_id(document) != path.stem:
            raise ValueError("its content's hash is not its name: it was changed")
        return _parse(document)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise WorkspaceError(
            f"{path}: no review queue: {error}. Bring it back from a backup, or delete it."
        ) from error


def _parse(document: dict[str, Any]) -> ReviewQueue:
    names = tuple(QueuedRound.__dataclass_fields__)
    if document.pop("kind", "comparisons") == "comparisons":
        return build_queue(items=document.pop("comparisons"), **document)
    rows = document.pop("rounds")
    rounds = [QueuedRound(**dict(zip(names, row, strict=True))) for row in rows]
    return build_queue(rounds=rounds, **document)


def _build_id(content: Mapping[str, Any]) -> str:
    return content_hash(dict(content))[:16]
