"""One request's life: its sequences in the engine, and what they say on the way out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect, Request

from cai_core.inference.local_server.batching import BatchingEngine
from cai_core.inference.local_server.choices import ChoiceTable, UnreachableChoiceError
from cai_core.inference.local_server.fields import BadRequest
from cai_core.inference.local_server.loading import LoadedModel
from cai_core.inference.local_server.schema import GenerationRequest
from cai_core.inference.local_server.sequences import Delta, Sampling, Sequence
from cai_core.inference.local_server.text_stream import Detokenizer
from cai_core.inference.local_server.wire import (
    DONE,
    Answer,
    Envelope,
    Shown,
    build_error,
    build_event,
)


class EngineFailure(Exception):
    """The engine could not finish this request; the server's log says why."""


class Generation:
    """Runs the prompts of one request, each `n` times.

    Args:
        prompts: token ids, each shorter than the context.

    Raises:
        BadRequest: a prompt is empty, names a token that is not there, or is too long; a choice
            cannot be spelled.
    """

    def __init__(
        self,
        model: LoadedModel,
        engine: BatchingEngine,
        asked: GenerationRequest,
        prompts: list[list[int]],
    ) -> None:
        self._engine = engine
        self._asked = asked
        self._prompt_tokens = sum(map(len, prompts))
        self._deltas: asyncio.Queue[Delta] = asyncio.Queue()
        self._envelope = build_envelope(asked, model)
        choices = build_choices(asked, model)
        # Prompt-major, as in vLLM; each prompt uses the same random streams, so that a prompt
        # in a list is answered as it would be alone.
        self._sequences = [
            Sequence(
                prompt_ids=prompt,
                sampling=build_sampling(asked, prompt, model, choices),
                sink=self._deltas.put_nowait,
                detokenizer=Detokenizer(model.decode, prompt),
                choice=which * asked.n + index,
                stream_index=index,
                streaming=asked.stream,
            )
            for which, prompt in enumerate(prompts)
            for index in range(asked.n)
        ]

    def cancel(self) -> None:
        """Free the rows; harmless once everything is finished."""
        for sequence in self._sequences:
            sequence.cancelled = True

    async def collect(self, request: Request) -> dict[str, Any]:
        """The whole response body.

        Raises:
            ClientDisconnect: the asker has gone.
            EngineFailure: the engine could not finish.
        """
        self._engine.submit(self._sequences)
        gone = asyncio.create_task(_disconnected(request))
        collected = asyncio.create_task(self._gather())
        try:
            await asyncio.wait({gone, collected}, return_when=asyncio.FIRST_COMPLETED)
            if not collected.done():
                raise ClientDisconnect
            return self._envelope.body(collected.result(), self._prompt_tokens)
        finally:
            gone.cancel()
            collected.cancel()

    async def stream(self) -> AsyncIterator[bytes]:
        """The response as server-sent events."""
        self._engine.submit(self._sequences)
        if self._envelope.chat:
            for sequence in self._sequences:
                yield build_event(self._envelope.role_chunk(sequence.choice))
        tokens = 0
        offsets = [0] * len(self._sequences)
        try:
            async for deltas in self._finished_or_failed():
                tokens += sum(delta.tokens for delta in deltas)
                yield b"".join([self._event(delta, offsets) for delta in deltas])
        except EngineFailure as failure:
            # The status line has gone out long ago: the stream itself must say it.
            yield build_event(build_error(str(failure), 500))
        else:
            if self._asked.include_usage:
                yield build_event(self._envelope.usage_chunk(self._prompt_tokens, tokens))
        yield DONE

    def _event(self, delta: Delta, offsets: list[int]) -> bytes:
        """A delta as it goes out; `offsets` remembers where each choice's next token begins."""
        chunk = self._envelope.delta_chunk(delta, offsets[delta.choice])
        offsets[delta.choice] += self._envelope.measure(delta)
        return build_event(chunk)

    async def _gather(self) -> list[Answer]:
        answers = [Answer() for _ in self._sequences]
        async for deltas in self._finished_or_failed():
            for delta in deltas:
                answers[delta.choice].add(delta)
        return answers

    async def _finished_or_failed(self) -> AsyncIterator[list[Delta]]:
        """All that has come since the last look, until every choice is finished.

        Raises:
            EngineFailure: a choice broke.
        """
        open_choices = len(self._sequences)
        while open_choices:
            deltas = [await self._deltas.get()]
            while not self._deltas.empty():
                deltas.append(self._deltas.get_nowait())
            if any(delta.finish_reason == "error" for delta in deltas):
                self.cancel()
                raise EngineFailure("The engine failed in the middle; see the server's log.")
            open_choices -= sum(delta.finish_reason is not None for delta in deltas)
            yield deltas
            # Neither `get` nor a write waits while there is more: without this, one busy
            # stream would keep every other request from being answered.
            await asyncio.sleep(0)


def build_envelope(asked: GenerationRequest, model: LoadedModel) -> Envelope:
    """What the response's bodies and chunks share."""
    return Envelope.new(
        role=None if asked.conversation is None else asked.conversation.answer_role,
        model=asked.model,
        shown=Shown(
            count=asked.logprobs, named=bool(asked.logprob_token_ids), as_ids=asked.tokens_as_ids
        ),
        token_text=model.token_text,
    )


def build_choices(asked: GenerationRequest, model: LoadedModel) -> ChoiceTable | None:
    """What the answer may be; None where it is free.

    Raises:
        BadRequest: a choice cannot be spelled in this model's tokens.
    """
    if asked.choices is None:
        return None
    try:
        return ChoiceTable(asked.choices, model.token_bytes, model.eos_ids, model.vocabulary_size)
    except UnreachableChoiceError as error:
        raise BadRequest(f"structured_outputs.choice: {error}.", param="structured_outputs") from (
            error
        )


def build_sampling(
    asked: GenerationRequest, prompt: list[int], model: LoadedModel, choices: ChoiceTable | None
) -> Sampling:
    """The sampling fields for one prompt, its room in the context checked.

    Raises:
        BadRequest: in vLLM's words where prompt and max_tokens do not fit.
    """
    _check_tokens(prompt, "prompt", model)
    _check_tokens(asked.logprob_token_ids, "logprob_token_ids", model)
    room = _find_room(prompt, asked.max_tokens, model.context_length)
    return Sampling(
        max_tokens=room if asked.max_tokens is None else asked.max_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        seed=asked.seed,
        stop=asked.stop,
        logprobs=asked.logprob_token_ids or asked.logprobs,
        choices=choices,
        ignore_eos=asked.ignore_eos,
    )


def _check_tokens(tokens: Iterable[int], name: str, model: LoadedModel) -> None:
    highest = max(tokens, default=0)
    if highest >= model.vocabulary_size:
        raise BadRequest(
            f"{name} names token {highest}; the vocabulary has {model.vocabulary_size}.",
            param=name,
        )


def _find_room(prompt: list[int], max_tokens: int | None, context: int) -> int:
    """How many tokens fit behind the prompt."""
    if not prompt:
        raise BadRequest("The prompt has no tokens.", param="prompt")
    if len(prompt) >= context:
        raise BadRequest(
            f"This model's maximum context length is {context} tokens. However, your request "
            f"has {len(prompt)} input tokens. Please reduce the length of the input.",
            param="input_tokens",
        )
    room = context - len(prompt)
    if max_tokens is not None and max_tokens > room:
        raise BadRequest(
            f"max_tokens is too large: {max_tokens}. This model's maximum context length "
            f"is {context} tokens and your request has {len(prompt)} input tokens "
            f"({max_tokens} > {context} - {len(prompt)}).",
            param="max_tokens",
        )
    return room


async def _disconnected(request: Request) -> None:
    with suppress(RuntimeError):
        while (await request.receive())["type"] != "http.disconnect":
            pass
