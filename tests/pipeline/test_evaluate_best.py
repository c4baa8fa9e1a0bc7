"""Best of n in an evaluation, with the real demo model: drawn, compared, chosen, judged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cai_core.errors import RecipeError
from cai_core.inference.launcher import stop_server
from cai_core.jobs.forecast_runs import forecast_runs
from cai_core.jobs.stages import run_stage
from cai_core.pipeline.evaluate import read_metrics
from cai_core.pipeline.evaluate_best import choose_responses
from cai_core.pipeline.evaluate_inputs import load_evaluate_inputs
from cai_core.pipeline.evaluate_plan import count_rows, plan_cases
from cai_core.pipeline.evaluate_recipe import EvaluateRecipe, parse_evaluate_recipe
from cai_core.pipeline.evaluate_records import read_judged
from cai_core.records import StepKind
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import Run
from cai_core.workspace.status import RunState
from tests.pipeline.evaluations import make_run, make_spec

SETTINGS = {"suite": ("demo-harmful", "demo-fine"), "limit": 6, "samples": 2, "seed": 3}
BEST = {"best_of": 3, "feedback_model": "demo", "feedback_constitution": "harmlessness"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("best")
    try:
        yield folder
    finally:
        stop_server("demo", folder)


@pytest.fixture(scope="module")
def best(workspace: Path) -> Run:
    run = make_run(workspace, "best", judge="demo", **SETTINGS, **BEST)
    run_stage(run, workspace)
    return run


def test_each_answer_is_the_chosen_one_and_what_was_judged(workspace: Path, best: Run) -> None:
    assert best.status().state is RunState.SUCCEEDED
    recipe = parse_evaluate_recipe(best.recipe)
    inputs, rows = load_evaluate_inputs(best, recipe), RowIndex(best, "evaluate")
    lines = {(line["prompt_id"], line["sample"]): line for line in read_judged(best.path)}
    asked = set()
    for case in plan_cases(recipe, inputs, best.run_id):
        drawn = [rows[one.row_id] for one in (*case.responses, *case.candidates)]
        assert len(drawn) == 3
        (chosen,) = choose_responses(case, rows, recipe, inputs.feedback, best.run_id)
        line = lines[case.prompt.id, case.sample]
        assert line["response"] == rows[chosen.row_id].text
        assert line["response_row"] == chosen.row_id and line["reasons"]
        asked |= {row.row_id for row in drawn}
    compared = [row for row in rows.values() if row.kind is StepKind.LABEL]
    # Both orders of each comparison, none twice over prompts and samples.
    assert len({(row.prompt_id, row.sample, row.order) for row in compared}) == len(compared)
    assert {row.order for row in compared} == {0, 1} and rows.doubled == 0
    assert len(rows) <= sum(count_rows(recipe, inputs).values())
    told = read_metrics(best.path)
    assert told["best_of"] == 3 and told["feedback"]["constitution"]["name"] == "harmlessness"


def test_gone_on_with_it_asks_nothing_again(workspace: Path, best: Run) -> None:
    before = (best.outputs / "judgements.jsonl").read_bytes()
    rows = len(RowIndex(best, "evaluate"))
    run_stage(best, workspace)
    assert (best.outputs / "judgements.jsonl").read_bytes() == before
    assert len(RowIndex(best, "evaluate")) == rows


def test_one_answer_is_what_it_was_and_the_first_of_several_is_the_plain_one(
    workspace: Path, best: Run
) -> None:
    plain = make_spec(workspace, "plain", **SETTINGS)
    assert not {"best_of", "feedback_model"} & set(plain.recipe)
    recipe = parse_evaluate_recipe(best.recipe)
    alone = parse_evaluate_recipe(plain.recipe)
    inputs = load_evaluate_inputs(best, recipe)
    cases = zip(plan_cases(recipe, inputs, "r"), plan_cases(alone, inputs, "r"), strict=True)
    for several, one in cases:
        assert several.responses == one.responses and one.candidates == ()
    spec = make_spec(workspace, "again", judge="demo", **SETTINGS, **BEST)
    (forecast,) = forecast_runs([spec], workspace)
    assert "72 choices" in forecast.figures["rows"].formula


def test_what_goes_together_is_checked(workspace: Path) -> None:
    base = {"model": "m", "suite": "s", "suite_hash": "h"}
    for wrong in ({"best_of": 2}, {"feedback_model": "m"}, {**BEST, "best_of": 99}):
        with pytest.raises(RecipeError):
            parse_evaluate_recipe({**base, **wrong})
    assert "best_of" not in EvaluateRecipe(**base).as_dict()
    with pytest.raises(RecipeError, match="have several turns"):
        make_spec(workspace, "turns", suite="multi-turn", **BEST)
