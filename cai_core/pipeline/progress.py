"""How far a batch is: rows, rate, and the time that remains."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cai_core.workspace.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A batch at one moment.

    Attributes:
        rows_done: durable rows, those of an earlier attempt included.
        rows_total: falls when a chain ends in an error row.
        tokens_per_second: completion tokens of this attempt; None before the first row.
        remaining_seconds: at this attempt's rate of rows; None before the first row.
    """

    rows_done: int
    rows_total: int
    chains_done: int
    chains_total: int
    failed: int
    tokens_per_second: float | None
    remaining_seconds: float | None


class ProgressMeter:
    """Counts rows as they come and tells a callback."""

    def __init__(
        self,
        chains: int,
        rows_per_chain: int,
        on_progress: Callable[[Progress], None] | None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """
        Args:
            clock: seconds, never going back.
        """
        self._chains, self._rows_per_chain = chains, rows_per_chain
        self._on_progress, self._clock, self._started = on_progress, clock, clock()
        self._done = self._generated = self._tokens = self._finished = self._failed = 0
        self._total = chains * rows_per_chain
        self._open_rows: dict[tuple[str, int], int] = {}

    def row_generated(self, row: Row) -> None:
        """A new row is durable."""
        key = (row.prompt_id, row.sample)
        self._open_rows[key] = self._open_rows.get(key, 0) + 1
        self._generated += 1
        self._done += 1
        self._tokens += row.completion_tokens or 0
        self._tell()

    def chain_finished(self, rows: Sequence[Row]) -> None:
        """A chain ended with these rows, some of which may have been durable before."""
        self._done += len(rows) - self._open_rows.pop((rows[0].prompt_id, rows[0].sample), 0)
        self._total -= self._rows_per_chain - len(rows)
        self._finished += 1
        self._failed += rows[-1].error is not None
        self._tell()

    def _tell(self) -> None:
        if self._on_progress is None:
            return
        seconds = self._clock() - self._started
        measured = self._generated > 0 and seconds > 0
        left = self._total - self._done
        self._on_progress(
            Progress(
                rows_done=self._done,
                rows_total=self._total,
                chains_done=self._finished,
                chains_total=self._chains,
                failed=self._failed,
                tokens_per_second=self._tokens / seconds if measured else None,
                remaining_seconds=seconds / self._generated * left if measured else None,
            )
        )
