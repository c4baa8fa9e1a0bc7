"""One line of the paper's sample files (`*_SLMADISON.jsonl`) → a chain, checked in full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cai_core.constitution.importers import parse_instruction
from cai_core.constitution.model import NAME_PATTERN
from cai_core.errors import ImportFormatError
from cai_core.pipeline.prompt_file import build_prompt
from cai_core.prompts.paper import parse_transcript
from cai_core.records import Prompt

ROUNDS = 4  # critique–revision pairs a prompt in the official files


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRound:
    """One critique and revision, and the requests they answer."""

    principle_id: str
    critique_request: str
    revision_request: str
    critique: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleChain:
    """One line of a file. The prompt's id is `<file's stem>#<line>`."""

    prompt: Prompt
    response: str
    rounds: tuple[SampleRound, ...]


def build_sample_chain(record: Mapping[str, Any], stem: str, number: int) -> SampleChain:
    """Read one line's object.

    Args:
        stem: the file's name without its ending; part of the prompt's id.
        number: 1-based line number.

    Raises:
        ImportFormatError: a field is missing or of the wrong type.
    """
    conversation = parse_transcript(_text(record, "rl_prompt"))
    dataset = record.get("comparison_dataset")
    tags = (dataset,) if isinstance(dataset, str) else ()
    try:
        prompt = build_prompt(conversation, number=number, name=stem, tags=tags)
    except ValueError as error:
        raise ImportFormatError(f"rl_prompt: {error}") from error
    responses = _entries(record, "initial_response", 1)
    rounds = _entries(record, "cst", ROUNDS)
    return SampleChain(
        prompt=prompt,
        response=_text(responses[0], "sample", "initial_response"),
        rounds=tuple(_parse_round(entry, f"cst[{n}]") for n, entry in enumerate(rounds)),
    )


def _parse_round(entry: dict[str, Any], where: str) -> SampleRound:
    principle_id = _text(entry, "cst_key", where)
    if not NAME_PATTERN.fullmatch(principle_id):
        raise ImportFormatError(f"{where}: {principle_id!r:.60} cannot be a principle's id")
    critique_request, revision_request = parse_instruction(
        entry.get("cst_value"), f"{where}: cst_value"
    )
    return SampleRound(
        principle_id=principle_id,
        critique_request=critique_request,
        revision_request=revision_request,
        critique=_text(entry.get("critique"), "sample", f"{where}: critique"),
        revision=_text(entry.get("revision"), "sample", f"{where}: revision"),
    )


def _text(record: object, key: str, where: str = "the line") -> str:
    value = record.get(key) if isinstance(record, Mapping) else None
    if not isinstance(value, str):
        raise ImportFormatError(f"{where} has no text {key!r}")
    return value


def _entries(record: Mapping[str, Any], key: str, count: int) -> list[dict[str, Any]]:
    entries = record.get(key)
    if not isinstance(entries, list) or len(entries) != count:
        raise ImportFormatError(f"{key!r} is not a list of {count}")
    if not all(isinstance(entry, dict) for entry in entries):
        raise ImportFormatError(f"{key!r} holds something that is no object")
    return entries
