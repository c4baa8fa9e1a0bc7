"""People's verdicts on critiques in queues: queues made, verdicts given, revisions written.

A verdict is the same event as one given beside its chain, with the queue's id: whatever reads
reviews of critiques counts both.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from cai_core.actions.check import require
from cai_core.errors import CaiError
from cai_core.evaluation.review_queue import choose_sample_size, draw_sample
from cai_core.records import AccessRole, Actor, CritiqueVerdict
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.review_claims import let_go
from cai_core.workspace.review_critiques import (
    DISCARDED,
    MAX_REVISION,
    PUT_ASIDE,
    REVIEW,
    build_item,
)
from cai_core.workspace.review_fields import MAX_REASON, clean_text, round_seconds
from cai_core.workspace.review_queues import (
    ReviewQueue,
    build_queue,
    check_settings,
    load_queue,
    write_queue,
)
from cai_core.workspace.review_rounds import RoundsFound
from cai_core.workspace.review_votes import MADE, has_ever_judged


def make_critique_queue(
    actor: Actor,
    workspace: Path,
    *,
    found: RoundsFound,
    selection: str = "",
    name: str = "",
    width: float | None = None,
    overlap: int = 1,
    blind: bool = True,
    seed: int = 0,
) -> ReviewQueue:
    """Make a queue of critiques; the same again is the same queue.

    Args:
        found: what a filter finds (`find_rounds`); `selection` is that filter in words.
        width: draw as many of these as give a rate's 95 % interval this width, in (0, 1); None
            takes all.
        overlap: how many reviewers shall judge each, in [1, MAX_OVERLAP].

    Raises:
        NotAllowedError: the actor may not review.
        CaiError: nothing is found, more is asked for than a queue holds, or a value is out of
            range.
        WorkspaceError: the disk refuses.
    """
    require(actor, AccessRole.REVIEWER, "make a review queue")
    told = check_settings(overlap=overlap, width=width, name=name)
    rounds = found.rounds
    if not rounds:
        raise CaiError("No critique matches the filter. Change it, or clear it.")
    size = found.population if width is None else choose_sample_size(width, found.population)
    if size > len(rounds):
        raise CaiError(
            f"That takes {size:,} of {found.population:,} critiques, and a queue holds "
            f"{len(rounds):,}. Give a wider interval, or narrow the filter."
        )
    if width is not None:
        rounds = draw_sample(rounds, size, seed)
    runs = {one.run for one in rounds}
    run = runs.pop() if len(runs) == 1 else ""
    queue = build_queue(
        # The selection may name what a blind queue hides.
        name=told or run or "Critiques",
        run=run,
        rounds=rounds,
        overlap=overlap,
        blind=bool(blind),
        selection=selection,
        population=found.population,
        width=width,
        seed=seed,
    )
    write_queue(workspace, queue)
    fields = {
        "queue": queue.queue_id,
        "name": queue.name,
        "run": queue.run,
        "critiques": len(rounds),
        "selection": queue.selection,
    }
    append_event(workspace, Topic.REVIEWS, actor, MADE, fields)
    return queue


def vote_critique(
    actor: Actor,
    workspace: Path,
    *,
    queue: str,
    item: str,
    verdict: CritiqueVerdict,
    reason: str = "",
    revision: str = "",
    blind: bool,
    seconds: float = 0.0,
    exposed: bool = False,
) -> str:
    """Say what a critique is worth. A reviewer's newest word of it counts.

    A vote is kept even where the claim ran out meanwhile: nobody's work is thrown away.

    Args:
        item: of the queue.
        revision: the text that the reviewer would have instead of the model's revision, which
            stays; empty where they leave it as it is.
        blind, seconds, exposed: see `CritiqueVote`.

    Returns:
        The vote's id.

    Raises:
        NotAllowedError: the actor may not review.
        CaiError: the queue has no such critique, or a value is out of range.
        WorkspaceError: no such queue, or the journal cannot be written.
    """
    require(actor, AccessRole.REVIEWER, REVIEW)
    if verdict not in list(CritiqueVerdict):
        known = ", ".join(CritiqueVerdict)
        raise CaiError(f"{verdict!r} is no verdict on a critique. Choose one of {known}.")
    return _say(
        actor,
        workspace,
        REVIEW,
        queue=queue,
        item=item,
        verdict=verdict.value,
        reason=reason,
        revision=revision,
        blind=blind,
        seconds=seconds,
        exposed=exposed,
    )


def discard_critique(
    actor: Actor,
    workspace: Path,
    *,
    queue: str,
    item: str,
    reason: str = "",
    blind: bool,
    seconds: float = 0.0,
    exposed: bool = False,
) -> str:
    """Put a critique aside that cannot be judged; others may still be given it.

    Returns, raises: as `vote_critique`.
    """
    return _say(
        actor,
        workspace,
        PUT_ASIDE,
        queue=queue,
        item=item,
        verdict=DISCARDED,
        reason=reason,
        revision="",
        blind=blind,
        seconds=seconds,
        exposed=exposed,
    )


def _say(
    actor: Actor,
    workspace: Path,
    action: str,
    *,
    queue: str,
    item: str,
    verdict: str,
    reason: str,
    revision: str,
    blind: bool,
    seconds: float,
    exposed: bool,
) -> str:
    require(actor, AccessRole.REVIEWER, action)
    held = load_queue(workspace, queue)
    round_ = held.by_item.get(item)
    if round_ is None:
        raise CaiError(f"{item!r:.80} is not in the queue {held.name!r}. Choose another.")
    review = uuid.uuid4().hex
    fields = {
        "review": review,
        "queue": queue,
        "chain": round_.chain,
        "run": round_.run,
        "round": round_.round,
        "verdict": verdict,
        "reason": clean_text(reason, "reason", MAX_REASON),
        "revision": clean_text(revision, "revision", MAX_REVISION),
        "blind": bool(blind) and not has_ever_judged(workspace, queue, item, actor.name),
        "seconds": round_seconds(seconds),
        "exposed": bool(exposed),
    }
    append_event(workspace, Topic.REVIEWS, actor, action, fields)
    let_go(workspace, queue, actor.name, build_item(round_.chain, round_.round))
    return review
