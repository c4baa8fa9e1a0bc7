"""What a probe asks about log-probabilities, tokens and constrained text."""

from __future__ import annotations

import json
import re
from typing import Any

from cai_core.errors import RequestRejectedError
from cai_core.inference.capabilities import Capability
from cai_core.inference.probe_server import (
    FEW,
    Server,
    read_tokens,
    seen,
    show,
)
from cai_core.inference.scoring_tokens import MOST_ALTERNATIVES
from cai_core.inference.scoring_wire import build_named

# OpenAI-compatible servers take 5 where they do not take 20.
_FEWER_ALTERNATIVES = 5
# Nothing that a model would say.
_ODD_CHOICES = ["qzx7 one", "qzx7 two"]
_ODD_REGEX = "[QZ]{4}[0-9]{3}"
_ODD_SCHEMA = {
    "type": "object",
    "properties": {"qzx7": {"type": "string", "enum": ["k8", "k9"]}},
    "required": ["qzx7"],
    "additionalProperties": False,
}
_DRAWN: dict[str, Any] = {"temperature": 1.0, "seed": 1}


async def ask_logprobs(server: Server) -> Capability:
    """Are alternatives told, and how many of a token's?"""
    for count in (MOST_ALTERNATIVES, _FEWER_ALTERNATIVES):
        try:
            found = await server.alternatives(count)
        except RequestRejectedError:
            if count == _FEWER_ALTERNATIVES:
                raise
            continue
        told = f"Asked for {count} alternatives, it told {found.count}."
        return seen("logprobs", found.count > 1, told, min(count, found.count))
    raise AssertionError("unreachable")


async def ask_token_ids_in_logprobs(server: Server) -> Capability:
    """Can log-probabilities name tokens by id, so that none is mistaken for another?"""
    found = await server.alternatives(_FEWER_ALTERNATIVES, ids=True)
    named = [text for text in found.logprobs if re.fullmatch(r"token_id:\d+", text)]
    told = f"{len(named)} of {len(found.logprobs)} alternatives are named by id."
    return seen("token_ids_in_logprobs", len(named) == len(found.logprobs), told)


async def ask_logprob_token_ids(server: Server) -> Capability:
    """Are tokens told that were asked for by id, whatever their probability?"""
    wanted = [11, 12, 13]
    answer = await server.ask(**build_named(wanted, chat=server.chat))
    found = server.read_alternatives(answer).logprobs
    got = [token for token in wanted if f"token_id:{token}" in found]
    told = f"Asked for tokens {wanted}, it told {got}."
    return seen("logprob_token_ids", got == wanted, told)


async def ask_choice(server: Server) -> Capability:
    """Is one of two odd choices all that the model can say?"""
    text = await _constrained(server, structured_outputs={"choice": _ODD_CHOICES})
    right = text in _ODD_CHOICES
    return seen("choice", right, f"Allowed {_ODD_CHOICES} only, it wrote {show(text)}.")


async def ask_regex(server: Server) -> Capability:
    """Does a regular expression bind the text?"""
    text = await _constrained(server, structured_outputs={"regex": _ODD_REGEX})
    right = re.fullmatch(_ODD_REGEX, text) is not None
    return seen("regex", right, f"Bound to {_ODD_REGEX}, it wrote {show(text)}.")


async def ask_json(server: Server) -> Capability:
    """Does a JSON schema bind the text?"""
    text = await _constrained(server, structured_outputs={"json": _ODD_SCHEMA})
    # Blanks are allowed anywhere, and a small model may never stop writing them.
    begun, wanted = re.sub(r"\s", "", text), '{"qzx7":"k'
    right = begun != "" and (begun.startswith(wanted) or wanted.startswith(begun))
    return seen("json", right, f"Bound to an object with qzx7, it wrote {show(text)}.")


async def ask_response_format(server: Server) -> Capability:
    """Does `response_format` make JSON of an answer that would be none?"""
    answer = await server.ask(
        "Say hello in plain words. Do not write JSON.",
        max_tokens=FEW,
        response_format={"type": "json_object"},
        **_DRAWN,
    )
    right = answer.text.lstrip().startswith("{") or _is_json(answer.text)
    told = f"Asked for plain words as a JSON object, it wrote {show(answer.text)}."
    return seen("response_format", right, told)


async def ask_tokenize(server: Server) -> Capability:
    """Does the server cut a text into tokens?"""
    tokens = await server.tokenize("The quick brown fox")
    return seen("tokenize", True, f"Four words are the tokens {show(tokens)}.")


async def ask_tokenize_messages(server: Server) -> Capability:
    """Does it cut a conversation into the tokens that a chat would read?"""
    messages = [{"role": "user", "content": "Hello"}]
    body = {"model": server.info.model_id, "messages": messages, "add_generation_prompt": True}
    tokens = read_tokens(await server.asker.post("/tokenize", body))
    read = (await server.ask_chat(messages)).prompt_tokens
    told = f"The conversation has {len(tokens)} tokens, and the chat read {read}."
    return seen("tokenize_messages", len(tokens) == read, told)


async def ask_continue(server: Server) -> Capability:
    """Is a last message of the assistant continued, not closed and answered?"""
    messages = [{"role": "user", "content": "Hello"}]
    begun = [*messages, {"role": "assistant", "content": "The quick brown fox"}]
    fields = {"add_generation_prompt": False, "continue_final_message": True}
    short = (await server.ask_chat(messages)).prompt_tokens
    closed = (await server.ask_chat([*begun, *messages])).prompt_tokens
    long = (await server.ask_chat(begun, **fields)).prompt_tokens
    if short is None or long is None or closed is None:
        return seen("continue_final_message", "unknown", "No token count tells what was read.")
    added = len(await server.tokenize("The quick brown fox"))
    told = f"The prompt grew by {long - short} tokens for an answer of {added} that was begun."
    return seen("continue_final_message", long - short == added and long < closed, told)


async def ask_prompt_logprobs(server: Server) -> Capability:
    """Are a prompt's own log-probabilities told?"""
    answer = await server.complete("The quick brown fox", prompt_logprobs=0)
    told = answer.choices[0].get("prompt_logprobs")
    count = len(told) if isinstance(told, list) else 0
    right = count > 1 and isinstance(told, list) and all(isinstance(e, dict) for e in told[1:])
    return seen("prompt_logprobs", right, f"It told {max(0, count - 1)} tokens of the prompt.")


async def ask_echo(server: Server) -> Capability:
    """Is the prompt repeated with its log-probabilities?"""
    prompt = "The quick brown fox"
    answer = await server.complete(prompt, echo=True, logprobs=1)
    logprobs: Any = answer.choices[0].get("logprobs")
    values = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
    count = len(values) if isinstance(values, list) else 0
    told = f"Its text is {show(answer.text)}, with {count} log-probabilities."
    return seen("echo", answer.text.startswith(prompt) and count > 2, told)


async def _constrained(server: Server, **fields: Any) -> str:
    return (await server.ask(max_tokens=FEW, **_DRAWN, **fields)).text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
