"""Votes on critiques for others: JSONL, CSV, or people's revisions as data to fine-tune on. Pure.

jsonl, csv    each reviewer's vote of each critique; importing the file is the inverse
sft           one line a person's revision: `messages` that end in it, as TRL's trainers take them,
              and the model's revision beside it
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from cai_core.errors import CaiError
from cai_core.evaluation.review_card import build_card
from cai_core.evaluation.review_critiques import CritiqueAgreement
from cai_core.evaluation.review_lines import build_csv
from cai_core.records import CritiqueVerdict
from cai_core.workspace.journal import encode_record
from cai_core.workspace.review_critiques import CRITIQUE_FIELDS, CritiqueVote
from cai_core.workspace.review_queues import ReviewQueue
from cai_core.workspace.review_rounds import RoundTexts

CritiqueFormat = Literal["jsonl", "csv", "sft"]
CRITIQUE_FORMATS: tuple[CritiqueFormat, ...] = get_args(CritiqueFormat)
# A prompt with this tag is for evaluation; nothing is ever trained on it.
_HELD_OUT = "split:held-out"


def build_critiques_file(
    queue: ReviewQueue,
    votes: Iterable[CritiqueVote],
    format: CritiqueFormat,
    texts: Mapping[str, RoundTexts],
) -> bytes:
    """The votes on critiques as a file.

    Args:
        texts: item → what it is about; of the format `sft` alone. A revision whose texts are not
            there, or whose prompt is held out of training, is left out.

    Raises:
        CaiError: there is no such format.
    """
    match format:
        case "jsonl":
            return b"".join(encode_record(vote.as_dict()) for vote in votes)
        case "csv":
            return build_csv(CRITIQUE_FIELDS, (vote.as_dict() for vote in votes))
        case "sft":
            return b"".join(map(encode_record, _list_examples(queue, votes, texts)))
    raise CaiError(f"export format {format!r}: known are {', '.join(CRITIQUE_FORMATS)}.")


def build_critiques_card(
    queue: ReviewQueue,
    votes: Sequence[CritiqueVote],
    format: CritiqueFormat,
    measured: CritiqueAgreement,
    texts: Mapping[str, RoundTexts],
) -> str:
    """A Markdown card that says what the file holds, how it was made, and what it is not."""
    return build_card(
        queue, told=_describe(format), counts=_list_counts(queue, votes, format, measured, texts)
    )


def _list_examples(
    queue: ReviewQueue, votes: Iterable[CritiqueVote], texts: Mapping[str, RoundTexts]
) -> Iterator[dict[str, Any]]:
    for vote in votes:
        about = texts.get(vote.item)
        if not vote.revision or about is None or _HELD_OUT in about.tags:
            continue
        turns = [{"role": turn.role, "content": turn.content} for turn in about.conversation]
        yield {
            "messages": [*turns, {"role": "assistant", "content": vote.revision}],
            "model_revision": about.revision or "",
            "reviewer": vote.reviewer,
            "run": queue.by_item[vote.item].run,
            "prompt_id": about.prompt_id,
            "sample": about.sample,
            "chain": vote.chain,
            "round": vote.round,
        }


def _describe(format: CritiqueFormat) -> str:
    if format == "sft":
        return (
            "One revision by a person a line, as JSON lines: `messages` are the prompt and their "
            "text, as supervised fine-tuning takes them; `model_revision` is what the model had "
            "written."
        )
    told = "JSON lines" if format == "jsonl" else "CSV"
    return (
        f"One vote a line, as {told}. `revision` is the reviewer's own text, empty where they "
        "wrote none. In CSV a text that a spreadsheet would take for a formula has a `'` before "
        "it, which importing takes off."
    )


def _list_counts(
    queue: ReviewQueue,
    votes: Sequence[CritiqueVote],
    format: CritiqueFormat,
    measured: CritiqueAgreement,
    texts: Mapping[str, RoundTexts],
) -> list[tuple[str, object]]:
    told: list[tuple[str, object]] = [
        ("votes", sum(measured.counts.values())),
        ("reviewers", ", ".join(one.reviewer for one in measured.reviewers) or "none"),
        *((f"says {word}", measured.rates.get(word, "–")) for word in CritiqueVerdict),
        ("put aside", measured.discarded),
        ("critiques with a person's revision", measured.edited),
        ("looks at harmful text, not blurred", sum(vote.exposed for vote in votes)),
    ]
    for (one, other), (n, kappa) in measured.pairs.items():
        told.append((f"kappa of {one} and {other}", kappa or f"not defined (n = {n})"))
    if format == "sft":
        every = sum(bool(vote.revision) for vote in votes)
        lines = sum(1 for _ in _list_examples(queue, votes, texts))
        told.append(("lines", lines))
        told.append(("left out: held out of training, or its run is gone", every - lines))
    return told
