"""The loop's plan: what the shipped demo does, in other sizes, for other models and trainings."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from cai_core.errors import RecipeError
from cai_core.jobs.plan import Faults, parse_plan
from cai_core.jobs.plan_loop import build_loop
from cai_core.jobs.plan_loop_choices import LoopChoices, Size, describe_size
from cai_core.jobs.plan_specs import build_plan
from cai_core.jobs.plan_yaml import parse_yaml

RECIPES = Path(__file__).resolve().parents[2] / "data" / "recipes"
DEMO = LoopChoices(
    name="demo",
    constitution="harmlessness",
    base="demo",
    feedback_model="demo",
    red_team="redteam",
    helpful="helpful",
    in_demo_world=True,
)
OTHER = replace(DEMO, base="owner/name", feedback_model="big", in_demo_world=False)


def read_runs(text: str) -> dict[str, dict[str, Any]]:
    return {run["name"]: run for run in parse_yaml(text, "p.yaml")["runs"]}


def strip_numbers(value: Any) -> Any:
    """What is made from what, and how; not how much."""
    match value:
        case dict():
            return {key: strip_numbers(inner) for key, inner in value.items()}
        case list():
            return [strip_numbers(inner) for inner in value]
        case bool() | str():
            return value
    return "a number"


def test_it_is_the_shipped_demo() -> None:
    shipped = parse_yaml((RECIPES / "demo.yaml").read_text("utf-8"), "demo.yaml")
    built = parse_yaml(build_loop(DEMO), "p.yaml")
    assert strip_numbers(built) == strip_numbers(shipped)
    assert [run["name"] for run in built["runs"]] == [run["name"] for run in shipped["runs"]]
    # The usual size promises what the demo shows: bring the two together where one is tuned.
    assert built == shipped


def test_the_demo_and_the_usual_loop_are_the_same_runs(tmp_path: Path) -> None:
    plans = (build_loop(DEMO), (RECIPES / "demo.yaml").read_text("utf-8"))
    built, shipped = (build_plan(text, "p.yaml", RECIPES, tmp_path) for text in plans)
    assert [spec.run_id for spec in built] == [spec.run_id for spec in shipped]


@pytest.mark.parametrize("choices", [DEMO, OTHER], ids=["demo", "other"])
@pytest.mark.parametrize("training", [("rl",), ("dpo",), ("rl", "dpo")])
@pytest.mark.parametrize("size", get_args(Size))
def test_every_choice_is_a_plan_that_can_be_read(
    choices: LoopChoices, training: Any, size: Size
) -> None:
    text = build_loop(replace(choices, training=training, size=size, algorithm="grpo"))
    faults = Faults("p.yaml")
    plan = parse_plan(text, "p.yaml", faults)
    faults.raise_any()
    runs = read_runs(text)
    assert list(plan.names) == list(runs)
    for name in ("rl", "dpo"):
        assert (name in runs) is (name in training)
        assert (f"{name}-fine" in runs) is (name in training)
    assert ("rm" in runs) is ("rl" in training)
    if "rl" in training:
        assert runs["rl"]["algorithm"] == "grpo"
    assert text.count("  # ") >= 5
    assert max(map(len, text.splitlines())) <= 140


def test_names_go_where_they_belong() -> None:
    runs = read_runs(
        build_loop(replace(OTHER, constitution="mine@0123abcd", red_team="bad", helpful="good"))
    )
    assert {run["feedback_model"] for run in runs.values() if run["kind"] == "label"} == {"big"}
    assert {runs[name]["prompts"] for name in ("chains", "samples", "rl-redteam")} == {"bad"}
    assert {runs[name]["prompts"] for name in ("fine", "refused", "dpo-fine")} == {"good"}
    assert runs["rl"]["prompts"] == ["bad", "good"]
    assert {runs[name]["base"] for name in ("sl", "refuser")} == {"owner/name"}
    assert runs["labels"]["constitution"] == "mine@0123abcd"
    assert {runs[name]["method"] for name in ("sl", "rm", "rl", "dpo")} == {"lora"}


def test_no_held_out_prompt_is_trained_on_and_all_answers_are_to_them() -> None:
    for name, run in read_runs(build_loop(DEMO)).items():
        if "where" in run:
            held = name.split("-")[-1] in ("redteam", "fine") and "-" in name
            assert run["where"]["tags"] == ["split:held-out" if held else "split:train"]


@pytest.mark.parametrize("choices", [DEMO, OTHER], ids=["demo", "other"])
def test_small_is_less_of_the_same(choices: LoopChoices) -> None:
    small, usual = (
        read_runs(build_loop(replace(choices, size=size))) for size in ("small", "usual")
    )
    assert list(small) == list(usual)
    for name in small:
        limits = [runs[name].get("where", {}).get("limit", 10**9) for runs in (small, usual)]
        assert limits[0] < limits[1] or "where" not in small[name] or name == "rl"
    assert small["rl"]["steps"] < usual["rl"]["steps"]
    told = [describe_size(size, in_demo_world=choices.in_demo_world) for size in ("small", "usual")]
    assert str(small["chains"]["where"]["limit"]) in told[0]
    assert f"{usual['rl']['steps']} RL steps" in told[1]
    assert told[0] != told[1]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "No name"}, "name"),
        ({"base": ""}, "base is empty"),
        ({"helpful": None}, "helpful"),
        ({"training": ()}, "training is empty"),
        ({"training": ("ppo",)}, "training is 'ppo'"),
        ({"algorithm": "ppo"}, "algorithm"),
        ({"size": "huge"}, "size"),
    ],
)
def test_a_choice_that_is_none_is_refused(changes: Mapping[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        replace(DEMO, **changes)


def test_names_of_any_kind_stay_texts() -> None:
    for red, helpful in itertools.permutations(("1", "true", "a: b", "null", "é #x"), 2):
        runs = read_runs(build_loop(replace(DEMO, red_team=red, helpful=helpful)))
        assert runs["rl"]["prompts"] == [red, helpful]
