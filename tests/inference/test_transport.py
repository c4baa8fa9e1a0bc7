"""One connection at a time, cancelled at any moment: the next request finds a way."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest

from cai_core.inference.client_wire import PassingFault
from cai_core.inference.engine import Endpoint
from cai_core.inference.transport import Transport

REPLY = json.dumps({"text": "x" * 1000}).encode()


class Server:
    """Answers every POST alike, over connections that are kept."""

    def __init__(self, body: bytes = REPLY, *, headers: bytes = b"") -> None:
        self.connections = 0
        self._head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + headers
        self._head += f"Content-Length: {len(body)}\r\n\r\n".encode()
        self._body = body

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length")
                )
                await reader.readexactly(length)
                writer.write(self._head + self._body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def serve(server: Server) -> tuple[asyncio.Server, Transport]:
    listening = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    endpoint = Endpoint(base_url=f"http://127.0.0.1:{port}", model_id="m")
    return listening, Transport(endpoint, read_seconds=5, max_connections=1)


@pytest.mark.parametrize("warm", [False, True])
def test_cancelled_at_any_tick_it_can_be_asked_again(warm: bool) -> None:
    async def check() -> None:
        for ticks in range(40):
            listening, transport = await serve(Server())
            if warm:
                await transport.post("/v1/x", {})
            task = asyncio.create_task(transport.post("/v1/x", {}))
            for _ in range(ticks):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            async with asyncio.timeout(5):
                assert (await transport.post("/v1/x", {}))["text"]
            await transport.aclose()
            listening.close()

    asyncio.run(check())


def test_a_connection_is_kept_and_counted_once() -> None:
    async def check() -> None:
        server = Server()
        listening, transport = await serve(server)
        for _ in range(5):
            await transport.post("/v1/x", {})
        assert (server.connections, transport.opened) == (1, 1)
        await transport.aclose()
        listening.close()

    asyncio.run(check())


def test_a_packed_reply_is_not_unpacked_without_bound() -> None:
    packed = gzip.compress(json.dumps({"text": "x" * 10_000_000}).encode())
    assert len(packed) < 20_000

    async def check() -> None:
        listening, transport = await serve(Server(packed, headers=b"Content-Encoding: gzip\r\n"))
        with pytest.raises(PassingFault, match="longer than"):
            await transport.post("/v1/x", {}, limit=100_000)
        await transport.aclose()
        listening.close()

    asyncio.run(check())


def test_a_broken_packing_is_a_fault_that_may_pass() -> None:
    async def check() -> None:
        listening, transport = await serve(Server(b"nogzip", headers=b"Content-Encoding: gzip\r\n"))
        with pytest.raises(PassingFault):
            await transport.post("/v1/x", {})
        await transport.aclose()
        listening.close()

    asyncio.run(check())
