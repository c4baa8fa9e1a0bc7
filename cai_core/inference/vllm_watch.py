"""What a keeper asks its vLLM: health, a one-token canary, and the counters in /metrics."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Literal

import httpx

from cai_core.inference.client_wire import parse_error
from cai_core.inference.engine import Endpoint
from cai_core.inference.metrics import sum_metrics

_QUICK_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What /metrics tells.

    Attributes:
        busy: requests running or waiting.
        finished: requests answered or aborted since vLLM started, canaries included.
        progress: changes whenever the engine works, and never while it hangs: the counts of
            tokens, the share of the KV cache in use, the requests running.
    """

    busy: int
    finished: int
    progress: tuple[float, ...]


def parse_metrics(text: str) -> Metrics:
    """Read Prometheus's text format; several engines are added up."""
    sums = sum_metrics(text)
    running = sums.get("num_requests_running", 0.0)
    counted = ("prompt_tokens_total", "generation_tokens_total", "kv_cache_usage_perc")
    progress = (*(sums.get(name, 0.0) for name in counted), running)
    return Metrics(
        busy=int(running + sums.get("num_requests_waiting", 0.0)),
        finished=int(sums.get("request_success_total", 0.0)),
        progress=progress,
    )


@dataclass(frozen=True, slots=True)
class Canary:
    """How a one-token request went.

    Attributes:
        outcome: `answered`; `slow` (no answer in time); `broken` (no connection, 5xx);
            `refused` (4xx: asking again changes nothing).
        told: what the server said, for the last two.
    """

    outcome: Literal["answered", "slow", "broken", "refused"]
    told: str = ""


class Prober:
    """Asks one vLLM. Belongs to one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._http = httpx.AsyncClient(
            base_url=endpoint.base_url,
            trust_env=False,
            timeout=_QUICK_SECONDS,
            # vLLM closes idle connections: a new one for each question.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Prober:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def read_health(self) -> int | None:
        """The status of /health: 200, 503 when the engine has died; None without an answer."""
        try:
            return (await self._http.get("/health")).status_code
        except httpx.TransportError:
            return None

    async def read_metrics(self) -> Metrics | None:
        """The counters; None where they are not told."""
        try:
            answer = await self._http.get("/metrics")
        except httpx.TransportError:
            return None
        return parse_metrics(answer.text) if answer.is_success else None

    async def send_canary(self, seconds: float) -> Canary:
        """One token through the API and the engine."""
        body = {"model": self._endpoint.model_id, "prompt": "Hi", "max_tokens": 1, "temperature": 0}
        headers = {"Authorization": f"Bearer {self._endpoint.api_key}"}
        try:
            answer = await self._http.post(
                "/v1/completions", json=body, headers=headers, timeout=seconds
            )
        except httpx.ReadTimeout:
            return Canary("slow")
        except httpx.TransportError as error:
            return Canary("broken", str(error) or type(error).__name__)
        if answer.is_success:
            return Canary("answered")
        told = f"HTTP {answer.status_code}: {parse_error(answer.text)[0]}"
        return Canary("broken" if answer.status_code >= 500 else "refused", told)
