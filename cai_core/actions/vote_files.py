"""Votes of a review queue as files: taken out with a data card, and brought in again."""

from __future__ import annotations

from pathlib import Path

from cai_core.actions.check import require
from cai_core.errors import CaiError, WorkspaceError
from cai_core.evaluation.review_agreement import measure_agreement
from cai_core.evaluation.review_export import (
    VoteFormat,
    VotesRead,
    build_votes_card,
    build_votes_file,
    parse_votes,
)
from cai_core.jobs.label_study import LabelStudy, load_study
from cai_core.pipeline.human_labels import Disputed
from cai_core.records import AccessRole, Actor
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.files import replace_file
from cai_core.workspace.review_queues import ReviewQueue, load_queue
from cai_core.workspace.review_votes import IMPORT, read_votes

# More in one line of the journal would be slow to read back.
_VOTES_AN_EVENT = 500


def export_votes(
    actor: Actor,
    workspace: Path,
    *,
    queue: str,
    format: VoteFormat,
    study: LabelStudy | None = None,
    disputed: Disputed = "drop",
) -> tuple[bytes, str]:
    """A queue's votes as a file, and the data card of it; journalled.

    Args:
        study: of the queue's run, for what the card says of the agreement; None leaves that out.
        disputed: see `settle_people`; of the format `human` alone.

    Raises:
        NotAllowedError: the actor may not export.
        CaiError: there is no such format.
        WorkspaceError: no such queue.
    """
    require(actor, AccessRole.REVIEWER, "export votes")
    held, votes = load_queue(workspace, queue), read_votes(workspace, queue)
    file = build_votes_file(votes, format, disputed=disputed)
    agreement = None if study is None else measure_agreement(votes, study.examined)
    card = build_votes_card(held, votes, format, agreement=agreement, disputed=disputed)
    fields = {"queue": queue, "run": held.run, "format": format, "votes": len(votes)}
    append_event(workspace, Topic.LAUNCHES, actor, "export votes", fields)
    return file, card


def export_votes_to(
    actor: Actor,
    workspace: Path,
    *,
    queue: str,
    format: VoteFormat,
    out: Path,
    disputed: Disputed = "drop",
) -> Path:
    """Write a queue's votes into a file, anywhere, and the data card beside it.

    Returns:
        The card: `out` with `.md` at its end.

    Raises:
        NotAllowedError, CaiError, WorkspaceError: as `export_votes`, or `out` cannot be written.
    """
    require(actor, AccessRole.REVIEWER, "export votes")
    if not out.parent.is_dir():
        raise WorkspaceError(f"{out.parent}: no such folder. Make it, or choose another.")
    study = _find_study(workspace, load_queue(workspace, queue))
    file, card = export_votes(
        actor, workspace, queue=queue, format=format, study=study, disputed=disputed
    )
    beside = out.with_name(f"{out.name}.md")
    replace_file(out, [file])
    replace_file(beside, [card.encode("utf-8", "replace")])
    return beside


def import_votes(
    actor: Actor, workspace: Path, *, queue: str, content: bytes, file: str = ""
) -> VotesRead:
    """Bring an export's votes in, with reviewers and times; those that are here are passed by.

    Args:
        content: of the file, JSONL or CSV. file: its name, for the journal.

    Returns:
        What was taken, and each line that was refused, with the reason.

    Raises:
        NotAllowedError: the actor may not speak for others.
        ImportFormatError: the file is no export of votes at all.
        WorkspaceError: no such queue, or the journal cannot be written.
    """
    require(actor, AccessRole.EDITOR, "import votes")
    held = load_queue(workspace, queue)
    read = parse_votes(content, held, read_votes(workspace, queue))
    for start in range(0, len(read.votes), _VOTES_AN_EVENT):
        some = read.votes[start : start + _VOTES_AN_EVENT]
        fields = {"queue": queue, "file": file, "votes": [vote.as_dict() for vote in some]}
        append_event(workspace, Topic.REVIEWS, actor, IMPORT, fields)
    return read


def _find_study(workspace: Path, queue: ReviewQueue) -> LabelStudy | None:
    """What is known of the labels; votes outlive the run that they are about."""
    try:
        return load_study(workspace / "runs" / queue.run)
    except CaiError:
        return None
