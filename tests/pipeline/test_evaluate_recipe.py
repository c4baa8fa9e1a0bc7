"""Recipes of evaluations: strict, and the same after a round trip."""

from __future__ import annotations

from typing import Any

import pytest

from cai_core.errors import RecipeError
from cai_core.evaluation.gate import DEFAULT_SAMPLES
from cai_core.pipeline.evaluate_recipe import EvaluateRecipe, parse_evaluate_recipe

LEAST = {"model": "demo", "suite": "fine", "suite_hash": "h"}
JUDGED = {**LEAST, "judge": "demo", "rubric": "general", "rubric_hash": "r"}


def test_the_plain_form_comes_back() -> None:
    recipe = parse_evaluate_recipe(
        {**JUDGED, "sampling": {"temperature": 0.5, "max_tokens": 9}, "constitution": "c"}
        | {"constitution_hash": "d", "ratings": True, "limit": 3, "seed": 5}
    )
    assert parse_evaluate_recipe(recipe.as_dict()) == recipe
    assert recipe.sampling.max_tokens == 9


def test_as_many_samples_as_the_gate_needs() -> None:
    assert EvaluateRecipe(**LEAST).samples == DEFAULT_SAMPLES


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"judges": 1}, "unknown keys judges"),
        ({"model": ""}, "model is empty"),
        ({"suite_hash": 3}, "Give a text"),
        ({"judge": "demo"}, "judge and rubric go together"),
        ({"rubric": "general"}, "rubric and its hash"),
        ({"constitution": "c", "constitution_hash": "d"}, "need a judge"),
        ({"ratings": True}, "need a judge"),
        ({"ratings": "yes"}, "true or false"),
        ({"samples": 0}, "samples is 0"),
        ({"limit": 0}, "limit is 0"),
        ({"seed": 2**63}, "below"),
        ({"sampling": {"temperature": 0.0}}, "all the same"),
        ({"sampling": {"top_p": 0}}, "top_p is 0"),
        ({"sampling": {"tokens": 3}}, "unknown keys tokens"),
        ({"sampling": "warm"}, "sampling is 'warm'"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        parse_evaluate_recipe({**LEAST, **changes})


def test_a_missing_key_is_named() -> None:
    with pytest.raises(RecipeError, match="suite_hash"):
        parse_evaluate_recipe({"model": "demo", "suite": "fine"})
