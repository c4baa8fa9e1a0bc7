"""Rows become durable in groups, in order, and who waits is told the truth."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from cai_core.errors import WorkspaceError
from cai_core.pipeline.row_sink import RowSink
from cai_core.workspace.rows import Row
from tests.workspace import rows_of


def make_row(number: int) -> Row:
    return replace(rows_of.make_row(), row_id=str(number))


class Disk:
    """Remembers batches; writes only when it may, and fails when it is full."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may_write = threading.Event()
        self.may_write.set()
        self.full = False

    def append(self, records: Any) -> None:
        assert self.may_write.wait(10)
        if self.full:
            raise WorkspaceError("the disk is full")
        self.batches.append([record["row_id"] for record in records])


def test_rows_that_wait_for_the_disk_go_together_and_in_order() -> None:
    disk = Disk()
    disk.may_write.clear()

    async def check() -> None:
        async with RowSink(disk.append) as sink:
            puts = [asyncio.create_task(sink.put(make_row(n))) for n in range(6)]
            await asyncio.sleep(0.05)
            assert not any(put.done() for put in puts), "acknowledged before it was written"
            disk.may_write.set()
            await asyncio.gather(*puts)

    asyncio.run(check())
    assert [row for batch in disk.batches for row in batch] == [str(n) for n in range(6)]
    assert len(disk.batches) <= 2


def test_a_full_disk_is_told_to_everybody_who_waits_and_to_the_next() -> None:
    disk = Disk()
    disk.full = True

    async def check() -> None:
        async with RowSink(disk.append) as sink:
            told = await asyncio.gather(
                *(sink.put(make_row(n)) for n in range(3)), return_exceptions=True
            )
            assert [type(one) for one in told] == [WorkspaceError] * 3
            with pytest.raises(WorkspaceError):
                await sink.put(make_row(9))
            disk.full = False
            await sink.put(make_row(10))

    asyncio.run(check())
    assert disk.batches == [["10"]]


def test_leaving_writes_what_was_put_though_nobody_waits_any_more() -> None:
    disk = Disk()
    disk.may_write.clear()

    async def check() -> None:
        async with RowSink(disk.append) as sink:
            put = asyncio.create_task(sink.put(make_row(1)))
            await asyncio.sleep(0.02)
            put.cancel()
            asyncio.get_running_loop().call_later(0.02, disk.may_write.set)

    asyncio.run(check())
    assert disk.batches == [["1"]]
