"""Comparison files of others: HHH evaluations, pairs of transcripts, or labels of our own."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cai_core.errors import ImportFormatError
from cai_core.pipeline.label_records import LabelRecord
from cai_core.prompts.paper import parse_transcript
from cai_core.records import Conversation, Message, Verdict, content_hash

# The fields that tell a format: the preferred transcript, then the other.
_TRANSCRIPTS = (("text_correct", "text_incorrect"), ("chosen", "rejected"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two conversations that end in an answer; the first is the better one.

    Attributes:
        cluster: hash of the turns before the better one's answer.
    """

    preferred: Conversation
    other: Conversation
    cluster: str
    kind: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonFile:
    """What a file holds.

    Attributes:
        ties, unparsed: labels that prefer neither, which cannot be right or wrong.
    """

    comparisons: tuple[Comparison, ...]
    ties: int = 0
    unparsed: int = 0


def load_comparisons(path: Path) -> ComparisonFile:
    """Read a .jsonl: `text_correct` and `text_incorrect` (HHH evaluations, arXiv 2112.00861),
    `chosen` and `rejected` as transcripts, or labels as a `label` run writes them.

    Raises:
        ImportFormatError: it cannot be read, or a line is none of these; the message names it.
    """
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ImportFormatError(f"{path}: cannot be read: {error}.") from error
    found: list[Comparison] = []
    left_out = {Verdict.TIE: 0, Verdict.UNPARSED: 0}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            parsed = parse_comparison(json.loads(line))
        except (ValueError, TypeError, KeyError, ImportFormatError) as error:
            raise ImportFormatError(
                f"{path}:{number}: no comparison: {error}. A line needs text_correct and "
                "text_incorrect, or chosen and rejected, as transcripts; or it is a label."
            ) from error
        if isinstance(parsed, Verdict):
            left_out[parsed] += 1
        elif parsed is not None:
            found.append(parsed)
    if not found:
        raise ImportFormatError(f"{path}: holds no comparison with a winner. Choose another file.")
    return ComparisonFile(
        comparisons=tuple(found),
        ties=left_out[Verdict.TIE],
        unparsed=left_out[Verdict.UNPARSED],
    )


def shuffle_comparisons(comparisons: Sequence[Comparison], seed: int) -> tuple[Comparison, ...]:
    """The same with a coin's word for which is the better one: who scores above one half here is
    scored wrong. Clusters stay."""
    rng = random.Random(f"shuffled comparisons:{seed}")
    return tuple(
        replace(one, preferred=one.other, other=one.preferred) if rng.random() < 0.5 else one
        for one in comparisons
    )


def parse_comparison(record: Mapping[str, Any]) -> Comparison | Verdict | None:
    """One line; the verdict of a label that prefers neither; None for a format line.

    Raises:
        ValueError, TypeError, KeyError, ImportFormatError: it is none.
    """
    if set(record) == {"format"}:
        return None
    if "comparison_id" in record:
        return _from_label(LabelRecord.parse(record))
    for good, bad in _TRANSCRIPTS:
        if good in record and bad in record:
            preferred, other = parse_transcript(record[good]), parse_transcript(record[bad])
            if preferred[-1].role != "assistant" or other[-1].role != "assistant":
                raise ValueError("a transcript does not end in an answer")
            return Comparison(preferred=preferred, other=other, cluster=_hash(preferred[:-1]))
    raise ValueError(f"its fields are {', '.join(sorted(map(str, record)))}")


def _from_label(label: LabelRecord) -> Comparison | Verdict:
    if label.verdict not in (Verdict.A, Verdict.B):
        return label.verdict
    answers = label.response_a, label.response_b
    preferred, other = answers if label.verdict is Verdict.A else answers[::-1]
    return Comparison(
        preferred=(*label.conversation, Message("assistant", preferred)),
        other=(*label.conversation, Message("assistant", other)),
        cluster=_hash(label.conversation),
        kind=label.prompt_kind.value,
    )


def _hash(turns: Conversation) -> str:
    return content_hash([turn.as_dict() for turn in turns])
