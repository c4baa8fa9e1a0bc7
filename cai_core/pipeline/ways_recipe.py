"""Recipes of `ways` runs: one prompt set answered in several ways, so that they can be compared.

plain           the model as it is
system-prompt   the model under the constitution, rendered as a system prompt
best-of-n       n samples of the model, of which the feedback model chooses
other-model     another model as it is, a trained one for example
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from cai_core.errors import RecipeError
from cai_core.pipeline.label_recipe import (
    ComparisonSource,
    LabelRecipe,
    resolve_label_principles,
)
from cai_core.pipeline.recipe import PrincipleChoice
from cai_core.prompts import system_prompt
from cai_core.recipe_checks import check_int, check_keys, check_text
from cai_core.records import Constitution, SamplingParams

# Ours: a round robin of eight is 56 questions in both orders, and grows with the square.
N, MOST_N = 4, 16


class Way(StrEnum):
    """How a prompt is answered."""

    PLAIN = "plain"
    SYSTEM_PROMPT = "system-prompt"
    BEST_OF_N = "best-of-n"
    OTHER_MODEL = "other-model"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaysRecipe:
    """What a `ways` run is made from.

    Attributes:
        ways: at least one, each once, in the order of `Way`.
        model: what answers: an endpoint's name, `demo`, a folder, or a URL.
        other_model: what answers in the way `other-model`; None without that way.
        feedback_model: what chooses in the way `best-of-n`; None without that way.
        constitution, constitution_hash: the version that is rendered, and judged by.
        prompts, prompts_hash: the prompt set, and what of it is used.
        n: samples of best-of-n, in [1, MOST_N]. One is the plain answer, and nobody is asked.
        principles: how each comparison gets the principle that it is judged by, as in
            `LabelRecipe`.
        system_prompt: version of the system prompt's template.
        sampling: of every answer, in every way alike.
        seed: in [0, 2**63). Every way draws its sample i with the same seed.
        limit: only the first so many prompts; None for all.
    """

    ways: tuple[Way, ...]
    model: str
    other_model: str | None = None
    feedback_model: str | None = None
    constitution: str
    constitution_hash: str
    prompts: str
    prompts_hash: str
    n: int = N
    principles: PrincipleChoice = "random"
    system_prompt: str = system_prompt.TEMPLATE_VERSION
    sampling: SamplingParams = field(default_factory=SamplingParams)
    seed: int = 0
    limit: int | None = None

    def __post_init__(self) -> None:
        for name in ("model", "constitution", "constitution_hash", "prompts", "prompts_hash"):
            check_text(name, getattr(self, name))
            if not getattr(self, name):
                raise RecipeError(f"{name} is empty. Name one.")
        if not self.ways or list(self.ways) != [way for way in Way if way in self.ways]:
            raise RecipeError(
                f"ways is {list(map(str, self.ways))}. Name some of {', '.join(Way)}, each once "
                "and in this order."
            )
        for way, name in _MODELS.items():
            if (way in self.ways) != bool(getattr(self, name)):
                raise RecipeError(f"{name} goes with the way {way}. Give both, or neither.")
        check_int("n", self.n, 1)
        check_int("seed", self.seed, 0)
        if self.n > MOST_N:
            raise RecipeError(f"n is {self.n}. Give at most {MOST_N}.")
        if self.seed >= 2**63:
            raise RecipeError(f"seed is {self.seed}. Give one below 2**63.")
        params = self.sampling
        if not 0 <= params.temperature < float("inf") or not 0 < params.top_p <= 1:
            raise RecipeError(
                "sampling: give a temperature of 0 or more and a top_p above 0 and at most 1."
            )
        check_int("sampling: max_tokens", params.max_tokens, 1)
        if self.n > 1 and Way.BEST_OF_N in self.ways and params.temperature == 0:
            raise RecipeError(
                "samples of temperature 0 are all the same. Raise the temperature, or set n to 1."
            )
        if self.feedback_model:
            self.build_label_recipe("check")  # says what is wrong with `principles`

    def build_label_recipe(self, run_id: str) -> LabelRecipe:
        """How best-of-n asks its feedback model: plain scored labels in both orders.

        Raises:
            RecipeError: there is no feedback model.
        """
        if self.feedback_model is None:
            raise RecipeError("this run has no feedback model. Name one.")
        return LabelRecipe(
            sources=(ComparisonSource(run=run_id),),
            feedback_model=self.feedback_model,
            constitution=self.constitution,
            constitution_hash=self.constitution_hash,
            principles=self.principles,
            seed=self.seed,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain form for recipe.yaml; `parse_ways_recipe` is the inverse."""
        choice = self.principles
        return {
            **{item.name: getattr(self, item.name) for item in fields(self)},
            "ways": [way.value for way in self.ways],
            "principles": choice if isinstance(choice, str) else list(choice),
            "sampling": self.sampling.as_dict(),
        }


_MODELS = {Way.OTHER_MODEL: "other_model", Way.BEST_OF_N: "feedback_model"}


def parse_ways_recipe(document: Mapping[str, Any]) -> WaysRecipe:
    """Read the recipe of a `ways` run.

    Raises:
        RecipeError: a key is unknown or missing, or a value out of range.
    """
    values = check_keys("recipe", document, WaysRecipe)
    try:
        values["ways"] = tuple(Way(way) for way in values["ways"])
        if isinstance(values.get("principles"), list):
            values["principles"] = tuple(values["principles"])
        if isinstance(inner := values.get("sampling"), Mapping):
            values["sampling"] = SamplingParams(**check_keys("sampling", inner, SamplingParams))
        return WaysRecipe(**values)
    except (TypeError, KeyError, ValueError) as error:
        raise RecipeError(f"recipe: keys missing or of another kind: {error}.") from error


def check_constitution(recipe: WaysRecipe, constitution: Constitution) -> None:
    """Raise before anything is asked where the constitution cannot be rendered or judged by.

    Raises:
        TemplateError: no principle is on. RecipeError: as `resolve_label_principles`.
    """
    if Way.SYSTEM_PROMPT in recipe.ways:
        system_prompt.build_system_prompt(constitution)
    if Way.BEST_OF_N in recipe.ways and recipe.n > 1:
        resolve_label_principles(recipe.build_label_recipe("check"), constitution)
