"""From a line of a row file to the columns that the index keeps, and back to a step. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cai_core.prompts import paper
from cai_core.records import Conversation, Message, PromptKind, StepKind
from cai_core.workspace.index.measuring import count_words, parse_category
from cai_core.workspace.journal import Line
from cai_core.workspace.rows import Row, build_row_id, parse_row

_SURROGATE = re.compile("[\ud800-\udfff]")
_ROLES = {"system", "user", "assistant"}
_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRow:
    """One row, ready to be indexed.

    Attributes:
        text: as the chain goes on with it, None on error rows.
        prompt: the last user turn, on initial responses that carry their prompt.
        conversation: all turns as one text, likewise.
        category: of harm, likewise; empty where the prompt has none.
        words: of the text.
    """

    row_id: str
    chain: str
    chain_key: int
    kind: str
    round: int
    position: int
    length: int
    principle: str
    model: str
    finding: str
    constitution_hash: str
    prompt_kind: str
    text: str | None
    prompt: str | None
    conversation: str | None
    category: str
    words: int | None


def prepare_row(line: Line) -> PreparedRow:
    """Read one line.

    Raises:
        ValueError: it is damaged, or no row: a field is missing, unknown or of another type.
    """
    if line.record is None:
        raise ValueError(line.damage)
    row = parse_row(line.record)
    if row.kind is StepKind.LABEL:
        raise ValueError("a label is no step of a chain")
    _check_types(row)
    turns = parse_turns(row.prompt) if row.kind is StepKind.RESPONSE else ()
    chain = build_chain_id(row)
    text = None if row.text is None else parse_text(row)
    return PreparedRow(
        row_id=clean(row.row_id),
        chain=chain,
        chain_key=build_chain_key(chain),
        kind=row.kind.value,
        round=row.round,
        position=line.offset,
        length=line.length,
        principle=clean(row.principle_id or ""),
        model=clean(row.model_id),
        finding=row.finding.value if row.finding else "",
        constitution_hash=clean(row.constitution_hash),
        prompt_kind=parse_prompt_kind(row.prompt).value,
        text=text,
        prompt=turns[-1].content if turns else None,
        conversation="\n\n".join(turn.content for turn in turns) if turns else None,
        category=clean(parse_category(row.prompt)) if turns else "",
        words=None if text is None else count_words(text),
    )


def build_chain_id(row: Row) -> str:
    """The row id of the initial response of the row's chain."""
    return build_row_id(
        run_id=row.run_id, prompt_id=row.prompt_id, sample=row.sample, step=StepKind.RESPONSE.value
    )


def build_chain_key(chain: str) -> int:
    """The first 60 bits of a chain's id. Raises ValueError where it is no such id."""
    return int(chain[:15], 16)


def parse_text(row: Row) -> str:
    """What of the row's raw text the chain goes on with, as its template says."""
    raw = row.text or ""
    return paper.parse_completion(raw) if row.template_version.startswith("paper/") else raw.strip()


def parse_turns(prompt: Mapping[str, Any] | None) -> Conversation:
    """The turns of a row's prompt field; none where the row carries no prompt.

    Raises:
        ValueError: it is no conversation.
    """
    if prompt is None:
        return ()
    try:
        turns = tuple(Message(turn["role"], turn["content"]) for turn in prompt["conversation"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"prompt: no conversation: {error}") from error
    if not all(turn.role in _ROLES and isinstance(turn.content, str) for turn in turns):
        raise ValueError("prompt: a turn has no role or no text")
    return turns


def parse_prompt_kind(prompt: Mapping[str, Any] | None) -> PromptKind:
    """The kind that a row's prompt field tells; unknown where it tells none."""
    try:
        return PromptKind((prompt or {}).get("kind", PromptKind.UNKNOWN))
    except ValueError:
        return PromptKind.UNKNOWN


def clean(text: str) -> str:
    """Names with lone surrogates, which the index cannot hold, get U+FFFD in their place."""
    return _SURROGATE.sub("\ufffd", text)


def check_number(number: Any) -> None:
    """Raise ValueError unless it is a whole number that the index can hold, from 0."""
    if not (type(number) is int and 0 <= number <= _MOST):
        raise ValueError("index, round or sample is no number from 0")


def _check_types(row: Row) -> None:
    texts = (
        row.run_id,
        row.row_id,
        row.prompt_id,
        row.constitution_hash,
        row.template_version,
        row.step,
        row.model_id,
    )
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a field that must be text is not")
    optional = (row.text, row.principle_id, row.error)
    if not all(text is None or isinstance(text, str) for text in optional):
        raise ValueError("text, principle_id or error is no text")
    for number in (row.index, row.round, row.sample):
        check_number(number)
    if not (row.prompt is None or isinstance(row.prompt, dict)):
        raise ValueError("prompt is no object")
