"""One HTTP request, once: bounded replies, streams, and faults told apart.

Everything that may pass is a PassingFault; what is final is an error of `cai_core.errors`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
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

    Each connection is an httpx client of its own, used last one first. In one pool of many,
    httpcore 1.0 looks at all connections once for each of them whenever a request begins or ends:
    with 64 that is most of a request's CPU, taken from a server on the same machine.

    Args:
        read_seconds: the longest silence of the server before it counts as hung.
        max_connections: requests on the wire at once; further ones wait.

    Attributes:
        opened: connections over which an answer came, so far. Whoever listens on the port now was
            only asked who it is if nothing has been opened since.
    """

    def __init__(self, endpoint: Endpoint, *, read_seconds: float, max_connections: int) -> None:
        self.endpoint = endpoint
        self.opened = 0
        self._timeout = httpx.Timeout(10.0, read=read_seconds, pool=None)
        # A proxy from the environment has no business between us and this machine.
        self._trust_env = not is_loopback(endpoint.base_url)
        self._verify = httpx.create_ssl_context(trust_env=self._trust_env)
        self._free = asyncio.Semaphore(max_connections)
        self._idle: list[_Connection] = []
        self._connections: list[_Connection] = []

    async def aclose(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            await connection.http.aclose()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Connection]:
        async with self._free:
            connection = self._idle.pop() if self._idle else self._open()
            try:
                yield connection
            except BaseException:
                # Cancelled while it was opened or closed, it may never be free again.
                self._connections.remove(connection)
                with suppress(Exception):
                    await connection.http.aclose()
                raise
            self._idle.append(connection)

    def _open(self) -> _Connection:
        key = self.endpoint.api_key
        http = httpx.AsyncClient(
            base_url=self.endpoint.base_url,
            # Not packed: a small reply must not become a huge one here.
            headers={"Accept-Encoding": "identity"}
            | ({"Authorization": f"Bearer {key}"} if key else {}),
            timeout=self._timeout,
            limits=httpx.Limits(max_connections=1, keepalive_expiry=KEEPALIVE_SECONDS),
            verify=self._verify,
            trust_env=self._trust_env,
        )
        connection = _Connection(http)
        self._connections.append(connection)
        return connection

    async def get(self, path: str, *, optional: bool = False) -> dict[str, Any]:
        """Fetch a route once; {} where it may be missing and is.

        Raises:
            PassingFault, RequestRejectedError, UnknownModelError: as `attempt`.
        """
        reply = await self._send("GET", path, None, RAW_REPLY_BYTES)
        return {} if optional and reply.tells_nothing else self._read(reply)

    async def get_text(self, path: str) -> str | None:
        """Fetch a text route once; None where the server has none.

        Raises:
            PassingFault: as `attempt`.
        """
        reply = await self._send("GET", path, None, RAW_REPLY_BYTES)
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
        return self._read(await self._send("POST", path, _encode(body), limit))

    async def _send(self, method: str, path: str, content: bytes | None, limit: int) -> _Reply:
        async with self._respond(method, path, content) as response:
            return await self._read_reply(response, limit)

    @asynccontextmanager
    async def _respond(
        self, method: str, path: str, content: bytes | None
    ) -> AsyncIterator[httpx.Response]:
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            async with self._connection() as connection:
                http = connection.http
                request = http.build_request(method, path, content=content, headers=headers)
                response = await http.send(request, stream=True)
                try:
                    self.opened += connection.is_new(response)
                    yield response
                finally:
                    await response.aclose()
        except httpx.RequestError as error:
            raise self._transport_fault(error) from error

    async def _read_reply(self, response: httpx.Response, limit: int) -> _Reply:
        told = response.headers.get("content-length", "")
        packed = response.headers.get("content-encoding", "identity") != "identity"
        if told.isdigit() and int(told) <= limit and not packed:
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
        async with self._respond("POST", path, _encode(body)) as response:
            if not response.is_success:
                self._raise_for_status(await self._read_reply(response, limit))
            async for chunk in self._events(response, limit):
                yield chunk

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
            except (ValueError, RecursionError) as error:
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

    def _transport_fault(self, error: httpx.RequestError) -> PassingFault:
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


@dataclass(slots=True)
class _Connection:
    """A client of one connection, which opens it again when it was closed."""

    http: httpx.AsyncClient
    local: object = None

    def is_new(self, response: httpx.Response) -> bool:
        """Whether another connection than last time brought this response."""
        stream = response.extensions.get("network_stream")
        before = self.local
        self.local = stream.get_extra_info("client_addr") if stream is not None else None
        return self.local != before


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


def _encode(body: dict[str, Any]) -> bytes:
    # As UTF-8, not as escapes: shorter, and a lone surrogate is refused here and not there.
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _retry_after(header: str | None) -> float | None:
    """Seconds of a Retry-After; a date (or nonsense) falls back to our own waits."""
    try:
        seconds = float(header) if header else None
    except ValueError:
        return None
    # NaN and negative numbers are nonsense too.
    return seconds if seconds is not None and seconds >= 0 else None
