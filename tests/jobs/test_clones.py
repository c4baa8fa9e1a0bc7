"""Cloning: another run of the same inputs, or a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cai_core.actions import jobs
from cai_core.errors import (
    RecipeError,
    UnknownModelError,
    WorkspaceError,
)
from cai_core.jobs.clone import build_clone, list_changeable
from cai_core.jobs.queue import load_queue
from cai_core.pipeline.inputs import load_inputs
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.runs import Run, create_run, open_run
from cai_core.workspace.status import RunState, load_status, replace_status, save_status
from tests.jobs.background import make_spec

EDITOR = Actor(name="edda", role=AccessRole.EDITOR)


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Workspaces that a dispatcher was asked for."""
    asked: list[Path] = []
    monkeypatch.setattr(jobs, "ensure_dispatcher", asked.append)
    return asked


def set_state(run: Run, state: RunState) -> None:
    path = run.path / "status.json"
    save_status(path, replace_status(load_status(path), state=state))


def list_actions(workspace: Path) -> list[str]:
    return [event["action"] for event in read_events(workspace, Topic.LAUNCHES)]


def test_a_clone_is_a_run_of_its_own_with_the_same_inputs(tmp_path: Path) -> None:
    jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("plan-name-0123abcd", prompts=5))
    clone = jobs.clone_run(EDITOR, tmp_path, "plan-name-0123abcd", {"chain.seed": 2})
    assert clone.run_id.startswith("plan-name-")
    assert clone.run_id != "plan-name-0123abcd"
    assert clone.recipe["chain"]["seed"] == 2
    assert len(load_inputs(clone).prompts) == 5
    assert load_queue(tmp_path) == ["plan-name-0123abcd", clone.run_id]
    again = jobs.clone_run(EDITOR, tmp_path, "plan-name-0123abcd", {"chain.seed": 2})
    assert again.run_id == clone.run_id
    event = read_events(tmp_path, Topic.LAUNCHES)[1]
    assert (event["action"], event["source"]) == ("clone run", "plan-name-0123abcd")


def test_a_clone_names_the_runs_that_made_its_models(tmp_path: Path) -> None:
    sources = [{"run": "data"}]
    recipe = {"base": "demo", "base_hash": "x" * 64, "sources": sources, "max_length": 256}
    spec = replace(make_spec("t"), kind="sft", recipe=recipe, parents=("data",), inputs={})
    jobs.submit(LOCAL_ACTOR, tmp_path, spec)
    model = tmp_path / "runs" / "first" / "outputs" / "model"
    clone = jobs.clone_run(LOCAL_ACTOR, tmp_path, "t", {"base": str(model), "seed": 3})
    assert clone.parents == ("data", "first")
    assert (clone.recipe["base_hash"], clone.recipe["seed"]) == (None, 3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "nothing is changed"),
        ({"chain.seed": 1}, "nothing is changed"),
        ({"chain.sed": 1}, "no such key"),
        ({"chain.seed.x": 1}, "no such key"),
        ({"chain.seed": -1}, "whole number"),
        ({"prompts": "other.jsonl"}, "belongs to the inputs"),
        ({"constitution_hash": "0"}, "belongs to the inputs"),
    ],
)
def test_a_clone_that_cannot_be_is_refused(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    with pytest.raises(RecipeError, match=told):
        jobs.clone_run(LOCAL_ACTOR, tmp_path, "r", changes)
    assert load_queue(tmp_path) == ["r"]


@pytest.mark.parametrize(
    "url", ["http://me:s3cr3t@127.0.0.1:9#m", "http://127.0.0.1:9?key=s3cr3t#m"]
)
@pytest.mark.parametrize("key", ["model", "critic_model"])
def test_a_clone_takes_no_url_with_a_secret(tmp_path: Path, key: str, url: str) -> None:
    jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    with pytest.raises(UnknownModelError) as caught:
        jobs.clone_run(LOCAL_ACTOR, tmp_path, "r", {key: url})
    assert "s3cr3t" not in str(caught.value)
    assert load_queue(tmp_path) == ["r"]


@pytest.mark.parametrize(
    "changes",
    [
        {"model": 5},
        {"critic_model": 5},
        {"chain.principles": 5},
        {"chain.principles": [5]},
        {"chain.critique": "no"},
        {"chain.policy_sampling": 5},
    ],
)
def test_a_clone_with_a_value_of_another_kind_is_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    with pytest.raises(RecipeError):
        jobs.clone_run(LOCAL_ACTOR, tmp_path, "r", changes)


def test_what_is_listed_as_changeable_can_be_changed(tmp_path: Path) -> None:
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    held = list_changeable(run)
    assert (held["chain.seed"], held["model"]) == (1, "demo")
    assert not [key for key in held if key.startswith(("prompts", "constitution", "limit"))]
    for key, value in held.items():
        with pytest.raises(RecipeError, match="nothing is changed"):
            jobs.clone_run(LOCAL_ACTOR, tmp_path, "r", {key: value})


def test_a_made_model_is_named_by_its_run(tmp_path: Path) -> None:
    jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    model = tmp_path / "runs" / "made" / "outputs" / "model"
    model.mkdir(parents=True)
    clone = jobs.clone_run(LOCAL_ACTOR, tmp_path, "r", {"model": "run:made"})
    assert clone.recipe["model"] == str(model.absolute())
    assert clone.parents == ("made",)
    for name in ("run:", "run:..", "run:../runs/made", "run:gone", "run:r"):
        with pytest.raises(RecipeError, match="no run of that id made a model"):
            jobs.clone_run(LOCAL_ACTOR, tmp_path, "r", {"model": name})


HASH = "0" * 64
SOURCES = [{"run": "made"}]
RECIPES: dict[str, dict[str, Any]] = {
    "label": {
        "sources": [{"run": "samples"}, {"run": "chains", "pairs": "revision", "share": 0.4}],
        "feedback_model": "demo",
        "constitution": "harmlessness",
        "constitution_hash": HASH,
    },
    "reward": {"base": "demo", "base_hash": HASH, "sources": SOURCES},
    "dpo": {"base": "demo", "base_hash": HASH, "sources": SOURCES},
    "rl": {
        "base": "demo",
        "base_hash": HASH,
        "prompts": "redteam@0",
        "prompts_hash": HASH,
        "rewards": [{"kind": "reward-model", "model": "RM", "model_hash": HASH}],
    },
}


def make_kind(workspace: Path, kind: str) -> Run:
    """A run of that kind, its inputs and the models that it may name."""
    for name in ("rm", "made"):
        (workspace / "runs" / name / "outputs" / "model").mkdir(parents=True)
    recipe = dict(RECIPES[kind])
    if kind == "rl":
        model = str((workspace / "runs" / "rm" / "outputs" / "model").absolute())
        recipe["rewards"] = [{**recipe["rewards"][0], "model": model}]
    run = create_run(workspace / "runs" / "plan-x-0123abcd", kind=kind, recipe=recipe)
    if kind in ("label", "rl"):
        (run.path / "inputs").mkdir()
        (run.path / "inputs" / "constitution.yaml").write_text("name: c\n")
    return run


@pytest.mark.parametrize(
    ("kind", "changes", "parents"),
    [
        ("label", {"seed": 2}, ("samples", "chains")),
        ("label", {"reasoned": True, "clamp": [0.3, 0.7]}, ("samples", "chains")),
        ("label", {"sources.1.share": 0.2, "orders": "first"}, ("samples", "chains")),
        ("label", {"feedback_model": "run:made"}, ("samples", "chains", "made")),
        ("reward", {"epochs": 2, "soft": False}, ("made",)),
        ("reward", {"base": "run:rm"}, ("made", "rm")),
        ("dpo", {"beta": 0.2}, ("made",)),
        ("dpo", {"sources": [{"run": "other"}]}, ("other",)),
        ("rl", {"steps": 7, "algorithm": "grpo"}, ("rm",)),
        ("rl", {"rewards.0.weight": 0.5, "alarms.kl": None}, ("rm",)),
        ("rl", {"rewards.0.model": "run:made"}, ("made",)),
        ("rl", {"rewards": [{"kind": "length"}]}, ()),
    ],
)
def test_runs_of_every_kind_are_cloned(
    tmp_path: Path, kind: str, changes: dict[str, Any], parents: tuple[str, ...]
) -> None:
    run = make_kind(tmp_path, kind)
    spec = build_clone(run, changes)
    assert spec.parents == parents
    assert spec.kind == kind
    assert spec.run_id.startswith("plan-x-") and spec.run_id != run.run_id
    assert set(spec.inputs) == ({"constitution.yaml"} if kind in ("label", "rl") else set())
    held, wanted = list_changeable(run), dict(spec.recipe)
    for key, value in changes.items():
        if key.endswith("model") or key == "base" or isinstance(value, list | dict):
            continue
        assert held[key] != value
        place: Any = wanted
        for step in key.split("."):
            place = place[int(step)] if isinstance(place, list) else place[step]
        assert place == value
    if changes.get("rewards.0.model"):
        assert spec.recipe["rewards"][0]["model_hash"] is None
    # The same changes are the same run.
    assert build_clone(run, changes).run_id == spec.run_id


@pytest.mark.parametrize("kind", RECIPES)
def test_what_is_listed_of_every_kind_is_known_and_no_input_or_hash(
    tmp_path: Path, kind: str
) -> None:
    run = make_kind(tmp_path, kind)
    held = list_changeable(run)
    assert not [key for key in held if "hash" in key or key in ("constitution", "prompts")]
    for key, value in held.items():
        with pytest.raises(RecipeError, match="nothing is changed"):
            build_clone(run, {key: value})
    assert ("prompts_per_step" in held) is (kind == "rl")


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("label", {"feedback_model": "/etc"}),
        ("label", {"feedback_model": "http://127.0.0.1:9#m"}),
        ("reward", {"base": "/etc"}),
        ("dpo", {"base": "./model"}),
        ("rl", {"base": "/etc"}),
        ("rl", {"rewards": [{"kind": "judge", "model": "/etc"}]}),
    ],
)
def test_who_is_no_admin_names_no_place_in_a_clone(
    tmp_path: Path, kind: str, changes: dict[str, Any]
) -> None:
    make_kind(tmp_path, kind)
    with pytest.raises(RecipeError, match="Folders and URLs are an admin's to name"):
        jobs.clone_run(EDITOR, tmp_path, "plan-x-0123abcd", changes)
    assert load_queue(tmp_path) == []
    run = open_run(tmp_path / "runs" / "plan-x-0123abcd")
    if "rewards" not in changes:
        assert build_clone(run, changes).kind == kind


@pytest.mark.parametrize(
    ("kind", "changes", "told"),
    [
        ("rl", {"rewards.0.model": "/etc"}, "Name the run that made the reward model"),
        ("rl", {"rewards.0.model": "run:gone"}, "no run of that id made a model"),
        ("rl", {"rewards.1.weight": 1}, "no such key"),
        ("rl", {"prompts_hash": "0"}, "belongs to the inputs"),
        ("label", {"constitution": "other"}, "belongs to the inputs"),
        ("label", {"thoughts": 3}, "without `reasoned`"),
        ("dpo", {"sources.0.run": "../../etc"}, "Give the id of a run"),
        ("reward", {"micro_batch": 5}, "multiple"),
    ],
)
def test_what_cannot_be_in_a_clone_is_refused(
    tmp_path: Path, kind: str, changes: dict[str, Any], told: str
) -> None:
    run = make_kind(tmp_path, kind)
    with pytest.raises(RecipeError, match=told):
        build_clone(run, changes)


def test_an_editor_keeps_a_model_that_an_admin_named(tmp_path: Path) -> None:
    spec = make_spec("r")
    recipe = {**spec.recipe, "model": "/srv/models/big"}
    jobs.submit(LOCAL_ACTOR, tmp_path, replace(spec, recipe=recipe), accept_risk=True)
    run = open_run(tmp_path / "runs" / "r")
    clone = build_clone(run, {"chain.seed": 2}, endpoints=("demo",))
    assert clone.recipe["model"] == "/srv/models/big"


def test_only_runs_of_kinds_with_a_recipe_to_change_are_cloned(tmp_path: Path) -> None:
    run = create_run(tmp_path / "runs" / "x", kind="playground", recipe={"a": 1})
    with pytest.raises(WorkspaceError, match="kind playground cannot be cloned"):
        list_changeable(run)
