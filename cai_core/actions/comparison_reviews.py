"""People's votes on comparisons: queues made, places claimed, votes given and taken back.

A claim is a lease and is not journalled; everything else is.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from cai_core.actions.check import require
from cai_core.errors import CaiError
from cai_core.evaluation.label_traits import LabelFilter, select_labels
from cai_core.evaluation.review_queue import (
    build_standing,
    choose_sample_size,
    draw_sample,
    find_next,
    is_open,
)
from cai_core.jobs.label_study import LabelStudy
from cai_core.records import AccessRole, Actor
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.review_claims import LEASE_SECONDS, Claim, hold_claims
from cai_core.workspace.review_queues import (
    MAX_OVERLAP,
    ReviewQueue,
    build_queue,
    load_queue,
    write_queue,
)
from cai_core.workspace.review_votes import (
    DISCARD,
    MADE,
    MAX_REASON,
    MAX_SECONDS,
    UNDO,
    VOTE,
    VoteChoice,
    find_newest_vote,
    has_ever_judged,
    read_votes,
)

MAX_NAME = 120


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
    if type(overlap) is not int or not 1 <= overlap <= MAX_OVERLAP:
        raise CaiError(f"overlap is {overlap!r}. Give a whole number from 1 to {MAX_OVERLAP}.")
    if width is not None and not 0 < width < 1:
        raise CaiError(f"width is {width!r}. Give more than 0 and less than 1.")
    found = [one.label.comparison_id for one in select_labels(study.examined, chosen)]
    if not found:
        raise CaiError("No comparison matches the filter. Change it, or clear it.")
    told = " ".join(name.split())
    if len(told) > MAX_NAME:
        raise CaiError(f"The name has {len(told)} characters. Shorten it to {MAX_NAME}.")
    comparisons = tuple(found)
    if width is not None:
        comparisons = draw_sample(found, choose_sample_size(width, len(found)), seed)
    queue = build_queue(
        name=told or study.run.run_id,
        run=study.run.run_id,
        comparisons=comparisons,
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


def claim_next(
    actor: Actor,
    workspace: Path,
    *,
    queue: str,
    after: str = "",
    backwards: bool = False,
    now: float | None = None,
) -> str | None:
    """Take the next comparison for a reviewer, and let go of the one they held.

    Args:
        after: skip this one and begin behind it; empty gives back what the reviewer holds already.
        now: Unix time in seconds; None asks the clock.

    Returns:
        The comparison's id; None where nothing is left for them, and what they held stays theirs.

    Raises:
        NotAllowedError: the actor may not review.
        WorkspaceError: no such queue, or the disk refuses.
    """
    require(actor, AccessRole.REVIEWER, "review comparisons")
    held = load_queue(workspace, queue)
    moment = time.time() if now is None else now
    with hold_claims(workspace, queue, now=moment) as claims:
        standing = build_standing(
            read_votes(workspace, queue),
            {who: claim.comparison for who, claim in claims.items()},
        )
        mine = claims.get(actor.name)
        if not after and mine and is_open(standing, mine.comparison, actor.name, held.overlap):
            found: str | None = mine.comparison
        else:
            found = find_next(
                held.comparisons,
                standing,
                actor.name,
                held.overlap,
                after=after,
                backwards=backwards,
            )
        if found is not None:
            claims[actor.name] = Claim(found, moment + LEASE_SECONDS)
        return found


def claim_comparison(
    actor: Actor, workspace: Path, *, queue: str, comparison: str, now: float | None = None
) -> bool:
    """Take this comparison for a reviewer, or renew their claim on it.

    Returns:
        False where others have taken every place of it, or the reviewer has judged it.

    Raises:
        NotAllowedError, WorkspaceError: as `claim_next`.
    """
    require(actor, AccessRole.REVIEWER, "review comparisons")
    held = load_queue(workspace, queue)
    if comparison not in held.comparisons:
        return False
    moment = time.time() if now is None else now
    with hold_claims(workspace, queue, now=moment) as claims:
        standing = build_standing(
            read_votes(workspace, queue),
            {who: claim.comparison for who, claim in claims.items()},
        )
        if not is_open(standing, comparison, actor.name, held.overlap):
            return False
        mine = claims.get(actor.name)
        # A page is drawn at every key: an hour of looking shall not be an hour of writing.
        fresh = mine is not None and mine.until - moment > 0.9 * LEASE_SECONDS
        if mine is None or mine.comparison != comparison or not fresh:
            claims[actor.name] = Claim(comparison, moment + LEASE_SECONDS)
        return True


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


def undo_vote(actor: Actor, workspace: Path, *, queue: str) -> str:
    """Take the actor's newest vote of a queue back; what they said before of it counts again.

    Returns:
        The comparison's id.

    Raises:
        NotAllowedError: the actor may not review.
        CaiError: they have given none here.
        WorkspaceError: no such queue, or the journal cannot be written.
    """
    require(actor, AccessRole.REVIEWER, "take a vote back")
    load_queue(workspace, queue)
    mine = find_newest_vote(workspace, queue, actor.name)
    if mine is None:
        raise CaiError("There is no vote of yours to take back. Vote first.")
    fields = {"queue": queue, "comparison": mine.comparison, "undone": mine.vote}
    append_event(workspace, Topic.REVIEWS, actor, UNDO, fields)
    return mine.comparison


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
    if comparison not in held.comparisons:
        raise CaiError(f"{comparison!r:.80} is not in the queue {held.name!r}. Choose another.")
    if shown_first not in ("A", "B"):
        raise CaiError(f"shown_first is {shown_first!r}. Give A or B.")
    text = reason.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()
    if len(text) > MAX_REASON:
        raise CaiError(f"The reason has {len(text)} characters. Shorten it to {MAX_REASON}.")
    vote = uuid.uuid4().hex
    fields = {
        "vote": vote,
        "queue": queue,
        "comparison": comparison,
        "choice": str(choice),
        "reason": text,
        "blind": bool(blind) and not has_ever_judged(workspace, queue, comparison, actor.name),
        "shown_first": shown_first,
        "seconds": round(min(MAX_SECONDS, max(0.0, seconds)), 1),
        "exposed": bool(exposed),
    }
    append_event(workspace, Topic.REVIEWS, actor, action, fields)
    with hold_claims(workspace, queue, now=time.time()) as claims:
        mine = claims.get(actor.name)
        if mine is not None and mine.comparison == comparison:
            del claims[actor.name]
    return vote
