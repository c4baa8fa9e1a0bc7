"""Recipes of `choices` runs: a model's answers to a multiple-choice file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from cai_core.errors import RecipeError
from cai_core.pipeline.labels import LEAST_MASS
from cai_core.pipeline.recipe import TemplateName
from cai_core.recipe_checks import check_choice, check_int, check_keys, check_text

Scorer = Literal["judge", "reward"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoicesRecipe:
    """What a `choices` run is made from.

    Attributes:
        model: an endpoint's name, `demo`, a folder, or a URL.
        scorer: `judge` asks which answer is right; `reward` gives each answer its reward.
        file: its name. file_hash: of the questions, after `limit` and `shuffled`.
        template: how a judge is asked: `chat` for instruct models, `paper` goes on with the
            file's own text.
        limit: the first so many questions; None for all.
        shuffled: seed of right answers drawn anew, on which nobody can score above chance; None
            leaves them.
        least_mass: the least probability of all letters together that counts as an answer.
    """

    model: str
    scorer: Scorer
    file: str
    file_hash: str
    template: TemplateName = "chat"
    limit: int | None = None
    shuffled: int | None = None
    least_mass: float = LEAST_MASS

    def __post_init__(self) -> None:
        for name in ("model", "file", "file_hash"):
            check_text(name, getattr(self, name))
            if not getattr(self, name):
                raise RecipeError(f"{name} is empty. Name one.")
        check_choice("scorer", self.scorer, get_args(Scorer))
        check_choice("template", self.template, get_args(TemplateName))
        if self.limit is not None:
            check_int("limit", self.limit, 1)
        if self.shuffled is not None:
            check_int("shuffled", self.shuffled, 0)
        mass: object = self.least_mass
        if isinstance(mass, bool) or not isinstance(mass, int | float) or not 0 <= mass <= 1:
            raise RecipeError(f"least_mass is {mass!r}. Give a number from 0 to 1.")

    def as_dict(self) -> dict[str, Any]:
        """Plain form for recipe.yaml; `parse_choices_recipe` is the inverse."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def parse_choices_recipe(document: Mapping[str, Any]) -> ChoicesRecipe:
    """Read the recipe of a `choices` run.

    Raises:
        RecipeError: a key is unknown or missing, or a value out of range.
    """
    try:
        return ChoicesRecipe(**check_keys("recipe", document, ChoicesRecipe))
    except TypeError as error:
        raise RecipeError(f"recipe: keys missing: {error}.") from error
