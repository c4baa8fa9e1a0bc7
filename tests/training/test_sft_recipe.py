from __future__ import annotations

from typing import Any

import pytest

from cai_core.errors import RecipeError
from cai_core.training.recipe import ChainSource, SftRecipe, parse_sft_recipe


def make_recipe(**changes: Any) -> SftRecipe:
    return SftRecipe(**{"base": "demo", "sources": (ChainSource(run="r"),), **changes})


def test_the_plain_form_comes_back() -> None:
    sources = (ChainSource(run="r"), ChainSource(run="h", use="initial", share=0.25))
    recipe = make_recipe(sources=sources, method="full", learning_rate=3e-4)
    assert parse_sft_recipe(recipe.as_dict()) == recipe
    assert recipe.parents == ("r", "h")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"base": ""}, "base names no model"),
        ({"base": 5}, "base is 5"),
        ({"packing": "no"}, "packing is 'no'"),
        ({"gradient_checkpointing": 1}, "gradient_checkpointing is 1"),
        ({"method": "qlora"}, "full, lora"),
        ({"batch_size": 10, "micro_batch": 4}, "multiple"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"warmup": 1.0}, "warmup"),
        ({"max_grad_norm": float("inf")}, "max_grad_norm"),
        ({"sources": ()}, "every source has a share"),
        ({"sources": (ChainSource(run="r", share=0.5),)}, "every source has a share"),
        ({"sources": (ChainSource(run="r"), ChainSource(run="r"))}, "named twice"),
        (
            {
                "sources": (
                    ChainSource(run="a"),
                    ChainSource(run="b", share=0.5),
                    ChainSource(run="c", share=0.5),
                )
            },
            "add up to 1",
        ),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        make_recipe(**changes)


def test_unknown_and_missing_keys_are_told() -> None:
    plain = make_recipe().as_dict()
    with pytest.raises(RecipeError, match=r"unknown keys learing_rate.*learning_rate"):
        parse_sft_recipe({**plain, "learing_rate": 1e-4})
    with pytest.raises(RecipeError, match=r"sources: unknown keys ratio"):
        parse_sft_recipe({**plain, "sources": [{"run": "r", "ratio": 1}]})
    with pytest.raises(RecipeError, match="base"):
        parse_sft_recipe({key: value for key, value in plain.items() if key != "base"})
    with pytest.raises(RecipeError, match="share is 1"):
        ChainSource(run="r", share=1)
