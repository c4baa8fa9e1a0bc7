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
from cai_core.jobs.clone import list_changeable
from cai_core.jobs.queue import load_queue
from cai_core.pipeline.inputs import load_inputs
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.runs import Run, create_run
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


def test_only_runs_of_kinds_with_a_recipe_to_change_are_cloned(tmp_path: Path) -> None:
    run = create_run(tmp_path / "runs" / "x", kind="label", recipe={"a": 1})
    with pytest.raises(WorkspaceError, match="kind label cannot be cloned"):
        list_changeable(run)
