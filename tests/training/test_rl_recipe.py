"""Recipes and prompts of reinforcement learning. No model is loaded."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cai_core.errors import RecipeError
from cai_core.records import PromptKind
from cai_core.training.rl_prompts import build_order, choose_prompts
from cai_core.training.rl_recipe import (
    JudgeReward,
    LengthReward,
    ModelReward,
    RlRecipe,
    parse_rl_recipe,
)
from tests.training.rl_makers import build_recipe, make_prompts

REWARDS = (
    ModelReward(model="/models/scorer", model_hash="ab" * 32),
    JudgeReward(model="demo", principles=("harm",), weight=0.5, least_mass=0.2),
    LengthReward(per_tokens=32, weight=-0.1),
    LengthReward(),
)


def make_recipe(**changes: Any) -> RlRecipe:
    judged = {"constitution": "harmlessness", "constitution_hash": "cd" * 32}
    return build_recipe(make_prompts(), **{"rewards": REWARDS, **judged, **changes})


def test_the_plain_form_through_yaml_is_the_identity() -> None:
    recipe = make_recipe(red_team_share=0.5)
    plain = yaml.safe_load(yaml.safe_dump(recipe.as_dict()))
    assert parse_rl_recipe(plain) == recipe


def test_rewards_have_names_of_their_own() -> None:
    assert make_recipe().reward_names == ("reward-model", "judge", "length", "length-2")


def test_grpo_is_held_to_its_reference_unless_told_otherwise() -> None:
    assert make_recipe(algorithm="grpo").beta > 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"algorithm": "ppo"}, "rloo, grpo"),
        ({"rewards": ()}, "there is no reward"),
        ({"constitution": None}, "no constitution is named"),
        ({"generations": 1}, "generations is 1"),
        ({"micro_batch": 5}, "multiple"),
        ({"beta": -0.1}, "beta"),
        ({"beta": True}, "beta"),
        ({"temperature": 0.0}, "temperature"),
        ({"epsilon": 1.0}, "epsilon"),
        ({"red_team_share": 1.5}, "red_team_share"),
        ({"rollouts": "vllm"}, "rollouts"),
        ({"steps": 0}, "steps"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"base": ""}, "base names no model"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        make_recipe(**changes)


@pytest.mark.parametrize(
    ("reward", "told"),
    [
        ({"kind": "oracle"}, "Use one of reward-model, judge, length"),
        ({"kind": "length", "unit": 3}, "unknown keys unit"),
        ({"kind": "length", "weight": 0}, "weight is 0"),
        ({"kind": "length", "weight": float("inf")}, "weight is inf"),
        ({"kind": "judge", "model": "demo", "least_mass": 2}, "least_mass"),
        ({"kind": "reward-model"}, "keys missing"),
        ({"kind": "reward-model", "model": ""}, "names no model"),
        ("length", "is no reward"),
    ],
)
def test_a_reward_that_cannot_be_is_refused(reward: Any, told: str) -> None:
    plain = {**make_recipe().as_dict(), "rewards": [reward]}
    with pytest.raises(RecipeError, match=told):
        parse_rl_recipe(plain)


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(RecipeError, match="unknown keys kl"):
        parse_rl_recipe({**make_recipe().as_dict(), "kl": 0.1})


def test_what_is_held_out_anywhere_is_left_out_and_counted() -> None:
    prompts = make_prompts(held_out=2)
    untagged = make_prompts()[0]
    secret = next(one for one in prompts if "split:held-out" in one.tags)
    again = type(secret)(prompt_id="x#7", conversation=secret.conversation)
    chosen = choose_prompts([*prompts, again, untagged])
    assert [one.prompt_id for one in chosen.prompts] == [one.prompt_id for one in make_prompts()]
    assert chosen.left_out == {"held out": 3, "doubled": 1}


@given(
    st.integers(1, 12),
    st.integers(1, 7),
    st.sampled_from([None, 0.0, 0.25, 0.5, 1.0]),
    st.integers(0, 3),
)
def test_each_step_has_its_share_and_no_prompt_is_favoured(
    steps: int, per_step: int, share: float | None, seed: int
) -> None:
    prompts = make_prompts()
    order = build_order(prompts, steps=steps, per_step=per_step, red_team_share=share, seed=seed)
    assert len(order) == steps * per_step
    red = {n for n, one in enumerate(prompts) if one.kind is PromptKind.RED_TEAM}
    groups = [set(range(6))] if share is None else [red, set(range(6)) - red]
    for group in groups:
        counts = Counter(n for n in order if n in group)
        assert max(counts.values(), default=0) - min(counts[n] for n in group) <= 1
    if share is not None:
        steps_of = [order[at : at + per_step] for at in range(0, len(order), per_step)]
        assert {sum(n in red for n in step) for step in steps_of} == {round(share * per_step)}
    longer = build_order(
        prompts, steps=steps + 2, per_step=per_step, red_team_share=share, seed=seed
    )
    assert longer[: len(order)] == order


def test_a_share_of_what_is_not_there_is_refused() -> None:
    fine = [one for one in make_prompts() if one.kind is PromptKind.HELPFUL]
    with pytest.raises(RecipeError, match="no red-team prompt"):
        build_order(fine, steps=1, per_step=4, red_team_share=0.5, seed=0)
