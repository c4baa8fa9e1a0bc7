"""Plans of RLAIF: labels, reward models, RL and DPO from names to recipes that load back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cai_core.errors import RecipeError
from cai_core.inference.model_folder import DEMO_FOLDER, compute_weights_hash
from cai_core.jobs.plan_specs import build_plan, load_plan
from cai_core.jobs.schedule import KINDS, TRAINING_KINDS
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.frozen_prompts import load_frozen_prompts
from cai_core.pipeline.label_inputs import load_label_inputs
from cai_core.pipeline.label_recipe import parse_label_recipe
from cai_core.pipeline.prompt_file import prompts_hash
from cai_core.records import PromptKind
from cai_core.training.dpo_recipe import parse_dpo_recipe
from cai_core.training.reward_recipe import parse_reward_recipe
from cai_core.training.rl_recipe import JudgeReward, ModelReward, parse_rl_recipe
from cai_core.workspace.runs import Run, create_run
from tests.jobs.plans import CHAINS, SL, write_plan

RECIPES = Path(__file__).resolve().parents[2] / "data" / "recipes"
LABELS: dict[str, Any] = {
    "name": "labels",
    "kind": "label",
    "sources": [{"run": "chains", "pairs": "revision"}],
    "feedback_model": "demo",
    "constitution": "harmlessness",
}
RM: dict[str, Any] = {
    "name": "rm",
    "kind": "reward",
    "base": "run:sl",
    "sources": [{"run": "labels"}],
    "method": "full",
}
DPO = {**RM, "name": "dpo", "kind": "dpo"}
RL: dict[str, Any] = {
    "name": "rl",
    "kind": "rl",
    "base": "run:sl",
    "prompts": ["redteam", "helpful"],
    "where": {"tags": ["split:train"], "limit": 20},
    "rewards": [{"kind": "reward-model", "model": "run:rm"}],
}
WHOLE = (CHAINS, SL, LABELS, RM, DPO, RL)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "w"


def load(workspace: Path, *runs: dict[str, Any]) -> dict[str, RunSpec]:
    specs = load_plan(write_plan(workspace.parent / "plan.yaml", *runs), workspace)
    return {spec.run_id.split("-")[1]: spec for spec in specs}


def find_faults(workspace: Path, *runs: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as caught:
        load(workspace, *runs)
    return str(caught.value)


def create(workspace: Path, spec: RunSpec) -> Run:
    folder = workspace / "runs" / spec.run_id
    run = create_run(folder, kind=spec.kind, recipe=spec.recipe, parents=spec.parents)
    (run.path / "inputs").mkdir()
    for name, build in spec.inputs.items():
        (run.path / "inputs" / name).write_bytes(b"".join(build()))
    return run


def test_the_whole_loop_knows_its_parents(workspace: Path) -> None:
    runs = load(workspace, *WHOLE)
    ids = {name: spec.run_id for name, spec in runs.items()}
    assert runs["labels"].parents == (ids["chains"],)
    assert runs["rm"].parents == runs["dpo"].parents == (ids["labels"], ids["sl"])
    assert runs["rl"].parents == (ids["sl"], ids["rm"])
    assert {spec.kind for spec in runs.values()} == KINDS - {"evaluate"}
    assert KINDS - {"revise", "label", "evaluate"} == TRAINING_KINDS


def test_models_of_runs_are_their_folders(workspace: Path) -> None:
    runs = load(workspace, *WHOLE)
    made = {name: workspace / "runs" / runs[name].run_id / "outputs" / "model" for name in runs}
    for name, parse in (("rm", parse_reward_recipe), ("dpo", parse_dpo_recipe)):
        recipe = parse(runs[name].recipe)
        assert (recipe.base, recipe.base_hash) == (str(made["sl"]), None)
        assert [source.run for source in recipe.sources] == [runs["labels"].run_id]
    recipe = parse_rl_recipe(runs["rl"].recipe)
    assert recipe.base == str(made["sl"])
    assert recipe.rewards == (ModelReward(model=str(made["rm"])),)


def test_a_base_that_is_here_is_hashed(workspace: Path) -> None:
    runs = load(workspace, CHAINS, LABELS, {**RM, "base": "demo"})
    recipe = parse_reward_recipe(runs["rm"].recipe)
    assert (recipe.base, recipe.base_hash) == ("demo", compute_weights_hash(DEMO_FOLDER))


def test_a_label_run_carries_constitution_and_people(workspace: Path) -> None:
    human = {"comparison_id": "c1", "verdict": "A", "reviewer": "Ada"}
    (workspace.parent / "human.jsonl").write_text(json.dumps(human) + "\n")
    runs = load(workspace, CHAINS, {**LABELS, "human": "human.jsonl"})
    recipe = parse_label_recipe(runs["labels"].recipe)
    inputs = load_label_inputs(create(workspace, runs["labels"]), recipe)
    assert inputs.constitution.hash == recipe.constitution_hash
    assert [label.reviewer for label in inputs.human.values()] == ["Ada"]
    without = load(workspace, CHAINS, LABELS)["labels"]
    assert without.run_id != runs["labels"].run_id
    assert set(without.inputs) == {"constitution.yaml"}


def test_the_feedback_model_is_the_roles_where_none_is_named(workspace: Path) -> None:
    labels = {key: value for key, value in LABELS.items() if key != "feedback_model"}
    assert load(workspace, CHAINS, labels)["labels"].recipe["feedback_model"] == "demo"


def test_rl_prompts_are_the_runs_inputs_and_never_held_out(workspace: Path) -> None:
    spec = load(workspace, *WHOLE)["rl"]
    prompts = load_frozen_prompts(create(workspace, spec).path / "inputs" / "prompts.jsonl")
    assert {prompt.kind for prompt in prompts} == {PromptKind.RED_TEAM, PromptKind.HELPFUL}
    assert len(prompts) == 40
    assert spec.recipe["prompts_hash"] == prompts_hash(prompts)
    held_out = {**RL, "where": {"tags": ["split:held-out"]}}
    told = find_faults(workspace, *WHOLE[:5], held_out)
    assert "run 'rl'" in told
    assert "held out" in told


def test_a_judge_brings_its_constitution(workspace: Path) -> None:
    judged = {**RL, "rewards": [{"kind": "judge", "model": "demo"}], "constitution": "harmlessness"}
    spec = load(workspace, CHAINS, SL, judged)["rl"]
    recipe = parse_rl_recipe(spec.recipe)
    assert recipe.rewards == (JudgeReward(model="demo"),)
    assert recipe.constitution_hash
    assert set(spec.inputs) == {"prompts.jsonl", "constitution.yaml"}
    del judged["constitution"]
    assert "no constitution is named" in find_faults(workspace, CHAINS, SL, judged)


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ((CHAINS, {**LABELS, "clamp": [0.9, 0.1]}), "run 'labels': clamp is"),
        ((CHAINS, {**LABELS, "bogus": 1}), "run 'labels': unknown keys bogus"),
        ((CHAINS, {**LABELS, "constitution_hash": "x"}), "unknown keys constitution_hash"),
        ((CHAINS, {**LABELS, "constitution": "nowhere"}), "run 'labels': constitution: "),
        ((CHAINS, {**LABELS, "principles": ["bogus"]}), "has no principle bogus"),
        ((CHAINS, {**LABELS, "sources": [{"run": "gone"}]}), "there is no run 'gone'"),
        ((CHAINS, SL, {**RM, "sources": [{"run": "chains"}]}), "is of kind revise"),
        ((CHAINS, LABELS, {**RM, "base": "run:labels"}), "Name one of kind sft or rl or dpo"),
        (
            (CHAINS, SL, {**RL, "rewards": [{"kind": "reward-model", "model": "run:sl"}]}),
            "kind sft",
        ),
        ((CHAINS, SL, {**RL, "rewards": [{"kind": "reward-model", "model": "demo"}]}), "run:NAME"),
        ((CHAINS, SL, {**RL, "prompts": 3}), "prompts is 3"),
        ((CHAINS, SL, {**RL, "rewards": [], "prompts": "redteam"}), "there is no reward"),
    ],
)
def test_faults_say_where_and_what(
    workspace: Path, runs: tuple[dict[str, Any], ...], told: str
) -> None:
    found = find_faults(workspace, *runs)
    assert told in found
    assert "\n" not in found


def test_every_shipped_plan_can_be_built_from_a_page(workspace: Path) -> None:
    for path in sorted(RECIPES.glob("demo*.yaml")):
        specs = build_plan(path.read_text(), path.name, RECIPES, workspace, names_only=True)
        assert [spec.run_id for spec in specs] == [s.run_id for s in load_plan(path, workspace)]
