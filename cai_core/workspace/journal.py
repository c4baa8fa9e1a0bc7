"""Append-only JSONL: the one append function, and the one reader, of every journal and row file.

A file is lines of JSON, the first `{"format": 1, …}`. An append is acknowledged when it
returns: locked, written, fsynced. A reader stops at the last newline, so it may read while
others write, and it never cuts or mends a file. What a crash left in the middle (half a line
that a later append closed with a newline) is quarantined and counted, never guessed.

A chained file is tamper-evident: each line carries `prev`, the hash of the line before it, and
`hash`, over the line's own record. Whoever rewrites the whole chain cannot keep its head: export
`chain_head` and give it to `verify_chain` later.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cai_core.errors import WorkspaceError
from cai_core.records import content_hash
from cai_core.workspace.files import sync_folder, write_all
from cai_core.workspace.read_only import refuse_in_demo

FORMAT = 1
GENESIS = "0" * 64

# One block read backwards when the last line is looked for.
_TAIL_BLOCK = 64 * 1024
# Both halves of a surrogate pair as two characters: JSON's escapes would join them into one.
_SPLIT_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a file: where it lies, and its record or what is wrong with it.

    Attributes:
        number: 1-based.
        offset: of its first byte; `length` counts the newline.
        record: None when the line is damaged.
        damage: why it cannot be read, None when it can.
    """

    number: int
    offset: int
    length: int
    record: dict[str, Any] | None
    damage: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRead:
    """What a file holds at one moment.

    Attributes:
        header: the `format` line; None when the file is empty or that line is damaged.
        records: everything else that could be read, in file order.
        damaged: lines that could not, each with its number and the reason.
        end: bytes up to and with the last newline.
        pending: bytes behind it: a line being written, or one a crash cut in half.
    """

    header: dict[str, Any] | None
    records: list[dict[str, Any]]
    damaged: list[Line]
    end: int
    pending: int


def append_records(
    path: Path,
    records: Sequence[Mapping[str, Any]],
    *,
    header: Mapping[str, Any] | None = None,
    chained: bool = False,
) -> int:
    """Append a batch durably: lock, write, flush, fsync. All or, after a crash, a first part.

    Args:
        header: more fields for the `format` line; used by whoever writes the file's first line.
        chained: carry `prev` and `hash`; a file is chained from its first line on or never.

    Returns:
        The file's length after the batch.

    Raises:
        WorkspaceError: the disk is full or refuses, a record cannot be written as JSON, or the
            file is chained and `chained` is False (or the other way round). The batch then is
            not acknowledged; whole lines of it may still be found by readers.
        NotAllowedError: in a read-only demo.
    """
    refuse_in_demo(f"append to {path.name}")
    with _locked(path) as descriptor:
        created = os.fstat(descriptor).st_size == 0
        payload = _build_payload(path, descriptor, records, header or {}, chained)
        try:
            write_all(descriptor, payload)
            if created:
                sync_folder(path.parent)
        except OSError as error:
            raise WorkspaceError(
                f"{path}: cannot be written: {error.strerror}. What was acknowledged before is "
                "kept. Make room or mend the disk, then run the same command again."
            ) from error
        return os.fstat(descriptor).st_size


def read_lines(path: Path, *, start: int = 0, limit: int | None = None) -> Iterator[Line]:
    """Every whole line from byte `start`, one at a time; a missing file holds none.

    Args:
        start: a line's first byte (for readers that come back for more); numbers count from it.
        limit: read as if the file ended after that many bytes.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(start)
        offset, number = start, 1
        for raw in file:
            end = offset + len(raw)
            if not raw.endswith(b"\n") or (limit is not None and end > limit):
                return
            yield parse_line(raw, number=number, offset=offset)
            offset, number = end, number + 1


def parse_line(raw: bytes, *, number: int = 1, offset: int = 0) -> Line:
    """Read one line; damage is reported in the line, not raised."""
    record, damage = None, None
    try:
        value = json.loads(raw.decode("utf-8", "surrogatepass"))
        record = value if isinstance(value, dict) else None
        damage = None if record is not None else "not a JSON object"
    except (ValueError, RecursionError) as error:
        damage = f"not JSON: {error}"
    return Line(number=number, offset=offset, length=len(raw), record=record, damage=damage)


def read_journal(path: Path, *, limit: int | None = None) -> JournalRead:
    """The whole file up to its last newline. For files that fit in memory.

    Raises:
        WorkspaceError: the file was written by a newer format.
    """
    header: dict[str, Any] | None = None
    records: list[dict[str, Any]] = []
    damaged, end = [], 0
    for line in read_lines(path, limit=limit):
        end = line.offset + line.length
        if line.record is None:
            damaged.append(line)
        elif header is None and not records and is_header(line, path):
            header = line.record
        else:
            records.append(line.record)
    size = path.stat().st_size if path.exists() else 0
    return JournalRead(
        header=header,
        records=records,
        damaged=damaged,
        end=end,
        pending=(size if limit is None else min(size, limit)) - end,
    )


def is_header(line: Line, path: Path) -> bool:
    """Whether the line is a file's `format` line.

    Raises:
        WorkspaceError: it is, of a format that this version cannot read.
    """
    if line.record is None or "format" not in line.record:
        return False
    if line.record["format"] != FORMAT:
        raise WorkspaceError(
            f"{path}: format {line.record['format']!r}; this version reads {FORMAT}. "
            "Open the workspace with the version that wrote it."
        )
    return True


def encode_record(record: Mapping[str, Any]) -> bytes:
    """One line: JSON that reads back as exactly the same texts.

    UTF-8 with lone surrogates as escapes; only a text with a *split* surrogate pair, which an
    escape would join, is written with the surrogates' own three bytes.

    Raises:
        ValueError: NaN, infinity, or a value JSON does not know.
    """
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except TypeError as error:
        raise ValueError(str(error)) from error
    errors = "surrogatepass" if _SPLIT_PAIR.search(text) else "backslashreplace"
    return text.encode("utf-8", errors) + b"\n"


def chain_head(path: Path) -> str | None:
    """The hash of a chained file's last line; None for a file without lines."""
    head = None
    for line in read_lines(path):
        if line.record is not None:
            head = str(line.record.get("hash"))
    return head


def verify_chain(path: Path, *, exported_head: str | None = None) -> list[str]:
    """Every break of a chained file, in words with line numbers; an empty list means whole.

    Args:
        exported_head: a `chain_head` kept elsewhere. It must still be one of the file's
            hashes, which finds a cut end and a rewritten chain.
    """
    problems, prev, seen = [], GENESIS, set()
    for line in read_lines(path):
        if line.record is None:
            problems.append(f"{path}:{line.number}: {line.damage}")
            continue
        own = str(line.record.get("hash"))
        if line.record.get("prev") != prev:
            problems.append(f"{path}:{line.number}: does not follow the line before it")
        if own != _line_hash(line.record):
            problems.append(f"{path}:{line.number}: its record was changed")
        prev = own
        seen.add(own)
    if exported_head is not None and exported_head not in seen:
        problems.append(f"{path}: the exported head {exported_head[:12]}… is not in the file")
    return problems


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    # flock belongs to the open file, so it keeps threads of one process apart as well.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise WorkspaceError(f"{path}: cannot be opened: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _build_payload(
    path: Path,
    descriptor: int,
    records: Sequence[Mapping[str, Any]],
    header: Mapping[str, Any],
    chained: bool,
) -> bytes:
    size = os.fstat(descriptor).st_size
    tail = _read_tail(descriptor, size)
    # A crash left half a line: close it, so that it stays alone. Readers quarantine it.
    lead = b"\n" if tail.half_line else b""
    lines = list(records)
    if tail.last is None:
        lines.insert(0, {"format": FORMAT, **header})
    elif ("hash" in tail.last) != chained:
        raise WorkspaceError(
            f"{path}: {'is' if not chained else 'is not'} hash-chained from its first line. "
            "Append to it the same way."
        )
    prev = str(tail.last["hash"]) if tail.last and chained else GENESIS
    encoded = []
    for record in lines:
        try:
            if chained:
                record = _chain(record, prev)
                prev = record["hash"]
            encoded.append(encode_record(record))
        except ValueError as error:
            raise WorkspaceError(f"{path}: a record cannot be written as JSON: {error}.") from error
    return lead + b"".join(encoded)


@dataclass(frozen=True, slots=True)
class _Tail:
    last: dict[str, Any] | None
    half_line: bool


def _read_tail(descriptor: int, size: int) -> _Tail:
    """The last readable record, and whether bytes without a newline follow the last line."""
    block, tail = _TAIL_BLOCK, b""
    while len(tail) < size:
        tail = os.pread(descriptor, min(block, size), max(0, size - block))
        pieces = tail.split(b"\n")
        # The first of several may be cut by the block's edge. A last piece that lacks nothing
        # but its newline becomes a line by the newline that the next append puts first.
        for raw in reversed(pieces if len(tail) == size else pieces[1:]):
            record = parse_line(raw).record if raw else None
            if record is not None:
                return _Tail(record, not tail.endswith(b"\n"))
        block *= 4
    return _Tail(None, bool(tail) and not tail.endswith(b"\n"))


def _chain(record: Mapping[str, Any], prev: str) -> dict[str, Any]:
    if "prev" in record or "hash" in record:
        raise ValueError("`prev` and `hash` belong to the chain")
    linked = {**record, "prev": prev}
    return {**linked, "hash": _line_hash(linked)}


def _line_hash(record: Mapping[str, Any]) -> str:
    return content_hash({key: value for key, value in record.items() if key != "hash"})
