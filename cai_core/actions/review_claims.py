"""Places in a review queue claimed, looks noted, votes taken back, whatever it is made of.

A claim is a lease and is not journalled; the others are.
"""

from __future__ import annotations

import time
from pathlib import Path

from cai_core.actions.check import require
from cai_core.errors import CaiError
from cai_core.evaluation.review_queue import Standing, build_tally_standing, find_next, is_open
from cai_core.records import AccessRole, Actor
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.review_claims import LEASE_SECONDS, Claim, hold_claims
from cai_core.workspace.review_critiques import UNDO_REVIEW, CritiqueVote
from cai_core.workspace.review_queues import load_queue
from cai_core.workspace.review_votes import LOOK, UNDO, find_newest_word, read_tally


def claim_next(
    actor: Actor,
    workspace: Path,
    *,
    queue: str,
    after: str = "",
    backwards: bool = False,
    now: float | None = None,
) -> str | None:
    """Take the next comparison or critique for a reviewer, and let go of the one they held.

    Args:
        after: skip this one and begin behind it; empty gives back what the reviewer holds already.
        now: Unix time in seconds; None asks the clock.

    Returns:
        Its id; None where nothing is left for them, and what they held stays theirs.

    Raises:
        NotAllowedError: the actor may not review.
        WorkspaceError: no such queue, or the disk refuses.
    """
    require(actor, AccessRole.REVIEWER, "review a queue")
    held = load_queue(workspace, queue)
    moment = time.time() if now is None else now
    with hold_claims(workspace, queue, now=moment) as claims:
        standing = _sum_up(workspace, queue, claims)
        mine = claims.get(actor.name)
        if not after and mine and is_open(standing, mine.item, actor.name, held.overlap):
            found: str | None = mine.item
        else:
            found = find_next(
                held.items,
                standing,
                actor.name,
                held.overlap,
                after=after,
                backwards=backwards,
            )
        if found is not None:
            _lease(claims, actor.name, found, moment)
        return found


def claim_item(
    actor: Actor, workspace: Path, *, queue: str, item: str, now: float | None = None
) -> bool:
    """Take this comparison or critique for a reviewer, or renew their claim on it.

    Returns:
        False where others have taken every place of it, or the reviewer has judged it.

    Raises:
        NotAllowedError, WorkspaceError: as `claim_next`.
    """
    require(actor, AccessRole.REVIEWER, "review a queue")
    held = load_queue(workspace, queue)
    if item not in held.members:
        return False
    moment = time.time() if now is None else now
    with hold_claims(workspace, queue, now=moment) as claims:
        if not is_open(_sum_up(workspace, queue, claims), item, actor.name, held.overlap):
            return False
        _lease(claims, actor.name, item, moment)
        return True


def undo_vote(actor: Actor, workspace: Path, *, queue: str) -> str:
    """Take the actor's newest vote of a queue back; what they said before of it counts again.

    Returns:
        The id of what it was about.

    Raises:
        NotAllowedError: the actor may not review.
        CaiError: they have given none here.
        WorkspaceError: no such queue, or the journal cannot be written.
    """
    require(actor, AccessRole.REVIEWER, "take a vote back")
    load_queue(workspace, queue)
    mine = find_newest_word(workspace, queue, actor.name)
    if mine is None:
        raise CaiError("There is no vote of yours to take back. Vote first.")
    fields = {"queue": queue, "undone": mine.vote}
    if isinstance(mine, CritiqueVote):
        where = {"chain": mine.chain, "round": mine.round}
        append_event(workspace, Topic.REVIEWS, actor, UNDO_REVIEW, {**fields, **where})
    else:
        append_event(workspace, Topic.REVIEWS, actor, UNDO, {**fields, "comparison": mine.item})
    return mine.item


def note_look(actor: Actor, workspace: Path, *, queue: str, item: str) -> None:
    """Keep that a reviewer has seen harmful text of it, voted on or not.

    Raises:
        NotAllowedError: the actor may not review.
        CaiError: the queue has no such item.
        WorkspaceError: no such queue, or the journal cannot be written.
    """
    require(actor, AccessRole.REVIEWER, LOOK)
    held = load_queue(workspace, queue)
    if item not in held.members:
        raise CaiError(f"{item!r:.80} is not in the queue {held.name!r}. Choose another.")
    append_event(workspace, Topic.REVIEWS, actor, LOOK, {"queue": queue, "item": item})


def _sum_up(workspace: Path, queue: str, claims: dict[str, Claim]) -> Standing:
    held = {who: claim.item for who, claim in claims.items()}
    return build_tally_standing(read_tally(workspace, queue), held)


def _lease(claims: dict[str, Claim], who: str, item: str, moment: float) -> None:
    mine = claims.get(who)
    # A page is drawn at every key: an hour of looking shall not be an hour of writing.
    fresh = mine is not None and mine.until - moment > 0.9 * LEASE_SECONDS
    if mine is None or mine.item != item or not fresh:
        claims[who] = Claim(item, moment + LEASE_SECONDS)
