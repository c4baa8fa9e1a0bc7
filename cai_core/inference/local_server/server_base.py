"""What every server here shares: who it is, key, health, tokens, and errors in vLLM's shape."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from jinja2 import TemplateError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from cai_core.inference.handshake import compute_proof
from cai_core.inference.local_server.chat import encode_conversation
from cai_core.inference.local_server.fields import BadRequest
from cai_core.inference.local_server.generation import EngineFailure
from cai_core.inference.local_server.metrics import MEDIA_TYPE, render_metrics
from cai_core.inference.local_server.schema import Conversation, parse_tokenize
from cai_core.inference.local_server.wire import build_error

Handler = Callable[[Request], Awaitable[Response]]
# Looking at these does not keep a server up, nor does it need a key.
OPEN_PATHS = frozenset({"/health", "/version", "/metrics"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a server tells of itself.

    Attributes:
        model_id: the name that requests must give.
        weights_hash: SHA-256, see `model_folder.compute_weights_hash`.
    """

    model_id: str
    weights_hash: str
    version: str


class Activity:
    """When somebody last asked for the model; a server that nobody asks leaves."""

    def __init__(self) -> None:
        self._open_requests = 0
        self._last_asked = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last request ended; 0 while one is open."""
        return 0.0 if self._open_requests else time.monotonic() - self._last_asked

    def __enter__(self) -> None:
        self._open_requests += 1

    def __exit__(self, *_: object) -> None:
        self._open_requests -= 1
        self._last_asked = time.monotonic()


class _Tracked:
    """Counts open requests, and cancels a request's generation however the request ends."""

    def __init__(self, app: ASGIApp, activity: Activity) -> None:
        self._app = app
        self._activity = activity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        with self._activity:
            try:
                await self._app(scope, receive, send)
            finally:
                generation = scope.get("generation")
                if generation is not None:
                    generation.cancel()


class ServedModel(Protocol):
    """What a server needs of any model: its tokens, and how far it reads."""

    @property
    def tokenizer(self) -> Any:
        """Transformers' own."""
        ...

    @property
    def context_length(self) -> int:
        """In tokens."""
        ...

    @property
    def repeatability(self) -> Literal["exact", "statistical"]:
        """Whether numbers depend on neighbours."""
        ...

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        """Tokens of a plain text."""
        ...


class ServedEngine(Protocol):
    """A thread that runs the model."""

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        ...

    @property
    def load(self) -> tuple[int, int]:
        """How many sequences run and how many wait."""
        ...

    @property
    def tokens(self) -> tuple[int, int]:
        """Prompt tokens read and tokens generated since the start."""
        ...

    def start(self) -> None:
        """Start the thread."""
        ...

    def stop(self) -> None:
        """End the thread."""
        ...


class BaseServer:
    """The shared routes over one model and one engine; subclasses add their own.

    Args:
        api_key: guards everything but OPEN_PATHS; None leaves it open.
    """

    def __init__(
        self, model: ServedModel, engine: ServedEngine, served: Served, *, api_key: str | None
    ) -> None:
        self.activity = Activity()
        self._shared = model
        self._runner = engine
        self._served = served
        self._api_key = api_key
        self._loop: asyncio.AbstractEventLoop | None = None

    def build_app(self) -> Starlette:
        """The ASGI application; the engine runs while it does."""
        return Starlette(
            routes=[
                *self._own_routes(),
                Route("/v1/models", self._guarded(self._models)),
                Route("/tokenize", self._guarded(self._tokenize), methods=["POST"]),
                Route("/handshake", self._handshake),
                Route("/health", self._health),
                Route("/metrics", self._metrics),
                Route("/version", self._version),
            ],
            middleware=[Middleware(_Tracked, activity=self.activity)],
            lifespan=self._lifespan,
            exception_handlers=_HANDLERS,
        )

    def _own_routes(self) -> list[Route]:
        raise NotImplementedError

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        self._runner.start()
        yield
        await asyncio.to_thread(self._runner.stop)

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            if self._api_key is not None:
                given = request.headers.get("authorization", "")
                wanted = f"Bearer {self._api_key}"
                if not hmac.compare_digest(given.encode(), wanted.encode()):
                    raise BadRequest("Unauthorized: send this server's API key.", status=401)
            return await handler(request)

        return guarded

    async def _health(self, _request: Request) -> Response:
        running, waiting = self._runner.load
        alive = self._runner.alive
        state = {"status": "ok" if alive else "dead", "running": running, "waiting": waiting}
        return JSONResponse(state, status_code=200 if alive else 503)

    async def _version(self, _request: Request) -> Response:
        return JSONResponse({"version": self._served.version, "engine": "cai-local"})

    async def _handshake(self, request: Request) -> Response:
        """Prove to the launcher that this server holds its key, without either sending it."""
        nonce = request.query_params.get("nonce", "")
        if self._api_key is None or not nonce:
            raise BadRequest("A handshake needs a nonce, and a server with a key.", param="nonce")
        return JSONResponse({"proof": compute_proof(self._api_key, nonce)})

    async def _models(self, _request: Request) -> Response:
        card = {
            "id": self._served.model_id,
            "object": "model",
            "created": int(time.time()),
            "owned_by": "cai-local",
            "root": self._served.model_id,
            "parent": None,
            "max_model_len": self._shared.context_length,
            "permission": [],
            "weights_hash": self._served.weights_hash,
            "repeatability": self._shared.repeatability,
        }
        return JSONResponse({"object": "list", "data": [card]})

    async def _metrics(self, _request: Request) -> Response:
        text = render_metrics(self._served.model_id, self._runner.load, self._runner.tokens)
        return Response(text, media_type=MEDIA_TYPE)

    async def _tokenize(self, request: Request) -> Response:
        asked = parse_tokenize(await read_json(request))
        if asked.model is not None:
            self._check_model(asked.model)
        if asked.conversation is not None:
            tokens = self._encode(asked.conversation)
        else:
            prompt = asked.prompt or ""
            tokens = self._shared.encode(prompt, special_tokens=asked.add_special_tokens)
        length = self._shared.context_length
        told = {"count": len(tokens), "max_model_len": length, "tokens": tokens}
        return JSONResponse({**told, "token_strs": None})

    def _encode(self, conversation: Conversation) -> list[int]:
        try:
            return encode_conversation(conversation, self._shared.tokenizer)
        except (TemplateError, ValueError) as error:
            raise BadRequest(
                f"The model's chat template refused the messages: {error}", param="messages"
            ) from error

    def _check_model(self, name: str) -> None:
        if name != self._served.model_id:
            raise BadRequest(
                f"The model `{name}` does not exist. Served here: `{self._served.model_id}`.",
                param="model",
                status=404,
            )


async def read_json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON: {error}") from error


def _error(message: str, status: int, param: str | None = None) -> JSONResponse:
    return JSONResponse(build_error(message, status, param), status_code=status)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, BadRequest)
    return _error(error.message, error.status, error.param)


async def _no_route(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.detail, error.status_code)


async def _engine_failed(_request: Request, error: Exception) -> Response:
    return _error(str(error), 500)


async def _asker_gone(_request: Request, _error: Exception) -> Response:
    # Nobody reads this; 499 is what nginx calls it in logs.
    return Response(status_code=499)


_HANDLERS: dict[Any, Any] = {
    BadRequest: _refused,
    HTTPException: _no_route,
    EngineFailure: _engine_failed,
    ClientDisconnect: _asker_gone,
}
