"""Cards of models that were trained on preference labels: from what, how, how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cai_core.evaluation.reward_metrics import RewardQuality
from cai_core.training.dpo_recipe import DpoRecipe
from cai_core.training.preference_recipe import PairRecipe
from cai_core.training.reward_recipe import RewardRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCardFacts:
    """What a card tells.

    Attributes:
        pairs: trained on; `losses`: of each log line, nats a pair.
        dataset: the content of dataset.json: hash and sources with their counts.
    """

    run_id: str
    recipe: PairRecipe
    base_hash: str
    weights_hash: str
    pairs: int
    steps: int
    losses: Sequence[float]
    dataset: Mapping[str, Any]


def build_reward_card(facts: PairCardFacts, quality: RewardQuality) -> str:
    """Markdown."""
    assert isinstance(facts.recipe, RewardRecipe)
    measured = "No pair was held out: how well it agrees with the labels was not measured."
    if quality.accuracy is not None:
        measured = (
            f"Of {quality.n} pairs of prompts that it was not trained on ({quality.ties} ties left "
            f"out of the accuracy): accuracy {quality.accuracy}, loss {quality.loss:.3f} nats a "
            f"pair, calibration error {quality.calibration_error:.3f}. These are its agreement "
            "with the labels, not with the truth."
        )
    return f"""# {facts.run_id}

A reward model (preference model): one number for a conversation that ends in an answer, the higher
the better. Trained on preference labels (RLAIF, arXiv 2212.08073, section 4; arXiv 2309.00267).

{_build_table(facts, f"{facts.recipe.center:g} | reward centring |")}

## Use
A text must be rendered with this folder's chat template, the answer's end token included, and
nothing after it. The reward is the raw number, before any sigmoid; vLLM and the bundled server give
it at `/classify` with `use_activation: false`.

## Measured
{measured}

## Made from
{_list_sources(facts.dataset)}

Prompts marked as held out were not trained on.

## Limits
Rewards compare answers to one prompt; between prompts they mean nothing. A policy that is trained
against this model finds its faults: watch over-refusal and length while it does.
"""


def build_dpo_card(facts: PairCardFacts) -> str:
    """Markdown."""
    recipe = facts.recipe
    assert isinstance(recipe, DpoRecipe)
    return f"""# {facts.run_id}

Tuned on preference labels without a reward model (DPO, arXiv 2305.18290), each pair weighted by its
label's probability.

{_build_table(facts, f"{recipe.beta:g} | beta; the reference is the base model |")}

## Made from
{_list_sources(facts.dataset)}

Prompts marked as held out were not trained on.

## Limits
A falling loss says that the labels were learned, not that the model is safe. Evaluate it on
prompts that it was not trained on before it answers anybody.
"""


def _build_table(facts: PairCardFacts, own: str) -> str:
    recipe = facts.recipe
    how = f"LoRA, rank {recipe.lora_rank}, merged" if recipe.method == "lora" else "all weights"
    labels = "soft, the labels' probabilities" if recipe.soft else "hard, the winner alone"
    if recipe.shuffled:
        labels += "; shuffled: a coin says whose side each takes (a control)"
    if recipe.human_hash is not None:
        ways = {
            "people's where they agree": recipe.use_human,
            "disputed dropped": recipe.drop_disputed,
        }
        labels += "; " + ", ".join(way for way, on in ways.items() if on)
    value, _, name = own.partition(" | ")
    losses = "none logged"
    if facts.losses:
        losses = f"{facts.losses[0]:.3f} at first, {facts.losses[-1]:.3f} at last"
    return f"""| | |
|---|---|
| run | `{facts.run_id}` |
| base model | `{recipe.base}`, weights `{facts.base_hash}` |
| weights | `{facts.weights_hash}` |
| pairs | {facts.pairs:,}, dataset `{facts.dataset["hash"]}` |
| labels | {labels} |
| trained | {how}; {recipe.epochs} passes, {facts.steps:,} steps of {recipe.batch_size} |
| learning rate | {recipe.learning_rate:g}, {recipe.warmup:.0%} of the steps rising |
| {name.removesuffix(" |")} | {value} |
| loss (nats a pair) | {losses} |
| seed | {recipe.seed} |"""


def _list_sources(dataset: Mapping[str, Any]) -> str:
    return "\n".join(_describe_source(source) for source in dataset["sources"])


def _describe_source(source: Mapping[str, Any]) -> str:
    left_out = ", ".join(f"{count} {reason}" for reason, count in source["left_out"].items())
    kinds = ", ".join(source["kinds"]) or "every kind of prompt"
    text = (
        f"- run `{source['run']}`, {kinds}, labels: {source['use']}: {source['taken']} of "
        f"{source['found']} pairs, {source['ties']} ties, {source['held_out_eval']} held out"
    )
    if source["wanted"] > source["found"]:
        text += f" (its share asked for {source['wanted']})"
    return text + (f"; left out: {left_out}" if left_out else "")
