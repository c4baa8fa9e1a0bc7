"""Prompts in a form of our own, one a line, which gives back exactly what went in.

A prompt file is what people write, and its lines make the ids (`prompt_file.py`). Here every field
stands as it was, so that prompts that were chosen, split or moved keep their ids and hashes.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, overload

from cai_core.errors import PromptFileError, WorkspaceError
from cai_core.pipeline.prompt_file import parse_conversation
from cai_core.records import Prompt, PromptKind
from cai_core.workspace.journal import FORMAT, encode_record, is_header, parse_line

_FIELDS = frozenset({"prompt_id", "line", "kind", "tags", "conversation"})


class FrozenPrompts(Sequence[Prompt]):
    """The prompts of such a file, each read when it is asked for.

    Raises PromptFileError when the file has changed since its lines were found, or a line is
    damaged.
    """

    def __init__(self, path: Path, stamp: tuple[int, ...], offsets: array[int]) -> None:
        self._path, self._stamp, self._offsets = path, stamp, offsets

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, at: int) -> Prompt: ...
    @overload
    def __getitem__(self, at: slice) -> FrozenPrompts: ...
    def __getitem__(self, at: int | slice) -> Prompt | FrozenPrompts:
        if isinstance(at, slice):
            return FrozenPrompts(self._path, self._stamp, self._offsets[at])
        offset = self._offsets[at]
        with self._open() as file:
            return self._read(file, offset)

    def __iter__(self) -> Iterator[Prompt]:
        with self._open() as file:
            for offset in self._offsets:
                yield self._read(file, offset)

    def _open(self) -> IO[bytes]:
        file = _open(self._path)
        if _stamp(file) != self._stamp:
            file.close()
            raise PromptFileError(
                f"{self._path} changed while it was in use. Bring the old file back and go on."
            )
        return file

    def _read(self, file: IO[bytes], offset: int) -> Prompt:
        file.seek(offset)
        raw = file.readline()
        try:
            if not raw.endswith(b"\n"):
                raise ValueError("the line was cut")
            line = parse_line(raw)
            if line.record is None:
                raise ValueError(line.damage)
            return parse_prompt_record(line.record)
        except ValueError as error:
            raise PromptFileError(
                f"{self._path}: the line at byte {offset} is damaged: {error}. Bring the file "
                "back from a backup."
            ) from error


def encode_prompts(prompts: Iterable[Prompt]) -> Iterator[bytes]:
    """The file's lines; `load_frozen_prompts` is the inverse."""
    yield encode_record({"format": FORMAT})
    for prompt in prompts:
        yield encode_record(build_prompt_record(prompt))


def load_frozen_prompts(path: Path) -> FrozenPrompts:
    """Find the lines of such a file; what is in them is read and checked when it is asked for.

    Raises:
        PromptFileError: it cannot be read, or is no such file.
    """
    offsets = array("Q")
    with _open(path) as file:
        stamp = _stamp(file)
        header = file.readline()
        if not _is_header(header, path):
            raise PromptFileError(
                f"{path}: not a file of prompts that the workbench wrote. Bring it back from a "
                "backup."
            )
        offset = len(header)
        for raw in file:
            offsets.append(offset)
            offset += len(raw)
    return FrozenPrompts(path, stamp, offsets)


def build_prompt_record(prompt: Prompt) -> dict[str, Any]:
    """The plain form of a line; `parse_prompt_record` is the inverse."""
    return {
        "prompt_id": prompt.prompt_id,
        "line": prompt.line,
        "kind": prompt.kind.value,
        "tags": list(prompt.tags),
        "conversation": [turn.as_dict() for turn in prompt.conversation],
    }


def parse_prompt_record(record: Mapping[str, Any]) -> Prompt:
    """Read the plain form.

    Raises:
        ValueError: a field is missing, unknown or of another type.
    """
    if record.keys() != _FIELDS:
        raise ValueError(f"has {sorted(record)}, not exactly {sorted(_FIELDS)}")
    name, line, tags = record["prompt_id"], record["line"], record["tags"]
    if not isinstance(name, str) or type(line) is not int:
        raise ValueError("prompt_id is no text, or line no whole number")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError("tags is not a list of texts")
    return Prompt(
        prompt_id=name,
        conversation=parse_conversation(record["conversation"]),
        kind=PromptKind(record["kind"]),
        line=line,
        tags=tuple(tags),
    )


def _is_header(raw: bytes, path: Path) -> bool:
    try:
        return is_header(parse_line(raw), path)
    except WorkspaceError as error:  # of another format
        raise PromptFileError(str(error)) from error


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise PromptFileError(
            f"{path}: cannot be read: {error.strerror}. Bring the file back from a backup."
        ) from error


def _stamp(file: IO[bytes]) -> tuple[int, ...]:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
