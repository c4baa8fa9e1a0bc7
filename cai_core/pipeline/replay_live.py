"""Replays that a page watches: bounded, stopped at once, kept in this process alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cai_core.pipeline.hub import Hub
from cai_core.pipeline.live_task import ChainState, LiveTask, Work
from cai_core.pipeline.replay_report import ReplayReport, ReplayStep, pair_rows
from cai_core.pipeline.replay_targets import Target
from cai_core.workspace.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """A replay as it was asked for.

    Attributes:
        recordings: the folder of the recorded runs; None without any.
        tell_end: called once with what it came to; not where it was stopped or failed.
    """

    target: Target
    workspace: Path
    recordings: Path | None = None
    tell_end: Callable[[ReplayReport], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySnapshot:
    """What a replay's buffer held at one moment.

    Attributes:
        steps: those that were asked so far, in stored order, and those that wait.
        report: once it has finished.
        error: why it could not, only where `state` is FAILED.
        seconds: since the start; stands still once it has ended.
    """

    state: ChainState
    steps: tuple[ReplayStep, ...]
    report: ReplayReport | None
    error: str | None
    seconds: float

    @property
    def done(self) -> int:
        """Steps that were asked again."""
        return sum(step.new is not None for step in self.steps)


class ReplayBuffer:
    """What a running replay has brought so far. Safe to use from any thread."""

    def __init__(self, stored: tuple[Row, ...]) -> None:
        self._lock = threading.Lock()
        self._state = ChainState.STARTING
        self._stored = stored
        self._rows: list[Row] = []
        self._report: ReplayReport | None = None
        self._error: str | None = None
        self._started = time.monotonic()
        self._seconds: float | None = None

    def add(self, row: Row) -> None:
        """A step was asked again."""
        with self._lock:
            if self._state.is_live:
                self._state = ChainState.RUNNING
                self._rows.append(row)

    def finish(self, report: ReplayReport) -> None:
        """What it came to; `end` follows."""
        with self._lock:
            self._report = report

    def end(self, state: ChainState, error: str | None = None) -> None:
        """Close the buffer; the first end counts."""
        with self._lock:
            if self._state.is_live:
                self._state, self._error = state, error
                self._seconds = time.monotonic() - self._started

    def snapshot(self) -> ReplaySnapshot:
        """What is there now."""
        with self._lock:
            now = time.monotonic() - self._started
            report = self._report
            return ReplaySnapshot(
                state=self._state,
                steps=report.steps if report else pair_rows(self._stored, self._rows),
                report=report,
                error=self._error,
                seconds=now if self._seconds is None else self._seconds,
            )


class LiveReplay(LiveTask[ReplayRequest, ReplayBuffer]):
    """One replay."""

    what = "replay"

    def snapshot(self) -> ReplaySnapshot:
        """What there is to show now."""
        return self._buffer.snapshot()


class ReplayHub(Hub[ReplayRequest, LiveReplay]):
    """The replays of this process; one that is forgotten can be run again."""

    def __init__(
        self,
        work: Work[ReplayRequest, ReplayBuffer],
        *,
        max_live: int = 2,
        max_kept: int = 50,
    ) -> None:
        super().__init__(
            "replays",
            lambda id, request: LiveReplay(id, request, ReplayBuffer(request.target.rows), work),
            lambda _id: None,
            max_live=max_live,
            max_kept=max_kept,
        )
