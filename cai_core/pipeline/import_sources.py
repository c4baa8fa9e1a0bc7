"""The files that a path to import names, and how each one is read: by its content, not its name.

A folder is a dataset as `datasets` saves it (Arrow), one as the hub lays it out (Parquet shards),
or any folder of such files.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cai_core.errors import ImportFormatError
from cai_core.pipeline.import_records import RejectedLine, SourceRecord
from cai_core.pipeline.import_tables import (
    DELIMITERS,
    list_table_columns,
    read_arrow_file,
    read_csv,
    read_csv_header,
    read_parquet_file,
)
from cai_core.pipeline.import_text import (
    load_document,
    parse_json,
    parse_object,
    read_cut_list,
    read_json_lines,
    read_lines,
)

Container = Literal["jsonl", "json", "csv", "parquet", "arrow"]
ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow")
MOST_FILES = 10_000
# In a dataset's folder these are not for training: every row of them is held out.
_HELD_OUT = re.compile(
    r"(?:^|/)(?:test|validation|valid|dev|eval)(?:[-_.]\d|[./]|$)", re.IGNORECASE
)
_STATE, _SPLITS = "state.json", "dataset_dict.json"
_NO_DATA = {_STATE, _SPLITS, "dataset_info.json", "dataset_infos.json"}
_LOOKED_AT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file to import.

    Attributes:
        path: where it lies; a run reads its own copy.
        name: below the folder that was named, with `/`.
        held_out: one of a dataset's splits that nothing may be trained on.
    """

    path: Path
    name: str
    held_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a file is read.

    Attributes:
        columns: of a table; empty for JSON.
        delimiter: of a CSV file.
    """

    container: Container
    columns: tuple[str, ...] = ()
    delimiter: str = ","


def find_files(path: Path) -> tuple[SourceFile, ...]:
    """The files of a path, in the order of their names.

    Raises:
        ImportFormatError: there is nothing, or nothing that could be imported.
    """
    if path.is_file():
        return (SourceFile(path=path, name=path.name),)
    if not path.is_dir():
        raise ImportFormatError(f"{path}: no such file or folder. Check the path.")
    found = _find_saved(path) or _find_any(path)
    if not found:
        raise ImportFormatError(
            f"{path}: holds no file that ends in {', '.join(ENDINGS)}, or in .gz after that. Name "
            "the file, or the folder that holds the rows."
        )
    if len(found) > MOST_FILES:
        raise ImportFormatError(f"{path}: holds more than {MOST_FILES} files. Name a folder in it.")
    return tuple(
        SourceFile(path=path / name, name=name, held_out=bool(_HELD_OUT.search(name)))
        for name in found
    )


def hash_file(path: Path) -> str:
    """SHA-256 (hex) of a file.

    Raises:
        ImportFormatError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImportFormatError(f"{path}: cannot be read: {error.strerror}.") from error


def find_reading(
    file: SourceFile, encoding: str | None, known: Sequence[frozenset[str]]
) -> Reading:
    """How the file is read.

    Args:
        known: sets of column names; one of them whole makes a line of text a CSV header.

    Raises:
        ImportFormatError: it is of no kind that can be read.
    """
    head = _read_head(file.path)
    if head.startswith(b"PAR1"):
        return Reading(container="parquet", columns=list_table_columns(file.path, "parquet"))
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return Reading(container="arrow", columns=list_table_columns(file.path, "arrow"))
    text = _find_first_text(file, encoding)
    if not text.startswith(("{", "[")):
        return _find_table(file, encoding, known)
    if text.startswith("[") or _is_one_document(file, encoding):
        try:
            load_document(file.path, encoding)
            return Reading(container="json")
        except ValueError:
            # A list that is cut; or lines of which some are damaged, and each one is told.
            if text.startswith("[") and not _is_whole(text):
                return Reading(container="json")
    return Reading(container="jsonl")


def _find_table(file: SourceFile, encoding: str | None, known: Sequence[frozenset[str]]) -> Reading:
    for delimiter in DELIMITERS:
        names = read_csv_header(file.path, encoding, delimiter)
        if len(set(names)) == len(names) and any(one <= set(names) for one in known):
            return Reading(container="csv", columns=tuple(names), delimiter=delimiter)
    names = read_csv_header(file.path, encoding, ",")
    if names and file.name.lower().removesuffix(".gz").endswith((".csv", ".tsv")):
        twice = sorted({name for name in names if names.count(name) > 1})
        told = f"names {twice[0]!r:.40} twice" if twice else "has no columns of a known format"
        raise ImportFormatError(
            f"{file.name}: its first line {told}: {', '.join(names):.200}. Rename the columns."
        )
    # Nothing of it can be read as a table: each line is told.
    return Reading(container="jsonl")


def _is_whole(text: str) -> bool:
    try:
        parse_json(text)
    except ValueError:
        return False
    return True


def read_records(
    file: SourceFile, reading: Reading, encoding: str | None, wanted: frozenset[str]
) -> Iterator[SourceRecord | RejectedLine]:
    """Every record of a file, and every line that is none, in order; one at a time.

    Args:
        wanted: columns that matter; a Parquet or Arrow file's others are not read.
    """
    columns = [name for name in reading.columns if name in wanted]
    match reading.container:
        case "jsonl":
            return read_json_lines(file.path, file.name, encoding)
        case "csv":
            header, sign = reading.columns, reading.delimiter
            return read_csv(file.path, file.name, encoding, sign, header)
        case "parquet":
            return read_parquet_file(file.path, file.name, columns)
        case "arrow":
            return read_arrow_file(file.path, file.name, columns)
    return _read_document(file, encoding)


def place_file(file: SourceFile, folder: Path) -> SourceFile:
    """The same file in another folder: a run's own copy."""
    return replace(file, path=folder / file.name)


def _find_saved(folder: Path) -> list[str]:
    """The Arrow files of a folder that `datasets` saved, in their order."""
    splits = _load_json(folder / _SPLITS).get("splits")
    places = splits if isinstance(splits, list) else [""]
    found = []
    for split in places:
        entries = _load_json(folder / str(split) / _STATE).get("_data_files")
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and isinstance(name := entry.get("filename"), str):
                inside = (Path(str(split)) / name).as_posix()
                if ".." in Path(inside).parts or Path(inside).is_absolute():
                    raise ImportFormatError(
                        f"{folder}: names {inside!r:.80}, which lies outside of it. Save the "
                        "dataset again."
                    )
                found.append(inside)
    return found


def _find_any(folder: Path) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        named = path.name.lower().removesuffix(".gz").endswith(ENDINGS)
        hidden = any(part.startswith(".") for part in inside.parts)
        if named and not hidden and path.name not in _NO_DATA and path.is_file():
            found.append(inside.as_posix())
    return sorted(found)


def _load_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except OSError as error:
        raise ImportFormatError(f"{path}: cannot be read: {error.strerror}.") from error


def _find_first_text(file: SourceFile, encoding: str | None) -> str:
    """The first line that holds something and can be read."""
    for number, line in enumerate(read_lines(file.path, file.name, encoding)):
        if not isinstance(line, RejectedLine) and line[1].strip():
            return line[1].lstrip()
        if number > _LOOKED_AT:
            break
    return ""


def _is_one_document(file: SourceFile, encoding: str | None) -> bool:
    """Whether the first lines are no JSON objects of their own, or there is only one."""
    held = 0
    for number, line in enumerate(read_lines(file.path, file.name, encoding)):
        if number > _LOOKED_AT or held > 1:
            break
        if isinstance(line, RejectedLine) or not line[1].strip():
            continue
        try:
            fields = parse_object(line[1])
        except ValueError:
            continue
        held += 1 if "comparisons" not in fields else -_LOOKED_AT
    return held < 1


def _read_document(file: SourceFile, encoding: str | None) -> Iterator[SourceRecord | RejectedLine]:
    """The records of a JSON list, or of a document that holds `comparisons`, by number."""
    context: Mapping[str, Any] = {}
    records: Iterable[Any]
    try:
        document = load_document(file.path, encoding)
    except ValueError:
        document, records = None, read_cut_list(file.path, encoding)
    if isinstance(document, dict):
        context = {name: value for name, value in document.items() if name != "comparisons"}
        document = document.get("comparisons")
    if isinstance(document, list):
        records = document
    elif document is not None or context:
        told = "one JSON document without a list of records; save it as JSON lines"
        yield RejectedLine(file=file.name, line=0, reason=told)
        return
    number = 0
    try:
        for number, fields in enumerate(records, start=1):
            if isinstance(fields, dict):
                yield SourceRecord(file=file.name, line=number, fields=fields, context=context)
            else:
                yield RejectedLine(file=file.name, line=number, reason="not a JSON object")
    except (ValueError, RecursionError) as error:
        told = f"the JSON list is cut or damaged from here on: {error}"
        yield RejectedLine(file=file.name, line=number + 1, reason=told)
