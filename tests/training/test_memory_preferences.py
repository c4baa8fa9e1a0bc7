"""Memory of training on preferences and rewards, told before a model is loaded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cai_core.inference.model_folder import DEMO_FOLDER
from cai_core.training.memory import read_shape
from cai_core.training.memory_preferences import (
    compute_dpo_memory,
    compute_reward_memory,
    compute_rl_memory,
)
from tests.training.test_memory import TINY


def make_recipe(**changes: Any) -> Any:
    values = {"method": "full", "precision": "fp32", "micro_batch": 4, "lora_rank": 16}
    return SimpleNamespace(**{**values, "gradient_checkpointing": False, **changes})


def reckon_rl(recipe: Any, **changes: Any) -> dict[str, int]:
    own = {"rollouts": 8, "reference": True, "length": 32, "gpu": False, **changes}
    rewards = own.pop("rewards", [TINY])
    return {part.name: part.size for part in compute_rl_memory(TINY, recipe, rewards, **own)}


def test_two_rows_a_pair_and_no_words_for_a_reward() -> None:
    recipe = make_recipe()
    reward = {p.name: p.size for p in compute_reward_memory(TINY, recipe, length=32, gpu=False)}
    dpo = {p.name: p.size for p in compute_dpo_memory(TINY, recipe, length=32, gpu=False)}
    assert "logits" not in reward
    kept = 6 * 8 + 3 * 8 + 2 * 4 + 4 * 16
    assert reward["activations"] == dpo["activations"] == 8 * 32 * 2 * kept * 4
    assert dpo["logits"] == 8 * 32 * 50 * 4 * 8
    # The head works on 4,096 tokens at once: longer batches take no more.
    longer = compute_dpo_memory(TINY, recipe, length=600, gpu=False)
    longest = compute_dpo_memory(TINY, recipe, length=6000, gpu=False)
    assert [p.size for p in longer if p.name == "logits"] == [4096 * 50 * 4 * 8]
    assert [p.size for p in longest if p.name == "logits"] == [4096 * 50 * 4 * 8]


def test_policy_reference_and_reward_model_stand_beside_each_other() -> None:
    found = reckon_rl(make_recipe())
    assert (found["weights"], found["gradients"], found["optimizer"]) == (4000, 4000, 8000)
    assert found["reference"] == found["reward model"] == 4000
    assert "reference" not in reckon_rl(make_recipe(), reference=False)
    assert "reward model" not in reckon_rl(make_recipe(), rewards=[])


def test_of_rollouts_and_optimizers_part_the_larger_counts() -> None:
    found = reckon_rl(make_recipe(micro_batch=1), rollouts=4096)
    assert found["rollouts"] == 4096 * 32 * 2 * 2 * 4 * 4
    assert not {"activations", "logits"} & found.keys()
    assert "rollouts" not in reckon_rl(make_recipe())
    vllm = reckon_rl(make_recipe(micro_batch=1), rollouts=4096, gpu=True, vllm_bytes=10**9)
    assert vllm["vLLM"] == 10**9
    assert "activations" in vllm and "rollouts" not in vllm


REWARD, DPO, RL = compute_reward_memory, compute_dpo_memory, compute_rl_memory


@pytest.mark.parametrize(
    ("compute", "measured", "length", "changes"),
    [
        (REWARD, 1237, 384, {"micro_batch": 8}),
        (REWARD, 1822, 192, {"micro_batch": 32}),
        (DPO, 1657, 384, {"micro_batch": 8}),
        (DPO, 886, 384, {"micro_batch": 2}),
        (DPO, 1393, 384, {"micro_batch": 16, "gradient_checkpointing": True}),
        (RL, 1667, 114, {"micro_batch": 64}),
        (RL, 994, 114, {"micro_batch": 16}),
        (RL, 2147, 114, {"micro_batch": 64, "method": "lora"}),
        (RL, 1285, 318, {"micro_batch": 16, "gradient_checkpointing": True}),
    ],
)
def test_within_a_fifth_of_what_was_measured(
    compute: Any, measured: int, length: int, changes: dict[str, Any]
) -> None:
    shape, recipe = read_shape(DEMO_FOLDER), make_recipe(**changes)
    own: dict[str, Any] = {}
    if compute is compute_rl_memory:
        own = {"rewards": [shape], "rollouts": 64, "reference": recipe.method == "full"}
    parts = compute(shape, recipe, length=length, gpu=False, **own)
    assert sum(part.size for part in parts) / 1e6 == pytest.approx(measured, rel=0.2)
