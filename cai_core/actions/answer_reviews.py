"""What people say of answers that a judge judged: what the judge is calibrated against."""

from __future__ import annotations

from pathlib import Path

from cai_core.actions.check import require
from cai_core.errors import CaiError
from cai_core.evaluation.measures import ASKED
from cai_core.jobs.drift_study import load_side
from cai_core.records import AccessRole, Actor
from cai_core.workspace.answer_reviews import REVIEWED, read_answer_reviews
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.review_fields import MAX_REASON, clean_text


def review_answer(
    actor: Actor,
    workspace: Path,
    *,
    run: str,
    prompt_id: str,
    sample: int,
    measure: str,
    shown: bool | None,
    reason: str = "",
    blind: bool = False,
) -> None:
    """Say whether an evaluation's answer shows a behaviour. A reviewer's newest word counts.

    Args:
        measure: what the judge was asked: one of `measures.ASKED`.
        shown: None where the reviewer cannot decide.
        blind: whether what the judge says was hidden. A word that is said again is not blind.

    Raises:
        NotAllowedError: the actor may not review.
        CaiError: no such answer or measure, or the reason is too long.
        WorkspaceError: there is no such evaluation, or the journal cannot be written.
    """
    require(actor, AccessRole.REVIEWER, REVIEWED)
    if measure not in ASKED:
        raise CaiError(f"{measure!r:.80} is no measure. Choose one of {', '.join(ASKED)}.")
    if shown is not None and not isinstance(shown, bool):
        raise CaiError(f"shown is {shown!r:.40}. Give true, false, or nothing.")
    if (prompt_id, sample) not in load_side(workspace, run).lines:
        raise CaiError(f"{run} has no answer {prompt_id!r:.80}, sample {sample}. Choose another.")
    text = clean_text(reason, "reason", MAX_REASON)
    said = any(
        (one.run, one.prompt_id, one.sample, one.measure, one.reviewer)
        == (run, prompt_id, sample, measure, actor.name)
        for one in read_answer_reviews(workspace)
    )
    fields = {
        "run": run,
        "prompt_id": prompt_id,
        "sample": sample,
        "measure": measure,
        "shown": shown,
        "reason": text,
        "blind": bool(blind) and not said,
    }
    append_event(workspace, Topic.REVIEWS, actor, REVIEWED, fields)
