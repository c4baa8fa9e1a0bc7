"""A model server that can be slowed, held and made to fail on cue; refuses what it does not know.

For tests of stopping and reloading in the middle of a text, where the real model is too quick.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

FIELDS = {
    "model", "messages", "temperature", "top_p", "max_tokens", "seed", "stream", "stream_options",
}  # fmt: skip
TOO_LONG = "longer than the context"


class FakeModel:
    """Answers `<kind> word0 word1 …`, one word a `delay` seconds.

    Attributes:
        words: in each answer.
        prefix: begins each answer.
        stamped: words are `t<milliseconds since 1970>`, the moment at which each is sent.
        hold_at: the answer (from 1) that waits after its first word until this is set to None.
        closed_early: answers whose reader went away before their end.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}#fake"
        self.delay = 0.0
        self.words = 5
        self.prefix = ""
        self.stamped = False
        self.hold_at: int | None = None
        self.closed_early = 0
        self.requests: list[dict[str, Any]] = []
        routes = [
            Route("/v1/models", self._models),
            Route("/version", self._version),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)

    async def _models(self, _request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "fake", "max_model_len": 512}]})

    async def _version(self, _request: Request) -> Response:
        return JSONResponse({"version": "1", "engine": "fake"})

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        if unknown := set(body) - FIELDS:
            return _refuse(f"unknown fields {sorted(unknown)}")
        if body["model"] != "fake" or not body.get("stream"):
            return _refuse("only streams of the model 'fake' are served")
        self.requests.append(body)
        if TOO_LONG in body["messages"][0]["content"]:
            return _refuse("This model's maximum context length is 512 tokens; you asked for 900.")
        return StreamingResponse(self._stream(body), media_type="text/event-stream")

    async def _stream(self, body: dict[str, Any]) -> AsyncIterator[str]:
        turns, own = len(body["messages"]), len(self.requests)
        kind = {1: "Response", 3: "Critique", 5: "Revision"}[turns]
        ended = False
        try:
            for number in range(self.words):
                first = f"{self.prefix}{kind} {own}:" if number == 0 else ""
                word = f"t{time.time_ns() // 1_000_000}" if self.stamped else f"word{number}"
                yield _event({"delta": {"content": f"{first} {word}"}, "finish_reason": None})
                await asyncio.sleep(self.delay)
                while self.hold_at == own:
                    await asyncio.sleep(0.02)
            yield _event({"delta": {}, "finish_reason": "stop"})
            usage = {"prompt_tokens": 7, "completion_tokens": self.words}
            yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n"
            yield "data: [DONE]\n\n"
            ended = True
        finally:
            self.closed_early += not ended


@contextmanager
def serve_fake_model() -> Iterator[FakeModel]:
    """A running fake on a free loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fake = FakeModel(listener.getsockname()[1])
        config = uvicorn.Config(fake.app, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        yield fake
        server.force_exit = server.should_exit = True
        thread.join(10)


def wait_until(condition: Any, seconds: float = 10.0) -> None:
    """Poll until it holds; fail loudly when it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _event(choice: dict[str, Any]) -> str:
    return f"data: {json.dumps({'choices': [{'index': 0, **choice}]})}\n\n"


def _refuse(message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": "x", "code": 400}}, status_code=400)
