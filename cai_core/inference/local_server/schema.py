"""Requests as they come over the wire: read, checked field by field, and nothing guessed.

vLLM ignores fields that it does not know; here they are refused by name, so that a misspelt or
unsupported field never changes what an experiment measured without anyone noticing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cai_core.inference.local_server.fields import (
    BadRequest,
    Check,
    check_body,
    check_flag,
    check_messages,
    check_named_tokens,
    check_number,
    check_prompts,
    check_stop,
    check_stream_options,
    check_structured_outputs,
    check_text,
    check_whole,
    require,
)

# vLLM's default for --max-logprobs.
MAX_LOGPROBS = 20
# More choices than this never run at once (batching.MAX_ROWS).
MAX_CHOICES = 64
# vLLM's default for /v1/completions.
DEFAULT_COMPLETION_TOKENS = 16
MAX_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Messages, and how the chat template is to render them.

    Attributes:
        add_generation_prompt: end in the header of an assistant turn.
        continue_final_message: leave the last message open, so that it is gone on with.
        add_special_tokens: put the tokenizer's own start token in front of the rendered text.
    """

    messages: tuple[dict[str, str], ...]
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    add_special_tokens: bool = False

    @property
    def answer_role(self) -> str:
        """Who speaks in the answer; whoever spoke last where no new turn was begun."""
        return "assistant" if self.add_generation_prompt else self.messages[-1]["role"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """A checked request of either endpoint.

    Attributes:
        conversation: for chat; else None.
        prompts: texts or token lists, for completions; else empty.
        add_special_tokens: whether a text prompt gets the tokenizer's start token.
        max_tokens: None means the rest of the context.
        logprobs: alternatives a token, None for no log-probabilities.
        logprob_token_ids: tokens whose log-probabilities are told instead of the alternatives.
        tokens_as_ids: write tokens as `token_id:123`.
        choices: texts of which the answer must be one; None leaves it free.
    """

    model: str
    conversation: Conversation | None = None
    prompts: tuple[str | tuple[int, ...], ...] = ()
    add_special_tokens: bool = True
    max_tokens: int | None
    temperature: float
    top_p: float
    n: int
    seed: int | None
    stop: tuple[str, ...]
    logprobs: int | None
    logprob_token_ids: tuple[int, ...]
    tokens_as_ids: bool
    choices: tuple[str, ...] | None
    ignore_eos: bool
    stream: bool
    include_usage: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizeRequest:
    """A checked body of `/tokenize`: a text or a conversation.

    Attributes:
        model: None where the request names none.
        add_special_tokens: for a text; a conversation has its own.
    """

    model: str | None
    prompt: str | None = None
    add_special_tokens: bool = True
    conversation: Conversation | None = None


def parse_completion(body: Any) -> GenerationRequest:
    """Check the body of `POST /v1/completions`. Raises BadRequest."""
    fields = check_body(body, {**_COMMON, **_COMPLETION}, _NEUTRAL)
    _needs_logprobs(fields, "`logprobs` must be set.", given="logprobs" in fields)
    return _build(
        fields,
        prompts=require(fields, "prompt"),
        add_special_tokens=fields.get("add_special_tokens", True),
        max_tokens=fields.get("max_tokens", DEFAULT_COMPLETION_TOKENS),
        logprobs=fields.get("logprobs"),
    )


def parse_chat(body: Any) -> GenerationRequest:
    """Check the body of `POST /v1/chat/completions`. Raises BadRequest."""
    fields = check_body(body, {**_COMMON, **_CHAT}, _NEUTRAL)
    asks = bool(fields.get("logprobs"))
    if "top_logprobs" in fields and not asks:
        raise BadRequest("top_logprobs needs logprobs: true.", param="top_logprobs")
    _needs_logprobs(fields, "`logprobs` must be set to true.", given=asks)
    return _build(
        fields,
        conversation=build_conversation(fields),
        # The newer name wins where both are given, as in vLLM.
        max_tokens=fields.get("max_completion_tokens", fields.get("max_tokens")),
        logprobs=fields.get("top_logprobs", 0) if asks else None,
    )


def parse_tokenize(body: Any) -> TokenizeRequest:
    """Check the body of `POST /tokenize`. Raises BadRequest."""
    fields = check_body(body, {**_TOKENIZE, **TEMPLATE}, _TOKENIZE_NEUTRAL)
    if ("prompt" in fields) == ("messages" in fields):
        raise BadRequest("Give prompt (a text) or messages, and not both.", param="prompt")
    if "messages" in fields:
        return TokenizeRequest(model=fields.get("model"), conversation=build_conversation(fields))
    for name in ("add_generation_prompt", "continue_final_message"):
        if name in fields:
            raise BadRequest(f"{name} needs messages.", param=name)
    return TokenizeRequest(
        model=fields.get("model"),
        prompt=fields["prompt"],
        add_special_tokens=fields.get("add_special_tokens", True),
    )


def _build(fields: Mapping[str, Any], **own: Any) -> GenerationRequest:
    if "stream_options" in fields and not fields.get("stream"):
        raise BadRequest("stream_options needs stream: true.", param="stream_options")
    if fields.get("temperature", 1.0) == 0 and fields.get("n", 1) > 1:
        raise BadRequest("n must be 1 when temperature is 0: all would be the same.", param="n")
    return GenerationRequest(
        model=require(fields, "model"),
        temperature=fields.get("temperature", 1.0),
        top_p=fields.get("top_p", 1.0),
        n=fields.get("n", 1),
        seed=fields.get("seed"),
        stop=fields.get("stop", ()),
        logprob_token_ids=fields.get("logprob_token_ids", ()),
        tokens_as_ids=fields.get("return_tokens_as_token_ids", False),
        choices=fields.get("structured_outputs"),
        ignore_eos=fields.get("ignore_eos", False),
        stream=fields.get("stream", False),
        include_usage=fields.get("stream_options", False),
        **own,
    )


def build_conversation(fields: Mapping[str, Any]) -> Conversation:
    """The fields of TEMPLATE together. Raises BadRequest where they contradict each other."""
    adds = fields.get("add_generation_prompt", True)
    continues = fields.get("continue_final_message", False)
    if adds and continues:
        raise BadRequest(
            "continue_final_message and add_generation_prompt are not compatible. "
            "Set add_generation_prompt: false to go on with the final message.",
            param="continue_final_message",
        )
    return Conversation(
        messages=require(fields, "messages"),
        add_generation_prompt=adds,
        continue_final_message=continues,
        add_special_tokens=fields.get("add_special_tokens", False),
    )


def _needs_logprobs(fields: Mapping[str, Any], wanted: str, *, given: bool) -> None:
    if fields.get("logprob_token_ids") and not given:
        raise BadRequest(f"when using `logprob_token_ids`, {wanted}", param="logprob_token_ids")


_MAX_TOKENS = check_whole(1, 2**31 - 1)
_COMMON: dict[str, Check] = {
    "model": check_text,
    "max_tokens": _MAX_TOKENS,
    "temperature": check_number(0.0, 1e6),
    "top_p": check_number(0.0, 1.0, open_low=True),
    "n": check_whole(1, MAX_CHOICES),
    "seed": check_whole(-MAX_SEED - 1, MAX_SEED),
    "stop": check_stop,
    "stream": check_flag,
    "stream_options": check_stream_options,
    "ignore_eos": check_flag,
    "user": check_text,
    "add_special_tokens": check_flag,
    "logprob_token_ids": check_named_tokens,
    "return_tokens_as_token_ids": check_flag,
    "structured_outputs": check_structured_outputs,
}
_COMPLETION: dict[str, Check] = {
    "prompt": check_prompts,
    "logprobs": check_whole(0, MAX_LOGPROBS),
}
# How a conversation is given.
TEMPLATE: dict[str, Check] = {
    "messages": check_messages,
    "add_generation_prompt": check_flag,
    "continue_final_message": check_flag,
}
_CHAT: dict[str, Check] = {
    **TEMPLATE,
    "max_completion_tokens": _MAX_TOKENS,
    "logprobs": check_flag,
    "top_logprobs": check_whole(0, MAX_LOGPROBS),
}
_TOKENIZE: dict[str, Check] = {
    "model": check_text,
    "prompt": check_text,
    "add_special_tokens": check_flag,
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
    "add_generation_prompt": (True,),
    "continue_final_message": (False,),
    "response_format": (),
    "prompt_logprobs": (),
    "allowed_token_ids": (),
    "tools": ([],),
    "tool_choice": ("none",),
    "parallel_tool_calls": (True, False),
    "chat_template": (),
    "chat_template_kwargs": ({},),
}
_TOKENIZE_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "return_token_strs": (False,),
    "tools": ([],),
    "chat_template": (),
    "chat_template_kwargs": ({},),
}
