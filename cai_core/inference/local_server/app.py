"""The HTTP routes of a model that writes: vLLM's dialect of OpenAI's API, one BatchingEngine."""

from __future__ import annotations

from contextlib import suppress

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from cai_core.inference.local_server.batching import BatchingEngine
from cai_core.inference.local_server.fields import BadRequest
from cai_core.inference.local_server.generation import Generation
from cai_core.inference.local_server.loading import LoadedModel
from cai_core.inference.local_server.schema import (
    GenerationRequest,
    parse_chat,
    parse_completion,
)
from cai_core.inference.local_server.sequences import Delta, Sink
from cai_core.inference.local_server.server_base import BaseServer, Served, read_json


class ModelServer(BaseServer):
    """Answers prompts; see `BaseServer`."""

    def __init__(self, model: LoadedModel, served: Served, *, api_key: str | None = None) -> None:
        self._model = model
        self._engine = BatchingEngine(model, self._deliver)
        super().__init__(model, self._engine, served, api_key=api_key)

    def _own_routes(self) -> list[Route]:
        return [
            Route("/v1/completions", self._guarded(self._completions), methods=["POST"]),
            Route("/v1/chat/completions", self._guarded(self._chat), methods=["POST"]),
            Route("/classify", self._guarded(self._classify), methods=["POST"]),
        ]

    async def _classify(self, _request: Request) -> Response:
        raise BadRequest(
            f"`{self._served.model_id}` writes texts and does not rate them. Ask a reward model: "
            "one whose config.json names a …ForSequenceClassification."
        )

    def _deliver(self, deltas: list[tuple[Sink, Delta]]) -> None:
        # Once a step, not once a token: waking the loop costs more than a token does.
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop has closed; nobody listens any more
            self._loop.call_soon_threadsafe(_hand_out, deltas)

    async def _completions(self, request: Request) -> Response:
        asked = parse_completion(await read_json(request))
        self._check_model(asked.model)
        prompts = [
            self._model.encode(prompt, special_tokens=asked.add_special_tokens)
            if isinstance(prompt, str)
            else list(prompt)
            for prompt in asked.prompts
        ]
        return await self._answer(request, asked, prompts)

    async def _chat(self, request: Request) -> Response:
        asked = parse_chat(await read_json(request))
        self._check_model(asked.model)
        assert asked.conversation is not None
        return await self._answer(request, asked, [self._encode(asked.conversation)])

    async def _answer(
        self, request: Request, asked: GenerationRequest, prompts: list[list[int]]
    ) -> Response:
        generation = Generation(self._model, self._engine, asked, prompts)
        request.scope["generation"] = generation
        if asked.stream:
            return StreamingResponse(generation.stream(), media_type="text/event-stream")
        return JSONResponse(await generation.collect(request))


def _hand_out(deltas: list[tuple[Sink, Delta]]) -> None:
    for sink, delta in deltas:
        sink(delta)
