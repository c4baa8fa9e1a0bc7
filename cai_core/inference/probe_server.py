"""A probe's view of the server: short asks of a few tokens, and what their answers hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from cai_core.errors import ScoringUnavailableError
from cai_core.inference.capabilities import Asker, Capability, Support
from cai_core.inference.scoring_wire import Alternatives, build_top, parse_alternatives
from cai_core.records import Completion, Conversation, ModelInfo, SamplingParams

# Evidence is one sentence: what a hostile server sends is cut.
_SHOWN = 160
# Enough tokens to tell two texts apart.
FEW = 24
_OWN_WORDS = re.compile(r"refused the request \(HTTP \d+\): ")
HELLO = "Say hello and tell a short story about a fox."


@runtime_checkable
class Streamer(Protocol):
    """An `Asker` that can stream as well; both of ours can."""

    async def generate(
        self,
        prompt: Conversation | str,
        params: SamplingParams,
        *,
        seed: int,
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        """As `engine.Engine.generate`."""
        ...


class UnexpectedShapeError(Exception):
    """The answer is not in the shape that OpenAI's API has."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of either route."""

    raw: dict[str, Any]

    @property
    def choices(self) -> list[dict[str, Any]]:
        """The choices; never empty."""
        choices = self.raw.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise UnexpectedShapeError(f"an answer without choices: {show(self.raw)}")
        return choices

    @property
    def message(self) -> dict[str, Any]:
        """The chat message; {} on the completions route."""
        message = self.choices[0].get("message")
        return message if isinstance(message, dict) else {}

    @property
    def text(self) -> str:
        """The first choice's text."""
        text = self.choices[0].get("text", self.message.get("content"))
        if text is not None and not isinstance(text, str):
            raise UnexpectedShapeError(f"a text that is none: {show(text)}")
        return text or ""

    @property
    def finish_reason(self) -> str:
        """Why the first choice ended."""
        return str(self.choices[0].get("finish_reason"))

    @property
    def prompt_tokens(self) -> int | None:
        """The prompt's length, None when it is not told."""
        usage = self.raw.get("usage")
        count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        return count if isinstance(count, int) else None


@dataclass(slots=True)
class Server:
    """The server that is probed, over the route that works.

    Attributes:
        chat: whether asks go to the chat route, else to completions.
    """

    asker: Asker
    info: ModelInfo
    chat: bool = True

    async def ask(self, content: str = HELLO, **fields: Any) -> Answer:
        """Ask over the route that works."""
        if self.chat:
            return await self.ask_chat([{"role": "user", "content": content}], **fields)
        return await self.complete(content, **fields)

    async def ask_chat(self, messages: list[dict[str, str]], **fields: Any) -> Answer:
        """Ask the chat route."""
        return await self.post("/v1/chat/completions", {"messages": messages, **fields})

    async def complete(self, prompt: str | list[int], **fields: Any) -> Answer:
        """Ask the completions route."""
        return await self.post("/v1/completions", {"prompt": prompt, **fields})

    async def post(self, path: str, fields: dict[str, Any]) -> Answer:
        """Send a body with the model's name, by default for one greedy token."""
        defaults = {"model": self.info.model_id, "max_tokens": 1, "temperature": 0.0}
        return Answer(await self.asker.post(path, defaults | fields))

    async def alternatives(self, count: int, *, ids: bool = False) -> Alternatives:
        """The next token's alternatives after `HELLO`."""
        asked = build_top(count, chat=self.chat, ids=ids)
        return self.read_alternatives(await self.ask(**asked))

    @staticmethod
    def read_alternatives(answer: Answer) -> Alternatives:
        """The first token's alternatives; ScoringUnavailableError when it was sent without."""
        if not isinstance(answer.choices[0].get("logprobs"), dict):
            raise ScoringUnavailableError("The answer came without log-probabilities.")
        return parse_alternatives(answer.raw)

    async def tokenize(self, text: str) -> list[int]:
        """Tokens of a text without special ones.

        Raises:
            UnexpectedShapeError: the answer holds none.
        """
        body = {"model": self.info.model_id, "prompt": text, "add_special_tokens": False}
        return read_tokens(await self.asker.post("/tokenize", body))


def read_tokens(answer: dict[str, Any]) -> list[int]:
    """The tokens of a `/tokenize` answer; raises UnexpectedShapeError."""
    tokens = answer.get("tokens")
    if not isinstance(tokens, list) or not tokens or not all(type(t) is int for t in tokens):
        raise UnexpectedShapeError(f"an answer without tokens: {show(answer)}")
    return tokens


def show(value: Any) -> str:
    """A value for a sentence, cut to a readable length."""
    text = value if isinstance(value, str) else repr(value)
    shown = repr(text[:_SHOWN]) if isinstance(value, str) else text[:_SHOWN]
    return shown + ("…" if len(text) > _SHOWN else "")


def explain(error: Exception) -> str:
    """What the server said, without our client's own words before it."""
    return show(_OWN_WORDS.split(str(error), maxsplit=1)[-1])


def seen(name: str, support: Support | bool, evidence: str, limit: int | None = None) -> Capability:
    """A finding; `probe` adds the fallback."""
    told: Support = support if isinstance(support, str) else ("yes" if support else "no")
    return Capability(name=name, support=told, evidence=evidence, limit=limit)
