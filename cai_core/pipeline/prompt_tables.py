"""Prompts from elsewhere: .jsonl, .txt, .csv and .parquet files, and datasets of the hub.

Such files name their columns in many ways. Whatever the way, a prompt is what `prompt_file.py`
says it is, and what is none is told with its line and the reason.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cai_core.errors import PromptFileError
from cai_core.pipeline.csv_lines import CsvLines
from cai_core.pipeline.prompt_file import MAX_LINE_BYTES, RejectedLine, parse_prompt_line
from cai_core.pipeline.prompt_hub import PREFIX, fetch_dataset
from cai_core.records import Prompt, PromptKind
from cai_core.workspace.tables import list_parquet_columns, read_parquet

# In the order in which they are looked for.
TEXT_COLUMNS = ("prompt", "question", "instruction", "text")
TURN_COLUMNS = ("messages", "conversation")
COLUMNS = (*TEXT_COLUMNS, *TURN_COLUMNS)
SUFFIXES = (".jsonl", ".txt", ".csv", ".parquet")
_OPTIONAL = ("id", "kind", "tags")
# An instruction's other half, in files of Alpaca's form.
_CONTEXT = "input"

# A line's number and what stands there, or why that cannot be read.
_Record = tuple[int, Mapping[str, Any] | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSource:
    """Files that hold prompts.

    Attributes:
        label: what the journal calls them: the file's name, or the dataset's with its revision.
    """

    label: str
    paths: tuple[Path, ...]


def find_source(source: str) -> PromptSource:
    """The files that a path, or `hf:owner/name[:[config/]split]`, names; the latter is fetched.

    Raises:
        PromptFileError: no such file, of no known kind, or the hub does not give it.
    """
    if source.startswith(PREFIX):
        fetched = fetch_dataset(source)
        return PromptSource(label=fetched.label, paths=fetched.paths)
    path = expand_path(source)
    if path.suffix.lower() not in SUFFIXES:
        raise PromptFileError(
            f"{path}: must end in {', '.join(SUFFIXES)}; or name a dataset of the Hugging Face "
            f"hub, as {PREFIX}owner/name:split."
        )
    if not path.is_file():
        raise PromptFileError(f"{path}: no such file. Check the path.")
    return PromptSource(label=path.name, paths=(path,))


def expand_path(name: str) -> Path:
    """The path, `~` written out.

    Raises:
        PromptFileError: `~` of somebody who is not here.
    """
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise PromptFileError(f"{name}: {error} Write the whole path.") from error


def read_prompts(
    source: PromptSource, *, column: str | None = None, kind: PromptKind | None = None
) -> Iterator[Prompt | RejectedLine]:
    """Every prompt, and every line that is none, in order; one at a time.

    Args:
        column: where the prompt stands, as a text or a list of turns; None looks for COLUMNS.
        kind: of every prompt, whatever the file says; None takes the file's `kind`.

    Raises:
        PromptFileError: a file cannot be read, or has no such column.
        ImportFormatError: a .parquet file that is none.
    """
    for number, record in _read_records(source.paths, column):
        try:
            if isinstance(record, str):
                raise ValueError(record)
            prompt = _build_prompt(record, number, column)
        except ValueError as error:
            yield RejectedLine(line=number, reason=str(error))
        else:
            yield prompt if kind is None else replace(prompt, kind=kind)


def _read_records(paths: Sequence[Path], column: str | None) -> Iterator[_Record]:
    match paths[0].suffix.lower():
        case ".parquet":
            return _read_parquet(paths, column)
        case ".csv":
            return _read_csv(paths[0], column)
        case ".jsonl":
            return _read_jsonl(paths[0])
        case _:
            return _read_text(paths[0])


def _build_prompt(record: Mapping[str, Any], number: int, column: str | None) -> Prompt:
    """Raises ValueError where the record is no prompt."""
    chosen = _choose_column(record, column)
    if chosen is None:
        wanted = [column] if column else COLUMNS
        raise ValueError(f"needs one of {', '.join(wanted)}; has {', '.join(record) or 'none'}")
    value = record[chosen]
    if chosen == "instruction" and record.get(_CONTEXT):
        raise ValueError(f"has an `{_CONTEXT}` beside its instruction; write both into one text")
    if chosen in TURN_COLUMNS and isinstance(value, str):
        value = _parse_turns(value)
    document = {"messages" if isinstance(value, list) else "prompt": value}
    document |= {name: record[name] for name in _OPTIONAL if record.get(name) is not None}
    # As a line of a prompt file, so that there is one set of rules.
    try:
        line = json.dumps(document)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"holds neither texts, numbers nor lists: {error}") from error
    return parse_prompt_line(line, number, plain=False)


def _choose_column(names: Iterable[str], column: str | None) -> str | None:
    wanted = COLUMNS if column is None else (column,)
    return next((name for name in wanted if name in names), None)


def _check_column(where: Path, names: Sequence[str], column: str | None) -> str:
    found = _choose_column(names, column)
    if found is None:
        wanted = f"no column {column!r}" if column else f"none of the columns {', '.join(COLUMNS)}"
        raise PromptFileError(
            f"{where}: has {wanted}. It has {', '.join(names)}: say which of them holds the "
            "prompt (--column)."
        )
    return found


def _parse_turns(text: str) -> list[Any]:
    try:
        turns = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its turns are no JSON: {error}") from error
    if not isinstance(turns, list):
        raise ValueError("a conversation is a list of at least one turn")
    return turns


def _read_text(path: Path) -> Iterator[_Record]:
    for number, text in _read_lines(path):
        if isinstance(text, str) and text.strip():
            yield number, {"prompt": text}
        elif isinstance(text, _Damage):
            yield number, text.reason


def _read_jsonl(path: Path) -> Iterator[_Record]:
    for number, text in _read_lines(path):
        if isinstance(text, _Damage):
            yield number, text.reason
        elif text.strip():
            yield number, _parse_object(text)


def _parse_object(text: str) -> Mapping[str, Any] | str:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg} at column {error.colno}"
    except (RecursionError, ValueError):  # a number of thousands of digits is a ValueError
        return "not JSON: nested too deeply, or a number too long"
    return document if isinstance(document, dict) else 'not a JSON object; write {"prompt": "…"}'


def _read_csv(path: Path, column: str | None) -> Iterator[_Record]:
    # One limit for the whole process; the standard library has no other.
    csv.field_size_limit(MAX_LINE_BYTES)
    ended = 0
    try:
        with CsvLines(path) as lines:
            rows = csv.reader(lines, strict=True)
            header = next(rows, [])
            if len(set(header)) < len(header):
                raise PromptFileError(f"{path}: names a column twice. Rename one of the two.")
            _check_column(path, header, column)
            ended = rows.line_num
            lines.end_record()
            for cells in rows:
                number, ended = ended + 1, rows.line_num
                lines.end_record()
                if len(cells) == len(header):
                    yield number, _clean_cells(dict(zip(header, cells, strict=True)))
                elif cells:
                    yield number, f"has {len(cells)} cells, the first line {len(header)}"
    except OSError as error:
        raise _unreadable(path, error) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise PromptFileError(
            f"{path}: behind line {ended}: {error}. Save it as CSV in UTF-8, cells with commas or "
            "line breaks in double quotes."
        ) from error


def _read_parquet(paths: Sequence[Path], column: str | None) -> Iterator[_Record]:
    names = list_parquet_columns(paths)
    chosen = _check_column(paths[0], names, column)
    wanted = [name for name in (chosen, *_OPTIONAL, _CONTEXT) if name in names]
    for number, row in enumerate(read_parquet(paths, list(dict.fromkeys(wanted))), start=1):
        yield number, _clean_cells(row)


def _clean_cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """A table's row as a line of JSON would say it: no empty cells, and tags as a list."""
    cells = {name: value for name, value in row.items() if name not in _OPTIONAL or value != ""}
    if isinstance(tags := cells.get("tags"), str):
        cells["tags"] = [tag.strip() for tag in tags.split(";") if tag.strip()]
    return cells


@dataclass(frozen=True, slots=True)
class _Damage:
    reason: str


def _read_lines(path: Path) -> Iterator[tuple[int, str | _Damage]]:
    """Lines by number; one over the limit is skipped without being held."""
    number = 0
    try:
        with path.open("rb") as file:
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) <= MAX_LINE_BYTES:
                    yield number, _decode(raw, number)
                    continue
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(MAX_LINE_BYTES)
                yield number, _Damage(f"longer than {MAX_LINE_BYTES} bytes")
    except OSError as error:
        raise _unreadable(path, error) from error


def _decode(raw: bytes, number: int) -> str | _Damage:
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        return _Damage(f"not UTF-8 at byte {error.start + 1} of the line")
    return text.removesuffix("\n").removesuffix("\r")


def _unreadable(path: Path, error: OSError) -> PromptFileError:
    return PromptFileError(f"{path}: cannot be read: {error.strerror}. Check the path.")
