"""A scripted engine for what a real one cannot be made to do on cue; strict about its input."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Sequence

from cai_core.errors import ContextLengthError, ServerUnavailableError
from cai_core.records import Completion, Conversation, Message, ModelInfo, SamplingParams


class HashEngine:
    """Answers with words that depend on prompt, parameters, seed and stop, and nothing else.

    It refuses what it does not expect: a strange prompt, a seed out of range, and the same
    request twice, since nothing durable may be asked for again.

    Args:
        context: longest prompt in characters; a longer one is a ContextLengthError.
        die_after: requests after which the server is gone.
        jitter: longest random delay in seconds, so that requests end in any order.
    """

    def __init__(
        self,
        name: str = "hash",
        *,
        context: int = 10**9,
        die_after: int | None = None,
        jitter: float = 0.0,
        weights: str = "w1",
        context_length: int | None = None,
        answer: Callable[[str], str] | None = None,
    ) -> None:
        self.name, self.context, self.die_after = name, context, die_after
        self.jitter, self.weights, self.context_length = jitter, weights, context_length
        self.answer = answer
        self.asked: list[tuple[str, SamplingParams, int]] = []
        self.prompts: list[Conversation | str] = []
        self.running = self.most_running = 0

    async def info(self) -> ModelInfo:
        return ModelInfo(
            model_id=self.name,
            engine="scripted",
            engine_version="1",
            weights_hash=self.weights,
            context_length=self.context_length,
            repeatability="exact",
        )

    async def generate(
        self,
        prompt: Conversation | str,
        params: SamplingParams,
        *,
        seed: int,
        stop: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
        priority: int = 0,
    ) -> Completion:
        rendered = self._check(prompt, params, seed)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(random.random() * self.jitter)
            text = self._text(rendered, params, seed, stop)
            for word in text.split(" ") if on_text else ():
                on_text(word + " ")
                await asyncio.sleep(0)
        finally:
            self.running -= 1
        return Completion(
            text=text, finish_reason="stop", prompt_tokens=3, completion_tokens=5, seconds=0.01
        )

    def _check(self, prompt: Conversation | str, params: SamplingParams, seed: int) -> str:
        if isinstance(prompt, str):
            rendered = prompt
        else:
            assert all(isinstance(turn, Message) for turn in prompt), prompt
            assert prompt[-1].role == "user", prompt
            rendered = repr(prompt)
        assert 0 <= seed < 2**63
        if self.die_after is not None and len(self.asked) >= self.die_after:
            raise ServerUnavailableError("http://nowhere: the server is gone. Start it again.")
        if len(rendered) > self.context:
            raise ContextLengthError(f"{len(rendered)} characters; the context is {self.context}.")
        request = (rendered, params, seed)
        assert request not in self.asked, "asked twice"
        self.asked.append(request)
        self.prompts.append(prompt)
        return rendered

    def _text(self, rendered: str, params: SamplingParams, seed: int, stop: Sequence[str]) -> str:
        if self.answer is not None:
            return self.answer(rendered)
        told = repr((self.name, rendered, params, seed, tuple(stop)))
        digest = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
        return f"I say {digest[:6]} and {digest[6:12]}."
