"""The client's side of the wire: request bodies, and what answers and errors mean."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cai_core.errors import ContextLengthError, RequestRejectedError, UnknownModelError
from cai_core.inference.engine import Endpoint
from cai_core.inference.reasoning import ReasoningFilter, get_reasoning, split_reasoning
from cai_core.records import Completion, Conversation, ModelInfo, SamplingParams

# How servers say that a prompt does not fit: vLLM (two ways), OpenAI, llama.cpp.
_CONTEXT_SIGNS = ("context length", "max_model_len", "context_length_exceeded", "context size")


class FaultKind(StrEnum):
    """What kind of passing fault a request met."""

    UNREACHABLE = "unreachable"  # no connection
    BROKEN = "broken"  # the connection, a stream or the engine broke off in the middle
    SILENT = "silent"  # nothing came for too long
    OVERLOAD = "overload"  # 429, or 503 with a Retry-After
    SERVER_ERROR = "server error"  # any other 5xx
    GARBLED = "garbled"  # an answer that cannot be read, or is far too long


class PassingFault(Exception):
    """A request met a fault that may pass; it may be sent again.

    Attributes:
        retry_after: seconds that the server asks to wait, None where it does not say.
    """

    def __init__(self, kind: FaultKind, message: str, retry_after: float | None = None):
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after


@dataclass(slots=True)
class StreamedAnswer:
    """A streamed answer as it grows."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    _chat: bool = True
    _filter: ReasoningFilter = field(default_factory=ReasoningFilter)

    def add(self, chunk: Any, endpoint: Endpoint) -> str:
        """Take a chunk in and return the part of its text that belongs to the answer."""
        if not isinstance(chunk, dict):
            raise PassingFault(FaultKind.GARBLED, f"{endpoint}: a chunk is not a JSON object")
        if "error" in chunk:
            message, _ = parse_error(json.dumps(chunk))
            raise PassingFault(FaultKind.BROKEN, f"{endpoint}: {message}")
        self.usage = chunk.get("usage") or self.usage
        told = ""
        for choice in chunk.get("choices") or []:
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            if "text" in choice:
                self._chat = False
                self.text.append(choice["text"] or "")
                told += choice["text"] or ""
                continue
            delta = choice.get("delta") or {}
            self.reasoning.append(get_reasoning(delta) or "")
            if piece := delta.get("content"):
                self.text.append(piece)
                told += self._filter.push(piece)
        return told

    def finish(self, seconds: float, endpoint: Endpoint) -> Completion:
        """The whole answer; PassingFault when the stream broke off before its end."""
        if self.finish_reason is None:
            raise PassingFault(
                FaultKind.BROKEN, f"{endpoint}: the stream broke off before the answer was finished"
            )
        text = "".join(self.text)
        message = {"content": text, "reasoning": "".join(self.reasoning)}
        told = {"message": message} if self._chat else {"text": text}
        choice = {**told, "finish_reason": self.finish_reason}
        return parse_completion({"choices": [choice], "usage": self.usage}, seconds, endpoint)


def build_body(
    prompt: Conversation | str,
    params: SamplingParams,
    *,
    model_id: str,
    seed: int,
    stop: Sequence[str] = (),
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The request body, in fields that vLLM and the bundled server know."""
    if isinstance(prompt, str):
        asked: dict[str, Any] = {"prompt": prompt}
    else:
        asked = {"messages": [message.as_dict() for message in prompt]}
    body = {"model": model_id, **asked, **params.as_dict(), "seed": seed, **(extra or {})}
    return body | ({"stop": list(stop)} if stop else {})


def parse_completion(answer: dict[str, Any], seconds: float, endpoint: Endpoint) -> Completion:
    """The first choice of a response, its reasoning apart from its answer.

    Raises:
        PassingFault: the response has another shape, or the engine failed in the middle.
    """
    try:
        choice = answer["choices"][0]
        reason = choice["finish_reason"]
        text, reasoning = _parse_text(choice)
        usage = answer.get("usage") or {}
        counts = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise PassingFault(
            FaultKind.GARBLED,
            f"{endpoint} answered in a shape that is not OpenAI's: {error!r}. "
            "Check that the URL is a model server's.",
        ) from error
    # vLLM says `abort` to those whose answers it cuts off when it shuts down or is paused.
    if reason in ("error", "abort"):
        raise PassingFault(
            FaultKind.BROKEN, f"{endpoint}: the engine failed in the middle of an answer"
        )
    return Completion(
        text=text,
        finish_reason=reason if reason in ("stop", "length") else "abort",
        prompt_tokens=counts[0],
        completion_tokens=counts[1],
        seconds=seconds,
        reasoning=reasoning,
    )


def _parse_text(choice: dict[str, Any]) -> tuple[str, str | None]:
    """Answer and reasoning of a choice. Only a chat's text can hold thoughts between tags."""
    if "text" in choice:
        text = choice["text"]
        if not isinstance(text, str):
            raise TypeError("text is no text")
        return text, None
    message = choice["message"]
    content = message.get("content") or ""
    if not isinstance(content, str):
        raise TypeError("content is no text")
    reasoning = get_reasoning(message)
    return (content, reasoning) if reasoning else split_reasoning(content)


def parse_info(models: dict[str, Any], version: dict[str, Any], endpoint: Endpoint) -> ModelInfo:
    """Who answers, from `/v1/models` and `/version`.

    Raises:
        UnknownModelError: the model is not among those served.
    """
    card = choose_card(models.get("data") or [], endpoint)
    owner = card.get("owned_by")
    engine = str(version.get("engine") or ("vllm" if owner == "vllm" else "unknown"))
    exact = card.get("repeatability") == "exact"
    return ModelInfo(
        model_id=card["id"],
        engine=engine,
        engine_version=str(version.get("version") or "unknown"),
        weights_hash=card.get("weights_hash"),
        context_length=card.get("max_model_len"),
        repeatability="exact" if exact else "statistical",
    )


def choose_card(cards: Sequence[dict[str, Any]], endpoint: Endpoint) -> dict[str, Any]:
    """The endpoint's model among the served ones; the only one when it names none."""
    named = [card for card in cards if card.get("id") == endpoint.model_id]
    if not endpoint.model_id and len(cards) == 1:
        named = list(cards)
    if named:
        return named[0]
    served = ", ".join(repr(card.get("id")) for card in cards) or "none"
    wanted = f"no model {endpoint.model_id!r}" if endpoint.model_id else "several models"
    raise UnknownModelError(
        f"{endpoint.base_url} serves {wanted}. Served: {served}. Name one after the URL, "
        "as in http://host:port#model-id."
    )


def parse_error(text: str) -> tuple[str, str | None]:
    """Message and field of an error body in any of the shapes that servers give."""
    try:
        body = json.loads(text)
    except ValueError:
        return text.strip()[:500] or "no message", None
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return str(error), None
    message = error.get("message") or error.get("detail") or json.dumps(error)[:500]
    param = error.get("param")
    return str(message), str(param) if param else None


def build_rejection(
    endpoint: Endpoint, status: int, message: str, param: str | None
) -> RequestRejectedError | UnknownModelError:
    """The error of our own for a 4xx."""
    lowered = message.lower()
    if status == 404 and "model" in lowered:
        return UnknownModelError(f"{endpoint}: {message}")
    told = f"{endpoint} refused the request (HTTP {status}): {message}"
    if status in (401, 403):
        told += " Set CAI_API_KEY to this server's key."
    if any(sign in lowered for sign in _CONTEXT_SIGNS):
        return ContextLengthError(told, status=status, param=param)
    return RequestRejectedError(told, status=status, param=param)
