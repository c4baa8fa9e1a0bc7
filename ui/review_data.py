"""A review queue as the page sees it now: its votes, live claims, and the labels it is about."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from cai_core.evaluation.review_queue import Standing, Tab, build_standing, sort_into_tabs
from cai_core.jobs.label_study import LabelStudy
from cai_core.workspace.review_claims import read_claims
from cai_core.workspace.review_queues import ReviewQueue, load_queue
from cai_core.workspace.review_votes import Vote, read_votes
from ui import services
from ui.labels_data import load_labels


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """What the page shows.

    Attributes:
        votes: that count, the oldest first.
        tabs: this reviewer's part of it.
    """

    queue: ReviewQueue
    votes: tuple[Vote, ...]
    standing: Standing
    tabs: Mapping[Tab, list[str]]

    def find_vote(self, comparison: str) -> Vote | None:
        """What this reviewer says of a comparison."""
        mine = (vote for vote in self.votes if vote.reviewer == services.actor().name)
        return next((vote for vote in mine if vote.comparison == comparison), None)

    def find_newest(self) -> Vote | None:
        """This reviewer's newest vote here: the one that Undo takes back."""
        name = services.actor().name
        mine = (v for v in reversed(self.votes) if v.reviewer == name and v.imported_by is None)
        return next(mine, None)


def load_view(queue: ReviewQueue) -> QueueView:
    """Read the queue's votes and claims."""
    votes = read_votes(services.workspace(), queue.queue_id)
    claims = read_claims(services.workspace(), queue.queue_id, now=time.time())
    standing = build_standing(votes, {who: claim.comparison for who, claim in claims.items()})
    tabs = sort_into_tabs(queue.comparisons, standing, services.actor().name, queue.overlap)
    return QueueView(queue=queue, votes=votes, standing=standing, tabs=tabs)


def find_queue(queue_id: str) -> ReviewQueue:
    """The queue that an address names.

    Raises:
        WorkspaceError: there is none, or its file was changed.
    """
    return load_queue(services.workspace(), queue_id)


def load_queue_labels(queue: ReviewQueue) -> LabelStudy:
    """The labels of the run that the queue is about.

    Raises:
        CaiError, OSError: they cannot be read, or the run is gone.
    """
    return load_labels(queue.run)
