"""Requests as they come over the wire: read, checked field by field, and nothing guessed.

vLLM ignores fields that it does not know; here they are refused by name, so that a misspelt or
unsupported field never changes what an experiment measured without anyone noticing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# vLLM's default for --max-logprobs.
MAX_LOGPROBS = 20
# More choices than this never run at once (batching.MAX_ROWS).
MAX_CHOICES = 64
# vLLM's default for /v1/completions.
DEFAULT_COMPLETION_TOKENS = 16
MAX_SEED = 2**63 - 1

ROLES = ("system", "user", "assistant")


class BadRequest(Exception):
    """The request is refused with this status; `param` names the field."""

    def __init__(self, message: str, *, param: str | None = None, status: int = 400):
        super().__init__(message)
        self.message = message
        self.param = param
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """A checked request of either endpoint.

    Attributes:
        messages: the conversation, for chat; else None.
        prompts: texts or token lists, for completions; else empty.
        max_tokens: None means the rest of the context.
        logprobs: alternatives a token, None for no log-probabilities.
    """

    model: str
    messages: tuple[dict[str, str], ...] | None = None
    prompts: tuple[str | tuple[int, ...], ...] = ()
    max_tokens: int | None
    temperature: float
    top_p: float
    n: int
    seed: int | None
    stop: tuple[str, ...]
    logprobs: int | None
    ignore_eos: bool
    stream: bool
    include_usage: bool


def parse_completion(body: Any) -> GenerationRequest:
    """Check the body of `POST /v1/completions`. Raises BadRequest."""
    fields = _checked(body, {**_COMMON, **_COMPLETION})
    return _build(
        fields,
        prompts=_required(fields, "prompt"),
        max_tokens=fields.get("max_tokens", DEFAULT_COMPLETION_TOKENS),
        logprobs=fields.get("logprobs"),
    )


def parse_chat(body: Any) -> GenerationRequest:
    """Check the body of `POST /v1/chat/completions`. Raises BadRequest."""
    fields = _checked(body, {**_COMMON, **_CHAT})
    if "top_logprobs" in fields and not fields.get("logprobs"):
        raise BadRequest("top_logprobs needs logprobs: true.", param="top_logprobs")
    return _build(
        fields,
        messages=_required(fields, "messages"),
        # The newer name wins where both are given, as in vLLM.
        max_tokens=fields.get("max_completion_tokens", fields.get("max_tokens")),
        logprobs=fields.get("top_logprobs", 0) if fields.get("logprobs") else None,
    )


def _build(fields: dict[str, Any], **own: Any) -> GenerationRequest:
    if "stream_options" in fields and not fields.get("stream"):
        raise BadRequest("stream_options needs stream: true.", param="stream_options")
    if fields.get("temperature", 1.0) == 0 and fields.get("n", 1) > 1:
        raise BadRequest("n must be 1 when temperature is 0: all would be the same.", param="n")
    return GenerationRequest(
        model=_required(fields, "model"),
        temperature=fields.get("temperature", 1.0),
        top_p=fields.get("top_p", 1.0),
        n=fields.get("n", 1),
        seed=fields.get("seed"),
        stop=fields.get("stop", ()),
        ignore_eos=fields.get("ignore_eos", False),
        stream=fields.get("stream", False),
        include_usage=fields.get("stream_options", False),
        **own,
    )


Check = Callable[[str, Any], Any]


def _checked(body: Any, checks: Mapping[str, Check]) -> dict[str, Any]:
    """The fields that were given, each through its check; null counts as not given."""
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    fields = {}
    for name, value in body.items():
        if value is None and (name in checks or name in _NEUTRAL):
            continue
        if name in checks:
            fields[name] = checks[name](name, value)
        elif name not in _NEUTRAL:
            raise BadRequest(
                f"Unknown field {name!r}. This server refuses what it does not know; "
                "remove the field.",
                param=name,
            )
        elif value not in _NEUTRAL[name] or isinstance(value, bool) is not _is_flag(name):
            raise BadRequest(
                f"{name!r} is not supported by the bundled server. Remove it, or serve the "
                "model with vLLM.",
                param=name,
            )
    return fields


def _required(fields: dict[str, Any], name: str) -> Any:
    if name not in fields:
        raise BadRequest(f"{name!r} is missing.", param=name)
    return fields[name]


def _refuse(name: str, wanted: str, value: Any) -> BadRequest:
    return BadRequest(f"{name} must be {wanted}; got {value!r:.80}.", param=name)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _refuse(name, "a text", value)
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refuse(name, "true or false", value)
    return value


def _whole(low: int, high: int) -> Check:
    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _refuse(name, f"a whole number from {low} to {high}", value)
        return value

    return check


def _number(low: float, high: float, *, open_low: bool = False) -> Check:
    def check(name: str, value: Any) -> float:
        given = isinstance(value, int | float) and not isinstance(value, bool)
        if not given or not low <= value <= high:  # NaN is in no range
            raise _refuse(name, f"a number from {low} to {high}", value)
        if open_low and value == low:
            raise _refuse(name, f"above {low}", value)
        return float(value)

    return check


def _stop(name: str, value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(s, str) and s for s in stops):
        raise _refuse(name, "a text or a list of texts, none of them empty", value)
    return tuple(stops)


def _include_usage(name: str, value: Any) -> bool:
    if not isinstance(value, dict):
        raise _refuse(name, "an object", value)
    for key in value:
        if key != "include_usage":
            raise BadRequest(f"Unknown field '{name}.{key}'. Remove it.", param=f"{name}.{key}")
    return _flag(f"{name}.include_usage", value.get("include_usage", False))


def _prompts(name: str, value: Any) -> tuple[str | tuple[int, ...], ...]:
    """A text, a list of texts, a token list, or a list of token lists."""
    if isinstance(value, str) or (value and _is_tokens(value)):
        value = [value]
    good = isinstance(value, list) and value
    if not good or not all(isinstance(one, str) or (one and _is_tokens(one)) for one in value):
        raise _refuse(name, "a text, a list of tokens, or a non-empty list of these", value)
    return tuple(one if isinstance(one, str) else tuple(one) for one in value)


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and all(type(token) is int and token >= 0 for token in value)


def _messages(name: str, value: Any) -> tuple[dict[str, str], ...]:
    if not isinstance(value, list) or not value:
        raise _refuse(name, "a non-empty list of messages", value)
    return tuple(_message(f"{name}[{index}]", message) for index, message in enumerate(value))


def _message(name: str, message: Any) -> dict[str, str]:
    if not isinstance(message, dict):
        raise _refuse(name, "an object with role and content", message)
    for key in message:
        if key not in ("role", "content"):
            raise BadRequest(f"Unknown field '{name}.{key}'. Remove it.", param=f"{name}.{key}")
    if message.get("role") not in ROLES:
        raise _refuse(f"{name}.role", f"one of {', '.join(ROLES)}", message.get("role"))
    return {"role": message["role"], "content": _content(name, message.get("content"))}


def _content(name: str, content: Any) -> str:
    """A text, or a list of text parts joined by line breaks (as vLLM joins them)."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [None]
    texts = [p.get("text") for p in parts if isinstance(p, dict) and p.get("type") == "text"]
    if len(texts) != len(parts) or not all(isinstance(text, str) for text in texts):
        raise _refuse(f"{name}.content", "a text or a list of text parts", content)
    return "\n".join(str(text) for text in texts)


_MAX_TOKENS = _whole(1, 2**31 - 1)
_COMMON: dict[str, Check] = {
    "model": _text,
    "max_tokens": _MAX_TOKENS,
    "temperature": _number(0.0, 1e6),
    "top_p": _number(0.0, 1.0, open_low=True),
    "n": _whole(1, MAX_CHOICES),
    "seed": _whole(-MAX_SEED - 1, MAX_SEED),
    "stop": _stop,
    "stream": _flag,
    "stream_options": _include_usage,
    "ignore_eos": _flag,
    "user": _text,
}
_COMPLETION: dict[str, Check] = {"prompt": _prompts, "logprobs": _whole(0, MAX_LOGPROBS)}
_CHAT: dict[str, Check] = {
    "messages": _messages,
    "max_completion_tokens": _MAX_TOKENS,
    "logprobs": _flag,
    "top_logprobs": _whole(0, MAX_LOGPROBS),
}
# Known fields of the dialect that are not supported, and the values at which they do nothing.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "top_k": (-1, 0),
    "min_p": (0,),
    "repetition_penalty": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "min_tokens": (0,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logit_bias": ({},),
    "stop_token_ids": ([],),
    "include_stop_str_in_output": (False,),
    "skip_special_tokens": (True,),
    "add_special_tokens": (),
    "add_generation_prompt": (True,),
    "continue_final_message": (False,),
    "response_format": (),
    "structured_outputs": (),
    "prompt_logprobs": (),
    "allowed_token_ids": (),
    "logprob_token_ids": (),
    "tools": ([],),
    "tool_choice": ("none",),
    "parallel_tool_calls": (True, False),
    "chat_template": (),
    "chat_template_kwargs": ({},),
}


def _is_flag(name: str) -> bool:
    # 0 == False in Python: a flag's neutral value must be a flag, a number's a number.
    return any(isinstance(value, bool) for value in _NEUTRAL[name])
