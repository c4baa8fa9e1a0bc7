"""The client's side of the wire: request bodies, and what answers and errors mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cai_core.errors import (
    ContextLengthError,
    RequestRejectedError,
    ServerUnavailableError,
    UnknownModelError,
)
from cai_core.inference.engine import Endpoint
from cai_core.records import Completion, Conversation, ModelInfo, SamplingParams


class BusyError(Exception):
    """The server cannot answer now: 429 or 5xx."""

    def __init__(self, message: str, retry_after: float | None = None):
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(slots=True)
class StreamedAnswer:
    """A streamed answer as it grows."""

    text: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    usage: dict[str, int] = field(default_factory=dict)

    def add(self, chunk: dict[str, Any], endpoint: Endpoint) -> str:
        """Take a chunk in and return its text."""
        if "error" in chunk:
            message, _ = parse_error(json.dumps(chunk))
            raise BusyError(f"{endpoint}: {message}")
        self.usage = chunk.get("usage") or self.usage
        piece = ""
        for choice in chunk.get("choices") or []:
            piece += choice.get("text") or (choice.get("delta") or {}).get("content") or ""
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
        self.text.append(piece)
        return piece

    def finish(self, seconds: float, endpoint: Endpoint) -> Completion:
        """The whole answer; BusyError when the stream broke off before its end."""
        if self.finish_reason is None:
            raise BusyError(f"{endpoint}: the stream broke off before the answer was finished")
        choice = {"text": "".join(self.text), "finish_reason": self.finish_reason}
        return parse_completion({"choices": [choice], "usage": self.usage}, seconds, endpoint)


def build_body(
    prompt: Conversation | str,
    params: SamplingParams,
    *,
    model_id: str,
    seed: int,
    stop: Sequence[str] = (),
) -> dict[str, Any]:
    """The request body, in fields that vLLM and the bundled server know."""
    if isinstance(prompt, str):
        asked: dict[str, Any] = {"prompt": prompt}
    else:
        asked = {"messages": [message.as_dict() for message in prompt]}
    body = {"model": model_id, **asked, **params.as_dict(), "seed": seed}
    return body | ({"stop": list(stop)} if stop else {})


def parse_completion(answer: dict[str, Any], seconds: float, endpoint: Endpoint) -> Completion:
    """The first choice of a response.

    Raises:
        ServerUnavailableError: the response has another shape.
        BusyError: the engine failed in the middle.
    """
    try:
        choice = answer["choices"][0]
        text = choice["text"] if "text" in choice else choice["message"]["content"]
        reason = choice["finish_reason"]
    except (KeyError, IndexError, TypeError) as error:
        raise ServerUnavailableError(
            f"{endpoint} answered in a shape that is not OpenAI's: no {error}. "
            "Check that the URL is a model server's."
        ) from error
    # vLLM says `abort` to those whose answers it cuts off when it shuts down or is paused.
    if reason in ("error", "abort"):
        raise BusyError(f"{endpoint}: the engine failed in the middle of an answer")
    usage = answer.get("usage") or {}
    return Completion(
        text=text or "",
        finish_reason=reason if reason in ("stop", "length") else "abort",
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
        seconds=seconds,
    )


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
    if "context length" in lowered or "context_length_exceeded" in lowered:
        return ContextLengthError(told, status=status, param=param)
    return RequestRejectedError(told, status=status, param=param)
