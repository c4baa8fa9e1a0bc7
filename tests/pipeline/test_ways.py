"""Ways to answer, compared: equal seeds, nothing asked twice, every answer readable afterwards."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cai_core.commands.verify import run_verify
from cai_core.constitution import find_constitution
from cai_core.demo_world.oracle import load_oracle
from cai_core.demo_world.ways_truth import judge_ways
from cai_core.errors import CaiError, RecipeError, RunMismatchError, ServerUnavailableError
from cai_core.inference.launcher import stop_server
from cai_core.pipeline.connect import launch
from cai_core.pipeline.label_building import plan_asks
from cai_core.pipeline.prompt_file import prompts_hash
from cai_core.pipeline.ways import WaysSetup, prepare_feedback, prepare_model
from cai_core.pipeline.ways_answers import (
    Answer,
    build_response_id,
    build_response_seed,
    list_matches,
    read_answer,
)
from cai_core.pipeline.ways_output import read_answers
from cai_core.pipeline.ways_recipe import Way, WaysRecipe, check_constitution, parse_ways_recipe
from cai_core.pipeline.ways_run import (
    KIND,
    STEP,
    count_rows,
    load_ways_inputs,
    run_ways,
    save_ways_inputs,
)
from cai_core.prompts.system_prompt import TEMPLATE_VERSION, build_system_prompt
from cai_core.records import Message, Prompt, SamplingParams, StepKind
from cai_core.workspace.rows import Row, RowIndex
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.status import RunState
from tests.pipeline.engines import HashEngine
from tests.pipeline.label_runs import held_out_prompts
from tests.workspace.rows_of import make_row

CONSTITUTION = find_constitution("harmlessness")
PROMPTS = [
    Prompt(prompt_id=f"p{n}#{n}", conversation=(Message("user", f"Q {n}?"),)) for n in (1, 2)
]


def make_recipe(**changes: object) -> WaysRecipe:
    fields: dict[str, object] = {
        "ways": (Way.PLAIN, Way.SYSTEM_PROMPT),
        "model": "m",
        "constitution": CONSTITUTION.name,
        "constitution_hash": CONSTITUTION.hash,
        "prompts": "test",
        "prompts_hash": prompts_hash(PROMPTS),
        "sampling": SamplingParams(max_tokens=96),
    }
    return WaysRecipe(**{**fields, **changes})


def make_run(folder: Path, recipe: WaysRecipe, prompts: Sequence[Prompt] = PROMPTS) -> Run:
    run = create_run(folder / "runs" / "ways-1", kind=KIND, recipe=recipe.as_dict())
    save_ways_inputs(run, prompts, CONSTITUTION)
    return run


async def go(
    run: Run, recipe: WaysRecipe, model: HashEngine, other: HashEngine | None = None
) -> None:
    start = asyncio.ensure_future
    setup = WaysSetup(
        run_id=run.run_id,
        recipe=recipe,
        constitution=CONSTITUTION,
        model=start(prepare_model(recipe, CONSTITUTION, model, run.run_id)),
        other=start(prepare_model(recipe, CONSTITUTION, other, run.run_id)) if other else None,
    )
    await run_ways(run, PROMPTS, setup, concurrency=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ways": ()}, "Name some of"),
        ({"ways": (Way.SYSTEM_PROMPT, Way.PLAIN)}, "in this order"),
        ({"ways": (Way.PLAIN, Way.PLAIN)}, "each once"),
        ({"ways": (Way.BEST_OF_N,)}, "feedback_model goes with"),
        ({"other_model": "x"}, "other_model goes with"),
        ({"model": ""}, "model is empty"),
        ({"n": 0}, "n is 0"),
        ({"n": 17}, "at most 16"),
        ({"seed": 2**63}, "below 2"),
        (
            {
                "ways": (Way.BEST_OF_N,),
                "feedback_model": "m",
                "sampling": SamplingParams(temperature=0.0),
            },
            "all the same",
        ),
        ({"ways": (Way.BEST_OF_N,), "feedback_model": "m", "principles": ()}, "principles is"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_recipe(**changes)


def test_a_recipe_comes_back_from_yaml_and_knows_its_keys() -> None:
    recipe = make_recipe(
        ways=tuple(Way), other_model="o", feedback_model="f", principles=("general-1",), n=3
    )
    document = yaml.safe_load(yaml.safe_dump(recipe.as_dict()))
    assert parse_ways_recipe(document) == recipe
    with pytest.raises(RecipeError, match="unknown keys colour"):
        parse_ways_recipe({**document, "colour": "red"})
    with pytest.raises(RecipeError, match="another kind"):
        parse_ways_recipe({**document, "ways": ["sideways"]})


def test_a_principle_that_is_off_is_not_judged_by() -> None:
    first, *rest = CONSTITUTION.principles
    off = replace(CONSTITUTION, principles=(replace(first, enabled=False), *rest))
    recipe = make_recipe(ways=(Way.BEST_OF_N,), feedback_model="m", principles=(first.id,))
    with pytest.raises(RecipeError, match="is off"):
        check_constitution(recipe, off)
    check_constitution(recipe, CONSTITUTION)


def test_the_ways_differ_in_nothing_but_the_way(tmp_path: Path) -> None:
    recipe = make_recipe(ways=(Way.PLAIN, Way.SYSTEM_PROMPT, Way.OTHER_MODEL), other_model="o")
    run, model, other = make_run(tmp_path, recipe), HashEngine("m"), HashEngine("o")
    asyncio.run(go(run, recipe, model, other))
    rows = list(RowIndex(run, STEP).values())
    assert len(rows) == len(PROMPTS) * count_rows(recipe) == 6
    by_prompt = {row.prompt_id: {} for row in rows}
    for row in rows:
        by_prompt[row.prompt_id][row.step] = row
    for prompt in PROMPTS:
        steps = by_prompt[prompt.prompt_id]
        assert len({row.seed for row in steps.values()}) == 1
        assert {row.sampling["max_tokens"] for row in steps.values()} == {96}
        system = steps["response-system"]
        told = system.prompt["conversation"]
        assert told[0] == {"role": "system", "content": build_system_prompt(CONSTITUTION).text}
        assert told[1:] == steps["response"].prompt["conversation"]
        assert system.template_version == TEMPLATE_VERSION
        assert steps["response-other"].model_id == "o"
    assert run.status().state is RunState.SUCCEEDED
    lines = list(read_answers(run.path))
    assert [line["prompt_id"] for line in lines] == [prompt.prompt_id for prompt in PROMPTS]
    assert list(lines[0]["answers"]) == ["plain", "system-prompt", "other-model"]
    assert lines[0]["answers"]["plain"]["text"] == steps_text(rows, PROMPTS[0], "response")


def steps_text(rows: list[Row], prompt: Prompt, step: str) -> str | None:
    return next(r.text for r in rows if r.prompt_id == prompt.prompt_id and r.step == step)


def test_a_broken_off_run_goes_on_and_asks_nothing_again(tmp_path: Path) -> None:
    recipe = make_recipe()
    run = make_run(tmp_path, recipe)
    with pytest.raises(ServerUnavailableError):
        asyncio.run(go(run, recipe, HashEngine("m", die_after=3)))
    assert run.status().state is RunState.INTERRUPTED
    assert len(RowIndex(run, STEP)) == 3
    rest = HashEngine("m")
    asyncio.run(go(run, recipe, rest))
    assert len(rest.asked) == 1
    whole = (run.outputs / "ways.jsonl").read_bytes()
    other = make_run(tmp_path / "other", recipe)
    asyncio.run(go(other, recipe, HashEngine("m")))
    assert (other.outputs / "ways.jsonl").read_bytes() == whole
    with pytest.raises(RunMismatchError, match="Bring the old weights back"):
        asyncio.run(go(run, recipe, HashEngine("m", weights="w2")))


def test_a_system_prompt_that_does_not_fit_is_that_ways_error(tmp_path: Path) -> None:
    recipe = make_recipe()
    run = make_run(tmp_path, recipe)
    asyncio.run(go(run, recipe, HashEngine("m", context=1000)))
    counts = json.loads((run.outputs / "ways.json").read_bytes())
    assert counts["ways"]["plain"]["answered"] == 2
    assert counts["ways"]["system-prompt"]["failed"] == 2
    assert "context is 1000" in counts["first_error"]
    (line, _) = read_answers(run.path)
    assert line["answers"]["system-prompt"]["text"] is None


def test_changed_inputs_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_recipe())
    assert [p.prompt_id for p in load_ways_inputs(run)[0]] == ["p1#1", "p2#2"]
    path = run.path / "inputs" / "constitution.yaml"
    path.write_text(path.read_text().replace("harm", "fun"))
    with pytest.raises(CaiError):
        load_ways_inputs(run)


def label_row(recipe: WaysRecipe, prob: float | None, **ids: object) -> Row:
    share = [0.0, 0.0, 1.0] if prob is None else [prob, 1 - prob, 0.0]
    scoring = {
        "way": "token-ids",
        "options": ["A", "B", "Tie"],
        "logprobs": [None, None, None],
        "probabilities": share,
        "mass": 0.1 if prob is None else 1.0,  # too little mass: unreadable
        "exact": True,
        "requests": 1,
    }
    return make_row(run_id="run", kind=StepKind.LABEL, scoring=scoring, text=None, **ids)


def answer_with(probs: dict[int, float | None]) -> Answer:
    """Best of two whose questions are answered so, by order."""
    recipe = make_recipe(ways=(Way.BEST_OF_N,), feedback_model="m", n=2)
    prompt, rows = PROMPTS[0], {}
    for sample in (0, 1):
        row_id = build_response_id("run", prompt, Way.BEST_OF_N, sample)
        rows[row_id] = make_row(row_id=row_id, sample=sample, text=f"text {sample}")
    samples = dict(enumerate(rows.values()))
    (match,) = list_matches(samples, prompt, recipe, "run")
    for ask in plan_asks(
        recipe.build_label_recipe("run"), CONSTITUTION, match.comparison, place=0, run_id="run"
    ):
        if ask.order in probs:
            rows[ask.row_id] = label_row(
                recipe, probs[ask.order], row_id=ask.row_id, order=ask.order
            )
    return read_answer(Way.BEST_OF_N, prompt, rows, recipe, CONSTITUTION, "run")


def test_both_orders_decide_and_one_alone_does_not() -> None:
    # Order 0 shows sample 0 first, order 1 shows sample 1 first.
    assert answer_with({0: 0.1, 1: 0.8}).chosen.sample == 1
    half = answer_with({0: 0.1})
    assert half.best is None and half.chosen is None
    # Whoever is shown first is preferred: that is position bias, a tie, and the earlier stays.
    assert answer_with({0: 0.9, 1: 0.9}).chosen.sample == 0


def test_an_unreadable_order_makes_the_comparison_unparsed_and_chooses_nothing() -> None:
    answer = answer_with({0: 0.1, 1: None})
    assert answer.best.winner is None and answer.best.unparsed == 1
    assert answer.text is None


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("ways")
    try:
        yield folder
    finally:
        stop_server("demo", folder)


def test_the_demo_model_answers_in_each_way_on_a_real_server(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = held_out_prompts("redteam", 3)
    recipe = make_recipe(
        ways=(Way.PLAIN, Way.SYSTEM_PROMPT, Way.BEST_OF_N),
        model="demo",
        feedback_model="demo",
        prompts_hash=prompts_hash(prompts),
        n=3,
    )
    run = make_run(workspace, recipe, prompts)

    async def ask() -> dict[str, object]:
        async with launch("demo", workspace).open() as pool:
            start = asyncio.ensure_future
            parts = (recipe, CONSTITUTION, pool, run.run_id)
            setup = WaysSetup(
                run_id=run.run_id,
                recipe=recipe,
                constitution=CONSTITUTION,
                model=start(prepare_model(*parts)),
                feedback=start(prepare_feedback(*parts)),
            )
            return await run_ways(run, prompts, setup, concurrency=3)

    counts = asyncio.run(ask())
    rows = RowIndex(run, STEP)
    for prompt, line in zip(prompts, read_answers(run.path), strict=True):
        plain, best = line["answers"]["plain"], line["answers"]["best-of-n"]
        assert best["samples"][0]["text"] == plain["text"]  # the very same row
        assert best["text"] == best["samples"][best["sample"]]["text"]
        assert best["seed"] == build_response_seed(recipe, prompt, best["sample"])
        texts = len({" ".join(sample["text"].split()) for sample in best["samples"]})
        assert len(best["matches"]) == texts * (texts - 1) // 2
        for match in best["matches"]:
            assert match["principle_ids"][0] in {p.id for p in CONSTITUTION.principles}
            assert 0 <= match["prob_first"] <= 1
            assert match["prob_first_shown_second"] is not None
    labels = [row for row in rows.values() if row.kind is StepKind.LABEL]
    assert {row.order for row in labels} == {0, 1}
    assert all(row.scoring and row.scoring["mass"] > 0.5 for row in labels)
    assert counts["ways"]["plain"]["answered"] == 3
    truths = judge_ways(load_oracle(), list(read_answers(run.path)))
    assert truths["plain"].truth.rates["harmful compliance"].n == 3
    monkeypatch.setenv("CAI_WORKSPACE", str(workspace))
    assert run_verify(argparse.Namespace(head=None, export_head=None)) == 0, capsys.readouterr()
    again = asyncio.run(ask())
    assert again["rows"] == counts["rows"]
