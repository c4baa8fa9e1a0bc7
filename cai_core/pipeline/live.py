"""Chains that a page watches, step by step as their text arrives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from cai_core.pipeline.hub import Hub
from cai_core.pipeline.live_task import ChainState, LiveTask, Work
from cai_core.pipeline.recipe import ChainRecipe
from cai_core.records import Constitution, Finding, Prompt, StepKind


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStep:
    """One step as far as it has been written.

    Attributes:
        round: 0 for the initial response, else the critique–revision round.
        done: False while text is still arriving, and for a step that a stop or an error cut.
        finding: what a finished critique says of its principle, else None.
        cut_short: the text ended at the token limit, not by itself.
        reasoning: what a reasoning model thought before it, of a finished step.
    """

    kind: StepKind
    index: int
    round: int
    principle_id: str | None
    text: str = ""
    done: bool = False
    finding: Finding | None = None
    cut_short: bool = False
    reasoning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a chain's buffer held at one moment.

    Attributes:
        error: the message for the person at the page, only where `state` is FAILED.
        seconds: since the start; stands still once the chain has ended.
    """

    state: ChainState
    steps: tuple[LiveStep, ...]
    error: str | None
    seconds: float

    @property
    def kept(self) -> int:
        """How many steps are complete."""
        return sum(step.done for step in self.steps)


class ChainBuffer:
    """What a running chain has written so far. Safe to use from any thread.

    The writing half is the observer that `critique_revision.run_chain` reports to.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = ChainState.STARTING
        self._steps: list[LiveStep] = []
        self._pieces: list[str] = []
        self._error: str | None = None
        self._started = time.monotonic()
        self._ended: float | None = None

    @classmethod
    def of_ended(cls, snapshot: Snapshot) -> ChainBuffer:
        """The buffer of a chain that ended earlier."""
        buffer = cls()
        buffer._steps = list(snapshot.steps)
        buffer.end(snapshot.state, snapshot.error)
        buffer._ended = buffer._started + snapshot.seconds
        return buffer

    def step_started(
        self, kind: StepKind, index: int, round: int, principle_id: str | None
    ) -> None:
        """A step begins; its text follows."""
        with self._lock:
            if self._state.is_live:
                self._state = ChainState.RUNNING
                self._pieces = []
                self._steps.append(
                    LiveStep(kind=kind, index=index, round=round, principle_id=principle_id)
                )

    def text(self, delta: str) -> None:
        """More text of the step that began last."""
        with self._lock:
            if self._state.is_live:
                self._pieces.append(delta)

    def step_finished(self, step: LiveStep) -> None:
        """The step is complete; `step` takes the place of what was streamed."""
        with self._lock:
            if self._state.is_live:
                self._steps[-1] = step
                self._pieces = []

    def end(self, state: ChainState, error: str | None = None) -> None:
        """Close the buffer; the first end counts."""
        with self._lock:
            if self._state.is_live:
                self._keep_partial_text()
                self._state, self._error, self._ended = state, error, time.monotonic()

    def snapshot(self) -> Snapshot:
        """What is there now. An unfinished step shows the text that has arrived."""
        with self._lock:
            if self._state.is_live:
                self._keep_partial_text()
            until = time.monotonic() if self._ended is None else self._ended
            return Snapshot(
                state=self._state,
                steps=tuple(self._steps),
                error=self._error,
                seconds=until - self._started,
            )

    def _keep_partial_text(self) -> None:
        if self._pieces:
            self._pieces = ["".join(self._pieces)]
            self._steps[-1] = replace(self._steps[-1], text=self._pieces[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRequest:
    """One chain as it was asked for at the page.

    Attributes:
        model: `demo`, a model folder, or the URL of an OpenAI-compatible server.
    """

    prompt: Prompt
    constitution: Constitution
    model: str
    recipe: ChainRecipe


class LiveChain(LiveTask[LiveRequest, ChainBuffer]):
    """One chain."""

    what = "chain"

    @classmethod
    def of_ended(cls, chain_id: str, request: LiveRequest, snapshot: Snapshot) -> LiveChain:
        """A chain that ended earlier, to be shown again; it has nothing to start."""
        return cls(chain_id, request, ChainBuffer.of_ended(snapshot))

    def snapshot(self) -> Snapshot:
        """What there is to show now."""
        return self._buffer.snapshot()


class LiveHub(Hub[LiveRequest, LiveChain]):
    """The chains of this process; `load` finds an ended one that is not in memory."""

    def __init__(
        self,
        work: Work[LiveRequest, ChainBuffer],
        load: Callable[[str], LiveChain | None],
        *,
        max_live: int = 4,
        max_kept: int = 50,
    ) -> None:
        super().__init__(
            "chains",
            lambda chain_id, request: LiveChain(chain_id, request, ChainBuffer(), work),
            load,
            max_live=max_live,
            max_kept=max_kept,
        )
