"""Finding out what a server can: servers ignore unknown fields in silence, so look at answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from cai_core.errors import (
    CaiError,
    ContextLengthError,
    RequestRejectedError,
    ScoringUnavailableError,
    ServerUnavailableError,
)
from cai_core.inference import probe_asks as asks
from cai_core.inference import probe_scoring as scores
from cai_core.inference.capabilities import Asker, Capabilities, Capability
from cai_core.inference.probe_server import Server, UnexpectedShapeError, explain, seen, show
from cai_core.inference.scoring import NO_WAY, find_way
from cai_core.records import ModelInfo

# The first answer of a cold server: vLLM's first log-probabilities took 20 s on a CPU.
FIRST_SECONDS = 25.0
ASK_SECONDS = 12.0
# A person waits for it.
TOTAL_SECONDS = 55.0
AT_ONCE = 4

Ask = Callable[[Server], Awaitable[Capability]]

# What labels depend on comes first: a slow server may not get to the end. vLLM tells a request
# too few alternatives when another in the same step names tokens, so that one asks alone.
_FIRST: dict[str, Ask] = {"logprob_token_ids": scores.ask_logprob_token_ids}
_TOGETHER: dict[str, Ask] = {
    "logprobs": scores.ask_logprobs,
    "token_ids_in_logprobs": scores.ask_token_ids_in_logprobs,
    "tokenize": scores.ask_tokenize,
    "choice": scores.ask_choice,
    "context_length": asks.ask_context_length,
    "tokenize_messages": scores.ask_tokenize_messages,
    "continue_final_message": scores.ask_continue,
    "system_role": asks.ask_system_role,
    "seed": asks.ask_seed,
    "stop": asks.ask_stop,
    "streaming": asks.ask_streaming,
    "n": asks.ask_n,
    "token_prompts": asks.ask_token_prompts,
    "reasoning": asks.ask_reasoning,
    "regex": scores.ask_regex,
    "json": scores.ask_json,
    "response_format": scores.ask_response_format,
    "lora": asks.ask_lora,
    "prefix_cache": asks.ask_prefix_cache,
    "refuses_unknown_fields": asks.ask_unknown_fields,
}
# Prompts' log-probabilities beside other requests have killed vLLM's CPU engine when it was
# started with adapters: they are asked for last, one after the other.
_LAST: dict[str, Ask] = {"prompt_logprobs": scores.ask_prompt_logprobs, "echo": scores.ask_echo}

_FROM_TEXT = "Structured answers are asked for in words and parsed; what cannot be read is counted."
_OTHER_WAY = "Options are scored another way where there is one; see the way of scoring."
FALLBACKS: dict[str, str] = {
    "chat": "Only templates that are plain text (`paper`) can be used.",
    "completions": "Templates that are plain text (`paper`) are refused; use `chat`.",
    "streaming": "Text appears when it is finished.",
    "stop": "Answers run to their end and are cut at the stop text afterwards.",
    "n": "Several samples are several requests.",
    "seed": "Rows say `repeatability: statistical`; the same seed may give another text.",
    "logprobs": NO_WAY,
    "token_ids_in_logprobs": "Tokens are told apart by their texts.",
    "logprob_token_ids": _OTHER_WAY,
    "choice": _OTHER_WAY,
    "regex": _FROM_TEXT,
    "json": _FROM_TEXT,
    "response_format": _FROM_TEXT,
    "token_prompts": "Prompts are sent as text.",
    "tokenize": "Options are matched by their text, and only single tokens are exact.",
    "tokenize_messages": "Options' tokens are read from plain text.",
    "continue_final_message": "Options of several tokens cannot be scored in a chat.",
    "lora": "An adapter is served by a server of its own that is started with it.",
    "prefix_cache": "Nobody can tell how much of a prompt was cached; it may be all the same.",
    "reasoning": "Thoughts between <think> tags are taken out of the text; other text is kept.",
    "context_length": "Set it for the endpoint; until then only the server refuses long prompts.",
    "system_role": "Put the system turn's text in front of the first user turn.",
    "refuses_unknown_fields": "A misspelt field goes unnoticed; our own are checked before.",
    "prompt_logprobs": _OTHER_WAY,
    "echo": _OTHER_WAY,
}


async def probe(asker: Asker) -> Capabilities:
    """Ask a server for everything that the workbench might use, and look at the answers.

    Takes less than a minute whatever the server does: each ask has a time limit, and what could
    not be found out is `unknown` with the reason as evidence. About 45 requests of a few tokens;
    one of 40,000 words where the model card names no context length.

    Raises:
        ServerUnavailableError: nobody answers at all.
        UnknownModelError: the server does not serve the model.
    """
    started = time.monotonic()
    deadline = started + TOTAL_SECONDS
    server = Server(asker, await _info(asker))
    found = await _find_route(server, deadline)
    if any(capability.support == "yes" for capability in found):
        gate = asyncio.Semaphore(AT_ONCE)
        for name, ask in _FIRST.items():
            found.append(await _run(name, ask, server, deadline, gate))
        run = [_run(name, ask, server, deadline, gate) for name, ask in _TOGETHER.items()]
        found += await asyncio.gather(*run)
        for name, ask in _LAST.items():
            found.append(await _run(name, ask, server, deadline, gate))
    else:
        why = "Neither a chat nor a text was answered."
        found += [seen(name, "unknown", why) for name in (*_FIRST, *_TOGETHER, *_LAST)]
    has = {capability.name: capability.support == "yes" for capability in found}
    context = next(c.limit for c in found if c.name == "context_length")
    return Capabilities(
        model_id=server.info.model_id,
        engine=server.info.engine,
        engine_version=server.info.engine_version,
        context_length=context,
        scoring_way=find_way(has),
        capabilities=tuple(_with_fallback(capability) for capability in found),
        seconds=time.monotonic() - started,
    )


async def _info(asker: Asker) -> ModelInfo:
    try:
        async with asyncio.timeout(FIRST_SECONDS):
            return await asker.info()
    except TimeoutError as error:
        raise ServerUnavailableError(
            f"The server did not tell its models within {FIRST_SECONDS:g} s. Restart it."
        ) from error


async def _find_route(server: Server, deadline: float) -> list[Capability]:
    """Chat and completions; the later asks go the way that works, chat where both do."""
    gate = asyncio.Semaphore(AT_ONCE)
    chat, completions = await asyncio.gather(
        _run("chat", asks.ask_chat, server, deadline, gate, FIRST_SECONDS),
        _run("completions", asks.ask_completions, server, deadline, gate, FIRST_SECONDS),
    )
    server.chat = chat.support == "yes"
    return [chat, completions]


async def _run(
    name: str,
    ask: Ask,
    server: Server,
    deadline: float,
    gate: asyncio.Semaphore,
    most: float = ASK_SECONDS,
) -> Capability:
    """One ask within its time; its failure is its finding, and nobody else's."""
    async with gate:
        limit = min(most, deadline - time.monotonic())
        if limit <= 0:
            return seen(name, "unknown", "The server was too slow to ask.")
        try:
            async with asyncio.timeout(limit):
                return await ask(server)
        except TimeoutError:
            return seen(name, "unknown", f"No answer within {limit:.0f} s.")
        except ContextLengthError as error:
            return seen(name, "unknown", f"Its context is too short to ask: {explain(error)}.")
        except RequestRejectedError as error:
            refused = error.status in (400, 404, 405, 422)
            told = f"It refused with HTTP {error.status}: {explain(error)}."
            return seen(name, "no" if refused else "unknown", told)
        except ScoringUnavailableError as error:
            return seen(name, "no", show(str(error)))
        except _FAILURES as error:
            return seen(name, "unknown", f"{type(error).__name__}: {explain(error)}.")


# What servers that answer nonsense make of parsing it.
_FAILURES = (
    CaiError,
    UnexpectedShapeError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


def _with_fallback(capability: Capability) -> Capability:
    if capability.support == "yes":
        return capability
    return replace(capability, fallback=FALLBACKS[capability.name])
