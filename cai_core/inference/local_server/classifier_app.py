"""The HTTP routes of a reward model or another classifier: `/classify` in vLLM's dialect."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cai_core.inference.local_server.classifier import (
    ClassifierEngine,
    LoadedClassifier,
    Reading,
    activate,
)
from cai_core.inference.local_server.classify_schema import ClassifyRequest, parse_classify
from cai_core.inference.local_server.fields import BadRequest
from cai_core.inference.local_server.generation import EngineFailure
from cai_core.inference.local_server.server_base import BaseServer, Served, read_json
from cai_core.inference.local_server.wire import build_usage


class ClassifierServer(BaseServer):
    """Rates texts; see `BaseServer`."""

    def __init__(
        self, model: LoadedClassifier, served: Served, *, api_key: str | None = None
    ) -> None:
        self._model = model
        self._engine = ClassifierEngine(model, self._deliver)
        super().__init__(model, self._engine, served, api_key=api_key)

    def _own_routes(self) -> list[Route]:
        return [
            Route("/classify", self._guarded(self._classify), methods=["POST"]),
            Route("/v1/completions", self._guarded(self._refuse), methods=["POST"]),
            Route("/v1/chat/completions", self._guarded(self._refuse), methods=["POST"]),
        ]

    async def _refuse(self, _request: Request) -> Response:
        raise BadRequest(
            f"`{self._served.model_id}` is a reward model: it rates texts at /classify and writes "
            "none. Ask a chat model here."
        )

    async def _classify(self, request: Request) -> Response:
        asked = parse_classify(await read_json(request))
        if asked.model is not None:
            self._check_model(asked.model)
        texts = self._encode_all(asked)
        for text in texts:
            self._check_text(text)
        outputs = await self._read(texts)
        wanted = self._model.activated if asked.use_activation is None else asked.use_activation
        values = [activate(one) if wanted else one for one in outputs]
        return JSONResponse(self._build_body(values, sum(map(len, texts))))

    def _encode_all(self, asked: ClassifyRequest) -> list[list[int]]:
        if asked.conversation is not None:
            return [self._encode(asked.conversation)]
        return [
            self._model.encode(one, special_tokens=asked.add_special_tokens)
            if isinstance(one, str)
            else list(one)
            for one in asked.inputs
        ]

    def _check_text(self, tokens: Sequence[int]) -> None:
        if not tokens:
            raise BadRequest("The input has no tokens.", param="input")
        if max(tokens) >= self._model.vocabulary_size:
            raise BadRequest(
                f"input names token {max(tokens)}; the vocabulary has "
                f"{self._model.vocabulary_size}.",
                param="input",
            )
        if len(tokens) > self._model.context_length:
            raise BadRequest(
                f"This model's maximum context length is {self._model.context_length} tokens. "
                f"However, your request has {len(tokens)} input tokens. Please reduce the length "
                "of the input.",
                param="input_tokens",
            )

    async def _read(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[list[float] | None]] = [loop.create_future() for _ in texts]

        def settle(future: asyncio.Future[list[float] | None], found: list[float] | None) -> None:
            if not future.done():
                future.set_result(found)

        readings = [
            Reading(text, lambda found, future=future: settle(future, found))  # type: ignore[misc]
            for text, future in zip(texts, futures, strict=True)
        ]
        self._engine.submit(readings)
        try:
            outputs = await asyncio.gather(*futures)
        finally:
            for reading in readings:
                reading.cancelled = True
        whole = [output for output in outputs if output is not None]
        if len(whole) < len(outputs):
            raise EngineFailure("The engine failed in the middle; see the server's log.")
        return whole

    def _deliver(self, found: list[tuple[Reading, list[float] | None]]) -> None:
        assert self._loop is not None

        def hand_out() -> None:
            for reading, output in found:
                reading.tell(output)

        with suppress(RuntimeError):  # the loop has closed; nobody listens any more
            self._loop.call_soon_threadsafe(hand_out)

    def _build_body(self, values: Sequence[Sequence[float]], tokens: int) -> dict[str, Any]:
        return {
            "id": f"classify-{secrets.token_hex(16)}",
            "object": "list",
            "created": int(time.time()),
            "model": self._served.model_id,
            "data": [
                {
                    "index": index,
                    "label": self._model.labels[max(range(len(one)), key=one.__getitem__)],
                    "probs": list(one),
                    "num_classes": len(one),
                }
                for index, one in enumerate(values)
            ],
            "usage": build_usage(tokens, 0),
        }
