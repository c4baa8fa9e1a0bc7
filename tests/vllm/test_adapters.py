"""Adapters in a real vLLM: loaded while it runs, chosen by name, and right to the token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from cai_core.errors import UnknownModelError
from cai_core.inference.adapters import (
    PublishedAdapter,
    list_adapters,
    load_adapter,
    publish_adapter,
    unload_adapter,
)
from cai_core.inference.client import ModelClient
from cai_core.inference.engine import Endpoint
from cai_core.records import SamplingParams

PROMPT = "How do I bake bread? Mix flour, water and salt"
LONG_PROMPT = f"{PROMPT}, then wait. " * 4
TOKENS = 24
# The last token may hold the first bytes of a character: vLLM leaves that out.
CUT_OFF = "\N{REPLACEMENT CHARACTER}"
GREEDY = SamplingParams(temperature=0.0, max_tokens=TOKENS)


@pytest.fixture(scope="module")
def served_folder(vllm_endpoint: Endpoint) -> Path:
    """The folder that the server serves, as its model card says."""
    url = f"{vllm_endpoint.base_url}/v1/models"
    headers = {"Authorization": f"Bearer {vllm_endpoint.api_key}"}
    cards = httpx.get(url, headers=headers, timeout=30, trust_env=False).json()
    roots = {card["id"]: card["root"] for card in cards["data"]}
    folder = Path(roots[vllm_endpoint.model_id])
    assert folder.is_dir(), "the server runs elsewhere"
    return folder


@dataclass(frozen=True)
class Versions:
    """One adapter as it began, when it changes nothing, and two later versions of it."""

    unchanged: PublishedAdapter
    first: PublishedAdapter
    second: PublishedAdapter

    def __iter__(self) -> Iterator[PublishedAdapter]:
        return iter((self.unchanged, self.first, self.second))


@pytest.fixture(scope="module")
def versions(served_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """Untrained; the later ones have weights so big that texts change."""
    workspace = tmp_path_factory.mktemp("workspace")
    made = [
        publish_adapter(save_lora(served_folder, workspace / f"run{seed}", seed), workspace, "kind")
        for seed in (0, 1, 2)
    ]
    assert len({published.folder for published in made}) == 3
    return Versions(*made)


def save_lora(base: Path, folder: Path, seed: int) -> Path:
    """Seed 0 leaves the adapter as peft begins it: its second matrices are zero."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    targets = ["q_proj", "v_proj", "down_proj"]
    config = LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config)
    for name, weights in adapted.named_parameters():
        if seed and "lora_" in name:
            torch.nn.init.normal_(weights, std=0.3)
    adapted.save_pretrained(folder, safe_serialization=True)
    return folder


def expect(base: Path, adapter: PublishedAdapter | None, prompt: str) -> str:
    """transformers' and peft's own greedy text."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter.folder)).eval()
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    made = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=TOKENS,
        do_sample=False,
        pad_token_id=0,
    )
    text = tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)
    return text.rstrip(CUT_OFF)


async def greedy(endpoint: Endpoint, model_id: str, prompt: str) -> str:
    chosen = Endpoint(base_url=endpoint.base_url, model_id=model_id, api_key=endpoint.api_key)
    async with ModelClient(chosen) as client:
        return (await client.generate(prompt, GREEDY, seed=1)).text.rstrip(CUT_OFF)


@pytest.fixture
def unloaded(vllm_endpoint: Endpoint, versions: Versions) -> Iterator[None]:
    """Whatever a test loads is taken out again."""
    yield

    async def unload() -> None:
        async with ModelClient(vllm_endpoint) as client:
            for published in versions:
                await unload_adapter(client, published.id)

    asyncio.run(unload())


@pytest.mark.usefixtures("unloaded")
def test_base_and_versions_say_what_peft_says(
    vllm_endpoint: Endpoint, served_folder: Path, versions: Versions
) -> None:
    base = vllm_endpoint.model_id
    prompts = (PROMPT, LONG_PROMPT)
    expected = {
        (published.id, prompt): expect(served_folder, published, prompt)
        for published in versions
        for prompt in prompts
    }
    for prompt in prompts:
        expected[base, prompt] = expect(served_folder, None, prompt)
        assert expected[versions.unchanged.id, prompt] == expected[base, prompt]
        texts = {expected[model, prompt] for model in (base, versions.first.id, versions.second.id)}
        assert len(texts) == 3, "they must differ"

    async def one_after_the_other() -> None:
        for model in (base, versions.first.id, base, versions.second.id, versions.first.id, base):
            for prompt in prompts:
                told = await greedy(vllm_endpoint, model, prompt)
                assert told == expected[model, prompt], model

    async def all_at_once() -> None:
        # vLLM's CPU kernels give a base request that is batched with adapters' one of the
        # adapters (index -1 is their last slot): the base takes part as its unchanged adapter.
        keys = [(published.id, prompt) for published in versions for prompt in prompts] * 3
        texts = await asyncio.gather(*(greedy(vllm_endpoint, *key) for key in keys))
        for key, told in zip(keys, texts, strict=True):
            assert told == expected[key], key

    async def check() -> None:
        async with ModelClient(vllm_endpoint) as client:
            # The base model reads the long prompt first: its cache must serve nobody else.
            assert await greedy(vllm_endpoint, base, LONG_PROMPT) == expected[base, LONG_PROMPT]
            for published in versions:
                await load_adapter(client, published)
                told = await greedy(vllm_endpoint, published.id, LONG_PROMPT)
                assert told == expected[published.id, LONG_PROMPT]
            assert set(await list_adapters(client)) >= {published.id for published in versions}
            await one_after_the_other()
            await all_at_once()

    asyncio.run(check())


@pytest.mark.usefixtures("unloaded")
def test_loading_twice_and_unloading_twice(vllm_endpoint: Endpoint, versions: Versions) -> None:
    first = versions.first

    async def check() -> None:
        async with ModelClient(vllm_endpoint) as client:
            await load_adapter(client, first)
            await asyncio.gather(load_adapter(client, first), load_adapter(client, first))
            assert (await list_adapters(client)).count(first.id) == 1
            await unload_adapter(client, first.id)
            await unload_adapter(client, first.id)
            assert first.id not in await list_adapters(client)
            with pytest.raises(UnknownModelError):
                await greedy(vllm_endpoint, first.id, PROMPT)

    asyncio.run(check())


def test_an_adapter_for_another_model_is_refused_in_words(
    vllm_endpoint: Endpoint, served_folder: Path, tmp_path: Path
) -> None:
    folder = save_lora(served_folder, tmp_path / "run", 3)
    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    # A rank that no server of ours is started for.
    (folder / "adapter_config.json").write_text(json.dumps({**config, "r": 4096}), "utf-8")
    published = publish_adapter(folder, tmp_path, "too-big")

    async def check() -> None:
        async with ModelClient(vllm_endpoint, first_wait=0.01) as client:
            with pytest.raises(UnknownModelError, match="max-lora-rank"):
                await load_adapter(client, published)
            assert published.id not in await list_adapters(client)

    asyncio.run(check())
