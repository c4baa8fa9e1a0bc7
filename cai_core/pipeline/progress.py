"""How far a batch is: rows, rate, and the time that remains."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cai_core.workspace.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A batch at one moment.

    Attributes:
        rows_done: durable rows, those of an earlier attempt included.
        rows_total: falls when a chain ends in an error row.
        tokens: completion tokens of this attempt.
        tokens_per_second: completion tokens of this attempt; None before the first row.
        remaining_seconds: at this attempt's rate of rows; None before the first row.
        cost: of this attempt, in USD; None where a model has no price.
        waiting_for: servers that do not answer, each with why; they are tried again.
    """

    rows_done: int
    rows_total: int
    chains_done: int
    chains_total: int
    failed: int
    tokens_per_second: float | None
    remaining_seconds: float | None
    tokens: int = 0
    cost: float | None = None
    waiting_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model's tokens cost, in USD for a million."""

    prompt: float
    completion: float

    def compute_cost(self, row: Row) -> float:
        """A row's cost in USD."""
        prompt, completion = row.prompt_tokens or 0, row.completion_tokens or 0
        return (prompt * self.prompt + completion * self.completion) / 1e6


# By the role that a row was asked of; None where the model has no price.
Prices = Mapping[str, Price | None]


class ProgressMeter:
    """Counts rows as they come and tells a callback."""

    def __init__(
        self,
        chains: int,
        rows_per_chain: int,
        on_progress: Callable[[Progress], None] | None,
        clock: Callable[[], float] = time.monotonic,
        *,
        prices: Prices | None = None,
        trouble: Callable[[], tuple[str, ...]] = tuple,
    ):
        """
        Args:
            clock: seconds, never going back.
            trouble: tells what `Progress.waiting_for` shows.
        """
        self._prices, self._trouble = prices or {}, trouble
        self._cost: float | None = 0.0
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
        price = self._prices.get(row.role)
        if price is None or self._cost is None:
            self._cost = None
        else:
            self._cost += price.compute_cost(row)
        self.tell()

    def chain_finished(self, rows: Sequence[Row]) -> None:
        """A chain ended with these rows, some of which may have been durable before."""
        self._done += len(rows) - self._open_rows.pop((rows[0].prompt_id, rows[0].sample), 0)
        self._total -= self._rows_per_chain - len(rows)
        self._finished += 1
        self._failed += rows[-1].error is not None
        self.tell()

    def tell(self) -> None:
        """Tell the callback where the batch stands."""
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
                tokens=self._tokens,
                cost=self._cost if self._prices else None,
                waiting_for=self._trouble(),
            )
        )
