"""A server that answers every question with one letter and tells no log-probabilities."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fake_model import wait_until


@contextmanager
def serve_letter(letter: str) -> Iterator[str]:
    """Its URL, as a model is named by it."""

    async def models(_request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "letters", "max_model_len": 4096}]})

    async def chat(request: Request) -> Response:
        body = await request.json()
        if body.get("stream"):
            return JSONResponse({"error": {"message": "no streams here", "code": 400}}, 400)
        message = {"role": "assistant", "content": letter}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 2}
        return JSONResponse({"id": "1", "model": "letters", "choices": [choice], "usage": usage})

    routes = [
        Route("/v1/models", models),
        Route("/v1/chat/completions", chat, methods=["POST"]),
    ]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(Starlette(routes=routes), log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}#letters"
        server.force_exit = server.should_exit = True
        thread.join(10)
