"""Recipes of reward models (preference models): frozen, checked, strict about unknown keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cai_core.errors import RecipeError
from cai_core.training.preference_recipe import PairRecipe, parse_pair_recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardRecipe(PairRecipe):
    """How a reward model is trained on preference labels.

    Attributes:
        learning_rate: at its highest; 1e-4 is TRL's for reward models.
        center: weight of the mean squared sum of a pair's two rewards, which keeps them around 0
            (arXiv 2312.09244, section 2); 0 leaves it out.
    """

    learning_rate: float = 1e-4
    center: float = 0.0

    def __post_init__(self) -> None:
        PairRecipe.__post_init__(self)
        if not 0 <= self.center < math.inf:
            raise RecipeError(f"center is {self.center!r}. Give 0 or more.")


def parse_reward_recipe(document: Mapping[str, Any]) -> RewardRecipe:
    """Read the plain form; see `parse_pair_recipe`."""
    return parse_pair_recipe(document, RewardRecipe)
