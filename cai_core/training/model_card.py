"""A fine-tuned model's card: what it was made from, how, and what it has not been tested for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cai_core.training.recipe import SftRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What the card tells.

    Attributes:
        dataset: the content of dataset.json: hash and sources with their counts.
    """

    run_id: str
    recipe: SftRecipe
    base: str
    base_hash: str
    weights_hash: str
    examples: int
    steps: int
    first_loss: float
    last_loss: float
    dataset: Mapping[str, Any]


def build_model_card(facts: CardFacts) -> str:
    """Markdown."""
    recipe = facts.recipe
    how = f"LoRA, rank {recipe.lora_rank}, merged" if recipe.method == "lora" else "all weights"
    sources = "\n".join(_describe_source(source) for source in facts.dataset["sources"])
    return f"""# {facts.run_id}

Fine-tuned on a model's own revisions under a constitution (SL-CAI, arXiv 2212.08073, section 3).
No human label was used.

| | |
|---|---|
| run | `{facts.run_id}` |
| base model | `{facts.base}`, weights `{facts.base_hash}` |
| weights | `{facts.weights_hash}` |
| examples | {facts.examples:,}, dataset `{facts.dataset["hash"]}` |
| trained | {how}; {recipe.epochs} passes, {facts.steps:,} steps of {recipe.batch_size} |
| learning rate | {recipe.learning_rate:g}, {recipe.warmup:.0%} of the steps rising |
| loss (nats a token) | {facts.first_loss:.3f} at first, {facts.last_loss:.3f} at last |
| seed | {recipe.seed} |

## Made from
{sources}

Prompts marked as held out were not trained on.

## Limits
A falling loss says that the revisions were learned, not that the model is safe. Evaluate it on
prompts that it was not trained on before it answers anybody.
"""


def _describe_source(source: Mapping[str, Any]) -> str:
    left_out = ", ".join(f"{count} {reason}" for reason, count in source["left_out"].items())
    text = f"- run `{source['run']}`, {source['use']}: {source['taken']} of {source['found']} texts"
    if source["wanted"] > source["found"]:
        text += f" (its share asked for {source['wanted']})"
    return text + (f"; left out: {left_out}" if left_out else "")
