"""Scoring's side of the wire: bodies that ask for one token's alternatives, and reading them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cai_core.errors import ScoringUnavailableError
from cai_core.inference.client import VLLM_NEUTRAL
from cai_core.records import Conversation

# vLLM writes -9999.0 for minus infinity: tokens that a mask forbids.
_FORBIDDEN = -9998.0


def build_next_token(
    model_id: str, prompt: Conversation | str, prefix: str, *, neutral: bool
) -> tuple[str, dict[str, Any]]:
    """Route and body that ask for the one token after `prompt` and `prefix`.

    Everything up to the prompt's end is the same bytes for each prefix, so that a server's prefix
    cache reads it once. At temperature 1 the log-probabilities are the model's own even where a
    server tells them after its sampling parameters were applied. No seed is sent: what is drawn is
    not read, and vLLM's CPU engine (0.32) dies of a seeded request whose prompt it reads in parts.

    Args:
        prefix: text of the answer so far; a chat's last message is then continued.
        neutral: whether to switch off what a model's generation_config may set (vLLM).
    """
    drawn: dict[str, Any] = {"max_tokens": 1, "temperature": 1.0, "top_p": 1.0}
    drawn |= VLLM_NEUTRAL if neutral else {}
    if isinstance(prompt, str):
        return "/v1/completions", {"model": model_id, "prompt": prompt + prefix, **drawn}
    messages = [message.as_dict() for message in prompt]
    body: dict[str, Any] = {"model": model_id, "messages": messages, **drawn}
    if prefix:
        messages.append({"role": "assistant", "content": prefix})
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    return "/v1/chat/completions", body


def build_top(alternatives: int, *, chat: bool, ids: bool) -> dict[str, Any]:
    """Fields that ask for the most probable alternatives.

    Args:
        ids: ask for `token_id:…` in the place of texts.
    """
    named = {"return_tokens_as_token_ids": True} if ids else {}
    if chat:
        return {"logprobs": True, "top_logprobs": alternatives, **named}
    return {"logprobs": alternatives, **named}


def build_named(token_ids: Sequence[int], *, chat: bool) -> dict[str, Any]:
    """Fields that ask for the log-probabilities of exactly these tokens."""
    return {
        "logprobs": True if chat else 0,
        "logprob_token_ids": list(token_ids),
        "return_tokens_as_token_ids": True,
    }


@dataclass(frozen=True, slots=True)
class Alternatives:
    """The alternatives of one token.

    Attributes:
        logprobs: by token text, or `token_id:…`; the highest where several read alike.
        ambiguous: texts that stand for several tokens.
        bound: no token that is missing here is more probable (log).
        count: how many were told, those that read alike counted each.
    """

    logprobs: dict[str, float]
    ambiguous: frozenset[str]
    bound: float
    count: int


def parse_alternatives(answer: dict[str, Any]) -> Alternatives:
    """The first token's alternatives of either route.

    Raises:
        ScoringUnavailableError: the answer holds none.
    """
    try:
        logprobs = answer["choices"][0]["logprobs"]
        chat = "content" in logprobs
        drawn, listed = _chat_lists(logprobs) if chat else _completion_lists(logprobs)
        pairs = [(str(text), float(value)) for text, value in listed]
        return _build_alternatives(str(drawn), pairs)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ScoringUnavailableError(
            f"The server sent no log-probabilities ({error!r}). Probe it again, or make labels "
            "from generated text."
        ) from error


def _chat_lists(logprobs: dict[str, Any]) -> tuple[Any, list[tuple[Any, Any]]]:
    first = logprobs["content"][0]
    listed = [(entry["token"], entry["logprob"]) for entry in first["top_logprobs"]]
    return first["token"], listed or [(first["token"], first["logprob"])]


def _completion_lists(logprobs: dict[str, Any]) -> tuple[Any, list[tuple[Any, Any]]]:
    return logprobs["tokens"][0], list(logprobs["top_logprobs"][0].items())


def _build_alternatives(drawn: str, pairs: list[tuple[str, float]]) -> Alternatives:
    best: dict[str, float] = {}
    seen: set[str] = set()
    ambiguous: set[str] = set()
    for text, value in pairs:
        if math.isnan(value):
            raise ValueError(f"{text!r} has no number")
        ambiguous |= {text} & seen
        seen.add(text)
        real = value if value > _FORBIDDEN else -math.inf
        best[text] = max(real, best.get(text, -math.inf))
    return Alternatives(best, frozenset(ambiguous), _bound(drawn, pairs), len(pairs))


def _bound(drawn: str, pairs: list[tuple[str, float]]) -> float:
    """The most that a missing token can have: no more than the lowest listed, or what is left."""
    # The drawn token is listed even where it is none of the best: it bounds nothing then.
    others = [value for text, value in pairs if text != drawn] or [value for _, value in pairs]
    left = 1.0 - math.fsum(math.exp(value) for _, value in pairs)
    return min(min(others, default=0.0), math.log(max(left, 1e-12)))


def parse_prompt_logprobs(answer: dict[str, Any], tokens: Sequence[int | None]) -> float:
    """Log-probability of a prompt's last tokens, from vLLM's `prompt_logprobs`.

    Raises:
        ScoringUnavailableError: none were sent, or the prompt ends in other tokens.
    """
    try:
        choice = answer["choices"][0]
        told = choice["prompt_logprobs"]
        last = told[len(told) - len(tokens) :]
        return math.fsum(
            float(entry[str(token)]["logprob"]) for entry, token in zip(last, tokens, strict=True)
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ScoringUnavailableError(
            f"The prompt's log-probabilities do not end in the option's tokens ({error!r}). "
            "Make labels from generated text."
        ) from error


def parse_echo(answer: dict[str, Any], prompt: str, option: str) -> float:
    """Log-probability of the option at the end of an echoed prompt.

    Raises:
        ScoringUnavailableError: nothing was echoed, or no token begins where the option does.
    """
    try:
        logprobs = answer["choices"][0]["logprobs"]
        offsets = logprobs["text_offset"]
        first = offsets.index(len(prompt))
        end = len(prompt) + len(option)
        chosen = [i for i, at in enumerate(offsets) if i >= first and at < end]
        return math.fsum(float(logprobs["token_logprobs"][i]) for i in chosen)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ScoringUnavailableError(
            f"The echoed prompt has no token that begins where the option does ({error!r}). "
            "Make labels from generated text."
        ) from error
