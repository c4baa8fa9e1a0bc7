"""What people say of single critiques: whether each one is right, and taking that back."""

from __future__ import annotations

import uuid
from pathlib import Path

from cai_core.actions.check import require
from cai_core.errors import CaiError
from cai_core.records import AccessRole, Actor, CritiqueVerdict
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.review_critiques import REVIEW, UNDO_REVIEW
from cai_core.workspace.review_fields import MAX_REASON, clean_text


def review_critique(
    actor: Actor,
    workspace: Path,
    *,
    chain: str,
    run: str,
    round: int,
    verdict: CritiqueVerdict,
    reason: str = "",
    blind: bool = False,
) -> str:
    """Say what a critique is worth. A reviewer's newest word of a critique counts.

    Args:
        chain: row id of the chain's initial response; `run` is the run that holds it.
        round: of the critique, from 1.
        blind: whether the reviewer saw neither the finding nor what others say.

    Returns:
        The review's id, by which `undo_review` takes it back.

    Raises:
        NotAllowedError: the actor may not review.
        CaiError: no such round or verdict, or the reason is longer than MAX_REASON characters.
        WorkspaceError: the journal cannot be written.
    """
    require(actor, AccessRole.REVIEWER, "review a critique")
    _check_round(round)
    if verdict not in list(CritiqueVerdict):
        known = ", ".join(CritiqueVerdict)
        raise CaiError(f"{verdict!r} is no verdict on a critique. Choose one of {known}.")
    text = clean_text(reason, "reason", MAX_REASON)
    review = uuid.uuid4().hex
    fields = {
        "review": review,
        "chain": chain,
        "run": run,
        "round": round,
        "verdict": str(verdict),
        "reason": text,
        "blind": bool(blind),
    }
    append_event(workspace, Topic.REVIEWS, actor, REVIEW, fields)
    return review


def undo_review(
    actor: Actor, workspace: Path, *, chain: str, run: str, round: int, review: str
) -> None:
    """Take back one of the actor's own reviews; what they said before it counts again.

    Args:
        review: its id. That of another's review, or one taken back already, changes nothing.

    Raises:
        NotAllowedError: the actor may not review.
        CaiError: no such round, or no id.
        WorkspaceError: the journal cannot be written.
    """
    require(actor, AccessRole.REVIEWER, "take a review back")
    _check_round(round)
    if not review:
        raise CaiError("There is no review to take back. Review the critique first.")
    fields = {"chain": chain, "run": run, "round": round, "undone": review}
    append_event(workspace, Topic.REVIEWS, actor, UNDO_REVIEW, fields)


def _check_round(round: int) -> None:
    if type(round) is not int or round < 1:
        raise CaiError(f"{round!r} is no round of a chain. Rounds are numbered from 1.")
