"""Writing to index.duckdb: a transaction, and a batch of rows into a table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from cai_core.workspace.index.schema import Connection


@contextmanager
def transaction(con: Connection) -> Iterator[None]:
    """All of it or nothing."""
    con.execute("begin")
    try:
        yield
    except BaseException:
        con.execute("rollback")
        raise
    con.execute("commit")


@contextmanager
def snapshot(con: Connection) -> Iterator[None]:
    """Several queries that see one moment."""
    con.execute("begin")
    try:
        yield
    finally:
        con.execute("rollback")


def insert(con: Connection, table: str, rows: pa.Table) -> None:
    """Append rows by the names of their columns."""
    con.register("incoming", rows)
    con.execute(f"insert into {table} by name select * from incoming")
    con.unregister("incoming")
