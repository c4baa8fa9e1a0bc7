"""What every recipe that trains on examples says alike, checked in one place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol, get_args

from cai_core.errors import RecipeError
from cai_core.recipe_checks import check_bool, check_choice, check_int, check_text

Method = Literal["full", "lora"]
Precision = Literal["auto", "fp32", "bf16"]


class TrainingSettings(Protocol):
    """The settings of `SftRecipe` and `PairRecipe`, which say what each means."""

    @property
    def base(self) -> str: ...
    @property
    def method(self) -> Method: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def micro_batch(self) -> int: ...
    @property
    def max_grad_norm(self) -> float: ...
    @property
    def precision(self) -> Precision: ...
    @property
    def gradient_checkpointing(self) -> bool: ...
    @property
    def seed(self) -> int: ...


class Source(Protocol):
    """Where some of the examples come from."""

    @property
    def run(self) -> str: ...
    @property
    def share(self) -> float | None: ...


def check_training(recipe: TrainingSettings) -> None:
    """Check the settings of the optimizer, the batches and the checkpoints.

    Raises:
        RecipeError: one is out of range, or the batches do not fit into each other.
    """
    check_text("base", recipe.base)
    if not recipe.base:
        raise RecipeError("base names no model. Give `demo`, a folder or a hub id.")
    check_choice("method", recipe.method, get_args(Method))
    check_choice("precision", recipe.precision, get_args(Precision))
    check_bool("gradient_checkpointing", recipe.gradient_checkpointing)
    for name in ("batch_size", "micro_batch", "epochs", "max_length", "lora_rank"):
        check_int(name, getattr(recipe, name), 1)
    for name in ("lora_alpha", "log_steps", "save_steps"):
        check_int(name, getattr(recipe, name), 1)
    check_int("seed", recipe.seed, 0)
    if recipe.batch_size % recipe.micro_batch:
        raise RecipeError(
            f"batch_size is {recipe.batch_size}, micro_batch {recipe.micro_batch}. Let the first "
            "be a multiple of the second."
        )
    if not 0 < recipe.learning_rate < 1:
        raise RecipeError(f"learning_rate is {recipe.learning_rate!r}. Give one in (0, 1).")
    for name in ("warmup", "weight_decay"):
        if not 0 <= getattr(recipe, name) < 1:
            raise RecipeError(f"{name} is {getattr(recipe, name)!r}. Give one in [0, 1).")
    if not 0 < recipe.max_grad_norm < math.inf:
        raise RecipeError(f"max_grad_norm is {recipe.max_grad_norm!r}. Give more than 0.")


def check_source(source: Source, kind: str, taken: str) -> None:
    """Check the run and the share of one source.

    Args:
        kind: of the run. taken: what a source without a share takes, in the singular.

    Raises:
        RecipeError: it names no run, or the share is out of range.
    """
    check_text("sources: run", source.run)
    if not source.run:
        raise RecipeError(f"a source names no run. Give the id of a `{kind}` run.")
    if source.share is not None and not 0 < source.share < 1:
        raise RecipeError(
            f"share is {source.share!r}. Give more than 0 and less than 1, or leave it out to "
            f"take every {taken}."
        )


def check_shares(sources: Sequence[Source]) -> None:
    """Check that shares leave something they are shares of.

    Raises:
        RecipeError: every source has one, or they add up to all there is.
    """
    if all(source.share is not None for source in sources):
        raise RecipeError(
            "every source has a share. Leave it out of at least one: the others are shares of "
            "what that one gives."
        )
    if sum(source.share or 0.0 for source in sources) >= 1:
        raise RecipeError("the shares add up to 1 or more. Leave room for the other sources.")


def list_parents(sources: Sequence[Source]) -> tuple[str, ...]:
    """Ids of the runs that sources name, each once."""
    return tuple(dict.fromkeys(source.run for source in sources))
