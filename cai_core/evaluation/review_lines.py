"""Votes as lines of JSONL or CSV, and back; a spreadsheet takes no cell for a formula. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from cai_core.errors import ImportFormatError
from cai_core.workspace.journal import parse_line

# What a spreadsheet takes for a formula begins so; the quote itself, so that it can be undone.
_SIGNS = ("=", "+", "-", "@")
_FORMULA = (*_SIGNS, "\t", "\r", "'")
_BOOLS = {"true": True, "false": False}
_FLAGS, _NUMBERS = ("blind", "exposed"), {"seconds": float, "round": int}
# A line's number, from 1, and its record or why it has none.
Numbered = tuple[int, Mapping[str, Any] | str]


def build_csv(fields: Sequence[str], records: Iterable[Mapping[str, Any]]) -> bytes:
    """Records as CSV with a head; `read_csv` is the inverse."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(fields)
    for record in records:
        writer.writerow([_escape(_say(record[name])) for name in fields])
    return file.getvalue().encode("utf-8", "replace")


def read_jsonl(content: bytes) -> Iterator[Numbered]:
    """Each line's record; empty lines are passed by."""
    for number, raw in enumerate(content.split(b"\n"), start=1):
        if raw.strip():
            line = parse_line(raw)
            yield number, line.record if line.record is not None else str(line.damage)


def read_csv(content: bytes, fields: Sequence[str]) -> Iterator[Numbered]:
    """Each row's record.

    Raises:
        ImportFormatError: the file is not UTF-8, or its head lacks a field.
    """
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
        if missing := [name for name in fields if name not in head]:
            raise ImportFormatError(
                f"The file is neither JSONL nor a CSV of such votes: its first line lacks "
                f"{', '.join(missing)}. Choose an export of this queue's votes."
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


def _say(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _escape(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_SIGNS) else text


def _unescape(text: str) -> str:
    return text.removeprefix("'")


def _read_cells(record: dict[str, Any]) -> dict[str, Any]:
    for name in _FLAGS:
        record[name] = _BOOLS.get(record[name], record[name])
    for name, number in _NUMBERS.items():
        with suppress(ValueError, KeyError):  # told by who reads the vote
            record[name] = number(record[name])
    return record
