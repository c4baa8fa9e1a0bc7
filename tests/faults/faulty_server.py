"""A model server that answers truly, and misbehaves where a schedule says so.

Its answer is a hash of what was asked, so a test can tell for every row whether it holds the
answer to its own question.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

# The schedule is asked before each answer: body and how often this very body came before.
Schedule = Callable[[dict[str, Any], int], str | None]

FAULTS = ("429", "503", "500", "reset", "half-body", "half-stream", "garbage", "shape", "huge")


def compute_answer(body: dict[str, Any]) -> str:
    """What a true server answers: depends on prompt, seed and sampling alone."""
    keys = ("messages", "prompt", "seed", "temperature", "top_p", "max_tokens")
    asked = json.dumps({key: body.get(key) for key in keys}, sort_keys=True)
    return f"I answer {hashlib.sha256(asked.encode()).hexdigest()[:16]}."


class FaultyServer:
    """Speaks just enough HTTP/1.1.

    Attributes:
        asked: how often each body came, by its canonical text.
        answered: true answers sent whole, by seed.
    """

    def __init__(self, schedule: Schedule, *, model: str = "m") -> None:
        self.schedule = schedule
        self.model = model
        self.weights: str | None = "w1"
        self.asked: Counter[str] = Counter()
        self.answered: Counter[int] = Counter()
        self.running = self.most_running = 0
        self.held: list[asyncio.Event] = []
        self.latency = 0.0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._serve_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        if path == "/v1/models":
            card = {"id": self.model, "owned_by": "faulty", "weights_hash": self.weights}
            return await _send(writer, 200, json.dumps({"data": [card]}).encode())
        if path in ("/version", "/metrics"):
            return await _send(writer, 404, b'{"detail": "Not Found"}')
        lines = head.lower().split(b"\r\n")
        length = next(int(x.split(b":")[1]) for x in lines if x.startswith(b"content-length"))
        body = json.loads(await reader.readexactly(length))
        key = json.dumps(body, sort_keys=True)
        before, self.asked[key] = self.asked[key], self.asked[key] + 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.latency)
            return await self._answer(body, self.schedule(body, before), writer)
        finally:
            self.running -= 1

    async def _answer(
        self, body: dict[str, Any], fault: str | None, writer: asyncio.StreamWriter
    ) -> bool:
        if fault is not None:
            return await self._misbehave(fault, body, writer)
        self.answered[body["seed"]] += 1
        return await _send(writer, 200, build_reply(body))

    async def _misbehave(
        self, fault: str, body: dict[str, Any], writer: asyncio.StreamWriter
    ) -> bool:
        match fault:
            case "429":
                error = b'{"error": {"message": "slow down", "code": 429}}'
                return await _send(writer, 429, error, {"Retry-After": "0.2"})
            case "503" | "500":
                error = b'{"error": {"message": "the engine is unwell"}}'
                return await _send(writer, int(fault), error)
            case "400":
                error = b'{"error": {"message": "this prompt is refused", "param": "messages"}}'
                return await _send(writer, 400, error)
            case "reset":
                writer.transport.abort()
                return False
            case "hang":
                event = asyncio.Event()
                self.held.append(event)
                await event.wait()
                return False
            case "half-body":
                whole = build_reply(body)
                writer.write(_head(200, {"content-length": str(len(whole))}) + whole[:20])
                await writer.drain()
                return False
            case "half-stream" | "cut-stream":
                part = b'data: {"choices": [{"delta": {"content": "I ans'
                part += b'wer"}}]}\n\n' if fault == "cut-stream" else b""
                chunk = f"{len(part):x}\r\n".encode() + part + b"\r\n"
                writer.write(_head(200, {"transfer-encoding": "chunked"}) + chunk)
                await writer.drain()
                return False
            case "garbage":
                return await _send(writer, 200, b"<html>It works!</html>")
            case "shape":
                return await _send(writer, 200, b'{"choices": [{"message": {"content": 7}}]}')
            case "huge":
                text = "x" * 10_000_000
                choice = {"message": {"content": text}, "finish_reason": "stop"}
                return await _send(writer, 200, json.dumps({"choices": [choice]}).encode())
        raise AssertionError(f"no such fault: {fault}")


def build_reply(body: dict[str, Any]) -> bytes:
    text = compute_answer(body)
    told = {"message": {"role": "assistant", "content": text}} if "messages" in body else {}
    choice = {"index": 0, "finish_reason": "stop", **(told or {"text": text})}
    usage = {"prompt_tokens": 5, "completion_tokens": 7}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", "content-type: application/json"]
    return ("\r\n".join([*lines, *(f"{k}: {v}" for k, v in headers.items())]) + "\r\n\r\n").encode()


async def _send(
    writer: asyncio.StreamWriter, status: int, body: bytes, headers: dict[str, str] | None = None
) -> bool:
    writer.write(_head(status, {**(headers or {}), "content-length": str(len(body))}) + body)
    await writer.drain()
    return True


@asynccontextmanager
async def serving(server: FaultyServer, port: int = 0) -> AsyncIterator[int]:
    """Serve on loopback until left; every connection then breaks."""
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await server.handle(reader, writer)

    listening = await asyncio.start_server(handle, "127.0.0.1", port)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for event in server.held:
            event.set()
        for writer in writers:
            writer.transport.abort()
