"""Checks of single request fields: a value comes out as the server uses it, or is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

ROLES = ("system", "user", "assistant")
# vLLM's bound (sampling_params.MAX_LOGPROB_TOKEN_IDS).
MAX_NAMED_TOKENS = 128
# Bytes of all choices together: they are gone through on the thread that answers everybody.
MAX_CHOICE_BYTES = 8192

# The kinds of constraint in vLLM's structured_outputs; only `choice` is drawn here.
_KINDS = ("choice", "regex", "json", "grammar", "json_object", "structural_tag")
# What vLLM lets one say beside a kind, and the values at which it does nothing.
_KIND_OPTIONS = ("disable_any_whitespace", "disable_additional_properties", "whitespace_pattern")

Check = Callable[[str, Any], Any]


class BadRequest(Exception):
    """The request is refused with this status; `param` names the field."""

    def __init__(self, message: str, *, param: str | None = None, status: int = 400):
        super().__init__(message)
        self.message = message
        self.param = param
        self.status = status


def check_body(
    body: Any, checks: Mapping[str, Check], neutral: Mapping[str, tuple[Any, ...]]
) -> dict[str, Any]:
    """The fields that were given, each through its check; null counts as not given.

    Args:
        neutral: known fields that are not supported, with the values at which they do nothing.

    Raises:
        BadRequest: a field is unknown, not supported, or of another type or range.
    """
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    fields = {}
    for name, value in body.items():
        if value is None and (name in checks or name in neutral):
            continue
        if name in checks:
            fields[name] = checks[name](name, value)
        elif name not in neutral:
            raise BadRequest(
                f"Unknown field {name!r}. This server refuses what it does not know; "
                "remove the field.",
                param=name,
            )
        elif value not in neutral[name] or isinstance(value, bool) is not _is_flag(neutral[name]):
            raise _unsupported(name)
    return fields


def require(fields: Mapping[str, Any], name: str) -> Any:
    """A field's value. Raises BadRequest where it was not given."""
    if name not in fields:
        raise BadRequest(f"{name!r} is missing.", param=name)
    return fields[name]


def check_text(name: str, value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise _refuse(name, "a text", value)
    return value


def check_flag(name: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise _refuse(name, "true or false", value)
    return value


def check_whole(low: int, high: int) -> Check:
    """A whole number in a range, both ends in it."""

    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _refuse(name, f"a whole number from {low} to {high}", value)
        return value

    return check


def check_number(low: float, high: float, *, open_low: bool = False) -> Check:
    """A number in a range; with `open_low`, `low` itself is out."""

    def check(name: str, value: Any) -> float:
        given = isinstance(value, int | float) and not isinstance(value, bool)
        if not given or not low <= value <= high:  # NaN is in no range
            raise _refuse(name, f"a number from {low} to {high}", value)
        if open_low and value == low:
            raise _refuse(name, f"above {low}", value)
        return float(value)

    return check


def check_stop(name: str, value: Any) -> tuple[str, ...]:
    """A text or a list of texts."""
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(s, str) and s for s in stops):
        raise _refuse(name, "a text or a list of texts, none of them empty", value)
    return tuple(stops)


def check_stream_options(name: str, value: Any) -> bool:
    """Whether usage is to be told at the end of the stream."""
    if not isinstance(value, dict):
        raise _refuse(name, "an object", value)
    _known_keys(name, value, ("include_usage",))
    return check_flag(f"{name}.include_usage", value.get("include_usage", False))


def check_prompts(name: str, value: Any) -> tuple[str | tuple[int, ...], ...]:
    """A text, a list of texts, a token list, or a list of token lists."""
    if isinstance(value, str) or (value and _is_tokens(value)):
        value = [value]
    good = isinstance(value, list) and value
    if not good or not all(isinstance(one, str) or (one and _is_tokens(one)) for one in value):
        raise _refuse(name, "a text, a list of tokens, or a non-empty list of these", value)
    return tuple(one if isinstance(one, str) else tuple(one) for one in value)


def check_named_tokens(name: str, value: Any) -> tuple[int, ...]:
    """Token ids whose log-probabilities are wanted; whether the model has them is asked later."""
    if not isinstance(value, list) or not _is_tokens(value):
        raise _refuse(name, "a list of token ids", value)
    if len(value) > MAX_NAMED_TOKENS:
        raise BadRequest(
            f"Requested {name} of length {len(value)}, which is greater than max allowed: "
            f"{MAX_NAMED_TOKENS}",
            param=name,
        )
    return tuple(value)


def check_structured_outputs(name: str, value: Any) -> tuple[str, ...]:
    """The texts of `{"choice": [...]}`; every other kind is refused by name."""
    if not isinstance(value, dict):
        raise _refuse(name, "an object", value)
    _known_keys(name, value, (*_KINDS, *_KIND_OPTIONS))
    given = [kind for kind in _KINDS if value.get(kind) is not None]
    if len(given) != 1:
        told = ", ".join(given) or "none"
        raise BadRequest(
            f"You must use one kind of constraint in {name}, and only one; got {told}.", param=name
        )
    if given != ["choice"]:
        raise _unsupported(f"{name}.{given[0]}")
    for option in _KIND_OPTIONS:
        if value.get(option):
            raise _unsupported(f"{name}.{option}")
    return _choices(f"{name}.choice", value["choice"])


def _choices(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise _refuse(name, "a non-empty list of texts", value)
    try:
        size = sum(len(one.encode()) for one in value)
    except UnicodeEncodeError as error:
        raise _refuse(name, "made of whole characters", value) from error
    if size > MAX_CHOICE_BYTES:
        raise _refuse(name, f"at most {MAX_CHOICE_BYTES} bytes together", f"{size} bytes")
    return tuple(dict.fromkeys(value))


def check_messages(name: str, value: Any) -> tuple[dict[str, str], ...]:
    """A conversation: turns with role and content."""
    if not isinstance(value, list) or not value:
        raise _refuse(name, "a non-empty list of messages", value)
    return tuple(_message(f"{name}[{index}]", message) for index, message in enumerate(value))


def _message(name: str, message: Any) -> dict[str, str]:
    if not isinstance(message, dict):
        raise _refuse(name, "an object with role and content", message)
    _known_keys(name, message, ("role", "content"))
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


def _known_keys(name: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in given:
        if key not in known:
            raise BadRequest(f"Unknown field '{name}.{key}'. Remove it.", param=f"{name}.{key}")


def _unsupported(name: str) -> BadRequest:
    return BadRequest(
        f"{name!r} is not supported by the bundled server. Remove it, or serve the model with "
        "vLLM.",
        param=name,
    )


def _refuse(name: str, wanted: str, value: Any) -> BadRequest:
    return BadRequest(f"{name} must be {wanted}; got {value!r:.80}.", param=name)


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and all(type(token) is int and token >= 0 for token in value)


def _is_flag(values: tuple[Any, ...]) -> bool:
    # 0 == False in Python: a flag's neutral value must be a flag, a number's a number.
    return any(isinstance(value, bool) for value in values)
