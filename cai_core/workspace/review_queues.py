"""Review queues: which comparisons of a `label` run people shall judge, and how. Immutable.

queues/<id>.json    the id is a hash of its content; the journal says who made it, and when
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from cai_core.errors import WorkspaceError
from cai_core.records import content_hash
from cai_core.workspace.files import replace_file
from cai_core.workspace.review_votes import read_makers

FORMAT = 1
MAX_OVERLAP = 9
_ID = re.compile(r"[0-9a-f]{16}")
# Not of the content: where it is kept, and what the journal says of it.
_OUTSIDE = ("queue_id", "at", "actor")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewQueue:
    """Comparisons to be judged.

    Attributes:
        queue_id: 16 hex digits, a hash of what follows but `at` and `actor`.
        run: id of the `label` run. comparisons: ids of its comparisons, in the queue's order.
        overlap: how many reviewers shall judge each, in [1, MAX_OVERLAP].
        blind: whether principle, models, the AI label and others' votes stay hidden from a
            reviewer until they have voted.
        selection: which of the run's comparisons, in words; empty where any.
        population: how many the selection has.
        width: of the 95 % interval that the sample was drawn for, in (0, 1); None where the queue
            has the whole selection.
        seed: of the drawing.
        at, actor: when it was made and by whom; empty where no journal tells.
    """

    queue_id: str
    name: str
    run: str
    comparisons: tuple[str, ...]
    overlap: int
    blind: bool
    selection: str
    population: int
    width: float | None
    seed: int
    at: str = ""
    actor: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The content of its file."""
        plain = asdict(self)
        return {name: plain[name] for name in plain if name not in _OUTSIDE}


def build_queue(**content: Any) -> ReviewQueue:
    """A queue of this content, under its id."""
    queue = ReviewQueue(queue_id="", **content)
    return replace(queue, queue_id=_build_id(queue.as_dict()))


def get_queue_folder(workspace: Path) -> Path:
    """Where queues lie."""
    return workspace / "queues"


def load_queue(workspace: Path, queue_id: str) -> ReviewQueue:
    """Read a queue's file, without what the journal says of it.

    Raises:
        WorkspaceError: no queue of that id, or its file was changed.
    """
    if not _ID.fullmatch(queue_id):
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
        if not _ID.fullmatch(path.stem):
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
        return ReviewQueue(
            queue_id=path.stem, **{**document, "comparisons": tuple(document["comparisons"])}
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise WorkspaceError(
            f"{path}: no review queue: {error}. Bring it back from a backup, or delete it."
        ) from error


def _build_id(content: Mapping[str, Any]) -> str:
    return content_hash({**content, "comparisons": list(content["comparisons"])})[:16]
