"""Votes for others, and back: JSONL, CSV, or the human labels that recipes take. Pure.

jsonl, csv    each reviewer's vote of each comparison; importing the file is the inverse
human         one line a comparison, `{"comparison_id", "verdict", "reviewer"}`
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, get_args

from cai_core.errors import CaiError, ImportFormatError
from cai_core.evaluation.review_agreement import Agreement
from cai_core.pipeline.human_labels import Disputed, build_people, settle_people
from cai_core.workspace.journal import encode_record, parse_line
from cai_core.workspace.review_queues import ReviewQueue
from cai_core.workspace.review_votes import FIELDS, Vote, VoteChoice, parse_vote

VoteFormat = Literal["jsonl", "csv", "human"]
VOTE_FORMATS: tuple[VoteFormat, ...] = get_args(VoteFormat)
MAX_FILE_BYTES = 64 * 2**20
# What a spreadsheet takes for a formula begins so; the quote itself, so that it can be undone.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
_BOOLS = {"true": True, "false": False}


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

    votes: tuple[Vote, ...]
    known: int
    refused: tuple[RefusedLine, ...]


def build_votes_file(
    votes: Iterable[Vote], format: VoteFormat, *, disputed: Disputed = "drop"
) -> bytes:
    """The votes as a file.

    Args:
        disputed: of the format `human`, see `settle_people`.

    Raises:
        CaiError: there is no such format.
    """
    match format:
        case "jsonl":
            return b"".join(encode_record(vote.as_dict()) for vote in votes)
        case "csv":
            return _build_csv(votes)
        case "human":
            settled = settle_people(build_people(votes), disputed)
            return b"".join(encode_record(one.as_dict()) for one in settled.values())
    raise CaiError(f"export format {format!r}: known are {', '.join(VOTE_FORMATS)}.")


def parse_votes(content: bytes, queue: ReviewQueue, held: Iterable[Vote]) -> VotesRead:
    """Read an export of votes, JSONL or CSV, of this queue.

    Args:
        held: the votes that are here; a line that is one of them is passed by.

    Raises:
        ImportFormatError: the file is empty, too large, or neither.
    """
    if len(content) > MAX_FILE_BYTES:
        raise ImportFormatError(
            f"The file has {len(content):,} bytes, more than {MAX_FILE_BYTES:,}. Split it."
        )
    if not content.strip():
        raise ImportFormatError("The file is empty. Choose an export of votes, JSONL or CSV.")
    lines = _read_jsonl(content) if content.lstrip()[:1] == b"{" else _read_csv(content)
    comparisons = frozenset(queue.comparisons)
    known = {vote.vote: vote for vote in held}
    votes: list[Vote] = []
    refused: list[RefusedLine] = []
    passed = 0
    for number, record in lines:
        try:
            if isinstance(record, str):
                raise ValueError(record)
            vote = _parse_line(record, queue, comparisons)
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
    drawn = "all of them"
    if queue.width is not None:
        drawn = (
            f"a random sample of {len(queue.comparisons)} of {queue.population} (seed "
            f"{queue.seed}), for a 95 % interval at most {queue.width:g} wide"
        )
    facts: list[tuple[str, object]] = [
        ("queue", f"{queue.name}, {queue.queue_id}"),
        ("labels of run", queue.run),
        ("comparisons chosen by", queue.selection or "nothing: any comparison of the run"),
        ("of these", drawn),
        ("reviewers wanted for each", queue.overlap),
        ("blind", "yes" if queue.blind else "no"),
    ]
    return "\n".join(
        [
            "---",
            "task_categories: [text-generation]",
            "tags: [preference, human-review]",
            "---",
            "",
            f"# Votes of people in the review queue {_cell(queue.name)}",
            "",
            _describe_format(format, disputed),
            "",
            "## How they were made",
            "",
            *_build_table(facts),
            "",
            "## What they come to",
            "",
            *_build_table(_list_counts(votes, agreement)),
            "",
            "## Limits",
            "",
            "- `A` and `B` are the record's own; `shown_first` says which one was on the left.",
            "- Each reviewer's newest vote of a comparison counts; those taken back are left out.",
            "- A vote is an opinion. Reasons are a person's own words and may quote harmful text.",
            "- The file holds names of reviewers. Ask them before you publish it.",
            "",
        ]
    )


def _build_csv(votes: Iterable[Vote]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(FIELDS)
    for vote in votes:
        plain = vote.as_dict()
        writer.writerow([_escape(_say(plain[name])) for name in FIELDS])
    return file.getvalue().encode("utf-8", "replace")


def _say(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _escape(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip()[:1] in "=+-@" else text


def _unescape(text: str) -> str:
    return text.removeprefix("'")


def _read_jsonl(content: bytes) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """Each line's record, or why it has none."""
    for number, raw in enumerate(content.split(b"\n"), start=1):
        if raw.strip():
            line = parse_line(raw)
            yield number, line.record if line.record is not None else str(line.damage)


def _read_csv(content: bytes) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImportFormatError(
            f"The file is not UTF-8 (byte {error.start}). Save it as UTF-8, or export it again."
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""))
    begins = 1
    try:
        head = next(reader, [])
        if missing := [name for name in FIELDS if name not in head]:
            raise ImportFormatError(
                f"The file is neither JSONL nor a CSV of votes: its first line lacks "
                f"{', '.join(missing)}. Choose an export of votes."
            )
        begins = reader.line_num + 1
        for cells in reader:
            if len(cells) != len(head):
                yield begins, f"it has {len(cells)} cells, the first line {len(head)}"
            elif cells:
                yield begins, _read_cells(dict(zip(head, map(_unescape, cells), strict=True)))
            begins = reader.line_num + 1
    except csv.Error as error:
        yield begins, f"no CSV from here on: {error}"


def _read_cells(record: dict[str, Any]) -> dict[str, Any]:
    for name in ("blind", "exposed"):
        record[name] = _BOOLS.get(record[name], record[name])
    with suppress(ValueError):  # told by who reads the vote
        record["seconds"] = float(record["seconds"])
    return record


def _parse_line(record: Mapping[str, Any], queue: ReviewQueue, comparisons: frozenset[str]) -> Vote:
    vote = parse_vote(record)
    if vote.queue != queue.queue_id:
        raise ValueError(f"it belongs to the queue {vote.queue!r:.40}, not {queue.queue_id}")
    if vote.comparison not in comparisons:
        raise ValueError(f"the queue has no comparison {vote.comparison!r:.60}")
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


def _build_table(rows: Iterable[tuple[str, object]]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {_cell(name)} | {_cell(value)} |" for name, value in rows)]


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split())
