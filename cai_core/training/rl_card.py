"""The card of a model that was trained against rewards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cai_core.training.rl_recipe import JudgeReward, ModelReward, RewardSource, RlRecipe

_NAMES = {"rloo": "RLOO (arXiv 2402.14740)", "grpo": "GRPO (arXiv 2402.03300)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RlCardFacts:
    """What the card tells.

    Attributes:
        dataset: the content of dataset.json: hash and sources with their counts.
        first, last: the first and the last line of metrics.jsonl that has a reward.
    """

    run_id: str
    recipe: RlRecipe
    base_hash: str
    weights_hash: str
    steps: int
    dataset: Mapping[str, Any]
    first: Mapping[str, Any]
    last: Mapping[str, Any]


def build_rl_card(facts: RlCardFacts) -> str:
    """Markdown."""
    recipe = facts.recipe
    how = f"LoRA, rank {recipe.lora_rank}, merged" if recipe.method == "lora" else "all weights"
    rewards = "\n".join(
        f"- {_describe_reward(one, recipe)}; weight {one.weight:g}" for one in recipe.rewards
    )
    source = facts.dataset["sources"][0]
    left_out = ", ".join(f"{count} {reason}" for reason, count in source["left_out"].items())
    return f"""# {facts.run_id}

Trained against rewards with {_NAMES[recipe.algorithm]} (RL-CAI, arXiv 2212.08073, section 4).

| | |
|---|---|
| run | `{facts.run_id}` |
| base model | `{recipe.base}`, weights `{facts.base_hash}` |
| reference | the base model, KL weight {recipe.beta:g} |
| weights | `{facts.weights_hash}` |
| prompts | {source["taken"]:,} of {recipe.prompts}, `{facts.dataset["hash"]}` |
| trained | {how}; {facts.steps:,} steps, {recipe.prompts_per_step} × {recipe.generations} |
| completions | at most {recipe.max_tokens} tokens, temperature {recipe.temperature:g} |
| learning rate | {recipe.learning_rate:g} |
| reward | {_tell(facts, "reward")} |
| KL from the reference (nats a token) | {_tell(facts, "kl")} |
| completion length (tokens) | {_tell(facts, "completions/mean_length")} |
| seed | {recipe.seed} |

## Rewards
{rewards}

## Prompts
{source["taken"]} of {source["found"]} were used{f"; left out: {left_out}" if left_out else ""}.
Prompts marked as held out were not trained on.

## Limits
A rising reward says that the policy pleases what gives the reward, not that it is safe: it may have
found a way around it. Evaluate it on prompts that it was not trained on before it answers anybody.
"""


def _tell(facts: RlCardFacts, key: str) -> str:
    ends = [line.get(key) for line in (facts.first, facts.last)]
    if any(end is None for end in ends):
        return "not measured"
    return f"{ends[0]:.3f} at first, {ends[1]:.3f} at last"


def _describe_reward(reward: RewardSource, recipe: RlRecipe) -> str:
    match reward:
        case ModelReward():
            told = f", weights `{reward.model_hash}`" if reward.model_hash else ""
            return f"reward model `{reward.model}`{told}"
        case JudgeReward():
            which = ", ".join(reward.principles) or "all principles"
            return f"judge `{reward.model}` under {recipe.constitution} ({which})"
    return f"length, in units of {reward.per_tokens} tokens"
