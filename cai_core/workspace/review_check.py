"""Whether review queues and the votes in them belong together: what `verify` tells of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cai_core.errors import WorkspaceError
from cai_core.workspace.events import Topic, get_journal_path
from cai_core.workspace.journal import read_lines
from cai_core.workspace.review_queues import (
    ReviewQueue,
    get_queue_folder,
    is_queue_id,
    load_queue,
)
from cai_core.workspace.review_votes import list_said, read_makers

_CLAIMS = ".claims"


@dataclass(slots=True)
class ReviewTally:
    """What was looked at: queues, and votes of any queue."""

    queues: int = 0
    votes: int = 0
    # Queue without a file → its votes, and the journal's line of the first.
    lost: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)


def check_reviews(workspace: Path, tally: ReviewTally) -> Iterator[str]:
    """Every problem of the workspace's review queues, in words, each with its fix."""
    folder = get_queue_folder(workspace)
    queues: dict[str, ReviewQueue | None] = {}
    for path in sorted(folder.glob("*.json")):
        if path.stem.endswith(_CLAIMS) and is_queue_id(path.stem.removesuffix(_CLAIMS)):
            continue  # leases, which may be deleted
        if not is_queue_id(path.stem):
            yield f"{path}: no name of a review queue. Move it elsewhere."
            continue
        tally.queues += 1
        queues[path.stem] = None
        try:
            queues[path.stem] = load_queue(workspace, path.stem)
        except WorkspaceError as error:
            yield str(error)
    yield from _check_votes(workspace, queues, tally)
    makers = read_makers(workspace)
    for name in sorted(makers.keys() - queues.keys()):
        lost = tally.lost.pop(name, 0)
        yield (
            f"{folder / f'{name}.json'}: the journal names this review queue and it is gone, "
            f"{lost} votes with it. Restore it from a backup."
        )
    journal = get_journal_path(workspace, Topic.REVIEWS)
    for name, count in sorted(tally.lost.items()):
        yield (
            f"{journal}:{tally.first[name]}: a vote in the review queue {name!r:.60}, which nobody "
            f"made and of which there is no file ({count} such votes). They count nowhere; bring "
            "the queue's file here, or leave them."
        )


def _check_votes(
    workspace: Path, queues: Mapping[str, ReviewQueue | None], tally: ReviewTally
) -> Iterator[str]:
    path = get_journal_path(workspace, Topic.REVIEWS)
    for line in read_lines(path):
        if line.record is None:
            continue  # told by who checks the journal's chain
        where = f"{path}:{line.number}"
        for record, parse, by in list_said(line.record):
            tally.votes += 1
            try:
                vote = parse(record, imported_by=by)
            except (ValueError, TypeError) as error:
                yield f"{where}: no vote: {error}. It is skipped."
                continue
            if vote.queue not in queues:
                tally.lost[vote.queue] += 1
                tally.first.setdefault(vote.queue, line.number)
                continue
            queue = queues[vote.queue]  # None: told already
            if queue is not None and vote.item not in queue.members:
                yield (
                    f"{where}: a vote on {vote.item!r:.60}, which the review queue {vote.queue} "
                    "does not hold. Restore the journal or the queue from a backup."
                )
