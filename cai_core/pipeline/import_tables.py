"""Tables from elsewhere: CSV, Parquet and Arrow files, a record a row.

Of a table only the columns that some format knows are read. Where a file is damaged in the middle,
the rows before are given, and what follows is told.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cai_core.errors import ImportFormatError
from cai_core.pipeline.import_records import MAX_RECORD_BYTES, RejectedLine, SourceRecord
from cai_core.pipeline.import_text import parse_json, read_lines
from cai_core.workspace.tables import list_parquet_columns, read_parquet

# How a table says which of its cells are not as the text is (`export_columns.py` writes it): a name
# is a column whose text got an apostrophe in front, `name:json` one whose text is written as JSON.
ESCAPED = "escaped"
DELIMITERS = (",", "\t", ";")
_ROWS_AT_ONCE = 1000

Found = SourceRecord | RejectedLine


def read_csv(
    path: Path, name: str, encoding: str | None, delimiter: str, header: Sequence[str]
) -> Iterator[Found]:
    """A record for each row; a row's number is that of its first line.

    Args:
        header: of the first line, as `read_csv_header` gives it.
    """
    # One limit for the whole process; the standard library has no other.
    csv.field_size_limit(MAX_RECORD_BYTES)
    lines = _CsvLines(path, name, encoding)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    began = 1
    while True:
        lines.held = 0
        try:
            cells = next(rows)
        except StopIteration:
            return
        except _DamagedLine as error:
            damaged = error.line
            if damaged.line > began:
                told = f"its line {damaged.line} is {damaged.reason}"
                damaged = RejectedLine(file=name, line=began, reason=told)
            yield damaged
        except csv.Error as error:
            told = f"broken CSV: {error}"
            if lines.number > began:
                told += f"; lines {began} to {lines.number} cannot be read: is a quote not closed?"
            yield RejectedLine(file=name, line=began, reason=told)
        else:
            if began > 1 and cells:
                yield _build_row(name, began, header, cells)
        began = lines.number + 1


def read_csv_header(path: Path, encoding: str | None, delimiter: str) -> list[str]:
    """The names on the first line; empty where it cannot be read as such."""
    lines = _CsvLines(path, path.name, encoding)
    try:
        return next(csv.reader(lines, delimiter=delimiter, strict=True), [])
    except (_DamagedLine, csv.Error):
        return []
    finally:
        lines.close()


def read_parquet_file(path: Path, name: str, columns: Sequence[str]) -> Iterator[Found]:
    """A record for each row of one file."""
    number = 0
    try:
        for number, row in enumerate(read_parquet([path], columns), start=1):
            yield _build_table_row(name, number, row)
    except ImportFormatError as error:
        yield _refuse_rest(name, number, error)


def list_table_columns(path: Path, container: str) -> tuple[str, ...]:
    """The names of a table's columns.

    Raises:
        ImportFormatError: it is no such file.
    """
    if container == "parquet":
        return list_parquet_columns([path])
    with _open_arrow(path) as reader:
        return tuple(reader.schema.names)


def read_arrow_file(path: Path, name: str, columns: Sequence[str]) -> Iterator[Found]:
    """A record for each row of one Arrow file, a stream or a file with a footer."""
    import pyarrow as pa  # slow to load, and no other format needs it

    number = 0
    try:
        with _open_arrow(path) as reader:
            for batch in _iterate_batches(reader):
                some = batch.select(list(columns))
                for start in range(0, some.num_rows, _ROWS_AT_ONCE):
                    for row in some.slice(start, _ROWS_AT_ONCE).to_pylist():
                        number += 1
                        yield _build_table_row(name, number, row)
    except (ImportFormatError, pa.ArrowException, OSError, UnicodeDecodeError) as error:
        yield _refuse_rest(name, number, error)


def _open_arrow(path: Path) -> Any:
    import pyarrow as pa

    try:
        source = pa.memory_map(str(path))
        if bytes(source.read(6)) == b"ARROW1":
            return pa.ipc.open_file(source)
        source.seek(0)
        return pa.ipc.open_stream(source)
    except (pa.ArrowException, OSError) as error:
        raise ImportFormatError(f"{path}: cannot be read as Arrow: {error}.") from error


def _iterate_batches(reader: Any) -> Iterator[Any]:
    if hasattr(reader, "num_record_batches"):
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
        return
    yield from reader


def _refuse_rest(name: str, number: int, error: Exception) -> RejectedLine:
    where = "cannot be read from here on" if number else "cannot be read"
    return RejectedLine(file=name, line=number + 1 if number else 0, reason=f"{where}: {error}")


def _build_row(name: str, number: int, header: Sequence[str], cells: Sequence[str]) -> Found:
    if len(cells) != len(header):
        told = f"has {len(cells)} cells, the first line {len(header)}"
        return RejectedLine(file=name, line=number, reason=told)
    row = {column: cell or None for column, cell in zip(header, cells, strict=True)}
    return _build_table_row(name, number, row, cells=True)


def _build_table_row(
    name: str, number: int, row: Mapping[str, Any], *, cells: bool = False
) -> Found:
    try:
        fields = unescape_cells(row)
    except ValueError as error:
        return RejectedLine(file=name, line=number, reason=str(error))
    return SourceRecord(file=name, line=number, fields=fields, cells=cells)


def unescape_cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its texts as they were before an export escaped them.

    Raises:
        ValueError: the row says that a cell is escaped which is not.
    """
    cells = {name: value for name, value in row.items() if name != ESCAPED}
    told = row.get(ESCAPED)
    for entry in told.split() if isinstance(told, str) else ():
        name, _, how = entry.partition(":")
        cells[name] = _unescape(cells.get(name), name, json_text=how == "json")
    return cells


def _unescape(value: object, name: str, *, json_text: bool) -> Any:
    if json_text and isinstance(value, list):
        return [_unescape(one, name, json_text=True) for one in value]
    if json_text and isinstance(value, str):
        return parse_json(value)
    if isinstance(value, str) and value.startswith("'"):
        return value[1:]
    raise ValueError(f"`{ESCAPED}` names {name!r:.40}, whose cell is not escaped")


class _DamagedLine(Exception):
    def __init__(self, line: RejectedLine) -> None:
        super().__init__(line.reason)
        self.line = line


class _CsvLines(Iterator[str]):
    """A file's lines for `csv.reader`, each record bounded."""

    def __init__(self, path: Path, name: str, encoding: str | None) -> None:
        self._lines = read_lines(path, name, encoding)
        self._name = name
        self.number = self.held = 0

    def __next__(self) -> str:
        line = next(self._lines)
        if isinstance(line, RejectedLine):
            self.number = line.line
            raise _DamagedLine(line)
        self.number, text = line
        self.held += len(text)
        if self.held > MAX_RECORD_BYTES:
            raise csv.Error(f"a record of more than {MAX_RECORD_BYTES:,} characters")
        return text

    def close(self) -> None:
        self._lines.close()  # type: ignore[attr-defined]
