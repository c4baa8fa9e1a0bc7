"""The registry of made models: what it reads, and that what is deleted or damaged is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cai_core import cli
from cai_core.actions.jobs import delete_run
from cai_core.inference.model_folder import DEMO_FOLDER, compute_weights_hash
from cai_core.jobs.made_files import combine_digests, read_weights_hash
from cai_core.jobs.registry import compare_models, find_model, list_models, list_set_uses
from cai_core.records import LOCAL_ACTOR
from cai_core.training.checkpoints import MANIFEST, seal_checkpoint
from cai_core.workspace.journal import append_records
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.status import RunState, load_status, replace_status, save_status

HASH, RUN_BASE = "ab" * 32, "owner/name"


def make_run(workspace: Path, name: str, kind: str, recipe: dict[str, Any], *parents: str) -> Run:
    run = create_run(workspace / "runs" / name, kind=kind, recipe=recipe, parents=parents)
    set_state(run, RunState.SUCCEEDED)
    return run


def set_state(run: Run, state: RunState) -> None:
    path = run.path / "status.json"
    counts = {"steps_done": 30, "steps_total": 30}
    save_status(path, replace_status(load_status(path), state=state, counts=counts))


def make_model(workspace: Path, name: str, *parents: str, **changes: Any) -> Run:
    """A run with the demo model as what it made."""
    recipe = {"base": "demo", "base_hash": HASH, "method": "full", "sources": [], **changes}
    run = make_run(workspace, name, "sft", recipe, *parents)
    folder = run.outputs / "model"
    shutil.copytree(DEMO_FOLDER, folder)
    (folder / "README.md").write_text(f"# {name}\n", "utf-8")
    seal_checkpoint(folder)
    lines = [{"step": n, "loss": 3.0 - n / 10, "mean_token_accuracy": 0.5} for n in range(1, 11)]
    append_records(run.path / "metrics.jsonl", lines)
    (run.outputs / "too_long.json").write_text('{"left_out": 1, "kept": 40}')
    return run


def set_kind(run: Run, kind: str) -> None:
    path = run.path / "recipe.yaml"
    path.write_text(path.read_text("utf-8").replace("kind: sft", f"kind: {kind}"), "utf-8")


def make_chains(workspace: Path, name: str, constitution: str = "harmlessness") -> Run:
    recipe = {
        "constitution": constitution,
        "constitution_hash": "12" * 32,
        "prompts": "own@abc (x)",
    }
    return make_run(workspace, name, "revise", recipe)


def test_what_is_known_of_a_model(tmp_path: Path) -> None:
    make_chains(tmp_path, "chains")
    make_chains(tmp_path, "fine", "other")
    sources = [{"run": "chains", "use": "all"}, {"run": "fine", "use": "initial"}]
    run = make_model(tmp_path, "tuned", "chains", "fine", sources=sources)
    make_model(tmp_path, "again", "chains", "tuned", base=str(run.outputs / "model"))
    model = find_model(tmp_path, "tuned")
    assert model is not None and model.usable
    assert (model.examples, model.steps, model.metrics["loss"]) == (40, 30, 2.0)
    assert model.metrics["loss_first"] == pytest.approx(2.9)
    assert model.weights_hash == compute_weights_hash(run.outputs / "model")
    assert (model.base, model.base_hash, model.method) == ("demo", HASH, "full")
    assert model.constitutions == ("harmlessness@121212121212",)
    assert (model.parents, model.children) == (("chains", "fine"), ("again",))
    assert model.card == "# tuned\n"
    second = find_model(tmp_path, "again")
    assert second is not None and second.base == "tuned"
    assert [one.run for one in list_models(tmp_path)] == ["again", "tuned"]
    assert ("base", f"'demo' → '{run.outputs / 'model'}'") in compare_models(
        tmp_path, "tuned", "again"
    )


def test_what_preferences_and_rewards_were_made_under(tmp_path: Path) -> None:
    make_chains(tmp_path, "chains")
    label = {"constitution": "judged", "constitution_hash": "34" * 32}
    make_run(tmp_path, "labels", "label", label, "chains")
    make_model(tmp_path, "tuned", "chains")
    set_kind(make_model(tmp_path, "reward", "labels"), "reward")
    set_kind(make_model(tmp_path, "rl", "reward", "tuned", base=RUN_BASE), "rl")
    models = {model.run: model for model in list_models(tmp_path)}
    assert models["reward"].constitutions == ("judged@343434343434",)
    assert models["rl"].constitutions == ("judged@343434343434",)
    assert [models[name].answers for name in ("tuned", "reward", "rl")] == [True, False, True]
    assert models["tuned"].base_place == str(DEMO_FOLDER)
    assert models["rl"].base_place == RUN_BASE


def test_a_hub_models_hash_is_read_from_the_card(tmp_path: Path) -> None:
    run = make_model(tmp_path, "tuned", base="owner/name", base_hash=None)
    line = f"| base model | `owner/name`, weights `{HASH}` |\n"
    (run.outputs / "model" / "README.md").write_text(line)
    model = find_model(tmp_path, "tuned")
    assert model is not None and model.base_hash == HASH


def test_a_deleted_model_keeps_its_hash_and_says_so(tmp_path: Path) -> None:
    run = make_model(tmp_path, "tuned")
    before = compute_weights_hash(run.outputs / "model")
    delete_run(LOCAL_ACTOR, tmp_path, "tuned")
    model = find_model(tmp_path, "tuned")
    assert model is not None and not model.usable
    assert (model.state, model.folder, model.weights_hash) == (RunState.DELETED, None, before)
    assert "were deleted" in model.problem


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("gone", "is gone, though the run succeeded"),
        ("unsealed", "not written to its end"),
        ("cut", "model.safetensors is missing"),
        ("recipe", "cannot be read"),
        ("no recipe", "recipe.yaml is gone"),
    ],
)
def test_damage_is_said_and_hides_no_other_model(tmp_path: Path, damage: str, told: str) -> None:
    run = make_model(tmp_path, "tuned")
    make_model(tmp_path, "whole")
    folder = run.outputs / "model"
    match damage:
        case "gone":
            shutil.rmtree(folder)
        case "unsealed":
            (folder / MANIFEST).write_text("{")
        case "cut":
            (folder / "model.safetensors").unlink()
        case "recipe":
            (run.path / "recipe.yaml").write_text("[")
        case "no recipe":
            (run.path / "recipe.yaml").unlink()
    found = {model.run: model for model in list_models(tmp_path)}
    assert told in found["tuned"].problem
    assert not found["tuned"].usable
    assert found["whole"].usable


def test_runs_that_made_none_are_left_out(tmp_path: Path) -> None:
    make_chains(tmp_path, "chains")
    recipe = {"base": "demo"}
    broken = make_run(tmp_path, "broken", "sft", recipe)
    set_state(broken, RunState.FAILED)
    delete_run(LOCAL_ACTOR, tmp_path, make_run(tmp_path, "left", "revise", recipe).run_id)
    assert list_models(tmp_path) == []
    assert list_models(tmp_path / "nowhere") == []


def test_the_hash_of_several_files_is_that_of_the_weights(tmp_path: Path) -> None:
    for name in ("b.safetensors", "a.safetensors", "config.json"):
        (tmp_path / name).write_text(name)
    seal_checkpoint(tmp_path)
    assert read_weights_hash(tmp_path) == compute_weights_hash(tmp_path)
    assert combine_digests({"config.json": "x"}) is None


def test_uses_of_a_prompt_set_are_found_by_label(tmp_path: Path) -> None:
    make_chains(tmp_path, "chains")
    assert list_set_uses(tmp_path) == {"own@abc": ["chains"]}


def test_the_command_lists_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    assert cli.main(["models", "made"]) == 0
    assert "no run has made a model yet" in capsys.readouterr().out
    make_model(tmp_path, "tuned")
    cli.main(["models", "made"])
    told = capsys.readouterr().out
    assert "full of demo" in told and "loss 2.000" in told
    cli.main(["models", "made", "--json"])
    (model,) = json.loads(capsys.readouterr().out)
    assert (model["run"], model["steps"], model["adapter"]) == ("tuned", 30, None)
