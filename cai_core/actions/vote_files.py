"""Votes of a review queue as files: taken out with a data card, and brought in again."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from cai_core.actions.check import require
from cai_core.errors import CaiError, WorkspaceError
from cai_core.evaluation.review_agreement import measure_agreement
from cai_core.evaluation.review_critique_export import (
    CritiqueFormat,
    build_critiques_card,
    build_critiques_file,
)
from cai_core.evaluation.review_critiques import measure_critiques
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
from cai_core.workspace.review_rounds import load_texts
from cai_core.workspace.review_votes import (
    IMPORT,
    read_critique_votes,
    read_every_word,
    read_votes,
)

# More in one line of the journal would be slow to read back.
_VOTES_AN_EVENT = 500


def export_votes(
    actor: Actor,
    workspace: Path,
    *,
    queue: str,
    format: VoteFormat | CritiqueFormat,
    study: LabelStudy | None = None,
    disputed: Disputed = "drop",
) -> tuple[bytes, str]:
    """A queue's votes as a file, and the data card of it; journalled.

    Args:
        format: `human` is of comparisons alone, `sft` of critiques.
        study: of the queue's run, for what the card says of the agreement; None leaves that out.
        disputed: see `settle_people`; of the format `human` alone.

    Raises:
        NotAllowedError: the actor may not export.
        CaiError: there is no such format.
        WorkspaceError: no such queue.
    """
    require(actor, AccessRole.REVIEWER, "export votes")
    held = load_queue(workspace, queue)
    if held.kind == "critiques":
        file, card, count = _export_critiques(workspace, held, cast(CritiqueFormat, format))
    else:
        votes, wanted = read_votes(workspace, queue), cast(VoteFormat, format)
        file = build_votes_file(votes, wanted, disputed=disputed)
        agreement = None if study is None else measure_agreement(votes, study.examined)
        card = build_votes_card(held, votes, wanted, agreement=agreement, disputed=disputed)
        count = len(votes)
    fields = {"queue": queue, "run": held.run, "format": format, "votes": count}
    append_event(workspace, Topic.LAUNCHES, actor, "export votes", fields)
    return file, card


def export_votes_to(
    actor: Actor,
    workspace: Path,
    *,
    queue: str,
    format: VoteFormat | CritiqueFormat,
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

    So are those that were here and were replaced or taken back: a file's older word does not
    bring them back.

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
    read = parse_votes(content, held, read_every_word(workspace, queue))
    for start in range(0, len(read.votes), _VOTES_AN_EVENT):
        some = read.votes[start : start + _VOTES_AN_EVENT]
        fields = {"queue": queue, "file": file, "votes": [vote.as_dict() for vote in some]}
        append_event(workspace, Topic.REVIEWS, actor, IMPORT, fields)
    return read


def _export_critiques(
    workspace: Path, queue: ReviewQueue, format: CritiqueFormat
) -> tuple[bytes, str, int]:
    votes = read_critique_votes(workspace, queue.queue_id)
    edited = [queue.by_item[vote.item] for vote in votes if vote.revision]
    texts = load_texts(workspace, dict.fromkeys(edited)) if format == "sft" else {}
    file = build_critiques_file(queue, votes, format, texts)
    measured = measure_critiques(votes, queue.rounds)
    return file, build_critiques_card(queue, votes, format, measured, texts), len(votes)


def _find_study(workspace: Path, queue: ReviewQueue) -> LabelStudy | None:
    """What is known of the labels; votes outlive the run that they are about."""
    if queue.kind != "comparisons":
        return None
    try:
        return load_study(workspace / "runs" / queue.run)
    except CaiError:
        return None
