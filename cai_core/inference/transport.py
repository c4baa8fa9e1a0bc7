"""One HTTP request, once: bounded replies, streams, and faults told apart.

Everything that may pass is a PassingFault; what is final is an error of `cai_core.errors`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

from cai_core.inference.client_wire import FaultKind, PassingFault, build_rejection, parse_error
from cai_core.inference.engine import Endpoint
from cai_core.inference.model_url import is_loopback

# vLLM closes idle connections after 5 s: drop them a little earlier.
KEEPALIVE_SECONDS = 4.0
# A scoring reply holds alternatives for each token.
RAW_REPLY_BYTES = 32 * 2**20
_RETRY_STATUS = frozenset({408, 425, 429})
# 503 is what a full queue says; 529 is a hosted API's word for it.
_OVERLOAD_STATUS = frozenset({429, 503, 529})


class Transport:
    """An endpoint's HTTP. Belongs to one event loop; close it when done.

    Args:
        read_seconds: the longest silence of the server before it counts as hung.
        max_connections: requests on the wire at once; further ones wait.
    """

    def __init__(self, endpoint: Endpoint, *, read_seconds: float, max_connections: int) -> None:
        self.endpoint = endpoint
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

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(self, path: str, *, optional: bool = False) -> dict[str, Any]:
        """Fetch a route once; {} where it may be missing and is.

        Raises:
            PassingFault, RequestRejectedError, UnknownModelError: as `attempt`.
        """
        request = self._http.build_request("GET", path)
        reply = await self._send(request, RAW_REPLY_BYTES)
        return {} if optional and reply.tells_nothing else self._read(reply)

    async def get_text(self, path: str) -> str | None:
        """Fetch a text route once; None where the server has none.

        Raises:
            PassingFault: as `attempt`.
        """
        reply = await self._send(self._http.build_request("GET", path), RAW_REPLY_BYTES)
        return reply.text if reply.is_success else None

    async def post(
        self, path: str, body: dict[str, Any], *, limit: int = RAW_REPLY_BYTES
    ) -> dict[str, Any]:
        """Send a JSON body once.

        Args:
            limit: bytes of the reply past which it is not read on.

        Raises:
            PassingFault, RequestRejectedError, UnknownModelError: as `attempt`.
        """
        return self._read(await self._send(self._build_post(path, body), limit))

    def _build_post(self, path: str, body: dict[str, Any]) -> httpx.Request:
        # As UTF-8, not as escapes: shorter, and a lone surrogate is refused here and not there.
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json"}
        return self._http.build_request("POST", path, content=content, headers=headers)

    async def _send(self, request: httpx.Request, limit: int) -> _Reply:
        try:
            response = await self._http.send(request, stream=True)
            try:
                return await self._read_reply(response, limit)
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            raise self._transport_fault(error) from error

    async def _read_reply(self, response: httpx.Response, limit: int) -> _Reply:
        told = response.headers.get("content-length", "")
        if told.isdigit() and int(told) <= limit:
            content = await response.aread()
        else:
            parts, size = [], 0
            async for part in response.aiter_bytes():
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise self._too_long(limit)
            content = b"".join(parts)
        path = response.request.url.path
        return _Reply(response.status_code, response.headers, content, path)

    async def stream(
        self, path: str, body: dict[str, Any], limit: int
    ) -> AsyncIterator[dict[str, Any]]:
        request = self._build_post(path, body)
        try:
            response = await self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    self._raise_for_status(await self._read_reply(response, limit))
                async for chunk in self._events(response, limit):
                    yield chunk
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            raise self._transport_fault(error) from error

    async def _events(self, response: httpx.Response, limit: int) -> AsyncIterator[dict[str, Any]]:
        size = 0
        async for line in response.aiter_lines():
            if not line.startswith("data:"):
                continue
            payload = line[len("data:") :].strip()
            if payload == "[DONE]":
                return
            try:
                chunk = json.loads(payload)
            except ValueError as error:
                raise PassingFault(
                    FaultKind.BROKEN, f"{self.endpoint}: a chunk of the stream is not JSON"
                ) from error
            size += len(str(chunk.get("choices"))) if isinstance(chunk, dict) else 0
            if size > limit * 4:  # a chunk's envelope is longer than its text
                raise self._too_long(limit)
            yield chunk

    def _read(self, reply: _Reply) -> dict[str, Any]:
        self._raise_for_status(reply)
        try:
            answer = json.loads(reply.content)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise PassingFault(
                FaultKind.GARBLED,
                f"{self.endpoint} answered {reply.path} with something that is not a JSON object. "
                "Check that the URL is a model server's.",
            )
        return answer

    def _raise_for_status(self, reply: _Reply) -> None:
        if reply.is_success:
            return
        message, param = parse_error(reply.text)
        if reply.status in _RETRY_STATUS or reply.status >= 500:
            busy = reply.status in _OVERLOAD_STATUS
            raise PassingFault(
                FaultKind.OVERLOAD if busy else FaultKind.SERVER_ERROR,
                f"{self.endpoint}: HTTP {reply.status}: {message}",
                _retry_after(reply.headers.get("retry-after")),
            )
        raise build_rejection(self.endpoint, reply.status, message, param)

    def _transport_fault(self, error: httpx.TransportError) -> PassingFault:
        told = str(error) or type(error).__name__
        if isinstance(error, httpx.ReadTimeout):
            return PassingFault(
                FaultKind.SILENT,
                f"{self.endpoint} has been silent for too long. Look at its log, or restart it.",
            )
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return PassingFault(
                FaultKind.UNREACHABLE,
                f"{self.endpoint} cannot be reached: {told}. Is the server up, and the address "
                "right?",
            )
        return PassingFault(FaultKind.BROKEN, f"{self.endpoint} broke the connection off: {told}.")

    def _too_long(self, limit: int) -> PassingFault:
        return PassingFault(
            FaultKind.GARBLED,
            f"{self.endpoint}: the reply is longer than {limit:,} bytes, far more than the token "
            "limit allows; it was not read to its end. Look at the server's log.",
        )


@dataclass(frozen=True, slots=True)
class _Reply:
    """A response that was read."""

    status: int
    headers: httpx.Headers
    content: bytes
    path: str

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    @property
    def tells_nothing(self) -> bool:
        """A server lacks the route; gateways send on, or answer everything with a page."""
        if self.is_success:
            return "json" not in self.headers.get("content-type", "json")
        return 300 <= self.status < 500 and self.status not in _RETRY_STATUS


def _retry_after(header: str | None) -> float | None:
    """Seconds of a Retry-After; a date (or nonsense) falls back to our own waits."""
    try:
        seconds = float(header) if header else None
    except ValueError:
        return None
    # NaN and negative numbers are nonsense too.
    return seconds if seconds is not None and seconds >= 0 else None
