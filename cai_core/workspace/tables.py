"""Parquet files from elsewhere, row by row, read by DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cai_core.errors import ImportFormatError

# As the index: an import shares the machine with it. Nothing is fetched from anywhere.
_CONFIG = {"threads": "2", "memory_limit": "1GB", "autoinstall_known_extensions": "false"}
_ROWS_AT_ONCE = 1000
# DuckDB would take these for a pattern.
_PATTERN_SIGNS = "*?["


def list_parquet_columns(paths: Sequence[Path]) -> tuple[str, ...]:
    """The names of the columns of all the files together.

    Raises:
        ImportFormatError: a file is missing, or no Parquet.
    """
    query = "describe select * from read_parquet(?, union_by_name = true)"
    with _query(paths, query) as rows:
        return tuple(str(name) for name, *_ in rows.fetchall())


def read_parquet(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every row of the files, in their order, as plain values by column.

    Args:
        columns: of those that `list_parquet_columns` names.

    Raises:
        ImportFormatError: a file is missing, damaged, or no Parquet.
    """
    names = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
    query = f"select {names} from read_parquet(?, union_by_name = true)"
    with _query(paths, query) as rows:
        while batch := rows.fetchmany(_ROWS_AT_ONCE):
            for values in batch:
                yield dict(zip(columns, values, strict=True))


@contextmanager
def _query(paths: Sequence[Path], query: str) -> Iterator[Any]:
    import duckdb  # takes a moment to load, which other commands need not wait for

    for path in paths:
        if not path.is_file() or any(sign in str(path) for sign in _PATTERN_SIGNS):
            raise ImportFormatError(
                f"{path}: no file, or a path with one of {_PATTERN_SIGNS}. Check the path, or "
                "rename the file."
            )
    connection = duckdb.connect(":memory:", config=dict[str, Any](_CONFIG))
    try:
        yield connection.execute(query, [[str(path) for path in paths]])
    except duckdb.Error as error:
        told = str(error).splitlines()[0] if str(error) else repr(error)
        raise ImportFormatError(
            f"{', '.join(str(path) for path in paths)}: cannot be read as Parquet: {told}"
        ) from error
    finally:
        connection.close()
