"""A review queue as the page sees it now: its votes, live claims, and what they come to."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

from cai_core.evaluation.review_agreement import Agreement, measure_agreement
from cai_core.evaluation.review_critiques import CritiqueAgreement, measure_critiques
from cai_core.evaluation.review_queue import (
    Standing,
    Tab,
    build_tally_standing,
    sort_into_tabs,
)
from cai_core.jobs.label_study import LabelStudy
from cai_core.workspace.review_book import Position, Word
from cai_core.workspace.review_claims import read_claims
from cai_core.workspace.review_queues import ReviewQueue, load_queue
from cai_core.workspace.review_votes import find_position, read_looks, read_tally, read_words
from ui import services
from ui.labels_data import load_labels

T = TypeVar("T")
_MOST_HELD = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """What the page shows.

    Attributes:
        votes: that count, the oldest first. mine: this reviewer's, by item.
        tabs: this reviewer's part of it.
        looks: reviewer → what they have seen harmful text of.
        position: changes whenever votes or looks do.
    """

    queue: ReviewQueue
    votes: tuple[Any, ...]
    mine: Mapping[str, Any]
    standing: Standing
    tabs: Mapping[Tab, list[str]]
    looks: Mapping[str, frozenset[str]]
    position: Position

    def find_vote(self, item: str) -> Any | None:
        """What this reviewer says of it."""
        return self.mine.get(item)

    def find_newest(self) -> Word | None:
        """This reviewer's newest vote here: the one that Undo takes back."""
        own = (vote for vote in reversed(self.votes) if vote.imported_by is None)
        return next((vote for vote in own if vote.reviewer == services.actor().name), None)

    @property
    def exposures(self) -> int:
        """How many items this reviewer has seen harmful text of."""
        return len(self.looks.get(services.actor().name, ()))


def load_view(queue: ReviewQueue) -> QueueView:
    """Read the queue's votes and claims."""
    workspace, name = services.workspace(), services.actor().name
    position = find_position(workspace, queue.queue_id)
    votes = read_words(workspace, queue.queue_id)
    claims = read_claims(workspace, queue.queue_id, now=time.time())
    held = {who: claim.item for who, claim in claims.items()}
    standing = build_tally_standing(read_tally(workspace, queue.queue_id), held)
    return QueueView(
        queue=queue,
        votes=votes,
        mine={vote.item: vote for vote in votes if vote.reviewer == name},
        standing=standing,
        tabs=sort_into_tabs(queue.items, standing, name, queue.overlap),
        looks=read_looks(workspace, queue.queue_id),
        position=position,
    )


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


def load_agreement(view: QueueView, study: LabelStudy, reviewers: Sequence[str]) -> Agreement:
    """How far people agree on comparisons, measured once for each state of the votes."""
    return _keep(
        view,
        reviewers,
        study,
        lambda: measure_agreement(
            view.votes, study.examined, reviewers=reviewers, looks=view.looks
        ),
    )


def load_critique_agreement(view: QueueView, reviewers: Sequence[str]) -> CritiqueAgreement:
    """The same of critiques."""
    return _keep(
        view,
        reviewers,
        None,
        lambda: measure_critiques(
            view.votes, view.queue.rounds, reviewers=reviewers, looks=view.looks
        ),
    )


_lock = Lock()
# Workspace, queue, the journal's place, reviewers → the labels it was measured on, the result.
_held: OrderedDict[tuple[Any, ...], tuple[LabelStudy | None, Any]] = OrderedDict()


def _keep(
    view: QueueView, reviewers: Sequence[str], study: LabelStudy | None, measure: Callable[[], T]
) -> T:
    key = (services.workspace(), view.queue.queue_id, view.position, tuple(reviewers))
    with _lock:
        found = _held.get(key)
        if found is not None and found[0] is study:
            _held.move_to_end(key)
            return found[1]
    measured = measure()
    with _lock:
        _held[key] = (study, measured)
        while len(_held) > _MOST_HELD:
            _held.popitem(last=False)
    return measured
