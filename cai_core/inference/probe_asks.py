"""What a probe asks about generating. Each ask looks at the answer: a status tells nothing."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from cai_core.errors import ModelError, RequestRejectedError, UnknownModelError
from cai_core.inference.capabilities import Capability
from cai_core.inference.probe_server import (
    FEW,
    HELLO,
    Answer,
    Server,
    Streamer,
    explain,
    seen,
    show,
)
from cai_core.records import Message, SamplingParams

# No server has an adapter of this name, nor this folder.
_NO_ADAPTER = "cai-probe-absent"
# Longer than the contexts that small servers are started with; some thousand tokens elsewhere.
_OVERSIZED_WORDS = 40_000
_CONTEXT = re.compile(
    r"(?:context (?:length|size|window)|max_model_len|n_ctx)\D{0,40}?(\d{3,8})", re.IGNORECASE
)


async def ask_streaming(server: Server) -> Capability:
    """Does an answer arrive in pieces?"""
    if not isinstance(server.asker, Streamer):
        return seen("streaming", "unknown", "This client cannot stream.")
    pieces: list[str] = []
    prompt = (Message("user", HELLO),) if server.chat else HELLO
    params = SamplingParams(max_tokens=FEW)
    answer = await server.asker.generate(prompt, params, seed=1, on_text=pieces.append)
    told = f"{answer.completion_tokens} tokens came in {len(pieces)} pieces."
    return seen("streaming", True if len(pieces) > 1 else "unknown", told)


async def ask_stop(server: Server) -> Capability:
    """Does a stop text that the model would write end the answer before it?"""
    whole = ""
    for drawn in ({"temperature": 0.0}, {"temperature": 1.0, "seed": 1}):
        fields: dict[str, Any] = {"max_tokens": FEW, **drawn}
        whole = (await server.ask(**fields)).text
        stop = _choose_stop(whole)
        if stop is not None:
            cut = (await server.ask(**fields, stop=[stop])).text
            told = f"Told to stop at {stop!r}, it wrote {show(cut)}."
            stopped = cut == whole[: whole.index(stop)]
            return seen("stop", stopped or (False if stop in cut else "unknown"), told)
    return seen("stop", "unknown", f"The text {show(whole)} is too short to tell.")


def _choose_stop(text: str) -> str | None:
    """Three plain characters from the middle of a text or after it."""
    middle = len(text) // 2
    windows = (text[start : start + 3] for start in range(max(3, middle), len(text) - 2))
    return next((w for w in windows if w.isascii() and w.isprintable() and w.strip()), None)


async def ask_n(server: Server) -> Capability:
    """Do several choices come for one request?"""
    answer = await server.ask(max_tokens=4, n=2, temperature=1.0, seed=1)
    count = len(answer.choices)
    return seen("n", count == 2, f"Asked for 2 choices, it sent {count}.")


async def ask_seed(server: Server) -> Capability:
    """Does a seed repeat a text at temperature 1, and another seed change it?"""
    drawn: dict[str, Any] = {"max_tokens": FEW, "temperature": 1.0}
    asks = [server.ask(seed=seed, **drawn) for seed in (11, 11, 12, 13)]
    first, again, *others = [answer.text for answer in await asyncio.gather(*asks)]
    if first != again:
        return seen("seed", False, f"One seed gave {show(first)} and {show(again)}.")
    if all(other == first for other in others):
        return seen("seed", "unknown", f"Every seed gave {show(first)}: nothing to tell by.")
    return seen("seed", True, "One seed gave one text twice, others gave other texts.")


async def ask_chat(server: Server) -> Capability:
    """Is there a chat route, and does the model have a chat template?"""
    answer = await server.ask_chat([{"role": "user", "content": "Hello"}])
    return seen("chat", "message" in answer.choices[0], f"It answered {show(answer.text)}.")


async def ask_completions(server: Server) -> Capability:
    """Is plain text continued?"""
    answer = await server.complete("Hello")
    return seen("completions", "text" in answer.choices[0], f"It went on with {show(answer.text)}.")


async def ask_token_prompts(server: Server) -> Capability:
    """Are token ids taken as a prompt, and mean the same as their text?"""
    try:
        tokens = await server.tokenize("The quick brown fox")
    except ModelError:
        tokens = [11, 12, 13]
    answer = await server.complete(tokens, max_tokens=4)
    count = answer.prompt_tokens
    told = f"A prompt of {len(tokens)} token ids was counted as {count} tokens."
    return seen("token_prompts", "unknown" if count is None else count == len(tokens), told)


async def ask_lora(server: Server) -> Capability:
    """Is there a route that loads adapters? An absent adapter must be what is wrong."""
    body = {"lora_name": _NO_ADAPTER, "lora_path": f"/{_NO_ADAPTER}"}
    try:
        await server.asker.post("/v1/load_lora_adapter", body)
    except ModelError as error:
        told = str(error)
        if "not enabled" in told.lower():
            return seen("lora", False, f"It was started without adapters: {explain(error)}.")
        if _NO_ADAPTER in told:
            return seen("lora", True, f"It looked for the adapter: {explain(error)}.")
        missing = isinstance(error, RequestRejectedError) and error.status in (404, 405)
        return seen("lora", False if missing else "unknown", f"It said {explain(error)}.")
    return seen("lora", "unknown", "It said that it loaded an adapter that does not exist.")


async def ask_prefix_cache(server: Server) -> Capability:
    """Does the second of two identical long prompts report cached tokens?"""
    context = server.info.context_length
    # OpenAI's API caches from 1,024 tokens, vLLM from one block of 16.
    words = 1300 if context is None or context >= 8192 else max(16, context // 8)
    prompt = "The quick brown fox is not lazy. " * (words // 7 + 1)
    await server.ask(prompt)
    usage = (await server.ask(prompt)).raw.get("usage")
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    told = f"The second identical prompt reported {cached} cached tokens."
    return seen("prefix_cache", isinstance(cached, int) and cached > 0, told)


async def ask_reasoning(server: Server) -> Capability:
    """Where does a model that thinks first put its thoughts?"""
    answer = await server.ask("What is 17 + 25? Think first.", max_tokens=FEW)
    apart = answer.message.get("reasoning") or answer.message.get("reasoning_content")
    if apart:
        return seen("reasoning", True, f"Thoughts came apart: {show(apart)}.")
    if "<think>" in answer.text or "</think>" in answer.text:
        return seen("reasoning", False, f"Thoughts are part of the text: {show(answer.text)}.")
    return seen("reasoning", "unknown", "It showed no thoughts.")


async def ask_context_length(server: Server) -> Capability:
    """How long may prompt and completion be together?"""
    if server.info.context_length is not None:
        length = server.info.context_length
        return seen("context_length", True, f"Its model card says {length:,} tokens.", length)
    try:
        answer = await server.ask("word " * _OVERSIZED_WORDS)
    except (RequestRejectedError, UnknownModelError) as error:
        return _read_context(error)
    return _read_swallowed(answer)


def _read_context(refusal: Exception) -> Capability:
    found = _CONTEXT.search(str(refusal))
    if found:
        length = int(found[1])
        told = f"It refused a prompt of {_OVERSIZED_WORDS:,} words: {explain(refusal)}."
        return seen("context_length", True, told, length)
    return seen("context_length", "unknown", f"The refusal names no length: {explain(refusal)}.")


def _read_swallowed(answer: Answer) -> Capability:
    count = answer.prompt_tokens
    told = f"It took a prompt of {_OVERSIZED_WORDS:,} words, counted as {count} tokens"
    if count is not None and count < _OVERSIZED_WORDS // 2:
        return seen("context_length", False, f"{told}: it cuts prompts in silence.")
    return seen("context_length", "unknown", f"{told}.")


async def ask_system_role(server: Server) -> Capability:
    """Is a system turn taken, and not dropped in silence?"""
    turn = {"role": "user", "content": "Hello"}
    rule = {"role": "system", "content": "Answer in one word, and be kind about it."}
    with_rule, without = await asyncio.gather(
        server.ask_chat([rule, turn]), server.ask_chat([turn])
    )
    long, short = with_rule.prompt_tokens, without.prompt_tokens
    if long is None or short is None:
        return seen("system_role", "unknown", "It was taken; no token count tells whether it came.")
    told = f"The prompt has {long} tokens with a system turn and {short} without."
    return seen("system_role", long > short, told)


async def ask_unknown_fields(server: Server) -> Capability:
    """Is a field that does not exist refused? Else typing errors go unnoticed."""
    try:
        await server.ask(cai_probe_unknown_field=1)
    except RequestRejectedError as error:
        return seen("refuses_unknown_fields", True, f"It refused one: {explain(error)}.")
    return seen("refuses_unknown_fields", False, "It answered as if the field were not there.")
