"""`drift` as continuous integration calls it: exit codes, JUnit, JSON, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from cai_core import cli
from cai_core.actions import jobs
from cai_core.commands import evaluate
from cai_core.commands.drift import parse_allowed
from cai_core.errors import RecipeError
from cai_core.jobs.drift_study import list_evaluations, study_drift
from cai_core.jobs.queue import load_queue
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import encode_record
from cai_core.workspace.runs import Run, create_run, open_run
from cai_core.workspace.status import RunState, load_status, replace_status, save_status
from tests.evaluation.drift_makers import HEADER, make_lines
from tests.pipeline.evaluations import make_run

RATES = {"harmful compliance": 0.1, "leak": 0.02, "evasive": 0.1, "over-refusal": 0.05}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Evaluations that are there: `before`, the same at another seed, and two that got worse."""
    folder = tmp_path / "w"
    monkeypatch.setenv("CAI_WORKSPACE", str(folder))
    monkeypatch.setattr(jobs, "ensure_dispatcher", lambda workspace: False)
    write(folder, "before", 1)
    write(folder, "again", 2)
    write(folder, "harmful", 3, **{"harmful compliance": 0.4})
    write(folder, "refuser", 4, **{"over-refusal": 0.9, "harmful compliance": 0.0})
    return folder


def write(workspace: Path, name: str, seed: int, **rates: float) -> Run:
    run = create_run(workspace / "runs" / name, kind="evaluate", recipe={"model": "demo"})
    finish(run, make_lines({**RATES, **rates}, seed=seed), name)
    return run


def finish(run: Run, lines: list[dict[str, Any]], model: str) -> None:
    header = {**HEADER, "model": {**HEADER["model"], "name": model}, "measures": {}}
    replace_file(run.outputs / "judgements.jsonl", map(encode_record, lines))
    replace_file(run.outputs / "metrics.json", [encode_record(header)])
    path = run.path / "status.json"
    save_status(path, replace_status(load_status(path), state=RunState.SUCCEEDED))


def test_the_exit_status_is_the_gates(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["drift", "before", "again", "--gate"]) == 0
    assert "gate: pass" in capsys.readouterr().out
    assert cli.main(["drift", "before", "harmful", "--gate"]) == 1
    told = capsys.readouterr().out
    assert "gate: fail" in told
    assert "harmful compliance (by judge): " in told
    assert "harmful compliance: worse by" in told
    assert "asked: Ask harmful-" in told
    # Without the gate it only tells.
    assert cli.main(["drift", "before", "harmful"]) == 0


def test_junit_and_json_say_which_metric(workspace: Path, tmp_path: Path) -> None:
    files = ["--json", str(tmp_path / "drift.json"), "--junit", str(tmp_path / "drift.xml")]
    assert cli.main(["drift", "before", "refuser", "--gate", *files]) == 1
    root = ElementTree.parse(tmp_path / "drift.xml").getroot()
    (suite,) = root.findall("testsuite")
    cases = {case.get("name"): case for case in suite.findall("testcase")}
    failed = [name for name, case in cases.items() if case.find("failure") is not None]
    assert failed == ["over-refusal"]
    assert (suite.get("tests"), suite.get("failures")) == (str(len(cases)), "1")
    failure = cases["over-refusal"].find("failure")
    assert failure is not None and "worse by" in (failure.get("message") or "")
    document = json.loads((tmp_path / "drift.json").read_text())
    assert document["gate"]["status"] == "fail"
    assert document["candidate"] == {"name": "refuser", "run": "refuser"}
    flips = document["flips"]["over-refusal"]
    assert flips[0]["way"] == "worse" and len(flips) == 50
    measures = {one["measure"]: one for one in document["measures"]}
    assert measures["harmful compliance"]["change"]["difference"] < 0


def test_what_a_measure_may_lose_can_be_allowed(workspace: Path) -> None:
    arguments = ["drift", "before", "harmful", "--gate", "--allow"]
    assert cli.main([*arguments, "harmful compliance=0.5"]) == 0
    assert cli.main([*arguments, "leak=0.5"]) == 1
    assert cli.main([*arguments, "charm=0.5"]) == 2
    for text in ("leak", "leak=much", "leak=-1"):
        with pytest.raises(RecipeError, match="write a measure and a number"):
            parse_allowed([text])
    kept = {one.metric: one for one in parse_allowed(["keeps: be-kind=0.3", "leak=0.3"])}
    assert (kept["keeps: be-kind"].better, kept["leak"].visible) == ("higher", 0.3)


def test_hostile_text_steers_neither_terminal_nor_xml(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = make_lines({**RATES, "leak": 0.9}, seed=5)
    evil = "\x1b[2J\u202e<failure/>]]>\x00" + "x" * 500
    for line in lines:
        line["response"] = evil
    run = create_run(workspace / "runs" / "evil", kind="evaluate", recipe={"model": "demo"})
    finish(run, lines, f"m{evil}")
    path = tmp_path / "x.xml"
    assert cli.main(["drift", "before", "evil", "--gate", "--junit", str(path)]) == 1
    assert "\x1b" not in capsys.readouterr().out
    suite = ElementTree.parse(path).getroot().find("testsuite")
    assert suite is not None and "<failure/>]]>" in (suite.get("name") or "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["demo", "demo"], "Name the suite to ask: --suite"),
        (["before", "nothing", "--suite", "demo"], "nothing"),
        (
            ["demo", "demo", "--suite", "no-such"],
            "no suite 'no-such'. There is: demo, demo-harmful",
        ),
        (["before", "unfinished"], "is queued, not succeeded"),
        (["before", "elsewhere"], "no answered prompt in common"),
    ],
)
def test_what_cannot_be_compared_is_said(
    workspace: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    create_run(workspace / "runs" / "unfinished", kind="evaluate", recipe={"model": "demo"})
    run = create_run(workspace / "runs" / "elsewhere", kind="evaluate", recipe={"model": "demo"})
    lines = make_lines(RATES, prompts=3)
    finish(run, [{**line, "prompt_id": f"other-{line['prompt_id']}"} for line in lines], "other")
    assert cli.main(["drift", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_two_models_are_evaluated_alike(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are handed in; here a stand-in for the dispatcher finishes them at once."""

    def follow(runs: list[Run]) -> int:
        for number, run in enumerate(runs):
            finish(run, make_lines(RATES, seed=number), run.recipe["model"])
        return 0

    monkeypatch.setattr(evaluate, "follow_all", follow)
    url = "http://127.0.0.1:9#m"
    asked = ["--suite", "demo", "--limit", "20", "--judge", "demo", "--seed", "5"]
    assert cli.main(["drift", "demo", url, *asked, "--gate"]) == 0
    names = [name for name in list_evaluations(workspace) if name.startswith("evaluate-")]
    recipes = [open_run(workspace / "runs" / name).recipe for name in names]
    assert {recipe["model"] for recipe in recipes} == {"demo", url}
    for recipe in recipes:
        assert (recipe["seed"], recipe["limit"], recipe["rubric"]) == (5, 20, "demo-world")
        assert recipe["suite"] == "demo-harmful + demo-fine + demo-borderline"
    # Again: the same runs, which are there.
    assert cli.main(["drift", "demo", url, *asked, "--gate"]) == 0
    assert sum(one.startswith("evaluate-") for one in list_evaluations(workspace)) == 2


def test_a_model_beside_an_evaluation_is_asked_as_that_one_was(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(workspace, "held", suite="demo-fine", limit=3, judge="demo", seed=9)
    finish(run, make_lines(RATES, seed=1), "demo")

    def follow(runs: list[Run]) -> int:
        for one in runs:
            finish(one, make_lines(RATES, seed=2), "other")
        return 0

    monkeypatch.setattr(evaluate, "follow_all", follow)
    assert cli.main(["drift", "held", "http://127.0.0.1:9#m"]) == 0
    (new,) = [n for n in list_evaluations(workspace) if n.startswith("held-")]
    made = open_run(workspace / "runs" / new).recipe
    assert {**made, "model": "demo"} == run.recipe
    assert load_queue(workspace) == [new]
    # The same model: nothing to ask.
    assert cli.main(["drift", "held", "demo"]) == 0


def test_a_study_is_read_again_when_its_files_change(workspace: Path) -> None:
    first = study_drift(workspace, "before", "again")
    assert study_drift(workspace, "before", "again") == first
    finish(open_run(workspace / "runs" / "again"), make_lines(RATES, seed=1), "again")
    assert study_drift(workspace, "before", "again").flips["leak"] == ()


def test_a_made_model_is_named_by_its_run(workspace: Path) -> None:
    """The entry's own name is the run's then, too; that is no run which is made from itself."""
    made = "my-model-1a2b3c4d"
    run = create_run(workspace / "runs" / made, kind="sft", recipe={"base": "demo"})
    args = cli.build_parser().parse_args(["evaluate", made, "--suite", "demo", "--limit", "3"])
    spec = evaluate.build_spec(workspace, made, args)
    assert spec.recipe["model"] == str((run.outputs / "model").absolute())
    assert spec.parents == (made,)
