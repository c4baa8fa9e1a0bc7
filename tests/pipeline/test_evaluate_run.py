"""Evaluations of the demo model on the real bundled server: judged, killed, resumed, deleted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cai_core import cli
from cai_core.actions.jobs import delete_run
from cai_core.commands.evaluate import build_lines
from cai_core.errors import RunMismatchError, WorkspaceError
from cai_core.evaluation.suite_file import load_shipped
from cai_core.inference.launcher import stop_server
from cai_core.jobs.evaluate_stage import run_evaluate
from cai_core.jobs.forecast_evaluate import read_inputs
from cai_core.jobs.forecast_runs import forecast_runs
from cai_core.jobs.run_files import STOPPED
from cai_core.jobs.stages import run_stage
from cai_core.pipeline.evaluate import read_metrics
from cai_core.pipeline.evaluate_inputs import RUBRIC
from cai_core.pipeline.evaluate_plan import count_rows
from cai_core.pipeline.evaluate_recipe import parse_evaluate_recipe
from cai_core.pipeline.evaluate_records import read_judged
from cai_core.pipeline.inputs import FOLDER
from cai_core.records import LOCAL_ACTOR, Finding, StepKind
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import Run
from cai_core.workspace.status import RunState
from cai_core.workspace.stops import leave_stop
from tests.pipeline.evaluations import make_run, make_spec

REPOSITORY = Path(__file__).resolve().parents[2]
WORKER = (
    "import sys; from pathlib import Path; from cai_core.jobs.stages import run_stage;"
    "from cai_core.workspace.runs import open_run;"
    "folder = Path(sys.argv[1]); run_stage(open_run(folder), folder.parents[1])"
)
# Half of the prompts are harmful: they are asked more.
SUITES = ("demo-harmful", "demo-fine")
SETTINGS: dict[str, Any] = {"suite": SUITES, "limit": 24, "samples": 2, "judge": "demo", "seed": 3}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("evaluations")
    try:
        yield folder
    finally:
        stop_server("demo", folder)


@pytest.fixture(scope="module")
def plain(workspace: Path) -> Run:
    run = make_run(workspace, "plain", **SETTINGS)
    run_stage(run, workspace)
    return run


def lines_of(run: Run) -> list[dict[str, Any]]:
    return list(read_judged(run.path))


def test_every_response_is_judged_with_its_reasons_kept(plain: Run) -> None:
    assert plain.status().state is RunState.SUCCEEDED
    lines, rows = lines_of(plain), RowIndex(plain, "evaluate")
    assert len(lines) == 48
    kinds = Counter(line["kind"] for line in lines)
    assert min(kinds["harmful"], kinds["fine"]) >= 8
    recipe = parse_evaluate_recipe(plain.recipe)
    assert (recipe.sampling.max_tokens, recipe.judge_tokens) == (128, 96)
    for line in lines:
        response = rows[line["response_row"]]
        assert (response.kind, response.role) == (StepKind.RESPONSE, "policy")
        assert response.text == line["response"]
        assert line["outside"] in (True, False)
        asked = 4 if line["kind"] == "harmful" else 1
        assert len(line["reasons"]) == asked
        for step, row_id in line["reasons"].items():
            row = rows[row_id]
            assert (row.step, row.kind, row.role) == (step, StepKind.CRITIQUE, "feedback")
            assert row.finding in (Finding.FOUND, Finding.NOT_TOUCHED)
            assert row.text and row.sampling["temperature"] == 0
    status = plain.status()
    assert status.counts["rows_done"] == status.counts["rows_total"] == len(rows)
    assert (rows.doubled, rows.damaged) == (0, 0)


def test_the_judge_agrees_with_the_oracle(plain: Run) -> None:
    agreement = read_metrics(plain.path)["agreement"]
    assert set(agreement) == {
        "harmful compliance",
        "leak",
        "refusal",
        "evasive",
        "cites principle",
        "over-refusal",
    }
    for name, told in agreement.items():
        assert told["unparsed"] == 0
        assert told["agreement"]["rate"] >= 0.9, name


def test_the_figures_are_rates_with_intervals_by_reader_and_kind(plain: Run) -> None:
    metrics = read_metrics(plain.path)
    complied = metrics["measures"]["harmful compliance"]
    assert list(complied) == ["oracle", "judge"]
    for told in complied.values():
        rate = told["rate"]
        assert 0 <= rate["low"] <= rate["rate"] <= rate["high"] <= 1
        assert told["by_kind"]["harmful"]["rate"] == rate
        assert rate["n"] == 2 * rate["clusters"]  # two samples of each intent
    assert complied["oracle"]["rate"]["rate"] > 0.8  # the demo model was not aligned
    assert "phrases" in metrics["measures"]["over-refusal"]
    assert metrics["text"]["all"]["words"]["mean"] > 5
    assert metrics["judge"]["rubric"] == "demo-world"
    assert metrics["judge"]["weights_hash"] == metrics["model"]["weights_hash"]
    assert [one["kind"] for one in metrics["cautions"]] == ["judge is model"]


def test_the_command_line_tells_them(plain: Run) -> None:
    told = list(build_lines(read_metrics(plain.path)))
    assert told[0].startswith("demo on demo-harmful + demo-fine@")
    assert told[0].endswith(": 48 responses to 24 prompts")
    assert told[1].startswith("judge demo, by rubric demo-world@")
    (complied,) = [line for line in told if "harmful compliance, by the judge" in line]
    assert " % [" in complied and "(n = " in complied
    assert any(line.startswith("  judge − oracle, harmful compliance: ") for line in told)
    assert told[-1] == "  careful: the judge is the model itself: it may not see its own faults"


def test_the_forecast_counts_every_row(workspace: Path, plain: Run) -> None:
    spec = make_spec(workspace, "plain", **SETTINGS)
    (forecast,) = forecast_runs([spec], workspace)
    assert forecast.figures["rows"].value == len(RowIndex(plain, "evaluate"))
    assert forecast.figures["rows"].basis == "counted"
    assert forecast.figures["memory"].value


def test_a_run_that_was_killed_goes_on_to_the_same_figures(plain: Run, workspace: Path) -> None:
    run = make_run(workspace, "killed", **SETTINGS)
    command = [sys.executable, "-c", WORKER, str(run.path)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not any(path.read_bytes().count(b"\n") > 20 for path in run.path.glob("rows/*.jsonl")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert run.status().state is RunState.INTERRUPTED
    before = {row.row_id: row for row in RowIndex(run, "evaluate").values()}
    assert 20 <= len(before) < len(RowIndex(plain, "evaluate"))
    run_evaluate(run, workspace)
    index = RowIndex(run, "evaluate")
    assert all(index[row_id] == row for row_id, row in before.items())
    assert (len(index), index.doubled) == (len(RowIndex(plain, "evaluate")), 0)
    assert (run.outputs / "metrics.json").read_bytes() == (
        plain.outputs / "metrics.json"
    ).read_bytes()
    # Lines hold ids of rows, and those hold the run's name.
    ours, theirs = ([forget_rows(line) for line in lines_of(one)] for one in (run, plain))
    assert ours == theirs


def test_a_run_that_a_person_stopped_goes_on(plain: Run, workspace: Path) -> None:
    run = make_run(workspace, "stopped", **SETTINGS)
    command = [sys.executable, "-m", "cai_core.jobs.worker", str(run.path)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not any(path.read_bytes().count(b"\n") > 20 for path in run.path.glob("rows/*.jsonl")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    leave_stop(run.path, "Ada")
    process.terminate()
    assert process.wait(60) == STOPPED
    status = run.status()
    assert (status.state, status.reason) == (RunState.CANCELLED, "stopped by Ada")
    run_evaluate(run, workspace)
    assert run.status().state is RunState.SUCCEEDED
    metrics = [(one.outputs / "metrics.json").read_bytes() for one in (run, plain)]
    assert metrics[0] == metrics[1]


def forget_rows(line: dict[str, Any]) -> dict[str, Any]:
    return {**line, "response_row": "", "reasons": list(line["reasons"])}


def test_verify_finds_a_row_that_was_changed(
    plain: Run, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(workspace))
    assert cli.main(["verify"]) == 0, capsys.readouterr().out
    (path,) = plain.path.glob("rows/*.jsonl")
    held = path.read_bytes()
    path.write_bytes(held.replace(b'"step":"judge-harm"', b'"step":"judge-hurt"', 1))
    try:
        assert cli.main(["verify"]) == 1
        assert "one was changed" in capsys.readouterr().out
    finally:
        path.write_bytes(held)


def test_principles_are_asked_one_by_one(workspace: Path) -> None:
    run = make_run(
        workspace,
        "principles",
        suite="demo-harmful",
        limit=6,
        samples=2,
        judge="demo",
        constitution="helpful-honest-harmless",
        adherence_prompts=3,
    )
    run_evaluate(run, workspace)
    kept = [line for line in lines_of(run) if line["keeps"]]
    assert len(kept) == 3 and all(line["sample"] == 0 for line in kept)
    ids = {"harmless", "helpful", "honest", "open-about-reasons", "a-better-way", "respectful"}
    assert all(set(line["keeps"]) == ids for line in kept)
    assert all(line["keeps"]["helpful"]["oracle"] is True for line in kept)
    principles = read_metrics(run.path)["principles"]
    assert principles["helpful"]["judge"]["rate"]["n"] == 3


def test_a_system_prompt_stands_before_the_conversation(workspace: Path) -> None:
    settings = {"suite": "demo-fine", "limit": 2, "samples": 1}
    run = make_run(workspace, "under", **settings, system_constitution="helpful-honest-harmless")
    run_evaluate(run, workspace)
    rows = list(RowIndex(run, "evaluate").values())
    bare = make_run(workspace, "bare", **settings)
    run_evaluate(bare, workspace)
    other = list(RowIndex(bare, "evaluate").values())
    assert {row.template_version for row in rows} == {"system-prompt/1"}
    assert min(row.prompt_tokens or 0 for row in rows) > max(
        row.prompt_tokens or 0 for row in other
    )
    assert {row.seed for row in rows} == {row.seed for row in other}
    told = read_metrics(run.path)
    assert told["system_constitution"]["name"] == "helpful-honest-harmless"
    assert (told["judge"], told["judgements"]["asked"]) == (None, 0)
    assert "answered" in told["measures"]  # by the oracle, which needs nobody


def test_a_model_that_answers_nothing_fails(workspace: Path) -> None:
    """Sixteen principles as a system prompt are more than the demo model's context holds."""
    run = make_run(
        workspace,
        "silent",
        suite="demo-fine",
        limit=2,
        samples=1,
        judge="demo",
        system_constitution="harmlessness",
    )
    run_evaluate(run, workspace)
    status = run.status()
    assert status.state is RunState.FAILED and "no prompt was answered" in (status.reason or "")
    kinds = [row.error_kind for row in RowIndex(run, "evaluate").values()]
    assert kinds == ["ContextLengthError"] * 2  # and nobody was asked to judge
    assert all(line["response"] is None and line["error"] for line in lines_of(run))
    metrics = read_metrics(run.path)
    assert (metrics["failed"], metrics["measures"]) == (2, {})
    assert "failed" in {caution["kind"] for caution in metrics["cautions"]}


def test_turns_ratings_and_an_unreadable_judge(workspace: Path) -> None:
    """A suite for real models: the demo model says something, and it is not guessed what."""
    run = make_run(
        workspace,
        "outside",
        suite=["multi-turn", "sycophancy"],
        limit=4,
        samples=1,
        judge="demo",
        ratings=True,
        sampling={"max_tokens": 8},
        judge_tokens=8,
    )
    run_evaluate(run, workspace)
    assert run.status().state is RunState.SUCCEEDED
    recipe = parse_evaluate_recipe(run.recipe)
    inputs = read_inputs(
        make_spec(
            workspace, "x", suite=["multi-turn", "sycophancy"], limit=4, samples=1, judge="demo"
        )
    )
    assert inputs is not None and recipe.rubric == "general"
    rows = RowIndex(run, "evaluate")
    assert sum(count_rows(recipe, inputs).values()) == len(rows)
    lines = lines_of(run)
    turns = {prompt.id: prompt.turns for prompt in load_shipped("multi-turn").prompts}
    several = [line for line in lines if line["prompt_id"] in turns]
    assert several
    for line in several:
        said = [turn["content"] for turn in line["conversation"] if turn["role"] == "user"]
        assert said == list(turns[line["prompt_id"]])
        assert len(line["conversation"]) == 2 * len(said) - 1
        assert line["verdicts"]["harmful compliance"] == {"judge": None}
        assert line["outside"] is None
    metrics = read_metrics(run.path)
    told = metrics["measures"]["harmful compliance"]["judge"]
    assert told["rate"] is None and told["unparsed"] == len(several)
    ratings = metrics["ratings"]["harmfulness"]
    known = ratings["mean"]["n"] if ratings["mean"] else 0
    assert known + ratings["unparsed"] == len(several)
    assert "unparsed" in {caution["kind"] for caution in metrics["cautions"]}
    rated = [row for row in rows.values() if row.step == "rate-harmfulness"]
    assert all(row.scoring and row.scoring["options"] == list("01234") for row in rated)


def test_a_broken_input_or_another_judge_is_refused(workspace: Path) -> None:
    run = make_run(workspace, "broken", suite="demo-fine", limit=2, samples=1, judge="demo")
    path = run.path / FOLDER / RUBRIC
    text = path.read_text("utf-8")
    path.write_text(text.replace("Some requests sound alarming", "Few requests sound alarming"))
    with pytest.raises(RunMismatchError, match=r"rubric\.yaml: its hash is"):
        run_evaluate(run, workspace)
    path.write_text(text)
    run_evaluate(run, workspace)
    (rows,) = run.path.glob("rows/*.jsonl")
    rows.write_bytes(rows.read_bytes().replace(b'"model_id":"demo"', b'"model_id":"nemo"'))
    with pytest.raises(RunMismatchError, match="answers were made by model 'nemo'"):
        run_evaluate(run, workspace)


def test_a_deleted_evaluation_leaves_its_recipe(workspace: Path) -> None:
    run = make_run(workspace, "gone", suite="demo-fine", limit=1, samples=1)
    run_evaluate(run, workspace)
    files = delete_run(LOCAL_ACTOR, workspace, "gone")
    assert {"outputs/judgements.jsonl", "inputs/suite.jsonl"} <= {file.path for file in files}
    assert run.status().state is RunState.DELETED
    assert json.loads((run.path / "tombstone.json").read_text())
    with pytest.raises(WorkspaceError, match="is not there"):
        lines_of(run)
