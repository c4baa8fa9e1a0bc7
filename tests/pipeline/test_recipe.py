"""Recipes: the plain form reads back, unknown keys and impossible values are refused."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from cai_core.errors import RecipeError
from cai_core.pipeline.recipe import (
    ChainRecipe,
    ReviseRecipe,
    parse_chain_recipe,
    parse_revise_recipe,
    resolve_principles,
)
from cai_core.records import Constitution, SamplingParams
from cai_core.workspace.runs import dump_recipe
from tests.pipeline.makers import make_constitution

SAMPLING = st.builds(
    SamplingParams,
    temperature=st.floats(0, 2),
    top_p=st.floats(0.1, 1),
    max_tokens=st.integers(1, 4096),
)
CHAINS = st.builds(
    ChainRecipe,
    revisions=st.integers(0, 8),
    seed=st.integers(0, 2**63 - 1),
    principles=st.sampled_from(["random", "in-order", ("p1",), ("p1", "p0", "p1")]),
    critique=st.booleans(),
    template=st.sampled_from(["chat", "paper"]),
    policy_sampling=SAMPLING,
    critic_sampling=SAMPLING,
    samples=st.integers(1, 4),
)


@example(chain=ChainRecipe(), limit=None, critic="\x85")
@given(chain=CHAINS, limit=st.none() | st.integers(1), critic=st.none() | st.text())
def test_a_recipe_survives_yaml(chain: ChainRecipe, limit: int | None, critic: str | None) -> None:
    recipe = ReviseRecipe(
        model="demo",
        critic_model=critic,
        constitution="c",
        constitution_hash="h",
        prompts="p.jsonl",
        prompts_hash="ph",
        limit=limit,
        chain=chain,
    )
    text = dump_recipe(recipe.as_dict())
    assert parse_revise_recipe(yaml.safe_load(text)) == recipe
    assert parse_chain_recipe(chain.as_dict()) == chain


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"revision": 4}, "unknown keys revision"),
        ({"policy_sampling": {"temprature": 1}}, "temprature"),
        ({"revisions": -1}, "revisions is -1"),
        ({"revisions": True}, "revisions is True"),
        ({"samples": 0}, "samples is 0"),
        ({"seed": 2**63}, "below"),
        ({"seed": -1}, "seed is -1"),
        ({"template": "poem"}, "template"),
        ({"principles": "any"}, "principles is 'any'"),
        ({"principles": []}, "empty list"),
        ({"policy_sampling": {"temperature": -0.1}}, "temperature"),
        ({"critic_sampling": {"temperature": float("nan")}}, "temperature"),
        ({"critic_sampling": {"top_p": 0}}, "top_p"),
        ({"critic_sampling": {"max_tokens": 0}}, "max_tokens"),
    ],
)
def test_an_impossible_recipe_is_refused(document: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_chain_recipe(document)


def test_missing_and_unknown_keys_of_a_run_are_told() -> None:
    with pytest.raises(RecipeError, match="missing"):
        parse_revise_recipe({"model": "demo"})
    with pytest.raises(RecipeError, match="unknown keys speed"):
        parse_revise_recipe({"model": "demo", "speed": 1})


def test_unknown_principles_are_told_with_those_there_are() -> None:
    with pytest.raises(RecipeError, match=r"no principle nope\. It has: p0, p1"):
        resolve_principles(ChainRecipe(principles=("p0", "nope")), make_constitution(2))
    with pytest.raises(RecipeError, match="has no principles"):
        resolve_principles(ChainRecipe(), Constitution(name="e", description="", principles=()))
