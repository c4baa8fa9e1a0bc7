"""Chains that a page watches: each runs on a thread of its own and writes into a buffer.

The page never waits for a model. It reads `snapshot()` a few times a second, from any browser
tab that knows the chain's id; a reload or a second tab misses nothing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from cai_core.errors import CaiError, Cancelled
from cai_core.pipeline.hub import Hub
from cai_core.pipeline.recipe import ChainRecipe
from cai_core.records import Constitution, Finding, Prompt, StepKind

log = logging.getLogger(__name__)


class ChainState(StrEnum):
    """Where a live chain is. The last three are final."""

    STARTING = "starting"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def is_live(self) -> bool:
        """Whether more may still arrive."""
        return self in (ChainState.STARTING, ChainState.RUNNING)


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


# What a chain's thread does: chain id, what was asked for, where to write.
Work = Callable[[str, LiveRequest, ChainBuffer], Awaitable[None]]


class LiveChain:
    """One chain on one thread with an event loop of its own."""

    def __init__(self, chain_id: str, request: LiveRequest, work: Work) -> None:
        self.id = chain_id
        self.request = request
        self._work = work
        self._buffer = ChainBuffer()
        self._lock = threading.Lock()
        self._cancel: Callable[[], object] | None = None
        self._stopped = False
        self._thread = threading.Thread(
            target=self._run_thread, name=f"chain-{chain_id}", daemon=True
        )

    @classmethod
    def of_ended(cls, chain_id: str, request: LiveRequest, snapshot: Snapshot) -> LiveChain:
        """A chain that ended earlier, to be shown again; it has nothing to start."""
        chain = cls(chain_id, request, _do_nothing)
        chain._buffer = ChainBuffer.of_ended(snapshot)
        return chain

    def start(self) -> None:
        """Begin. Returns at once."""
        self._thread.start()

    def snapshot(self) -> Snapshot:
        """What there is to show now."""
        return self._buffer.snapshot()

    def stop(self) -> None:
        """End the chain now: the open response is closed, not read to its next token."""
        with self._lock:
            self._stopped = True
            if self._cancel is not None:
                self._cancel()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended, `timeout` seconds at most."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def _run_thread(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        with self._lock:
            if self._stopped:
                self._buffer.end(ChainState.STOPPED)
                return
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            await self._work(self.id, self.request, self._buffer)
        except (asyncio.CancelledError, Cancelled):
            self._buffer.end(ChainState.STOPPED)
        except CaiError as error:
            self._buffer.end(ChainState.FAILED, str(error))
        except Exception as error:  # nobody above this thread would hear of it
            log.exception("chain %s ended on an unforeseen error", self.id)
            self._buffer.end(ChainState.FAILED, _unforeseen(error))
        else:
            self._buffer.end(ChainState.FINISHED)
        finally:
            with self._lock:  # the loop closes next; a stop from now on has nothing to cancel
                self._cancel = None


class LiveHub(Hub[LiveRequest, LiveChain]):
    """The chains of this process; `load` finds an ended one that is not in memory."""

    def __init__(
        self,
        work: Work,
        load: Callable[[str], LiveChain | None],
        *,
        max_live: int = 4,
        max_kept: int = 50,
    ) -> None:
        super().__init__(
            "chains",
            lambda chain_id, request: LiveChain(chain_id, request, work),
            load,
            max_live=max_live,
            max_kept=max_kept,
        )


async def _do_nothing(chain_id: str, request: LiveRequest, buffer: ChainBuffer) -> None:
    del chain_id, request, buffer


def _unforeseen(error: Exception) -> str:
    return (
        f"Playground: the chain ended on an unforeseen {type(error).__name__}. "
        "The finished steps are kept; the terminal that runs the app shows the details."
    )
