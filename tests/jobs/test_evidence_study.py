"""Which models stand for which method, which evaluation tells of each, and plans for more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cai_core import cli
from cai_core.constitution import load_constitution
from cai_core.constitution.store import SHIPPED as CONSTITUTIONS
from cai_core.demo_world import load_world
from cai_core.demo_world.qualifying import draw_known_comparisons
from cai_core.errors import RecipeError
from cai_core.evaluation.pairwise import compute_pairwise
from cai_core.inference.launcher import stop_server
from cai_core.jobs.evidence_plan import (
    PRESETS,
    build_comparison_plan,
    build_evaluation_plan,
    build_like,
    get_preset,
)
from cai_core.jobs.evidence_study import (
    BASE,
    BEST,
    DPO,
    RL,
    SL,
    SYSTEM,
    EvaluatedModel,
    Method,
    find_evaluation_of,
    find_methods,
    group_evidence,
    list_evaluated_models,
)
from cai_core.jobs.forecast_runs import forecast_runs
from cai_core.jobs.label_stage import run_label
from cai_core.jobs.pairwise_study import list_pairwise_runs, load_pairwise
from cai_core.jobs.plan_specs import build_plan
from cai_core.jobs.run_files import write_inputs
from cai_core.pipeline.compared_answers import read_compared
from cai_core.pipeline.label_records import read_labels
from cai_core.records import PromptKind
from cai_core.training.datasets import HELD_OUT
from cai_core.workspace.runs import create_run
from tests.drift_workspace import write_evaluation
from tests.evaluation.drift_makers import HEADER, make_line, make_lines
from tests.jobs.test_registry import make_chains, make_model, set_kind

SYSTEM_HASH = "12" * 32


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """What a whole loop leaves, and a model that was tuned beside it afterwards."""
    make_chains(tmp_path, "chains")
    sources = [{"run": "chains", "use": "final"}]
    sl = make_model(tmp_path, "sl", "chains", sources=sources)
    for kind in ("rl", "dpo"):
        base = str(sl.path / "outputs" / "model")
        set_kind(make_model(tmp_path, f"{kind}-made", "sl", base=base), kind)
    make_model(tmp_path, "refuser", "chains", sources=sources)
    return tmp_path


def evaluate(workspace: Path, run: str, model: str, **header: object) -> None:
    told = {**HEADER["model"], "name": model}
    write_evaluation(workspace, run, prompts=3, model=told, **header)


def test_methods_are_the_loops_own_models_and_not_those_beside_it(made: Path) -> None:
    methods = {one.label: one for one in find_methods(made)}
    assert list(methods) == [BASE, SYSTEM, BEST, SL, DPO, RL]
    assert {label: one.name for label, one in methods.items()} == {
        BASE: "demo",
        SYSTEM: "demo",
        BEST: "demo",
        SL: "sl",
        DPO: "dpo-made",
        RL: "rl-made",
    }
    assert methods[SYSTEM].system == f"harmlessness@{SYSTEM_HASH[:12]}"
    assert find_methods(made / "nowhere") == ()


def test_a_workspace_that_was_moved_still_knows_its_models(made: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    (made / "runs").rename(moved / "runs")
    names = [one.name for one in find_methods(moved)]
    assert names == ["demo"] * 3 + ["sl", "dpo-made", "rl-made"]


def test_evaluations_are_found_by_model_and_system_prompt(made: Path) -> None:
    system = {"name": "harmlessness", "hash": SYSTEM_HASH}
    evaluate(made, "older", "demo")
    evaluate(made, "base", "demo")
    evaluate(made, "under", "demo", system_constitution=system)
    evaluate(made, "tuned", str(made / "runs" / "sl" / "outputs" / "model"))
    evaluate(made, "strange", "big")
    elsewhere = {**HEADER["suite"], "name": "other", "hash": "7" * 64}
    evaluate(made, "elsewhere", "demo", suite=elsewhere)
    groups = group_evidence(find_methods(made), list_evaluated_models(made))
    assert [one.name for one in groups] == ["made", "other"]
    found = {label: one.run for label, one in groups[0].found.items()}
    assert found[SYSTEM] == "under" and found[SL] == "tuned"
    assert found[BASE] in ("base", "older")  # the newest; both may end in one second
    assert {one.label for one in groups[0].missing} == {BEST, DPO, RL}
    assert "strange" in [one.run for one in groups[0].others]
    names = {one.run: one.name for one in list_evaluated_models(made)}
    assert names["under"] == "demo under harmlessness as system prompt"


def test_plans_evaluate_all_alike_and_read_back(made: Path) -> None:
    methods = find_methods(made)
    text = build_evaluation_plan(methods, get_preset("demo-look"), judge="demo", seed=3)
    entries = yaml.safe_load(text)["runs"]
    made_models = ["run:sl", "run:dpo-made", "run:rl-made"]
    assert [one["model"] for one in entries] == ["demo"] * 3 + made_models
    assert (entries[2]["best_of"], entries[2]["feedback_model"]) == (4, "demo")
    assert {(one["limit"], one["seed"], one["judge"]) for one in entries} == {(60, 3, "demo")}
    entries = [one for one in entries if not {"system_constitution", "best_of"} & one.keys()]
    plain = yaml.safe_dump({"format": 1, "name": "e", "runs": entries})
    specs = build_plan(plain, "e", made, made, names_only=True)
    assert len({spec.recipe["suite_hash"] for spec in specs}) == 1
    # Like one that is there: the same but for the model.
    like = build_plan(build_like(methods[3:], specs[0].recipe), "e", made, made)
    for spec in like:
        assert {**spec.recipe, "model": ""} == {**specs[0].recipe, "model": ""}
    for preset in PRESETS:
        (spec,) = build_plan(
            build_evaluation_plan(methods[:1], preset, judge=None), "e", made, made
        )
        assert spec.recipe["samples"] == preset.samples and spec.recipe["judge"] is None


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two evaluations whose answers are known: the second one's are the better ones."""
    workspace = tmp_path_factory.mktemp("compared")
    rules = load_constitution(CONSTITUTIONS / "harmlessness.yaml")
    known = draw_known_comparisons(load_world(), rules, count=2, planted=12)
    for run, better in (("base", False), ("sl", True)):
        lines = [
            make_line(
                f"p{number}",
                "harmful",
                0,
                {"harmful compliance": {"oracle": not better}},
                response=one.preferred if better else one.other,
                conversation=[turn.as_dict() for turn in one.conversation],
            )
            for number, one in enumerate(known)
        ]
        # The same words in both: nobody is asked, and it is a tie.
        lines.append(make_line("same", "fine", 0, {}, response="We both say this."))
        write_evaluation(workspace, run, lines)
    try:
        yield workspace
    finally:
        stop_server("demo", workspace)


def test_evaluations_are_read_as_responses_that_are_held_out(compared: Path) -> None:
    first, *_, last = read_compared(compared / "runs" / "base")
    assert (first["kind"], last["kind"]) == (PromptKind.RED_TEAM.value, PromptKind.HELPFUL.value)
    assert HELD_OUT in first["tags"] and first["final"] == first["steps"][-1]["text"]


def test_a_label_run_compares_evaluations_in_both_orders(
    compared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = build_comparison_plan(
        ["base", "sl"], feedback="demo", constitution="harmlessness", reasoned=False
    )
    (spec,) = build_plan(text, "e", compared, compared, names_only=True)
    assert spec.parents == ("sl", "base")
    (forecast,) = forecast_runs([spec], compared)
    asked = int(forecast.figures["comparisons"].value)
    folder = compared / "runs" / spec.run_id
    folder.mkdir(parents=True)
    write_inputs(folder, spec.inputs, missing=False)
    run = create_run(folder, kind=spec.kind, recipe=spec.recipe, parents=spec.parents)
    run_label(run, compared)
    labels = list(read_labels(folder))
    assert len(labels) == asked <= 14
    assert all(HELD_OUT in label.tags and label.prob_a_second is not None for label in labels)
    assert list_pairwise_runs(compared) == [spec.run_id]
    study = load_pairwise(compared, spec.run_id)
    assert study.names == {"sl": "sl", "base": "base"}
    found = compute_pairwise(study.matches, ["base", "sl"], "base")
    rate = found.pairs["sl", "base"]
    assert found.identical >= 1 and rate.n + rate.unparsed == len(study.matches)
    # Most principles of the constitution do not touch a pair: a loss is rare all the same.
    assert rate.rate > 0.5 and rate.wins > 2 * rate.losses
    monkeypatch.setenv("CAI_WORKSPACE", str(compared))
    assert cli.main(["compare", spec.run_id, "--anchor", "sl"]) == 0
    told = capsys.readouterr().out
    assert "sl against base:" in told and "Elo, sl at 1000:" in told
    assert cli.main(["compare", "sl", "nobody"]) == 2
    assert cli.main(["compare", "sl", "sl"]) == 2
    assert "named twice" in capsys.readouterr().err


def test_the_command_tells_the_table_and_what_is_missing(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(made))
    assert cli.main(["evidence"]) == 2
    assert "Train one" in capsys.readouterr().err
    evaluate(made, "base", "demo")
    lines = make_lines({"harmful compliance": 0.0}, prompts=3)
    model = {**HEADER["model"], "name": "sl"}
    write_evaluation(made, "tuned", lines, model=model)
    assert cli.main(["evidence"]) == 0
    told = capsys.readouterr().out
    assert "against Base" in told and "  SL-CAI: 0.0 % [" in told
    assert "not evaluated by this suite: System prompt only, Best of n, DPO, RL-CAI" in told
    assert cli.main(["evidence", "--json"]) == 0
    assert '"reference": "Base"' in capsys.readouterr().out
    with pytest.raises(RecipeError):
        build_plan("format: 1\nname: e\nruns: []", "e", made, made)


def test_the_best_by_another_constitution_is_another_method() -> None:
    method = Method(label="Best of n", model="demo", best_of=4, rules="mine@abc")
    told: dict[str, Any] = {
        "model": "demo",
        "system": None,
        "best_of": 4,
        "suite": "demo",
        "suite_hash": "s",
        "judge": None,
        "at": "",
    }
    of = {"feedback_constitution": "mine", "feedback_constitution_hash": "abcdef"}
    mine = EvaluatedModel(run="mine", recipe=of, **told)
    other = EvaluatedModel(run="other", recipe={**of, "feedback_constitution": "x"}, **told)
    assert find_evaluation_of(method, [other]) is None
    assert find_evaluation_of(method, [other, mine]) == "mine"
