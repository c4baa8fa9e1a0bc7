"""Recipes of the fine-tuning stage: frozen, checked, and strict about unknown keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from cai_core.errors import RecipeError
from cai_core.recipe_checks import check_bool, check_choice, check_int, check_keys, check_text

Use = Literal["all", "final", "initial"]
Method = Literal["full", "lora"]
Precision = Literal["auto", "fp32", "bf16"]


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
        check_text("sources: run", self.run)
        if not self.run:
            raise RecipeError("a source names no run. Give the id of a `revise` run.")
        check_choice("use", self.use, get_args(Use))
        if self.share is not None and not 0 < self.share < 1:
            raise RecipeError(
                f"share is {self.share!r}. Give more than 0 and less than 1, or leave it out to "
                "take every text."
            )


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
        check_text("base", self.base)
        if not self.base:
            raise RecipeError("base names no model. Give `demo`, a folder or a hub id.")
        check_choice("method", self.method, get_args(Method))
        check_choice("precision", self.precision, get_args(Precision))
        for name in ("packing", "gradient_checkpointing"):
            check_bool(name, getattr(self, name))
        for name in ("batch_size", "micro_batch", "epochs", "max_length", "lora_rank"):
            check_int(name, getattr(self, name), 1)
        for name in ("lora_alpha", "log_steps", "save_steps"):
            check_int(name, getattr(self, name), 1)
        for name in ("seed", "sample_steps", "sample_prompts"):
            check_int(name, getattr(self, name), 0)
        if self.batch_size % self.micro_batch:
            raise RecipeError(
                f"batch_size is {self.batch_size}, micro_batch {self.micro_batch}. Let the first "
                "be a multiple of the second."
            )
        if not 0 < self.learning_rate < 1:
            raise RecipeError(f"learning_rate is {self.learning_rate!r}. Give one in (0, 1).")
        for name in ("warmup", "weight_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise RecipeError(f"{name} is {getattr(self, name)!r}. Give one in [0, 1).")
        if not 0 < self.max_grad_norm < math.inf:
            raise RecipeError(f"max_grad_norm is {self.max_grad_norm!r}. Give more than 0.")
        self._check_sources()

    def _check_sources(self) -> None:
        if all(source.share is not None for source in self.sources):
            raise RecipeError(
                "every source has a share. Leave it out of at least one: the others are shares of "
                "what that one gives."
            )
        names = [(source.run, source.use) for source in self.sources]
        if len(set(names)) < len(names):
            raise RecipeError("a run is named twice for the same use. Name it once.")
        if sum(source.share or 0.0 for source in self.sources) >= 1:
            raise RecipeError("the shares add up to 1 or more. Leave room for the other sources.")

    @property
    def parents(self) -> tuple[str, ...]:
        """Ids of the runs it is made from, each once."""
        return tuple(dict.fromkeys(source.run for source in self.sources))

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
