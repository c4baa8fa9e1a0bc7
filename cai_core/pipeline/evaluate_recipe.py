"""Recipes of `evaluate` runs: one model's answers to a suite, judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from cai_core.errors import RecipeError
from cai_core.evaluation.gate import DEFAULT_SAMPLES
from cai_core.pipeline.ways_recipe import MOST_N
from cai_core.recipe_checks import check_bool, check_int, check_keys, check_text
from cai_core.records import SamplingParams

# Each name goes with its hash: both, or neither.
_PAIRS = ("rubric", "constitution", "system_constitution", "feedback_constitution")
# Left out of the plain form where one answer is drawn, so that ids of such runs stay.
_OF_BEST = ("best_of", "feedback_model", "feedback_constitution", "feedback_constitution_hash")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateRecipe:
    """What an `evaluate` run is made from.

    Attributes:
        model: an endpoint's name, `demo`, a folder, or a URL.
        suite: names of the suites that are asked. suite_hash: of the prompts, after `limit`.
        limit: so many prompts, spread over kinds and categories; None for all.
        samples: answers to each prompt; the gate's default, whose power is known.
        sampling: of the answers. seed: in [0, 2**63); two models are compared at one seed.
        system_constitution: stands before every conversation as a system prompt; None without.
        best_of: so many answers are drawn for each, of which the feedback model chooses one.
        feedback_model: as `model`; None where nobody chooses.
        feedback_constitution: by whose comparison requests it chooses.
        judge: as `model`; None asks nobody, and leaves it to the oracle and to phrases.
        rubric, rubric_hash: what the judge is asked; None without a judge.
        judge_tokens: the most tokens of a judgement, which is drawn greedily.
        ratings: asks for the rubric's ratings from 0 to 4 as well.
        constitution: whose principles the judge is asked about, one by one; None for none.
        adherence_prompts: so many prompts are asked about them, one answer each: ours.
    """

    model: str
    suite: str
    suite_hash: str
    limit: int | None = None
    samples: int = DEFAULT_SAMPLES
    sampling: SamplingParams = field(default_factory=SamplingParams)
    seed: int = 0
    system_constitution: str | None = None
    system_constitution_hash: str | None = None
    best_of: int = 1
    feedback_model: str | None = None
    feedback_constitution: str | None = None
    feedback_constitution_hash: str | None = None
    judge: str | None = None
    rubric: str | None = None
    rubric_hash: str | None = None
    judge_tokens: int = 512
    ratings: bool = False
    constitution: str | None = None
    constitution_hash: str | None = None
    adherence_prompts: int = 50

    def __post_init__(self) -> None:
        for name in ("model", "suite", "suite_hash"):
            check_text(name, getattr(self, name))
            if not getattr(self, name):
                raise RecipeError(f"{name} is empty. Name one.")
        for name in _PAIRS:
            pair = (getattr(self, name), getattr(self, f"{name}_hash"))
            for value in pair:
                if value is not None:
                    check_text(name, value)
            if (pair[0] is None) != (pair[1] is None):
                raise RecipeError(f"{name} and its hash go together. Give both, or neither.")
        check_bool("ratings", self.ratings)
        for name in ("samples", "judge_tokens", "adherence_prompts"):
            check_int(name, getattr(self, name), 1)
        check_int("seed", self.seed, 0)
        if self.limit is not None:
            check_int("limit", self.limit, 1)
        if self.seed >= 2**63:
            raise RecipeError(f"seed is {self.seed}. Give one below 2**63.")
        self._check_sampling()
        self._check_judge()
        self._check_best()

    def _check_sampling(self) -> None:
        params = self.sampling
        if not isinstance(params, SamplingParams):
            raise RecipeError(f"sampling is {params!r}. Write temperature, top_p, max_tokens.")
        if not 0 <= params.temperature < float("inf"):
            raise RecipeError(f"sampling: temperature is {params.temperature}. Give 0 or more.")
        if not 0 < params.top_p <= 1:
            raise RecipeError(f"sampling: top_p is {params.top_p}. Give more than 0, at most 1.")
        check_int("sampling: max_tokens", params.max_tokens, 1)
        if self.samples > 1 and params.temperature == 0:
            raise RecipeError("samples of temperature 0 are all the same. Ask for one.")

    def _check_judge(self) -> None:
        if self.judge is not None:
            check_text("judge", self.judge)
            if not self.judge:
                raise RecipeError("judge is empty. Name a model, or leave it out.")
        if (self.judge is None) != (self.rubric is None):
            raise RecipeError("judge and rubric go together. Give both, or neither.")
        if self.judge is None and (self.ratings or self.constitution is not None):
            raise RecipeError("ratings and a constitution's principles need a judge. Name one.")

    def _check_best(self) -> None:
        check_int("best_of", self.best_of, 1)
        if self.best_of > MOST_N:
            raise RecipeError(f"best_of is {self.best_of}. Give at most {MOST_N}.")
        if self.feedback_model is not None:
            check_text("feedback_model", self.feedback_model)
        told = (bool(self.feedback_model), bool(self.feedback_constitution))
        if told != (self.best_of > 1,) * 2:
            raise RecipeError(
                "best_of above 1 goes with feedback_model and feedback_constitution. Give all "
                "three, or none."
            )
        if self.best_of > 1 and self.sampling.temperature == 0:
            raise RecipeError("answers of temperature 0 are all the same. Leave best_of out.")

    def as_dict(self) -> dict[str, Any]:
        """Plain form for recipe.yaml; `parse_evaluate_recipe` is the inverse."""
        own = {item.name: getattr(self, item.name) for item in fields(self)}
        if self.best_of == 1:
            own = {name: value for name, value in own.items() if name not in _OF_BEST}
        return {**own, "sampling": self.sampling.as_dict()}


def parse_evaluate_recipe(document: Mapping[str, Any]) -> EvaluateRecipe:
    """Read the recipe of an `evaluate` run.

    Raises:
        RecipeError: a key is unknown or missing, or a value out of range.
    """
    values = check_keys("recipe", document, EvaluateRecipe)
    try:
        if isinstance(inner := values.get("sampling"), Mapping):
            values["sampling"] = SamplingParams(**check_keys("sampling", inner, SamplingParams))
        return EvaluateRecipe(**values)
    except (TypeError, KeyError) as error:
        raise RecipeError(f"recipe: keys missing or of another kind: {error}.") from error
