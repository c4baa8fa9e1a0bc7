"""Recipes of the fine-tuning stage: frozen, checked, and strict about unknown keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from cai_core.errors import RecipeError
from cai_core.recipe_checks import check_bool, check_choice, check_int, check_keys
from cai_core.training.training_settings import (
    Method,
    Precision,
    check_shares,
    check_source,
    check_training,
    list_parents,
)

Use = Literal["all", "final", "initial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSource:
    """Texts of a `revise` run to train on.

    Attributes:
        run: its id.
        use: `all` revisions of each chain, as the paper trains (arXiv 2212.08073, section 3.1),
            the `final` one alone, or the `initial` response (for helpful prompts, whose answers
            need no revision).
        share: of all examples, in (0, 1); drawn without replacement. None takes every one.
    """

    run: str
    use: Use = "all"
    share: float | None = None

    def __post_init__(self) -> None:
        check_source(self, "revise", "text")
        check_choice("use", self.use, get_args(Use))


@dataclass(frozen=True, slots=True, kw_only=True)
class SftRecipe:
    """How a model is fine-tuned on chains (SL-CAI).

    Attributes:
        base: `demo`, a model folder, or a hub id.
        base_hash: SHA-256 of its weights; None for a hub id, which is fetched at the start.
        sources: where the texts come from; at least one without a `share`.
        method: `full`, or `lora` (arXiv 2106.09685).
        learning_rate: at its highest. 1e-5 is common for full fine-tuning of models of billions of
            parameters, 1e-4 for LoRA; small models want more.
        batch_size: examples an optimizer step; `micro_batch` of them at once in memory.
        epochs: passes over the examples; the paper makes one (appendix A.1).
        warmup: share of the steps over which the learning rate rises.
        max_length: tokens of an example; longer ones are left out and counted, never cut.
        packing: several examples in one row of `max_length`, for speed on a GPU.
        lora_rank, lora_alpha: of the adapter; read where `method` is `lora`.
        log_steps, save_steps: steps between two log lines and two checkpoints.
        sample_steps: steps between two samples of the fixed prompts; 0 samples before and
            after alone.
        sample_prompts: how many prompts are sampled; 0 samples none.
    """

    base: str
    base_hash: str | None = None
    sources: tuple[ChainSource, ...]
    method: Method = "lora"
    learning_rate: float = 1e-4
    batch_size: int = 32
    micro_batch: int = 8
    epochs: int = 1
    warmup: float = 0.05
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    max_length: int = 2048
    packing: bool = False
    precision: Precision = "auto"
    gradient_checkpointing: bool = False
    lora_rank: int = 16
    lora_alpha: int = 32
    seed: int = 0
    log_steps: int = 1
    save_steps: int = 100
    sample_steps: int = 0
    sample_prompts: int = 4

    def __post_init__(self) -> None:
        check_training(self)
        check_bool("packing", self.packing)
        for name in ("sample_steps", "sample_prompts"):
            check_int(name, getattr(self, name), 0)
        check_shares(self.sources)
        names = [(source.run, source.use) for source in self.sources]
        if len(set(names)) < len(names):
            raise RecipeError("a run is named twice for the same use. Name it once.")

    @property
    def parents(self) -> tuple[str, ...]:
        """Ids of the runs it is made from, each once."""
        return list_parents(self.sources)

    def as_dict(self) -> dict[str, Any]:
        """Plain form for recipe.yaml; `parse_sft_recipe` is the inverse."""
        own = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**own, "sources": [asdict(source) for source in self.sources]}


def parse_sft_recipe(document: Mapping[str, Any]) -> SftRecipe:
    """Read the plain form.

    Raises:
        RecipeError: a key is unknown or missing, or a value out of range.
    """
    values = check_keys("recipe", document, SftRecipe)
    try:
        sources = tuple(
            ChainSource(**check_keys("sources", source, ChainSource))
            for source in values["sources"]
        )
        return SftRecipe(**{**values, "sources": sources})
    except (TypeError, KeyError) as error:
        raise RecipeError(f"recipe: keys missing or of another kind: {error}.") from error
