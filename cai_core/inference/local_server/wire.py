"""Responses as they go over the wire, in the shapes that vLLM gives them."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from cai_core.inference.local_server.sampling import TokenLogprobs
from cai_core.inference.local_server.sequences import Delta

DONE = b"data: [DONE]\n\n"
_ERROR_TYPES = {400: "BadRequestError", 401: "UnauthorizedError", 404: "NotFoundError"}

TokenText = Callable[[int], str]


def build_error(message: str, status: int, param: str | None = None) -> dict[str, Any]:
    """vLLM's error body."""
    kind = _ERROR_TYPES.get(status, HTTPStatus(status).phrase.replace(" ", ""))
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


def build_event(chunk: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()


@dataclass(slots=True)
class Answer:
    """One choice as it grows."""

    text: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    tokens: int = 0
    finish_reason: str | None = None

    def add(self, delta: Delta) -> None:
        """Append what a step brought."""
        self.text.append(delta.text)
        self.logprobs.extend(delta.logprobs)
        self.tokens += delta.tokens
        self.finish_reason = delta.finish_reason


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every body and chunk of one response shares.

    Attributes:
        chat: whether this answers `/v1/chat/completions`.
        logprobs: alternatives a token to show, None for none.
    """

    chat: bool
    model: str
    logprobs: int | None
    token_text: TokenText
    id: str
    created: int

    @classmethod
    def new(
        cls, *, chat: bool, model: str, logprobs: int | None, token_text: TokenText
    ) -> Envelope:
        """An envelope with a fresh id, made now."""
        prefix = "chatcmpl" if chat else "cmpl"
        made = f"{prefix}-{secrets.token_hex(16)}"
        return cls(chat, model, logprobs, token_text, made, int(time.time()))

    def body(self, answers: Iterable[Answer], prompt_tokens: int) -> dict[str, Any]:
        """The whole response."""
        answers = list(answers)
        choices = [self._choice(index, answer) for index, answer in enumerate(answers)]
        usage = build_usage(prompt_tokens, sum(answer.tokens for answer in answers))
        kind = "chat.completion" if self.chat else "text_completion"
        return {**self._head(kind), "choices": choices, "usage": usage}

    def role_chunk(self, choice: int) -> dict[str, Any]:
        """The first chunk of a chat stream: the role, and no text yet."""
        delta = {"role": "assistant", "content": ""}
        return self._chunk([{"index": choice, "delta": delta, **_UNFINISHED}])

    def delta_chunk(self, delta: Delta) -> dict[str, Any]:
        """What one step added."""
        shown = {"delta": {"content": delta.text}} if self.chat else {"text": delta.text}
        reason = delta.finish_reason
        ends = {"finish_reason": reason, "stop_reason": None}
        logprobs = self._logprobs(delta.logprobs)
        return self._chunk([{"index": delta.choice, **shown, "logprobs": logprobs, **ends}])

    def usage_chunk(self, prompt_tokens: int, tokens: int) -> dict[str, Any]:
        """The last chunk before `[DONE]` when `include_usage` was asked."""
        return {**self._chunk([]), "usage": build_usage(prompt_tokens, tokens)}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        return {**self._head(kind), "choices": choices}

    def _choice(self, index: int, answer: Answer) -> dict[str, Any]:
        text = "".join(answer.text)
        message = {"role": "assistant", "content": text}
        return {
            "index": index,
            **({"message": message} if self.chat else {"text": text}),
            "logprobs": self._logprobs(answer.logprobs),
            "finish_reason": answer.finish_reason,
            "stop_reason": None,
        }

    def _logprobs(self, entries: Iterable[TokenLogprobs]) -> dict[str, Any] | None:
        if self.logprobs is None:
            return None
        if self.chat:
            return {"content": [self._chat_entry(entry, self.logprobs) for entry in entries]}
        return self._completion_logprobs(list(entries), self.logprobs)

    def _chat_entry(self, entry: TokenLogprobs, count: int) -> dict[str, Any]:
        top = [self._named(token, logprob) for token, logprob in entry.top[:count]]
        return {**self._named(entry.token_id, entry.logprob), "top_logprobs": top}

    def _named(self, token: int, logprob: float) -> dict[str, Any]:
        text = self.token_text(token)
        return {"token": text, "logprob": logprob, "bytes": list(text.encode())}

    def _completion_logprobs(self, entries: list[TokenLogprobs], count: int) -> dict[str, Any]:
        tokens = [self.token_text(entry.token_id) for entry in entries]
        offsets = [0]
        for token in tokens[:-1]:
            offsets.append(offsets[-1] + len(token))
        tops = [
            {self.token_text(token): value for token, value in (*entry.top[:count], chosen)}
            for entry in entries
            for chosen in [(entry.token_id, entry.logprob)]
        ]
        return {
            "text_offset": offsets[: len(tokens)],
            "token_logprobs": [entry.logprob for entry in entries],
            "tokens": tokens,
            "top_logprobs": tops,
        }


_UNFINISHED = {"logprobs": None, "finish_reason": None}


def build_usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """Token counts."""
    return {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "completion_tokens": completion_tokens,
    }
