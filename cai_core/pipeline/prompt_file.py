"""Prompt files: one prompt a line, good lines kept, bad ones told with line and reason."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from cai_core.errors import PromptFileError
from cai_core.records import Conversation, Message, Prompt, PromptKind, content_hash

# Far above any model's context; it bounds memory. An oversize line is rejected, never cut.
MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_ID_CHARS = 200
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedLine:
    """A line that is no prompt, and why."""

    line: int
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFile:
    """What a prompt file holds, in file order."""

    prompts: tuple[Prompt, ...]
    rejected: tuple[RejectedLine, ...]


def load_prompts(path: Path) -> PromptFile:
    """Read a .jsonl file (`prompt`, or `messages`/`conversation`) or a .txt file (one a line).

    A .jsonl line may also have `id`, `kind` and `tags`; further keys are not read. Empty lines
    are skipped. The same prompt may come twice: its id carries the line number.

    Raises:
        PromptFileError: the file cannot be read, or is neither .jsonl nor .txt.
    """
    if path.suffix not in (".jsonl", ".txt"):
        raise PromptFileError(f"{path}: name it .jsonl (one JSON object a line) or .txt.")
    prompts, rejected = [], []
    try:
        with path.open("rb") as file:
            for number, raw in _lines(file):
                try:
                    if (text := _decode(raw, number)).strip():
                        prompts.append(parse_prompt_line(text, number, plain=path.suffix == ".txt"))
                except ValueError as error:
                    rejected.append(RejectedLine(line=number, reason=str(error)))
    except OSError as error:
        raise PromptFileError(
            f"{path}: cannot be read: {error.strerror}. Check the path."
        ) from error
    return PromptFile(prompts=tuple(prompts), rejected=tuple(rejected))


def parse_prompt_line(text: str, number: int, *, plain: bool) -> Prompt:
    """Read one line.

    Args:
        number: 1-based line of the file; part of the prompt's id.
        plain: the line is the prompt itself, not JSON.

    Raises:
        ValueError: the line is no prompt; the message says why.
    """
    if plain:
        return build_prompt((Message("user", text),), number=number)
    document = _parse_json(text)
    return build_prompt(
        _parse_turns(document),
        number=number,
        name=_parse_id(document.get("id")),
        kind=_parse_kind(document.get("kind")),
        tags=_parse_tags(document.get("tags")),
    )


def build_prompt(
    conversation: Conversation,
    *,
    number: int,
    name: str = "",
    kind: PromptKind = PromptKind.UNKNOWN,
    tags: Sequence[str] = (),
) -> Prompt:
    """A prompt whose id is `<name or short content hash>#<line>`.

    Raises:
        ValueError: no turn, an empty last turn, one that is not the user's, or half a character.
    """
    if not conversation or conversation[-1].role != "user":
        raise ValueError("the last turn must be the user's")
    if not conversation[-1].content.strip():
        raise ValueError("the prompt is empty")
    turns = [turn.as_dict() for turn in conversation]
    if any(_has_surrogate(turn.content) for turn in conversation) or _has_surrogate(name):
        raise ValueError("holds a lone surrogate (half a character), which no model can be sent")
    return Prompt(
        prompt_id=f"{name or content_hash(turns)[:12]}#{number}",
        conversation=conversation,
        kind=kind,
        line=number,
        tags=tuple(tags),
    )


def prompts_hash(prompts: Sequence[Prompt]) -> str:
    """One hash for a list of prompts, their ids, kinds and order included."""
    return content_hash([[p.prompt_id, p.hash, p.kind.value, list(p.tags)] for p in prompts])


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines; None for one over the limit, which is skipped without being held."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        oversize = len(raw) > MAX_LINE_BYTES
        while raw and not raw.endswith(b"\n") and oversize:
            raw = file.readline(MAX_LINE_BYTES)
        yield number, None if oversize else raw


def _decode(raw: bytes | None, number: int) -> str:
    if raw is None:
        raise ValueError(f"longer than {MAX_LINE_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start + 1} of the line") from error
    return text.removesuffix("\n").removesuffix("\r")


def _parse_json(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise ValueError("not JSON: nested too deeply") from error
    if not isinstance(document, dict):
        raise ValueError('not a JSON object; write {"prompt": "…"}')
    return document


def _parse_turns(document: dict[str, Any]) -> Conversation:
    given = [key for key in ("prompt", "messages", "conversation") if key in document]
    if len(given) != 1:
        what = " and ".join(given) or "none"
        raise ValueError(f"needs one of prompt, messages, conversation; has {what}")
    content = document[given[0]]
    if given[0] != "prompt":
        return parse_conversation(content)
    if not isinstance(content, str):
        raise ValueError("prompt is not a text")
    return (Message("user", content),)


def parse_conversation(turns: object) -> Conversation:
    """Read `[{"role": …, "content": …}, …]`.

    Raises:
        ValueError: it is something else; the message names the turn.
    """
    if not isinstance(turns, list) or not turns:
        raise ValueError("a conversation is a list of at least one turn")
    messages = []
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, dict) or not isinstance(turn.get("content"), str):
            raise ValueError(f"turn {number} has no text under `content`")
        if turn.get("role") not in _ROLES:
            raise ValueError(f"turn {number} has role {turn.get('role')!r}, not one of {_ROLES}")
        messages.append(Message(turn["role"], turn["content"]))
    return tuple(messages)


def _parse_id(name: object) -> str:
    if name is None:
        return ""
    if isinstance(name, bool) or not isinstance(name, str | int) or not str(name).strip():
        raise ValueError(f"id is {name!r}, not a text or whole number")
    if len(str(name)) > MAX_ID_CHARS:
        raise ValueError(f"id is longer than {MAX_ID_CHARS} characters")
    return str(name)


def _parse_kind(kind: object) -> PromptKind:
    if kind is None:
        return PromptKind.UNKNOWN
    try:
        return PromptKind(str(kind))
    except ValueError as error:
        known = ", ".join(PromptKind)
        raise ValueError(f"kind is {kind!r}, not one of {known}") from error


def _parse_tags(tags: object) -> tuple[str, ...]:
    if tags is None:
        return ()
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError("tags is not a list of texts")
    return tuple(tags)


def _has_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
