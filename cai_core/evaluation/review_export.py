"""Votes for others, and back: JSONL, CSV, or the human labels that recipes take. Pure.

jsonl, csv    each reviewer's vote of each comparison; importing the file is the inverse
human         one line a comparison, `{"comparison_id", "verdict", "reviewer"}`
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from cai_core.errors import CaiError, ImportFormatError
from cai_core.evaluation.review_agreement import Agreement
from cai_core.evaluation.review_card import build_card
from cai_core.evaluation.review_lines import build_csv, read_csv, read_jsonl
from cai_core.pipeline.human_labels import Disputed, build_people, settle_people
from cai_core.workspace.journal import encode_record
from cai_core.workspace.review_book import Word
from cai_core.workspace.review_critiques import CRITIQUE_FIELDS, parse_critique_vote
from cai_core.workspace.review_queues import ReviewQueue
from cai_core.workspace.review_votes import FIELDS, AnyVote, Vote, VoteChoice, parse_vote

VoteFormat = Literal["jsonl", "csv", "human"]
VOTE_FORMATS: tuple[VoteFormat, ...] = get_args(VoteFormat)
MAX_FILE_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedLine:
    """A line of a file that is no vote of this queue, from 1, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VotesRead:
    """What a file of votes comes to.

    Attributes:
        votes: that are new here. known: votes that are here already.
    """

    votes: tuple[AnyVote, ...]
    known: int
    refused: tuple[RefusedLine, ...]


def build_votes_file(
    votes: Iterable[Vote], format: VoteFormat, *, disputed: Disputed = "drop"
) -> bytes:
    """The votes on comparisons as a file.

    Args:
        disputed: of the format `human`, see `settle_people`.

    Raises:
        CaiError: there is no such format.
    """
    match format:
        case "jsonl":
            return b"".join(encode_record(vote.as_dict()) for vote in votes)
        case "csv":
            return build_csv(FIELDS, (vote.as_dict() for vote in votes))
        case "human":
            settled = settle_people(build_people(votes), disputed)
            return b"".join(encode_record(one.as_dict()) for one in settled.values())
    raise CaiError(f"export format {format!r}: known are {', '.join(VOTE_FORMATS)}.")


def parse_votes(content: bytes, queue: ReviewQueue, held: Iterable[Word]) -> VotesRead:
    """Read an export of votes, JSONL or CSV, of this queue.

    Args:
        held: the votes that are here or were; a line that is one of them is passed by.

    Raises:
        ImportFormatError: the file is empty, too large, or neither.
    """
    if len(content) > MAX_FILE_BYTES:
        raise ImportFormatError(
            f"The file has {len(content):,} bytes, more than {MAX_FILE_BYTES:,}. Split it."
        )
    if not content.strip():
        raise ImportFormatError("The file is empty. Choose an export of votes, JSONL or CSV.")
    fields = FIELDS if queue.kind == "comparisons" else CRITIQUE_FIELDS
    lines = read_jsonl(content) if content.lstrip()[:1] == b"{" else read_csv(content, fields)
    known: dict[str, Any] = {vote.vote: vote for vote in held}
    votes: list[AnyVote] = []
    refused: list[RefusedLine] = []
    passed = 0
    for number, record in lines:
        try:
            if isinstance(record, str):
                raise ValueError(record)
            vote = _parse_line(record, queue)
            before = known.get(vote.vote)
            if before is not None and before.as_dict() != vote.as_dict():
                raise ValueError(f"vote {vote.vote!r:.40} says another thing than the one here")
        except ValueError as error:
            refused.append(RefusedLine(line=number, reason=str(error)))
            continue
        if before is not None:
            passed += 1
            continue
        known[vote.vote] = vote
        votes.append(vote)
    return VotesRead(votes=tuple(votes), known=passed, refused=tuple(refused))


def build_votes_card(
    queue: ReviewQueue,
    votes: Sequence[Vote],
    format: VoteFormat,
    *,
    agreement: Agreement | None = None,
    disputed: Disputed = "drop",
) -> str:
    """A Markdown card that says what the file holds, how it was made, and what it is not."""
    return build_card(
        queue,
        told=_describe_format(format, disputed),
        counts=_list_counts(votes, agreement),
        limits=("`A` and `B` are the record's own; `shown_first` says which one was on the left.",),
    )


def _parse_line(record: Mapping[str, Any], queue: ReviewQueue) -> AnyVote:
    if queue.kind == "critiques":
        vote: AnyVote = parse_critique_vote(record)
        thing = "critique"
    else:
        vote = parse_vote(record)
        thing = "comparison"
    if vote.queue != queue.queue_id:
        raise ValueError(f"it belongs to the queue {vote.queue!r:.40}, not {queue.queue_id}")
    if vote.item not in queue.members:
        raise ValueError(f"the queue has no {thing} {vote.item!r:.60}")
    return vote


def _describe_format(format: VoteFormat, disputed: Disputed) -> str:
    match format:
        case "jsonl" | "csv":
            told = "JSON lines" if format == "jsonl" else "CSV"
            return (
                f"One vote a line, as {told}. In CSV a text that a spreadsheet would take for a "
                "formula has a `'` before it, which importing takes off."
            )
        case _:
            told = "left out" if disputed == "drop" else "given as ties"
            return (
                "One line a comparison, as a `label` run takes them (`human: FILE`): the verdict "
                f"of more than half of its reviewers. Where there is none, it is {told}. “Both "
                "bad” counts as a tie."
            )


def _list_counts(votes: Sequence[Vote], agreement: Agreement | None) -> list[tuple[str, object]]:
    reviewers = sorted({vote.reviewer for vote in votes})
    told: list[tuple[str, object]] = [
        ("votes", sum(vote.verdict is not None for vote in votes)),
        ("reviewers", ", ".join(reviewers) or "none"),
    ]
    told += [(one.value, sum(vote.choice is one for vote in votes)) for one in VoteChoice]
    told.append(("looks at harmful text, not blurred", sum(vote.exposed for vote in votes)))
    if agreement is not None:
        told.append(("agreement with the AI label", agreement.rate or "–"))
        told.append(("kappa with the AI label", agreement.kappa or "–"))
        for (one, other), (n, kappa) in agreement.pairs.items():
            told.append((f"kappa of {one} and {other}", kappa or f"not defined (n = {n})"))
        told.append(("disputed comparisons", len(agreement.disputed)))
    return told
