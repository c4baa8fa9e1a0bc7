"""Text files from elsewhere: lines by number, JSON by line or as one document; gz or not.

Nothing is guessed: a line that is not in the encoding it should be in is refused and told, and so
is one that is too long, cut, nested too deeply, or names a key twice.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

from cai_core.errors import ImportFormatError
from cai_core.pipeline.import_records import MAX_RECORD_BYTES, RejectedLine, SourceRecord

# One JSON document is held in memory whole.
MAX_DOCUMENT_BYTES = 256 * 1024 * 1024
GZIP = b"\x1f\x8b"
# Text shrinks by 3 to 20; what shrinks by more than this, beyond that many bytes, is a bomb.
_MOST_RATIO, _FREE_BYTES = 200, 64 * 1024 * 1024
_BETWEEN = re.compile(r"[\s,]*")
_BOMS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))

Line = tuple[int, str]
_Lines = Generator[Line | RejectedLine, None, None]


def check_encoding(encoding: str | None) -> None:
    """Raise ImportFormatError where it is no encoding of text."""
    if encoding is None:
        return
    try:
        "".encode(encoding)
    except LookupError as error:
        raise ImportFormatError(f"{encoding!r:.40} is no encoding. Write utf-16, say.") from error


def read_lines(path: Path, name: str, encoding: str | None) -> Iterator[Line | RejectedLine]:
    """Every line with its end, one at a time; in the place of one that cannot be read, why.

    Raises:
        ImportFormatError: the file cannot be opened.
    """
    number = 0
    try:
        with open_bytes(path) as raw:
            lines = _read_utf8(raw, name) if encoding is None else _read_as(raw, name, encoding)
            # Closed before the file is, when somebody stops reading.
            with closing(lines):
                for line in lines:
                    number = line.line if isinstance(line, RejectedLine) else line[0]
                    yield line
    except (EOFError, zlib.error, gzip.BadGzipFile, _BombError) as error:
        yield RejectedLine(
            file=name,
            line=number + 1,
            reason=f"the compressed file is cut or damaged from here on: {error}",
        )
    except OSError as error:
        told = f"cannot be read from here on: {error.strerror or error}"
        yield RejectedLine(file=name, line=number + 1, reason=told)


def read_json_lines(
    path: Path, name: str, encoding: str | None
) -> Iterator[SourceRecord | RejectedLine]:
    """A record for each line that is a JSON object; empty lines and a `format` line are skipped."""
    for line in read_lines(path, name, encoding):
        if isinstance(line, RejectedLine):
            yield line
            continue
        number, text = line
        if not text.strip():
            continue
        try:
            fields = parse_object(text)
        except ValueError as error:
            yield RejectedLine(file=name, line=number, reason=str(error))
            continue
        if number > 1 or "format" not in fields or len(fields) > 3:
            yield SourceRecord(file=name, line=number, fields=fields)


def parse_object(text: str) -> dict[str, Any]:
    """One JSON object.

    Raises:
        ValueError: it is none; the message says why and where.
    """
    value = parse_json(text)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def parse_json(text: str) -> Any:
    """A JSON value, strictly: no NaN, no key twice.

    Raises:
        ValueError: it is none; the message says why and where.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_build_object)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"broken JSON at column {error.colno} ({error.msg}); the line may be cut"
        ) from error
    except RecursionError as error:
        raise ValueError("broken JSON: nested too deeply") from error


def load_document(path: Path, encoding: str | None) -> Any:
    """A file that is one JSON value.

    Raises:
        ValueError: it is none, or too large.
    """
    return parse_json(_load_text(path, encoding))


def read_cut_list(path: Path, encoding: str | None) -> Iterator[Any]:
    """The values of a JSON list, as far as they can be read.

    Raises:
        ValueError: where the list is cut or damaged, behind the values before.
    """
    text = _load_text(path, encoding)
    decoder = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_build_object)
    at = _BETWEEN.match(text, text.index("[") + 1)
    while at is not None and at.end() < len(text) and text[at.end()] != "]":
        value, end = decoder.raw_decode(text, at.end())
        yield value
        at = _BETWEEN.match(text, end)
    raise ValueError("the list has no end")


def _load_text(path: Path, encoding: str | None) -> str:
    try:
        with open_bytes(path) as raw:
            held = raw.read(MAX_DOCUMENT_BYTES + 1)
    except (EOFError, zlib.error, OSError, _BombError) as error:
        raise ValueError(f"cannot be read: {error}") from error
    if len(held) > MAX_DOCUMENT_BYTES:
        raise ValueError(
            f"one JSON document of more than {MAX_DOCUMENT_BYTES:,} bytes; save it as JSON lines"
        )
    return held.decode(encoding or "utf-8-sig")


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked where it is gz.

    Raises:
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
        file.seek(0)
        if not packed:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield io.BufferedReader(_Bounded(unpacked, path.stat().st_size), 1024 * 1024)


class _BombError(Exception):
    pass


class _Bounded(io.RawIOBase):
    """Bytes of a gz file, as long as they can be a text's."""

    def __init__(self, unpacked: gzip.GzipFile, packed_bytes: int) -> None:
        self._unpacked, self._given = unpacked, 0
        self._most = max(_FREE_BYTES, packed_bytes * _MOST_RATIO)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # What is there: at a cut, a whole read would give nothing of it.
        held = self._unpacked.read1(len(buffer))
        self._given += len(held)
        if self._given > self._most:
            raise _BombError(f"it unpacks to more than {_MOST_RATIO} times its size")
        buffer[: len(held)] = held
        return len(held)


def _read_utf8(file: IO[bytes], name: str) -> _Lines:
    number = 0
    while raw := file.readline(MAX_RECORD_BYTES + 1):
        number += 1
        if len(raw) > MAX_RECORD_BYTES:
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(MAX_RECORD_BYTES)
            yield _refuse_long(name, number)
            continue
        try:
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            yield RejectedLine(file=name, line=number, reason=_describe_bytes(raw, error))


def _describe_bytes(raw: bytes, error: UnicodeDecodeError) -> str:
    told = f"not UTF-8 at byte {error.start} of the line"
    for mark, encoding in _BOMS:
        if raw.startswith(mark):
            return f"{told}: it begins as {encoding.upper()} does; name it (--encoding {encoding})"
    return f"{told}; save the file as UTF-8, or name its encoding (--encoding)"


def _read_as(file: IO[bytes], name: str, encoding: str) -> _Lines:
    number = 0
    wrapped = io.TextIOWrapper(file, encoding=encoding, errors="strict", newline="\n")
    try:
        while line := wrapped.readline(MAX_RECORD_BYTES + 1):
            number += 1
            if len(line) <= MAX_RECORD_BYTES:
                yield number, line
                continue
            while line and not line.endswith("\n"):
                line = wrapped.readline(MAX_RECORD_BYTES)
            yield _refuse_long(name, number)
    except UnicodeError as error:
        told = f"not {encoding} from here on: {error}"
        yield RejectedLine(file=name, line=number + 1, reason=told)
    finally:
        wrapped.detach()


def _refuse_long(name: str, number: int) -> RejectedLine:
    return RejectedLine(
        file=name, line=number, reason=f"longer than {MAX_RECORD_BYTES:,} bytes; nothing is cut"
    )


def _refuse_constant(word: str) -> None:
    raise ValueError(f"broken JSON: {word} is no number of JSON")


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"broken JSON: names {twice!r:.40} twice")
    return found
