"""Looking at a server that is at work: does it queue, and does it go on?

`/health` cannot tell: a hung engine still answers it with 200. What tells is progress: an
answer, or tokens counted in `/metrics` (vLLM's and the bundled server's); where neither comes,
one token is asked for.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from cai_core.errors import CaiError
from cai_core.inference.client import ModelClient
from cai_core.inference.client_wire import PassingFault
from cai_core.inference.metrics import sum_metrics
from cai_core.records import Message, ModelInfo, SamplingParams

PERIOD_SECONDS = 5.0
_CANARY = (Message("user", "Hi"),)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look showed.

    Attributes:
        queue: requests that run and that wait in the server; None where it does not tell.
        hung: it has work and does not go on.
    """

    queue: tuple[int, int] | None = None
    hung: bool = False


class ServerWatch:
    """Watches one server.

    Args:
        stall_seconds: after so long without progress one token is asked for, and waited for as
            long again.
    """

    def __init__(self, client: ModelClient, *, stall_seconds: float = 60.0) -> None:
        self.period = min(PERIOD_SECONDS, stall_seconds / 2)
        self.client = client
        self._stall_seconds = stall_seconds
        self._has_metrics = True
        self._progress: tuple[float, ...] = ()
        self._since = time.monotonic()

    async def look(self, answers: int) -> Seen:
        """Look once.

        Args:
            answers: how many this server has given so far.
        """
        metrics = await self._read_metrics()
        counters = (
            metrics.get("generation_tokens_total", 0.0),
            metrics.get("prompt_tokens_total", 0.0),
        )
        progress = (float(answers), *counters)
        now = time.monotonic()
        if progress != self._progress:
            self._progress, self._since = progress, now
        hung = now - self._since >= self._stall_seconds and not await self._is_alive()
        if hung:
            self._since = time.monotonic()
        if "num_requests_running" not in metrics:
            return Seen(hung=hung)
        running, waiting = metrics["num_requests_running"], metrics.get("num_requests_waiting", 0.0)
        return Seen(queue=(int(running), int(waiting)), hung=hung)

    def rest(self) -> None:
        """The server has nothing to do: no time passes that it could be late for."""
        self._since = time.monotonic()

    async def ask_canary(self) -> None:
        """Have one token generated. A refusal counts as an answer; who can refuse lives.

        Raises:
            PassingFault: no answer.
        """
        info = ModelInfo(model_id=self.client.endpoint.model_id, engine="", engine_version="")
        params = SamplingParams(temperature=0.0, max_tokens=1)
        try:
            await self.client.attempt(_CANARY, params, info=info, seed=0)
        except CaiError:
            return

    async def _is_alive(self) -> bool:
        try:
            async with asyncio.timeout(self._stall_seconds):
                await self.ask_canary()
        except (PassingFault, TimeoutError):
            return False
        return True

    async def _read_metrics(self) -> dict[str, float]:
        if not self._has_metrics:
            return {}
        try:
            async with asyncio.timeout(self._stall_seconds):
                text = await self.client.attempt_text("/metrics")
        except (PassingFault, TimeoutError):
            return {}
        metrics = sum_metrics(text or "")
        self._has_metrics = bool(metrics)
        return metrics
