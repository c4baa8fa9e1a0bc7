"""Work that a page watches: on a thread with an event loop of its own, writing into a buffer.

The page never waits for a model: it reads `snapshot()` a few times a second, from any browser tab
that knows the id; a reload or a second tab misses nothing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from cai_core.errors import CaiError, Cancelled

log = logging.getLogger(__name__)


class ChainState(StrEnum):
    """Where live work is. The last three are final."""

    STARTING = "starting"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def is_live(self) -> bool:
        """Whether more may still arrive."""
        return self in (ChainState.STARTING, ChainState.RUNNING)


S_co = TypeVar("S_co", covariant=True)


class Buffer(Protocol[S_co]):
    """What running work has brought so far. Safe to use from any thread."""

    def end(self, state: ChainState, error: str | None = None) -> None:
        """Close it; the first end counts."""
        ...

    def snapshot(self) -> S_co:
        """What is there now."""
        ...


R = TypeVar("R")
B = TypeVar("B", bound=Buffer[object])
# What a task's thread does: id, what was asked for, where to write.
Work = Callable[[str, R, B], Awaitable[None]]


class LiveTask(Generic[R, B]):
    """One piece of work on one thread.

    A class of it names itself in `what` (one of them, for people) and gives its buffer's snapshot
    under its own type.
    """

    what = "task"

    def __init__(self, id: str, request: R, buffer: B, work: Work[R, B] | None = None) -> None:
        """
        Args:
            work: left out for what ended earlier and is only shown again: nothing to start.
        """
        self.id = id
        self.request = request
        self._buffer = buffer
        self._work = work
        self._lock = threading.Lock()
        self._cancel: Callable[[], object] | None = None
        self._stopped = False
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()), name=f"{self.what}-{id}", daemon=True
        )

    def start(self) -> None:
        """Begin. Returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End it now: open responses are closed, not read to their next token."""
        with self._lock:
            self._stopped = True
            if self._cancel is not None:
                self._cancel()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended, `timeout` seconds at most."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

    async def _run(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None and self._work is not None
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
            log.exception("%s %s ended on an unforeseen error", self.what, self.id)
            self._buffer.end(
                ChainState.FAILED,
                f"The {self.what} ended on an unforeseen {type(error).__name__}. "
                "What was finished is kept; the terminal that runs the app shows the details.",
            )
        else:
            self._buffer.end(ChainState.FINISHED)
        finally:
            with self._lock:  # the loop closes next; a stop from now on has nothing to cancel
                self._cancel = None
