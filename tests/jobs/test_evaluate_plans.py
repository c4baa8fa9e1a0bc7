"""`evaluate` runs in plans: looked up, forecast, scheduled, cloned; and what is doubtful."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cai_core.errors import ImportFormatError, RecipeError
from cai_core.jobs.clone import build_clone, list_changeable
from cai_core.jobs.evaluate_cautions import find_maker, list_cautions
from cai_core.jobs.evaluate_suites import find_suite, list_suites
from cai_core.jobs.forecast_runs import forecast_runs
from cai_core.jobs.plan_specs import build_plan
from cai_core.jobs.schedule import find_slot
from cai_core.pipeline.evaluate_inputs import load_evaluate_inputs
from cai_core.pipeline.evaluate_recipe import parse_evaluate_recipe
from cai_core.pipeline.frozen_prompts import encode_prompts
from cai_core.records import ModelInfo, Prompt, PromptKind
from cai_core.workspace.files import replace_file
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.writer import RunWriter
from tests.jobs.plans import CHAINS, SL
from tests.pipeline.evaluations import make_run, make_spec

URL = "http://127.0.0.1:9#m"


def info(model: str, weights: str | None = None) -> ModelInfo:
    return ModelInfo(model_id=model, engine="e", engine_version="1", weights_hash=weights)


def test_names_become_hashes_and_inputs(tmp_path: Path) -> None:
    run = make_run(
        tmp_path,
        "r",
        suite=["harmful", "borderline"],
        limit=10,
        judge=URL,
        constitution="harmlessness",
        system_constitution="helpful-honest-harmless",
    )
    recipe = parse_evaluate_recipe(run.recipe)
    assert (recipe.suite, recipe.rubric) == ("harmful + borderline", "general")
    assert (recipe.judge_tokens, recipe.sampling.max_tokens) == (512, 256)
    inputs = load_evaluate_inputs(run, recipe)
    assert len(inputs.suite.prompts) == 10
    assert {prompt.kind for prompt in inputs.suite.prompts} == {"harmful", "borderline"}
    assert inputs.system is not None and inputs.system.name == "helpful-honest-harmless"


@pytest.mark.parametrize(
    ("suite", "judge", "rubric", "tokens"),
    [
        ("demo-fine", "demo", "demo-world", (128, 96)),
        ("demo-fine", URL, "general", (128, 512)),
        ("fine", "demo", "general", (256, 512)),
    ],
)
def test_the_rubric_goes_with_suite_and_judge(
    tmp_path: Path, suite: str, judge: str, rubric: str, tokens: tuple[int, int]
) -> None:
    recipe = parse_evaluate_recipe(make_spec(tmp_path, "r", suite=suite, judge=judge).recipe)
    assert recipe.rubric == rubric
    assert (recipe.sampling.max_tokens, recipe.judge_tokens) == tokens
    own = {"rubric": "general", "judge_tokens": 9, "sampling": {"max_tokens": 7}}
    told = parse_evaluate_recipe(make_spec(tmp_path, "r", suite=suite, judge=judge, **own).recipe)
    assert (told.rubric, told.judge_tokens, told.sampling.max_tokens) == ("general", 9, 7)


def test_a_run_that_is_planned_judges_as_it_will(tmp_path: Path) -> None:
    """The same id before and after the judge is made."""
    runs = [
        {**CHAINS, "name": "chains"},
        {**SL, "name": "sl"},
        {
            "name": "e",
            "kind": "evaluate",
            "model": "run:sl",
            "suite": "demo-fine",
            "judge": "run:sl",
        },
    ]
    text = yaml.safe_dump({"format": 1, "name": "plan", "runs": json.loads(json.dumps(runs))})
    spec = build_plan(text, "plan", tmp_path, tmp_path)[-1]
    assert (spec.recipe["rubric"], len(spec.parents)) == ("demo-world", 1)


def test_the_same_plan_is_the_same_run_and_any_change_another(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"suite": "demo-fine", "judge": "demo", "limit": 5}
    first = make_spec(tmp_path, "r", **settings).run_id
    assert make_spec(tmp_path / "elsewhere", "r", **settings).run_id == first
    for change in ({"limit": 6}, {"seed": 1}, {"judge": URL}, {"samples": 1}, {"model": URL}):
        assert make_spec(tmp_path, "r", **{**settings, **change}).run_id != first


def test_every_fault_is_told(tmp_path: Path) -> None:
    runs = [
        {"name": "a", "kind": "evaluate", "model": "demo", "suite": "fine", "judges": 1},
        {"name": "b", "kind": "evaluate", "model": "demo", "suite": []},
        {"name": "c", "kind": "evaluate", "model": "no/such", "suite": "nothing"},
        {"name": "d", "kind": "evaluate", "suite": "fine", "judge": "demo", "rubric": "mine"},
        {"name": "e", "kind": "evaluate", "suite": "fine", "constitution": "nowhere"},
        {"name": "f", "kind": "evaluate", "model": "run:a", "suite": "fine"},
        {"name": "g", "kind": "evaluate", "suite": "demo", "judge": "demo", "ratings": True},
    ]
    text = yaml.safe_dump({"format": 1, "name": "plan", "runs": runs})
    with pytest.raises(RecipeError) as caught:
        build_plan(text, "plan", tmp_path, tmp_path)
    told = str(caught.value)
    for part in (
        "run 'a': unknown keys judges",
        "run 'b': suite is []",
        "run 'c': suite: no suite 'nothing'",
        "run 'd': rubric: no rubric",
        "run 'e': ratings and a constitution's principles need a judge",
        "run 'f': model: run 'a' has a fault",
        "run 'g': rubric: demo-world rates nothing",
    ):
        assert part in told


def test_a_page_names_no_file(tmp_path: Path) -> None:
    for key, value in (("suite", "/etc/passwd"), ("rubric", "../mine.yaml")):
        run = {"name": "a", "kind": "evaluate", "model": "demo", "suite": "fine", "judge": "demo"}
        text = yaml.safe_dump({"format": 1, "name": "p", "runs": [{**run, key: value}]})
        with pytest.raises(RecipeError, match="is a path"):
            build_plan(text, "p", tmp_path, tmp_path, names_only=True)


def test_suites_by_name_by_file_and_of_prompt_sets(tmp_path: Path) -> None:
    assert list_suites()[:4] == ("demo", "demo-harmful", "demo-fine", "demo-borderline")
    both = find_suite(["demo-harmful", "demo-fine"], tmp_path, tmp_path)
    assert len(both.prompts) == 440
    (tmp_path / "mine.jsonl").write_text('{"kind": "fine", "prompt": "How do I bake bread?"}\n')
    mine = find_suite(["mine.jsonl"], tmp_path, tmp_path)
    assert (mine.name, len(mine.prompts)) == ("mine", 1)
    run = make_run(tmp_path, "r", suite="mine.jsonl")
    assert load_evaluate_inputs(run, parse_evaluate_recipe(run.recipe)).suite.hash == mine.hash
    shipped = find_suite(["borderline", "helpful"], tmp_path, tmp_path)
    assert len(shipped.prompts) > 500  # the second is a prompt set
    with pytest.raises(ImportFormatError, match="ids of prompts are in two"):
        find_suite(["demo-fine", "demo-fine"], tmp_path, tmp_path)
    (tmp_path / "bare.txt").write_text("How do I bake bread?\n")
    with pytest.raises(ImportFormatError, match="have no kind"):
        find_suite(["bare.txt"], tmp_path, tmp_path)


def test_rows_are_counted_before_they_are_made(tmp_path: Path) -> None:
    spec = make_spec(
        tmp_path,
        "r",
        suite=["harmful", "multi-turn"],
        limit=20,
        samples=2,
        judge="demo",
        ratings=True,
        constitution="helpful-honest-harmless",
        adherence_prompts=5,
    )
    (forecast,) = forecast_runs([spec], tmp_path)
    figure = forecast.figures["rows"]
    inputs = load_evaluate_inputs(
        make_run(
            tmp_path,
            "x",
            suite=["harmful", "multi-turn"],
            limit=20,
            samples=2,
            judge="demo",
            ratings=True,
            constitution="helpful-honest-harmless",
            adherence_prompts=5,
        ),
        parse_evaluate_recipe(spec.recipe),
    )
    turns = sum(len(prompt.turns) for prompt in inputs.suite.prompts)
    # Five questions and a rating for each response, six principles for five of them.
    assert figure.value == 2 * turns + 40 * 6 + 5 * 6
    assert forecast.figures["seconds"].value is None
    assert forecast.figures["completion_tokens"].basis.startswith("assumed")


def test_only_what_asks_elsewhere_leaves_the_accelerator(tmp_path: Path) -> None:
    def slot(name: str, **entry: Any) -> str:
        return find_slot(make_run(tmp_path, name, suite="demo-fine", limit=1, **entry), tmp_path)

    assert slot("a") == "accelerator"
    assert slot("b", model=URL) == "remote"
    assert slot("c", model=URL, judge=URL) == "remote"
    assert slot("d", model=URL, judge="demo") == "accelerator"


def test_a_clone_asks_the_same_of_another_model(tmp_path: Path) -> None:
    run = make_run(tmp_path, "r-0123abcd", suite="demo-fine", limit=2, judge="demo")
    clone = build_clone(run, {"model": URL, "seed": 4})
    assert clone.recipe == {**run.recipe, "model": URL, "seed": 4}
    assert (
        b"".join(clone.inputs["suite.jsonl"]())
        == (run.path / "inputs" / "suite.jsonl").read_bytes()
    )
    with pytest.raises(RecipeError, match="belongs to the inputs"):
        build_clone(run, {"suite": "other"})
    assert {"model", "judge", "samples"} <= list_changeable(run).keys()
    assert not {"suite", "rubric", "limit"} & list_changeable(run).keys()


@pytest.fixture
def lineage(tmp_path: Path) -> Run:
    """A model made by `sl` from the chains and labels of a workspace."""
    runs = tmp_path / "runs"
    chains = create_run(
        runs / "chains", kind="revise", recipe={"model": "demo", "critic_model": None}
    )
    create_run(runs / "labels", kind="label", recipe={"feedback_model": URL}, parents=["chains"])
    sl = create_run(runs / "sl", kind="dpo", recipe={"base": "demo"}, parents=["labels"])
    (sl.outputs / "model").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (sl.outputs / "model" / name).write_text("{}")
    suite = find_suite(["fine"], tmp_path, tmp_path)
    prompts = [suite.prompts[3].build_prompt(), suite.prompts[7].build_prompt()]
    held = Prompt(
        prompt_id="h",
        conversation=prompts[1].conversation,
        kind=PromptKind.HELPFUL,
        tags=("split:held-out",),
    )
    (chains.path / "inputs").mkdir()
    replace_file(chains.path / "inputs" / "prompts.jsonl", encode_prompts([prompts[0], held]))
    return sl


def test_what_makes_an_evaluation_doubtful_is_known_beforehand(
    tmp_path: Path, lineage: Run
) -> None:
    model = str(lineage.outputs / "model")
    assert find_maker(tmp_path, model) == "sl"
    assert find_maker(tmp_path, "demo") is None and find_maker(tmp_path, URL) is None

    def cautions(suite: str, judge: str | None, by: ModelInfo | None) -> list[str]:
        entry = {"judge": judge} if judge else {}
        name = f"e{len(list((tmp_path / 'runs').iterdir()))}"
        run = make_run(tmp_path, name, model=model, suite=suite, **entry)
        recipe = parse_evaluate_recipe(run.recipe)
        inputs = load_evaluate_inputs(run, recipe)
        found = list_cautions(tmp_path, recipe, inputs.suite, info("sl", "w"), by)
        return [caution.text for caution in found]

    assert cautions("demo-fine", None, None) == []
    assert cautions("demo-fine", "demo", info("demo", "v")) == [
        "the judge, demo, also taught this model: it is the critic of chains"
    ]
    assert cautions("demo-fine", URL, info("m")) == [
        f"the judge, {URL}, also taught this model: it is the feedback of labels"
    ]
    (own,) = cautions("demo-fine", model, info("sl", "w"))
    assert own.startswith("the judge is the model itself")
    (near,) = cautions("fine", None, None)
    assert "1 of its 234 prompts" in near and "fine-004" in near


def test_a_teacher_is_known_by_its_weights(tmp_path: Path, lineage: Run) -> None:
    """Under another name, the model that labelled is still the one that labelled."""
    from tests.workspace.rows_of import make_row

    row = {**make_row("labels", "p").as_dict(), "role": "feedback", "weights_hash": "v"}
    labels = create_run(
        tmp_path / "runs" / "labels",
        kind="label",
        recipe={"feedback_model": URL},
        parents=["chains"],
    )
    with RunWriter(labels) as writer:
        writer.append_rows("label", [row])
    run = make_run(
        tmp_path,
        "e",
        model=str(lineage.outputs / "model"),
        suite="demo-fine",
        judge="http://127.0.0.1:8#other",
    )
    recipe = parse_evaluate_recipe(run.recipe)
    suite = load_evaluate_inputs(run, recipe).suite
    told = list_cautions(tmp_path, recipe, suite, info("sl", "w"), info("other", "v"))
    assert [caution.text for caution in told] == [
        "the judge, http://127.0.0.1:8#other, also taught this model: it is the feedback of labels"
    ]
