"""Making rows durable in groups: whoever waits for the disk waits together.

One fsync a row would leave a fast model waiting for the disk. Here all rows that are ready go
into the next append, which a thread writes while the event loop goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from cai_core.workspace.rows import Row


class RowSink:
    """Appends rows durably, in the order in which they were put. Belongs to one event loop.

    Args:
        append: makes a batch durable; called on a thread, one call at a time.
    """

    def __init__(self, append: Callable[[Sequence[Mapping[str, Any]]], None]) -> None:
        self._append = append
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rows")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what was put before; who stops a run keeps it."""
        if self._flushing is not None:
            await asyncio.wait([self._flushing])
        self._thread.shutdown()

    async def put(self, row: Row) -> None:
        """Return when the row is on disk.

        Raises:
            WorkspaceError: the disk refuses, or another worker has taken over.
        """
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, durable))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        await durable

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                error = await loop.run_in_executor(self._thread, self._try_append, batch)
                for _, durable in batch:
                    if not durable.done():
                        durable.set_exception(error) if error else durable.set_result(None)
        finally:
            self._flushing = None

    def _try_append(self, batch: list[tuple[Row, asyncio.Future[None]]]) -> Exception | None:
        try:
            self._append([row.as_dict() for row, _ in batch])
        except Exception as error:  # noqa: BLE001  # raised in every `put` that waits for it
            return error
        return None
