"""One life of a vLLM under watch: until it is ready, and from then to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from cai_core.inference.engine import Endpoint
from cai_core.inference.vllm_plan import KeeperTimes
from cai_core.inference.vllm_process import VllmProcess, owns_port
from cai_core.inference.vllm_watch import Canary, Metrics, Prober

_POLL_SECONDS = 0.2
# How often the counters are read; finer than the idle time, coarser than matters to vLLM.
_TICK_SECONDS = 10.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a life ended.

    Attributes:
        kind: `idle` (it may leave), `died`, `hung`, `port` (taken), `final` (starting it again
            changes nothing).
        reason: a sentence.
    """

    kind: Literal["idle", "died", "hung", "port", "final"]
    reason: str


class Owner(Protocol):
    """Who keeps the vLLM that is watched here."""

    def became_ready(self) -> None:
        """It answers."""

    def was_handed_out(self) -> bool:
        """Whether somebody was given this server since this was last asked."""

    def may_leave(self) -> bool:
        """Nobody asked for long: whether that is still so. If it is, nobody is given it now."""


class _EndedError(Exception):
    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.reason)
        self.ended = ended


async def live(
    process: VllmProcess,
    endpoint: Endpoint,
    times: KeeperTimes,
    owner: Owner,
) -> Ended:
    """Watch a started vLLM to its end."""
    async with Prober(endpoint) as prober:
        watch = _Watch(process, prober, times, owner)
        try:
            await watch.until_ready(endpoint)
            owner.became_ready()
            await watch.to_the_end()
        except _EndedError as error:
            return error.ended
    raise AssertionError("unreachable")


def describe_time(seconds: float) -> str:
    """`90 seconds`, `10 minutes`."""
    return f"{seconds / 60:g} minutes" if seconds % 60 == 0 else f"{seconds:g} seconds"


class _Watch:
    def __init__(
        self,
        process: VllmProcess,
        prober: Prober,
        times: KeeperTimes,
        owner: Owner,
    ) -> None:
        self._process = process
        self._prober = prober
        self._times = times
        self._owner = owner
        self._canaries = 0
        self._others = 0
        self._idle_since = time.monotonic()

    async def until_ready(self, endpoint: Endpoint) -> None:
        """Wait for /health, and for an answer of the engine through the API."""
        deadline = time.monotonic() + self._times.start_seconds
        while await self._while_alive(self._prober.read_health()) != 200:
            self._check_start(deadline)
            await self._rest(_POLL_SECONDS)
        port = int(endpoint.base_url.rpartition(":")[2])
        if not owns_port(self._process.pid, port):
            # Our key is not for whoever listens there.
            raise _EndedError(Ended("port", f"Another program answers on port {port}."))
        while (canary := await self._send_canary()).outcome != "answered":
            if canary.outcome == "refused":
                told = f"vLLM is up but refuses to complete a text ({canary.told})."
                raise _EndedError(Ended("final", f"{told} Does the model generate text?"))
            self._check_start(deadline)
            await self._rest(_POLL_SECONDS)
        await self._note_use()

    async def to_the_end(self) -> None:
        """Watch it; ends by `_EndedError`."""
        idle = self._times.idle_seconds
        tick = min(_TICK_SECONDS, self._times.canary_seconds, idle / 4 or _TICK_SECONDS)
        before = await self._while_alive(self._prober.read_metrics())
        checked = time.monotonic()
        self._idle_since = time.monotonic()
        while True:
            await self._rest(tick)
            now = await self._note_use()
            if idle and time.monotonic() - self._idle_since >= idle and self._owner.may_leave():
                raise _EndedError(
                    Ended("idle", f"Stopped: nobody asked for {describe_time(idle)}.")
                )
            if time.monotonic() - checked >= self._times.canary_seconds:
                await self._check(before, now)
                checked, before = time.monotonic(), now

    async def _check(self, before: Metrics | None, now: Metrics | None) -> None:
        """Is it well? Tokens that go on counting say so; else a canary must."""
        if before and now and now.busy and now.progress != before.progress:
            return
        if await self._while_alive(self._prober.read_health()) == 503:
            raise _EndedError(Ended("died", "Its engine has died."))
        for _ in range(2):
            canary = await self._send_canary()
            if canary.outcome != "broken":
                break
            await self._rest(1.0)
        if canary.outcome == "broken":
            raise _EndedError(Ended("died", f"It does not answer: {canary.told}."))
        if canary.outcome == "slow":
            after = await self._while_alive(self._prober.read_metrics())
            if not (now and after and after.busy and after.progress != now.progress):
                told = f"It hung: no token for {describe_time(self._times.hang_seconds)}."
                raise _EndedError(Ended("hung", told))

    async def _note_use(self) -> Metrics | None:
        """Read the counters; requests that are not our own canaries begin the idle time anew."""
        metrics = await self._while_alive(self._prober.read_metrics())
        if self._owner.was_handed_out():
            self._idle_since = time.monotonic()
        if metrics is not None:
            others = metrics.finished - self._canaries
            if metrics.busy or others != self._others:
                self._idle_since = time.monotonic()
            self._others = others
        return metrics

    async def _send_canary(self) -> Canary:
        canary = await self._while_alive(self._prober.send_canary(self._times.hang_seconds))
        self._canaries += canary.outcome == "answered"
        return canary

    def _check_start(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            told = f"It was not ready after {describe_time(self._times.start_seconds)}."
            raise _EndedError(Ended("hung", told))

    async def _rest(self, seconds: float) -> None:
        await self._while_alive(asyncio.sleep(seconds))

    async def _while_alive(self, asking: Coroutine[Any, Any, T]) -> T:
        """Wait for an answer, as long as the process lives."""
        task = asyncio.ensure_future(asking)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_POLL_SECONDS)
                if self._process.poll() is not None:
                    raise _EndedError(Ended("died", ""))
            return task.result()
        finally:
            task.cancel()
