"""Requests to `/classify`, read and checked field by field; see `schema`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cai_core.inference.local_server.fields import (
    BadRequest,
    Check,
    check_body,
    check_flag,
    check_prompts,
    check_text,
)
from cai_core.inference.local_server.schema import TEMPLATE, Conversation, build_conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyRequest:
    """A checked body of `/classify`: texts, token lists, or one conversation.

    Attributes:
        model: None where the request names none.
        add_special_tokens: for texts; a conversation has its own.
        use_activation: probabilities (True), raw outputs (False), or as the model's config says.
    """

    model: str | None
    inputs: tuple[str | tuple[int, ...], ...] = ()
    add_special_tokens: bool = True
    conversation: Conversation | None = None
    use_activation: bool | None


def parse_classify(body: Any) -> ClassifyRequest:
    """Check the body of `POST /classify`. Raises BadRequest."""
    fields = check_body(body, {**_CLASSIFY, **TEMPLATE}, _CLASSIFY_NEUTRAL)
    if ("input" in fields) == ("messages" in fields):
        raise BadRequest("Give input (texts or tokens) or messages, and not both.", param="input")
    told: dict[str, Any] = {name: fields.get(name) for name in ("model", "use_activation")}
    if "messages" in fields:
        # A finished conversation is rated: no new turn is begun unless that is asked for.
        fields = {"add_generation_prompt": False, **fields}
        return ClassifyRequest(**told, conversation=build_conversation(fields))
    for name in ("add_generation_prompt", "continue_final_message"):
        if name in fields:
            raise BadRequest(f"{name} needs messages.", param=name)
    return ClassifyRequest(
        **told,
        inputs=fields["input"],
        add_special_tokens=fields.get("add_special_tokens", True),
    )


_CLASSIFY: dict[str, Check] = {
    "model": check_text,
    "input": check_prompts,
    "add_special_tokens": check_flag,
    "use_activation": check_flag,
    "user": check_text,
}
_CLASSIFY_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "truncate_prompt_tokens": (),
    "padding": ("do_not_pad",),
    "priority": (0,),
    "chat_template": (),
    "chat_template_kwargs": ({},),
}
