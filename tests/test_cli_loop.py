"""`loop`: a small plan with the demo model, really run; the second time every stage is reused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cai_core import cli
from cai_core.demo_world.judging import judge_chains
from cai_core.demo_world.oracle import load_oracle
from cai_core.errors import RecipeError
from cai_core.inference.launcher import stop_server
from cai_core.jobs.plan_specs import load_plan
from cai_core.jobs.plan_summary import Stage, summarise
from cai_core.workspace.runs import create_run
from cai_core.workspace.status import RunState, load_status, replace_status, save_status
from tests.jobs.background import Background
from tests.jobs.plans import write_plan

RECIPES = Path(__file__).resolve().parents[1] / "data" / "recipes"
ASKED: dict[str, Any] = {"kind": "revise", "constitution": "harmlessness", "model": "demo"}
SAMPLED: dict[str, Any] = {"revisions": 0, "samples": 2, "policy_sampling": {"max_tokens": 32}}
TRAINED: dict[str, Any] = {
    "base": "demo",
    "method": "full",
    "learning_rate": 1e-4,
    "batch_size": 2,
    "micro_batch": 2,
    "epochs": 1,
    "max_length": 384,
    "precision": "fp32",
}
PLAN: list[dict[str, Any]] = [
    {
        **ASKED,
        "name": "samples",
        "prompts": "redteam",
        "where": {"tags": ["split:train"], "limit": 3},
        "chain": {**SAMPLED, "seed": 1},
    },
    {
        "name": "labels",
        "kind": "label",
        "sources": [{"run": "samples"}],
        "feedback_model": "demo",
        "constitution": "harmlessness",
    },
    {
        **TRAINED,
        "name": "rm",
        "kind": "reward",
        "eval_share": 0.4,
        "sources": [{"run": "labels"}],
    },
    {
        **ASKED,
        "name": "held",
        "prompts": "redteam",
        "where": {"tags": ["split:held-out"], "limit": 3},
        "chain": {**SAMPLED, "seed": 2},
    },
]


@pytest.fixture(scope="module")
def looped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("loop")
    background = Background(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAI_WORKSPACE", str(folder))
        try:
            yield folder
        finally:
            background.end()
            stop_server("demo", folder)


def read_out(told: str) -> tuple[list[str], dict[str, Any]]:
    lines = told.splitlines()
    return lines, json.loads(lines[-1])


def test_a_loop_is_made_once_and_reused_after_that(looped: Path, tmp_path: Path, capsys) -> None:
    path = write_plan(tmp_path / "plan.yaml", *PLAN)
    assert cli.main(["loop", str(path)]) == 0
    lines, document = read_out(capsys.readouterr().out)
    assert [line.split()[2:] for line in lines[:4]] == [["new"]] * 4
    assert lines[4] == "4 stages, 0 reused"
    stages = {stage["kind"] + stage["run"].split("-")[1]: stage for stage in document["stages"]}
    assert all(stage["state"] == "succeeded" for stage in stages.values())
    labels = stages["labellabels"]["labels"]
    assert 1 <= labels["comparisons"] <= 3
    assert labels["by_model"] == labels["comparisons"]
    reward = stages["rewardrm"]
    assert reward["model"]["steps"] >= 1
    assert reward["model"]["metrics"]["loss"] > 0
    assert set(reward["evaluation"]) >= {"n", "accuracy", "loss"}
    # Of held-out prompts alone, and as the oracle itself says.
    assert "truth" not in stages["revisesamples"]
    held = stages["reviseheld"]
    chains = (looped / "runs" / held["run"] / "outputs" / "chains.jsonl").read_text().splitlines()
    truth = judge_chains(load_oracle(), map(json.loads, chains))
    complied = truth.rates["harmful compliance"]
    assert held["truth"]["rates"]["harmful compliance"]["rate"] == complied.rate
    assert held["truth"]["rates"]["harmful compliance"]["n"] == complied.n == 6
    assert any("by the oracle" in line for line in lines)

    before = {stage["run"]: status_of(looped, stage["run"]) for stage in document["stages"]}
    assert cli.main(["loop", str(path)]) == 0
    again = capsys.readouterr()
    lines, document = read_out(again.out)
    assert all("made already  reused" in line for line in lines[:4])
    assert lines[4] == "4 stages, 4 reused"
    assert "forecast" not in again.err
    assert all(stage["reused"] for stage in document["stages"])
    assert {stage["run"]: status_of(looped, stage["run"]) for stage in document["stages"]} == before

    # One that was interrupted goes on, and what it had written is not asked for again.
    run = looped / "runs" / held["run"]
    was = load_status(run / "status.json")
    save_status(run / "status.json", replace_status(was, state=RunState.INTERRUPTED))
    (run / "outputs" / "chains.jsonl").unlink()
    written = read_rows(run)
    assert cli.main(["loop", str(path)]) == 0
    lines, document = read_out(capsys.readouterr().out)
    assert "goes on" in lines[3] and lines[4] == "4 stages, 3 reused"
    assert [stage["reused"] for stage in document["stages"]] == [True, True, True, False]
    assert document["stages"][3]["truth"] == held["truth"]
    assert read_rows(run) == written

    # Labels of another seed: what comes before it is reused, what comes after is not.
    changed = [{**run, **({"seed": 9} if run["name"] == "labels" else {})} for run in PLAN]
    specs = load_plan(write_plan(tmp_path / "plan.yaml", *changed), looped)
    there = [(looped / "runs" / spec.run_id).exists() for spec in specs]
    assert there == [True, False, False, True]


def read_rows(run: Path) -> set[str]:
    """Ids of all rows that were ever written."""
    lines = [line for path in run.glob("rows/*.jsonl") for line in path.read_text().splitlines()]
    return {
        f"{place}:{json.loads(line)['row_id']}"
        for place, line in enumerate(lines)
        if "row_id" in line
    }


def status_of(workspace: Path, run: str) -> int:
    return load_status(workspace / "runs" / run / "status.json").sequence


def test_what_cannot_be_read_is_told_with_its_stage(tmp_path: Path) -> None:
    run = create_run(tmp_path / "runs" / "rm", kind="reward", recipe={})
    run.outputs.mkdir(exist_ok=True)
    (run.outputs / "evaluation.json").write_text("[]")
    stages = [Stage(run="rm", kind="reward", state=RunState.QUEUED)]
    stages.append(Stage(run="gone", kind="label", state=None))
    broken, gone = summarise(stages, tmp_path)
    assert "evaluation.json: holds no evaluation" in broken.problem
    assert gone.status is None
    assert gone.as_dict() == {"run": "gone", "kind": "label", "reused": False}
    assert (stages[0].stands, stages[1].stands) == ("goes on", "new")


def test_a_broken_plan_is_told_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path / "w"))
    path = write_plan(tmp_path / "plan.yaml", PLAN[1])
    assert cli.main(["loop", str(path)]) == 2
    assert "there is no run 'samples'" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_the_lora_recipe_is_a_plan_once_it_is_filled_in(tmp_path: Path) -> None:
    path = RECIPES / "rlaif-lora.yaml"
    with pytest.raises(RecipeError) as caught:
        load_plan(path, tmp_path / "w")
    blanks = {
        "MY-REDTEAM": "redteam",
        "MY-HELPFUL": "helpful",
        "SL-CAI-MODEL": "owner/name",
        "FEEDBACK-MODEL": "demo",
    }
    text = path.read_text("utf-8")
    for blank, filled in blanks.items():
        assert blank in text
        text = text.replace(blank, filled)
    for blank in ("MY-REDTEAM", "MY-HELPFUL", "SL-CAI-MODEL"):
        assert blank in str(caught.value)
    filled_in = tmp_path / "mine.yaml"
    filled_in.write_text(text, "utf-8")
    specs = {
        spec.run_id.removeprefix("rlaif-lora-")[:-9]: spec
        for spec in load_plan(filled_in, tmp_path / "w")
    }
    assert [specs[name].kind for name in ("labels", "rm", "rl", "dpo")] == [
        "label",
        "reward",
        "rl",
        "dpo",
    ]
    assert specs["rl"].recipe["alarms"]["longer"] == 2.0
    assert specs["rm"].run_id in specs["rl"].parents
    sources = {source["run"]: source["share"] for source in specs["rm"].recipe["sources"]}
    assert sources == {specs["labels"].run_id: None, specs["labels-fine"].run_id: 0.4}
