"""The one client: asks any endpoint that speaks vLLM's dialect of OpenAI's API.

`attempt` and its kin send a request once and tell passing faults from final ones; `generate`,
`get` and `post` send it again a few times. Many requests to one model go through `pool`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

from cai_core.errors import ServerUnavailableError
from cai_core.inference.client_wire import (
    FaultKind,
    PassingFault,
    StreamedAnswer,
    build_body,
    parse_completion,
    parse_info,
)
from cai_core.inference.engine import Endpoint
from cai_core.inference.rewards import compute_rewards
from cai_core.inference.transport import Transport
from cai_core.records import Completion, Conversation, ModelInfo, SamplingParams

# Waits of about 0.25, 0.5, 1, 2 s: together longer than a server's hiccup, shorter than a
# person's patience.
RETRIES = 4
FIRST_WAIT = 0.25
# The most that a Retry-After is obeyed.
LONGEST_WAIT = 30.0
# A long answer of a slow model on a CPU; between two chunks of a stream far less is usual.
READ_SECONDS = 600.0
# A reply that no limit on tokens explains is not read to its end: a megabyte for the envelope,
# and what the longest tokens take as escaped JSON.
REPLY_BYTES, BYTES_PER_TOKEN = 2**20, 256
# vLLM fills unset fields from the model's generation_config (top_k 20 in some): a policy that
# is sampled at T = 1 must be sampled from the whole distribution.
VLLM_NEUTRAL = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
T = TypeVar("T")
# Asking again at once would double the load of a server that works still, or hangs; and who
# answers what nobody can read will do so again.
_NOT_RETRIED = frozenset({FaultKind.SILENT, FaultKind.GARBLED})


class ModelClient:
    """Implements `engine.Engine` over HTTP. Belongs to one event loop; close it when done.

    Args:
        retries: how often a request is sent again after a failed connection, 429 or 5xx.
        read_seconds: the longest silence of the server before it counts as hung.
        max_connections: requests on the wire at once; further ones wait.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        retries: int = RETRIES,
        first_wait: float = FIRST_WAIT,
        read_seconds: float = READ_SECONDS,
        max_connections: int = 256,
    ) -> None:
        self.endpoint = endpoint
        self._retries = retries
        self._first_wait = first_wait
        self._info: ModelInfo | None = None
        self._asking_info = asyncio.Lock()
        self._transport = Transport(
            endpoint, read_seconds=read_seconds, max_connections=max_connections
        )

    async def __aenter__(self) -> ModelClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    @property
    def opened(self) -> int:
        """Connections opened so far; see `Transport`."""
        return self._transport.opened

    async def info(self) -> ModelInfo:
        """Who answers; asked once, then remembered.

        Raises:
            UnknownModelError: the endpoint serves another model.
            ServerUnavailableError: nobody answers.
        """
        async with self._asking_info:
            if self._info is None:
                self._info = await self._retried(self.attempt_info)
        return self._info

    async def generate(
        self,
        prompt: Conversation | str,
        params: SamplingParams,
        *,
        seed: int,
        stop: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
        priority: int = 0,
    ) -> Completion:
        """Answer one prompt; see `engine.Engine.generate`. Nothing waits here for a turn."""
        del priority
        info = await self.info()
        teller = None if on_text is None else Teller(on_text)
        return await self._retried(
            lambda: self.attempt(prompt, params, info=info, seed=seed, stop=stop, teller=teller),
            may=lambda: teller is None or teller.silent,
        )

    async def get(self, path: str, *, optional: bool = False) -> dict[str, Any]:
        """A route's JSON object, asked for again after passing faults.

        Args:
            optional: {} where the server has no such route.

        Raises:
            ServerUnavailableError, UnknownModelError, RequestRejectedError: as `generate`.
        """
        return await self._retried(lambda: self.attempt_get(path, optional=optional))

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a JSON body as it is; the answer's JSON object. Sent again after passing faults.

        Raises:
            ServerUnavailableError, UnknownModelError, RequestRejectedError: as `generate`.
        """
        return await self._retried(lambda: self.attempt_post(path, body))

    async def score(
        self, conversations: Sequence[Conversation], *, finished: bool = True
    ) -> list[float]:
        """Raw rewards by a reward model; see `rewards.compute_rewards`."""
        return await compute_rewards(self, conversations, finished=finished)

    async def attempt_info(self) -> ModelInfo:
        """Ask once who answers.

        Raises:
            PassingFault: it may answer later.
            UnknownModelError, RequestRejectedError: final.
        """
        models = await self.attempt_get("/v1/models")
        version = await self.attempt_get("/version", optional=True)
        return parse_info(models, version, self.endpoint)

    async def attempt(
        self,
        prompt: Conversation | str,
        params: SamplingParams,
        *,
        info: ModelInfo,
        seed: int,
        stop: Sequence[str] = (),
        teller: Teller | None = None,
    ) -> Completion:
        """Ask for one answer, once. With a teller it is streamed.

        Raises:
            PassingFault: it may be sent again.
            ContextLengthError, RequestRejectedError, UnknownModelError: final.
        """
        path = "/v1/completions" if isinstance(prompt, str) else "/v1/chat/completions"
        extra = self.endpoint.extra_body
        if info.engine == "vllm":
            extra = {**VLLM_NEUTRAL, **extra}
        body = build_body(prompt, params, model_id=info.model_id, seed=seed, stop=stop, extra=extra)
        limit = REPLY_BYTES + BYTES_PER_TOKEN * params.max_tokens
        started = time.monotonic()
        if teller is None:
            answer = await self._transport.post(path, body, limit=limit)
            return parse_completion(answer, time.monotonic() - started, self.endpoint)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        streamed = StreamedAnswer()
        async for chunk in self._transport.stream(path, body, limit):
            teller.tell(streamed.add(chunk, self.endpoint))
        return streamed.finish(time.monotonic() - started, self.endpoint)

    async def attempt_get(self, path: str, *, optional: bool = False) -> dict[str, Any]:
        """Fetch a route once; see `Transport.get`."""
        return await self._transport.get(path, optional=optional)

    async def attempt_text(self, path: str) -> str | None:
        """Fetch a text route once; see `Transport.get_text`."""
        return await self._transport.get_text(path)

    async def attempt_post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a JSON body once; see `Transport.post`."""
        return await self._transport.post(path, body)

    async def _retried(
        self, attempt: Callable[[], Awaitable[T]], *, may: Callable[[], bool] = lambda: True
    ) -> T:
        """Run `attempt`, again after passing faults, as long as `may()` allows it."""
        for tried in range(self._retries + 1):
            try:
                return await attempt()
            except PassingFault as fault:
                if tried == self._retries or fault.kind in _NOT_RETRIED or not may():
                    raise ServerUnavailableError(str(fault)) from fault
                asked = fault.retry_after
            await asyncio.sleep(compute_wait(tried, self._first_wait, asked))
        raise AssertionError("unreachable")


class Teller:
    """Passes text on, and remembers that it did: what was told cannot be taken back."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self.silent = True

    def tell(self, text: str) -> None:
        """Pass a piece on."""
        if text:
            self.silent = False
            self._on_text(text)


def compute_wait(tried: int, first_wait: float, retry_after: float | None = None) -> float:
    """Seconds before the next try: doubling with jitter, or what the server asked for.

    Jitter only lengthens a Retry-After: all who were sent away would come back at once.
    """
    if retry_after is not None:
        return min(retry_after, LONGEST_WAIT) * random.uniform(1.0, 1.1)
    return min(first_wait * 2.0**tried, LONGEST_WAIT) * random.uniform(0.5, 1.5)
