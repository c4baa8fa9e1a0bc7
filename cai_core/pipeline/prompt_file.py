"""Prompt files: one prompt a line, good lines kept, bad ones told with line and reason.

A file is read once to find its good lines, and again line by line as they are needed: a run of a
million prompts holds their places, not their texts.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, overload

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


class LinePrompts(Sequence[Prompt]):
    """The good lines of a file, each read when it is asked for.

    Raises PromptFileError when the file has changed since its lines were found.
    """

    def __init__(
        self, path: Path, stamp: tuple[int, ...], offsets: array[int], numbers: array[int]
    ) -> None:
        self._path, self._stamp = path, stamp
        self._offsets, self._numbers = offsets, numbers

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, at: int) -> Prompt: ...
    @overload
    def __getitem__(self, at: slice) -> LinePrompts: ...
    def __getitem__(self, at: int | slice) -> Prompt | LinePrompts:
        if isinstance(at, slice):
            return LinePrompts(self._path, self._stamp, self._offsets[at], self._numbers[at])
        with self._open() as file:
            return self._read(file, self._offsets[at], self._numbers[at])

    def __iter__(self) -> Iterator[Prompt]:
        with self._open() as file:
            for offset, number in zip(self._offsets, self._numbers, strict=True):
                yield self._read(file, offset, number)

    def _open(self) -> IO[bytes]:
        try:
            file = self._path.open("rb")
        except OSError as error:
            raise _unreadable(self._path, error) from error
        if _stamp(file) != self._stamp:
            file.close()
            raise self._changed()
        return file

    def _read(self, file: IO[bytes], offset: int, number: int) -> Prompt:
        file.seek(offset)
        try:
            text = _decode(file.readline(MAX_LINE_BYTES + 1), number)
            return parse_prompt_line(text, number, plain=self._path.suffix == ".txt")
        except ValueError as error:
            raise self._changed() from error

    def _changed(self) -> PromptFileError:
        return PromptFileError(
            f"{self._path} changed while it was in use. Bring the old file back and go on, or "
            "start a new run with the new one."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFile:
    """What a prompt file holds, in file order."""

    prompts: LinePrompts
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
    offsets, numbers, rejected = array("Q"), array("I"), []
    try:
        with path.open("rb") as file:
            stamp = _stamp(file)
            for number, offset, raw in _lines(file):
                try:
                    if (text := _decode(raw, number)).strip():
                        parse_prompt_line(text, number, plain=path.suffix == ".txt")
                        offsets.append(offset)
                        numbers.append(number)
                except ValueError as error:
                    rejected.append(RejectedLine(line=number, reason=str(error)))
    except OSError as error:
        raise _unreadable(path, error) from error
    prompts = LinePrompts(path, stamp, offsets, numbers)
    return PromptFile(prompts=prompts, rejected=tuple(rejected))


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
    """One hash for a list of prompts, their ids, kinds and order included.

    It is the content hash of the list of these, computed without holding the list.
    """
    digest, lead = hashlib.sha256(), "["
    for prompt in prompts:
        fields = [prompt.prompt_id, prompt.hash, prompt.kind.value, list(prompt.tags)]
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        digest.update((lead + text).encode("utf-8", "surrogatepass"))
        lead = ","
    digest.update(b"]" if lead == "," else b"[]")
    return digest.hexdigest()


def _stamp(file: IO[bytes]) -> tuple[int, ...]:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _unreadable(path: Path, error: OSError) -> PromptFileError:
    return PromptFileError(f"{path}: cannot be read: {error.strerror}. Check the path.")


def _lines(file: IO[bytes]) -> Iterator[tuple[int, int, bytes | None]]:
    """Lines with number and offset; None for one over the limit, skipped without being held."""
    number, offset, start = 0, 0, 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number, start = number + 1, offset
        offset += len(raw)
        oversize = len(raw) > MAX_LINE_BYTES
        while raw and not raw.endswith(b"\n") and oversize:
            raw = file.readline(MAX_LINE_BYTES)
            offset += len(raw)
        yield number, start, None if oversize else raw


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
