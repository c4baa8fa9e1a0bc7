"""Comparisons of ways that a page watches.

A comparison is a run, `runs/interactive-ways-<id>`, whose rows are durable as they
come, so a link to it outlives the app.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cai_core.pipeline.hub import Hub
from cai_core.pipeline.live_task import ChainState, LiveTask, Work
from cai_core.pipeline.ways_answers import STEPS, Answer, list_samples, read_answer
from cai_core.pipeline.ways_recipe import Way, WaysRecipe
from cai_core.records import Constitution, Prompt
from cai_core.workspace.rows import Row

RUN_PREFIX = "interactive-ways-"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaysRequest:
    """A comparison as it was asked for at the page; the prompt is the recipe's only one."""

    prompt: Prompt
    constitution: Constitution
    recipe: WaysRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class WaysSnapshot:
    """What a comparison's buffer held at one moment.

    Attributes:
        rows: by id, durable each.
        partial: (step, sample) → the text of a sample that is being written.
        ended: ways to which nothing more comes, and after how many seconds.
        faults: way → why it could not go on, for the person at the page.
        error: why the whole could not, only where `state` is FAILED.
        seconds: since the start; stands still once it has ended.
    """

    state: ChainState
    rows: Mapping[str, Row] = field(default_factory=dict)
    partial: Mapping[tuple[str, int], str] = field(default_factory=dict)
    ended: Mapping[Way, float] = field(default_factory=dict)
    faults: Mapping[Way, str] = field(default_factory=dict)
    error: str | None = None
    seconds: float = 0.0

    def read(self, request: WaysRequest, run_id: str, way: Way) -> Answer:
        """The way's answer, as far as it has come."""
        return read_answer(
            way, request.prompt, self.rows, request.recipe, request.constitution, run_id
        )

    def list_partial(self, recipe: WaysRecipe, way: Way) -> dict[int, str]:
        """Samples of a way that are being written."""
        found = ((s, self.partial.get((STEPS[way], s))) for s in list_samples(way, recipe))
        return {sample: text for sample, text in found if text is not None}

    def is_live(self, way: Way) -> bool:
        """Whether more may still come to this way."""
        return self.state.is_live and way not in self.ended


class WaysBuffer:
    """What a running comparison has brought so far. Safe to use from any thread.

    Its writing half is the observer that `ways.Asking` reports to.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = ChainState.STARTING
        self._rows: dict[str, Row] = {}
        self._pieces: dict[tuple[str, int], list[str]] = {}
        self._ended: dict[Way, float] = {}
        self._faults: dict[Way, str] = {}
        self._error: str | None = None
        self._started = time.monotonic()
        self._seconds: float | None = None

    @classmethod
    def of_ended(cls, snapshot: WaysSnapshot) -> WaysBuffer:
        """The buffer of a comparison that ended earlier."""
        buffer = cls()
        buffer._rows, buffer._faults = dict(snapshot.rows), dict(snapshot.faults)
        buffer._ended = dict(snapshot.ended)
        buffer.end(snapshot.state, snapshot.error)
        buffer._seconds = snapshot.seconds
        return buffer

    def started(self, step: str, sample: int) -> None:
        """A sample is asked for; its text follows."""
        with self._lock:
            if self._state.is_live:
                self._state = ChainState.RUNNING
                self._pieces[step, sample] = []

    def text(self, step: str, sample: int, delta: str) -> None:
        """More text of a sample."""
        with self._lock:
            if self._state.is_live:
                self._pieces.setdefault((step, sample), []).append(delta)

    def row(self, row: Row) -> None:
        """A row is durable; it takes the place of what was streamed."""
        with self._lock:
            if self._state.is_live:
                self._state = ChainState.RUNNING
                self._rows[row.row_id] = row
                self._pieces.pop((row.step, row.sample), None)

    def way_ended(self, way: Way, fault: str | None = None) -> None:
        """Nothing more comes to this way."""
        with self._lock:
            if self._state.is_live:
                self._ended[way] = time.monotonic() - self._started
                if fault is not None:
                    self._faults[way] = fault

    def end(self, state: ChainState, error: str | None = None) -> None:
        """Close the buffer; the first end counts."""
        with self._lock:
            if self._state.is_live:
                self._state, self._error = state, error
                self._seconds = time.monotonic() - self._started

    def snapshot(self) -> WaysSnapshot:
        """What is there now."""
        with self._lock:
            now = time.monotonic() - self._started
            return WaysSnapshot(
                state=self._state,
                rows=dict(self._rows),
                partial={key: "".join(pieces) for key, pieces in self._pieces.items()},
                ended=dict(self._ended),
                faults=dict(self._faults),
                error=self._error,
                seconds=now if self._seconds is None else self._seconds,
            )


class LiveWays(LiveTask[WaysRequest, WaysBuffer]):
    """One comparison."""

    what = "comparison"

    @classmethod
    def of_ended(cls, ways_id: str, request: WaysRequest, snapshot: WaysSnapshot) -> LiveWays:
        """A comparison that ended earlier, to be shown again; it has nothing to start."""
        return cls(ways_id, request, WaysBuffer.of_ended(snapshot))

    @property
    def run_id(self) -> str:
        """The run that keeps it."""
        return f"{RUN_PREFIX}{self.id}"

    def snapshot(self) -> WaysSnapshot:
        """What there is to show now."""
        return self._buffer.snapshot()


class WaysHub(Hub[WaysRequest, LiveWays]):
    """The comparisons of this process; `load` finds an ended one that is not in memory."""

    def __init__(
        self,
        work: Work[WaysRequest, WaysBuffer],
        load: Callable[[str], LiveWays | None],
        *,
        max_live: int = 2,
        max_kept: int = 50,
    ) -> None:
        super().__init__(
            "comparisons",
            lambda ways_id, request: LiveWays(ways_id, request, WaysBuffer(), work),
            load,
            max_live=max_live,
            max_kept=max_kept,
        )
