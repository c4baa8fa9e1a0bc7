"""People's votes on comparisons: queues made, votes given."""

from __future__ import annotations

import uuid
from pathlib import Path

from cai_core.actions.check import require
from cai_core.errors import CaiError
from cai_core.evaluation.label_traits import LabelFilter, select_labels
from cai_core.evaluation.review_queue import choose_sample_size, draw_sample
from cai_core.jobs.label_study import LabelStudy
from cai_core.records import AccessRole, Actor
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.review_claims import let_go
from cai_core.workspace.review_fields import MAX_REASON, clean_text, round_seconds
from cai_core.workspace.review_queues import (
    ReviewQueue,
    build_queue,
    check_settings,
    load_queue,
    write_queue,
)
from cai_core.workspace.review_votes import DISCARD, MADE, VOTE, VoteChoice, has_ever_judged


def make_queue(
    actor: Actor,
    workspace: Path,
    *,
    study: LabelStudy,
    chosen: LabelFilter,
    name: str = "",
    width: float | None = None,
    overlap: int = 1,
    blind: bool = True,
    seed: int = 0,
) -> ReviewQueue:
    """Make a queue of a `label` run's comparisons; the same again is the same queue.

    Args:
        chosen: which of them.
        width: draw as many of these as give a rate's 95 % interval this width, in (0, 1); None
            takes all.
        overlap: how many reviewers shall judge each, in [1, MAX_OVERLAP].

    Raises:
        NotAllowedError: the actor may not review.
        CaiError: nothing is chosen, or a value is out of range.
        WorkspaceError: the disk refuses.
    """
    require(actor, AccessRole.REVIEWER, "make a review queue")
    told = check_settings(overlap=overlap, width=width, name=name)
    found = [one.label.comparison_id for one in select_labels(study.examined, chosen)]
    if not found:
        raise CaiError("No comparison matches the filter. Change it, or clear it.")
    comparisons = tuple(found)
    if width is not None:
        comparisons = draw_sample(found, choose_sample_size(width, len(found)), seed)
    queue = build_queue(
        name=told or study.run.run_id,
        run=study.run.run_id,
        items=comparisons,
        overlap=overlap,
        blind=bool(blind),
        selection=chosen.describe(),
        population=len(found),
        width=width,
        seed=seed,
    )
    write_queue(workspace, queue)
    fields = {
        "queue": queue.queue_id,
        "name": queue.name,
        "run": queue.run,
        "comparisons": len(comparisons),
        "selection": queue.selection,
    }
    append_event(workspace, Topic.REVIEWS, actor, MADE, fields)
    return queue


def vote_comparison(
    actor: Actor,
    workspace: Path,
    *,
    queue: str,
    comparison: str,
    choice: VoteChoice,
    reason: str = "",
    blind: bool,
    shown_first: str,
    seconds: float = 0.0,
    exposed: bool = False,
) -> str:
    """Say which response is better. A reviewer's newest word of a comparison counts.

    A vote is kept even where the claim ran out meanwhile: nobody's work is thrown away.

    Args:
        choice: A and B are the record's own, however they were shown.
        blind, shown_first, seconds, exposed: see `Vote`.

    Returns:
        The vote's id.

    Raises:
        NotAllowedError: the actor may not review.
        CaiError: the queue has no such comparison, or a value is out of range.
        WorkspaceError: no such queue, or the journal cannot be written.
    """
    require(actor, AccessRole.REVIEWER, VOTE)
    if choice is VoteChoice.DISCARDED or choice not in list(VoteChoice):
        known = ", ".join(one for one in VoteChoice if one is not VoteChoice.DISCARDED)
        raise CaiError(f"{choice!r} is no vote. Choose one of {known}.")
    return _say(
        actor,
        workspace,
        VOTE,
        queue=queue,
        comparison=comparison,
        choice=choice,
        reason=reason,
        blind=blind,
        shown_first=shown_first,
        seconds=seconds,
        exposed=exposed,
    )


def discard_comparison(
    actor: Actor,
    workspace: Path,
    *,
    queue: str,
    comparison: str,
    reason: str = "",
    blind: bool,
    shown_first: str,
    seconds: float = 0.0,
    exposed: bool = False,
) -> str:
    """Put a comparison aside that cannot be judged; others may still be given it.

    Returns, raises: as `vote_comparison`.
    """
    return _say(
        actor,
        workspace,
        DISCARD,
        queue=queue,
        comparison=comparison,
        choice=VoteChoice.DISCARDED,
        reason=reason,
        blind=blind,
        shown_first=shown_first,
        seconds=seconds,
        exposed=exposed,
    )


def _say(
    actor: Actor,
    workspace: Path,
    action: str,
    *,
    queue: str,
    comparison: str,
    choice: VoteChoice,
    reason: str,
    blind: bool,
    shown_first: str,
    seconds: float,
    exposed: bool,
) -> str:
    require(actor, AccessRole.REVIEWER, action)
    held = load_queue(workspace, queue)
    if comparison not in held.members:
        raise CaiError(f"{comparison!r:.80} is not in the queue {held.name!r}. Choose another.")
    if shown_first not in ("A", "B"):
        raise CaiError(f"shown_first is {shown_first!r}. Give A or B.")
    text = clean_text(reason, "reason", MAX_REASON)
    vote = uuid.uuid4().hex
    fields = {
        "vote": vote,
        "queue": queue,
        "comparison": comparison,
        "choice": str(choice),
        "reason": text,
        "blind": bool(blind) and not has_ever_judged(workspace, queue, comparison, actor.name),
        "shown_first": shown_first,
        "seconds": round_seconds(seconds),
        "exposed": bool(exposed),
    }
    append_event(workspace, Topic.REVIEWS, actor, action, fields)
    let_go(workspace, queue, actor.name, comparison)
    return vote
