"""Recipes of direct preference optimization: frozen, checked, strict about unknown keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cai_core.errors import RecipeError
from cai_core.recipe_checks import check_int
from cai_core.training.preference_recipe import PairRecipe, parse_pair_recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class DpoRecipe(PairRecipe):
    """How a model is tuned on preference labels without a reward model (DPO, arXiv 2305.18290).

    Attributes:
        base: also the reference model.
        learning_rate: at its highest; 1e-6 is the paper's and TRL's for models of billions of
            parameters, small ones want more.
        beta: how dear it is to leave the reference; 0.1 is the paper's (appendix B).
        sample_steps: steps between two samples of the fixed prompts; 0 samples before and
            after alone.
        sample_prompts: how many prompts are sampled; 0 samples none.
    """

    learning_rate: float = 1e-6
    beta: float = 0.1
    sample_steps: int = 0
    sample_prompts: int = 4

    def __post_init__(self) -> None:
        PairRecipe.__post_init__(self)
        if not 0 < self.beta < math.inf:
            raise RecipeError(f"beta is {self.beta!r}. Give more than 0.")
        for name in ("sample_steps", "sample_prompts"):
            check_int(name, getattr(self, name), 0)


def parse_dpo_recipe(document: Mapping[str, Any]) -> DpoRecipe:
    """Read the plain form; see `parse_pair_recipe`."""
    return parse_pair_recipe(document, DpoRecipe)
