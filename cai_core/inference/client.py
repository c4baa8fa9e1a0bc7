"""The one client: asks any endpoint that speaks vLLM's dialect of OpenAI's API."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

import httpx

from cai_core.errors import ServerUnavailableError
from cai_core.inference.client_wire import (
    BusyError,
    StreamedAnswer,
    build_body,
    build_rejection,
    parse_completion,
    parse_error,
    parse_info,
)
from cai_core.inference.engine import Endpoint
from cai_core.inference.model_url import is_loopback
from cai_core.records import Completion, Conversation, ModelInfo, SamplingParams

# Waits of about 0.25, 0.5, 1, 2 s: together longer than a server's hiccup, shorter than a
# person's patience.
RETRIES = 4
FIRST_WAIT = 0.25
# The most that a Retry-After is obeyed.
LONGEST_WAIT = 30.0
# vLLM closes idle connections after 5 s: drop them a little earlier.
KEEPALIVE_SECONDS = 4.0
# A long answer of a slow model on a CPU; between two chunks of a stream far less is usual.
READ_SECONDS = 600.0
# vLLM fills unset fields from the model's generation_config (top_k 20 in some): a policy that
# is sampled at T = 1 must be sampled from the whole distribution.
VLLM_NEUTRAL = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
T = TypeVar("T")
_RETRY_STATUS = frozenset({408, 425, 429})


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
        key = endpoint.api_key
        self._http = httpx.AsyncClient(
            base_url=endpoint.base_url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(10.0, read=read_seconds, pool=None),
            limits=httpx.Limits(
                max_connections=max_connections,
                max_keepalive_connections=max_connections,
                keepalive_expiry=KEEPALIVE_SECONDS,
            ),
            # A proxy from the environment has no business between us and this machine.
            trust_env=not is_loopback(endpoint.base_url),
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
        await self._http.aclose()

    async def info(self) -> ModelInfo:
        """Who answers; asked once, then remembered.

        Raises:
            UnknownModelError: the endpoint serves another model.
            ServerUnavailableError: nobody answers.
        """
        async with self._asking_info:
            if self._info is not None:
                return self._info
            models = await self.get("/v1/models")
            version = await self.get("/version", optional=True)
            self._info = parse_info(models, version, self.endpoint)
        return self._info

    async def generate(
        self,
        prompt: Conversation | str,
        params: SamplingParams,
        *,
        seed: int,
        stop: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        """Answer one prompt; see `engine.Engine.generate`."""
        info = await self.info()
        path = "/v1/completions" if isinstance(prompt, str) else "/v1/chat/completions"
        body = build_body(prompt, params, model_id=info.model_id, seed=seed, stop=stop)
        if info.engine == "vllm":
            body |= VLLM_NEUTRAL
        if on_text is None:
            return await self._retried(lambda: self._ask(path, body))
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        told = _Teller(on_text)
        return await self._retried(lambda: self._stream(path, body, told), may=told.silent)

    async def get(self, path: str, *, optional: bool = False) -> dict[str, Any]:
        """A route's JSON object, asked for again after passing faults.

        Args:
            optional: {} where the server has no such route.

        Raises:
            ServerUnavailableError, UnknownModelError, RequestRejectedError: as `generate`.
        """

        async def fetch() -> dict[str, Any]:
            response = await self._http.get(path)
            if optional and _tells_nothing(response):
                return {}
            await self._raise_for_status(response)
            return _parse_json(response, self.endpoint)

        return await self._retried(fetch)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a JSON body as it is; the answer's JSON object. Sent again after passing faults.

        Raises:
            ServerUnavailableError, UnknownModelError, RequestRejectedError: as `generate`.
        """

        async def send() -> dict[str, Any]:
            response = await self._http.post(path, json=body)
            await self._raise_for_status(response)
            return _parse_json(response, self.endpoint)

        return await self._retried(send)

    async def _ask(self, path: str, body: dict[str, Any]) -> Completion:
        started = time.monotonic()
        response = await self._http.post(path, json=body)
        await self._raise_for_status(response)
        answer = _parse_json(response, self.endpoint)
        return parse_completion(answer, time.monotonic() - started, self.endpoint)

    async def _stream(self, path: str, body: dict[str, Any], told: _Teller) -> Completion:
        started = time.monotonic()
        answer = StreamedAnswer()
        async with self._http.stream("POST", path, json=body) as response:
            await self._raise_for_status(response)
            async for chunk in _events(response, self.endpoint):
                told.tell(answer.add(chunk, self.endpoint))
        return answer.finish(time.monotonic() - started, self.endpoint)

    async def _raise_for_status(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        await response.aread()
        status = response.status_code
        message, param = parse_error(response.text)
        if status in _RETRY_STATUS or status >= 500:
            raise BusyError(
                f"{self.endpoint}: HTTP {status}: {message}",
                _retry_after(response.headers.get("retry-after")),
            )
        raise build_rejection(self.endpoint, status, message, param)

    async def _retried(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        may: Callable[[], bool] = lambda: True,
    ) -> T:
        """Run `attempt`, again after passing faults, as long as `may()` allows it."""
        for tried in range(self._retries + 1):
            try:
                return await attempt()
            except httpx.ReadTimeout as error:
                # The server works still, or hangs: asking again would only double its load.
                raise ServerUnavailableError(
                    f"{self.endpoint} has been silent for too long. Look at its log, or restart it."
                ) from error
            except (httpx.TransportError, BusyError) as error:
                if tried == self._retries or not may():
                    raise _unavailable(self.endpoint, error) from error
                asked = error.retry_after if isinstance(error, BusyError) else None
                wait = self._first_wait * 2**tried * random.uniform(0.5, 1.5)
            await asyncio.sleep(wait if asked is None else min(asked, LONGEST_WAIT))
        raise AssertionError("unreachable")


class _Teller:
    """Passes text on, and remembers that it did: what was told cannot be taken back."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._told = False

    def silent(self) -> bool:
        """Whether nothing has been told yet."""
        return not self._told

    def tell(self, text: str) -> None:
        """Pass a piece on."""
        if text:
            self._told = True
            self._on_text(text)


async def _events(response: httpx.Response, endpoint: Endpoint) -> AsyncIterator[dict[str, Any]]:
    async for line in response.aiter_lines():
        if not line.startswith("data:"):
            continue
        payload = line[len("data:") :].strip()
        if payload == "[DONE]":
            return
        try:
            yield json.loads(payload)
        except ValueError as error:
            raise BusyError(f"{endpoint}: a chunk of the stream is not JSON") from error


def _parse_json(response: httpx.Response, endpoint: Endpoint) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ServerUnavailableError(
            f"{endpoint} answered {response.request.url.path} with something that is not a JSON "
            "object. Check that the URL is a model server's."
        )
    return answer


def _tells_nothing(response: httpx.Response) -> bool:
    """Whether a server has no such route; gateways send on, or answer everything with a page."""
    if response.is_success:
        return "json" not in response.headers.get("content-type", "json")
    return 300 <= response.status_code < 500 and response.status_code not in _RETRY_STATUS


def _unavailable(endpoint: Endpoint, error: Exception) -> ServerUnavailableError:
    if isinstance(error, BusyError):
        return ServerUnavailableError(str(error))
    told = str(error) or type(error).__name__
    return ServerUnavailableError(
        f"{endpoint} cannot be reached: {told}. Is the server up, and the address right?"
    )


def _retry_after(header: str | None) -> float | None:
    """Seconds of a Retry-After; a date (or nonsense) falls back to our own waits."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None
