"""What a probe finds out about the bundled server and about vLLM."""

from __future__ import annotations

import asyncio

import pytest

from cai_core.inference.capabilities import Capabilities
from cai_core.inference.client import ModelClient
from cai_core.inference.engine import Endpoint
from cai_core.inference.probe import FALLBACKS, probe

BOTH_CAN = {
    "chat",
    "completions",
    "streaming",
    "stop",
    "n",
    "seed",
    "logprobs",
    "token_ids_in_logprobs",
    "logprob_token_ids",
    "choice",
    "token_prompts",
    "tokenize",
    "tokenize_messages",
    "continue_final_message",
    "context_length",
    "system_role",
}
VLLM_ONLY = {"regex", "json", "response_format", "prompt_logprobs", "echo"}
# vLLM with `--enable-lora` and `--enable-prompt-tokens-details`, or without.
BY_OPTIONS = {"lora", "prefix_cache"}


@pytest.fixture(scope="module")
def found(endpoint: Endpoint) -> Capabilities:
    async def ask() -> Capabilities:
        async with ModelClient(endpoint) as client:
            return await probe(client)

    return asyncio.run(ask())


def test_everything_is_told_once_and_in_words(found: Capabilities) -> None:
    assert [c.name for c in found.capabilities] == list(found.by_name)
    assert set(found.by_name) == set(FALLBACKS)
    for capability in found.capabilities:
        assert capability.evidence.endswith((".", "…")), capability
        assert (capability.fallback is None) == (capability.support == "yes"), capability
    assert found.seconds < 60


def test_what_each_server_can(found: Capabilities, kind: str) -> None:
    can = {name for name in found.by_name if found.has(name)}
    assert can >= BOTH_CAN, [found.by_name[name] for name in BOTH_CAN - can]
    assert (can >= VLLM_ONLY) == (kind == "vllm"), can
    assert kind == "vllm" or not can & VLLM_ONLY
    # Only the bundled server refuses what it does not know.
    assert found.has("refuses_unknown_fields") == (kind == "bundled")
    assert can - BOTH_CAN - VLLM_ONLY <= BY_OPTIONS | {"refuses_unknown_fields"}
    assert found.by_name["reasoning"].support == "unknown"


def test_numbers_are_read(found: Capabilities) -> None:
    assert found.context_length == found.by_name["context_length"].limit == 512
    assert found.by_name["logprobs"].limit == 20
    assert found.scoring_way == "token-ids"
