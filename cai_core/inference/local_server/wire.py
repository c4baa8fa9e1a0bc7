"""Responses as they go over the wire, in the shapes that vLLM gives them."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from cai_core.inference.local_server.sampling import TokenLogprobs
from cai_core.inference.local_server.sequences import Delta

DONE = b"data: [DONE]\n\n"
_ERROR_TYPES = {400: "BadRequestError", 401: "UnauthorizedError", 404: "NotFoundError"}

# What vLLM writes for -inf, which JSON has no word for: tokens that a constraint forbids.
LEAST_LOGPROB = -9999.0

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
    stop_reason: str | None = None

    def add(self, delta: Delta) -> None:
        """Append what a step brought."""
        self.text.append(delta.text)
        self.logprobs.extend(delta.logprobs)
        self.tokens += delta.tokens
        self.finish_reason = delta.finish_reason
        self.stop_reason = delta.stop_reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How log-probabilities are shown.

    Attributes:
        count: alternatives a token, None for no log-probabilities.
        named: the request named the tokens: all that were looked up are shown.
        as_ids: write tokens as `token_id:123`, which no two tokens share.
    """

    count: int | None
    named: bool
    as_ids: bool


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every body and chunk of one response shares.

    Attributes:
        role: who speaks, for `/v1/chat/completions`; None for `/v1/completions`.
    """

    role: str | None
    model: str
    shown: Shown
    token_text: TokenText
    id: str
    created: int

    @classmethod
    def new(cls, *, role: str | None, model: str, shown: Shown, token_text: TokenText) -> Envelope:
        """An envelope with a fresh id, made now."""
        prefix = "cmpl" if role is None else "chatcmpl"
        made = f"{prefix}-{secrets.token_hex(16)}"
        return cls(role, model, shown, token_text, made, int(time.time()))

    @property
    def chat(self) -> bool:
        """Whether this answers `/v1/chat/completions`."""
        return self.role is not None

    def body(self, answers: Iterable[Answer], prompt_tokens: int) -> dict[str, Any]:
        """The whole response."""
        answers = list(answers)
        choices = [self._choice(index, answer) for index, answer in enumerate(answers)]
        usage = build_usage(prompt_tokens, sum(answer.tokens for answer in answers))
        kind = "chat.completion" if self.chat else "text_completion"
        return {**self._head(kind), "choices": choices, "usage": usage}

    def role_chunk(self, choice: int) -> dict[str, Any]:
        """The first chunk of a chat stream: the role, and no text yet."""
        delta = {"role": self.role, "content": ""}
        return self._chunk([{"index": choice, "delta": delta, **_UNFINISHED}])

    def delta_chunk(self, delta: Delta, offset: int = 0) -> dict[str, Any]:
        """What one step added.

        Args:
            offset: where its first token begins among this choice's tokens, in characters.
        """
        shown = {"delta": {"content": delta.text}} if self.chat else {"text": delta.text}
        ends = {"finish_reason": delta.finish_reason, "stop_reason": delta.stop_reason}
        logprobs = self._logprobs(delta.logprobs, offset)
        return self._chunk([{"index": delta.choice, **shown, "logprobs": logprobs, **ends}])

    def measure(self, delta: Delta) -> int:
        """Characters of the delta's tokens as log-probabilities show them."""
        return sum(len(self._name(entry.token_id)) for entry in delta.logprobs)

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
        message = {"role": self.role, "content": text}
        return {
            "index": index,
            **({"message": message} if self.chat else {"text": text}),
            "logprobs": self._logprobs(answer.logprobs),
            "finish_reason": answer.finish_reason,
            "stop_reason": answer.stop_reason,
        }

    def _logprobs(self, entries: Iterable[TokenLogprobs], offset: int = 0) -> dict[str, Any] | None:
        if self.shown.count is None:
            return None
        if self.chat:
            return {"content": [self._chat_entry(entry) for entry in entries]}
        return self._completion_logprobs(list(entries), offset)

    def _chat_entry(self, entry: TokenLogprobs) -> dict[str, Any]:
        # The chosen token comes first and counts as one of the alternatives, as in vLLM.
        listed = list(_list_tokens(entry).items())
        top = listed if self.shown.named else listed[: self.shown.count]
        return {
            "token": self._name(entry.token_id),
            "logprob": _writable(entry.logprob),
            "bytes": list(self.token_text(entry.token_id).encode()),
            "top_logprobs": [self._alternative(token, logprob) for token, logprob in top],
        }

    def _alternative(self, token: int, logprob: float) -> dict[str, Any]:
        name = self._name(token)
        return {"token": name, "logprob": logprob, "bytes": list(name.encode())}

    def _completion_logprobs(self, entries: Sequence[TokenLogprobs], offset: int) -> dict[str, Any]:
        tokens = [self._name(entry.token_id) for entry in entries]
        offsets = [offset]
        for token in tokens[:-1]:
            offsets.append(offsets[-1] + len(token))
        tops = [
            {self._name(token): value for token, value in _list_tokens(entry).items()}
            for entry in entries
        ]
        return {
            "text_offset": offsets[: len(tokens)],
            "token_logprobs": [_writable(entry.logprob) for entry in entries],
            "tokens": tokens,
            "top_logprobs": tops,
        }

    def _name(self, token: int) -> str:
        return f"token_id:{token}" if self.shown.as_ids else self.token_text(token)


def _list_tokens(entry: TokenLogprobs) -> dict[int, float]:
    """The chosen token, then the others, each once."""
    listed = {entry.token_id: _writable(entry.logprob)}
    for token, logprob in entry.others:
        listed.setdefault(token, _writable(logprob))
    return listed


def _writable(logprob: float) -> float:
    return max(logprob, LEAST_LOGPROB)


_UNFINISHED = {"logprobs": None, "finish_reason": None}


def build_usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """Token counts."""
    return {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "completion_tokens": completion_tokens,
    }
