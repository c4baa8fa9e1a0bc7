"""The drift page through AppTest: the matrix, its examples, the pin, the form, what is doubtful."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions import jobs
from cai_core.actions.baselines import pin_baseline
from cai_core.evaluation.drift_side import build_side
from cai_core.jobs.drift_study import study_drift
from cai_core.jobs.queue import load_queue
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.baselines import find_baseline
from cai_core.workspace.runs import open_run, read_status
from cai_core.workspace.status import RunState
from tests.drift_workspace import RATES, write_evaluation
from tests.evaluation.drift_makers import HEADER, make_line, make_lines
from tests.hostile import HOSTILE as FORMS
from ui import services
from ui.drift_data import list_evaluated, load_matrix
from ui.drift_flips import is_held_back
from ui.drift_timeline import build_timeline, describe_timeline

HOSTILE = " ".join(FORMS)


def script() -> None:
    import streamlit as st

    from ui.explorer_links import PLAYGROUND

    st.navigation([st.Page(PLAYGROUND.with_name("drift.py"), default=True)]).run()


@pytest.fixture
def filled(workspace: Path) -> Path:
    """A baseline, the same model again, one that harms, one that refuses."""
    write_evaluation(workspace, "base", seed=1)
    write_evaluation(workspace, "again", seed=2)
    write_evaluation(
        workspace, "harmful", seed=3, rates={"harmful compliance": 0.6}, thought="It gives steps."
    )
    write_evaluation(workspace, "refuser", seed=4, rates={"over-refusal": 0.9})
    return workspace


def open_page(**params: str) -> AppTest:
    app = AppTest.from_function(script, default_timeout=30)
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def read_rows(app: AppTest) -> dict[str, str]:
    """Evaluation → the words of its row in the first table."""
    (table, *_) = re.findall(r"<table>.*?</table>", shown(app))
    rows = re.findall(r'<tr><th scope="row">([^<]*)<(.*?)</tr>', table)
    return {name: html.unescape(re.sub(r"<[^>]+>", " ", rest)) for name, rest in rows}


def address(app: AppTest) -> dict[str, Any]:
    told = dict(app.query_params)
    return {name: value if isinstance(value, str) else value[-1] for name, value in told.items()}


def test_an_empty_workspace_leads_to_the_form_and_a_run(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "ensure_dispatcher", lambda workspace: False)
    app = open_page()
    assert "No evaluations yet." in shown(app)
    app.button(key="drift_first").click().run()
    assert app.selectbox(key="drift_model").value == "demo"
    app.number_input(key="drift_limit").set_value(12)
    app.number_input(key="drift_samples").set_value(2).run()
    assert "24 requests: 24 responses." in shown(app)
    assert "How long it takes is not known" in shown(app)
    app.button(key="drift_go").click().run()
    assert not app.exception
    (run,) = load_queue(workspace)
    recipe = open_run(workspace / "runs" / run).recipe
    assert (recipe["model"], recipe["limit"], recipe["samples"]) == ("demo", 12, 2)
    assert recipe["suite"] == "demo-harmful + demo-fine + demo-borderline"
    assert address(app) == {"job": run}
    assert run in shown(app) and "queued, number 1" in shown(app)
    app.button(key=f"drift_act_{run}").click().run()
    assert read_status(workspace / "runs" / run).state is RunState.CANCELLED
    assert load_queue(workspace) == []
    assert app.button(key=f"drift_act_{run}").label == "Resume"


def test_the_matrix_says_what_the_command_line_says(filled: Path) -> None:
    app = open_page()
    rows = read_rows(app)
    assert list(rows) == ["again", "harmful", "refuser"]
    assert "No baseline is pinned for this suite; the oldest" in shown(app)
    for run in rows:
        drift = study_drift(filled, "base", run)
        assert drift.gate.status in rows[run].partition("pairs")[2].split()[:2]  # icon and word
        for one in drift.measures:
            if one.measure == "words":
                continue
            change = one.change
            assert f"{100 * change.difference:+.1f} points".replace("-0.0", "+0.0") in rows[run]
            assert f"{100 * change.low:+.1f}, {100 * change.high:+.1f}]" in rows[run]
            assert f"n = {change.n}" in rows[run]
        for reason in drift.gate.reasons:
            assert reason in rows[run]
    (row,) = load_matrix(filled, "base", ["harmful"], None)
    assert row.cells["harmful compliance"].word == "fail"
    (row,) = load_matrix(filled, "base", ["refuser"], None)
    assert (row.cells["over-refusal"].word, row.cells["words"].word) == ("fail", "no change")
    # The other way round: a clear change for the better is no warning of its cell.
    (row,) = load_matrix(filled, "harmful", ["base"], None)
    assert row.cells["harmful compliance"].word == "better"


def test_a_cell_opens_its_flipped_examples_blurred(filled: Path) -> None:
    link = re.search(r'href="\?([^"]*harmful\+compliance)"', shown(open_page()))
    assert link is not None
    app = open_page(run="harmful", measure="harmful compliance")
    text = shown(app)
    flips = study_drift(filled, "base", "harmful").flips["harmful compliance"]
    worse = sum(flip.way == "worse" for flip in flips)
    assert f"{len(flips)} answers flipped: {worse} worse" in text
    assert f"1. {flips[0].prompt_id}, sample" in text and "1–5 of" in text
    assert "harmful compliance: no" in text and "harmful compliance: yes" in text
    assert '<div class="cai-blur" aria-hidden="true">' in text
    assert "It gives steps." in text and "The judge: harm" in text
    app.toggle(key="drift_show_harmful").set_value(True).run()
    assert "cai-blur" not in shown(app)
    app.button(key="part_of_flips_harmful_harmful compliance_1").click().run()
    assert "6–10 of" in shown(app) and "1. harmful" not in shown(app)


def test_an_answer_is_blurred_unless_all_say_that_it_is_harmless() -> None:
    def make(kind: str, **told: dict[str, bool | None]) -> bool:
        return is_held_back(
            make_line("p", kind, 0, {n.replace("_", " "): v for n, v in told.items()})
        )

    assert make("harmful") and make("multi-turn")
    assert make("harmful", harmful_compliance={"oracle": False, "judge": None})
    assert make("harmful", harmful_compliance={"oracle": False}, leak={"oracle": True})
    assert not make("harmful", harmful_compliance={"oracle": False}, leak={"judge": False})
    assert not make("fine")


def test_what_makes_a_comparison_doubtful_is_said(filled: Path) -> None:
    judge = {**HEADER["judge"], "name": "other", "model_id": "other", "weights_hash": "0" * 64}
    cautions = [{"kind": "few", "text": "held-out prompts were trained on"}]
    sampling = {"temperature": 0.5, "top_p": 1.0, "max_tokens": 128}
    write_evaluation(filled, "odd", seed=5, judge=judge, cautions=cautions, sampling=sampling)
    text = html.unescape(shown(open_page()))
    assert "More than the model may differ" in text
    for words in ("the judges differ: judge and other (odd)", "the sampling differs", "trained on"):
        assert words in text
    opened = html.unescape(shown(open_page(run="odd", measure="leak")))
    assert "Careful" in opened and "the judges differ" in opened


def test_a_baseline_is_pinned_with_a_note(filled: Path) -> None:
    app = open_page()
    app.selectbox(key="drift_against").set_value("harmful").run()
    assert address(app)["against"] == "harmful" and list(read_rows(app)) == [
        "base",
        "again",
        "refuser",
    ]
    app.button(key="drift_pin").click().run()
    assert "There is no note" in shown(app) and find_baseline(filled) is None
    app.text_input(key="drift_note").set_value("it is <b>live</b>")
    app.button(key="drift_pin").click().run()
    pinned = find_baseline(filled)
    assert pinned is not None and (pinned.run, pinned.note) == ("harmful", "it is <b>live</b>")
    assert "against" not in address(app)
    assert "it is &lt;b&gt;live&lt;/b&gt;" in shown(app)
    assert app.selectbox(key="drift_against").value == "harmful"
    # Latest wins, and each suite has its own.
    other = {"suite": {"name": "other", "hash": "6" * 64, "prompts": 4, "held_out": True}}
    write_evaluation(filled, "apart", prompts=2, **other)
    write_evaluation(filled, "apart-2", prompts=2, **other)
    pin_baseline(LOCAL_ACTOR, filled, "apart-2", "there")
    app = open_page()
    assert app.selectbox(key="drift_suite").value == "other"
    assert list(read_rows(app)) == ["apart"]
    assert open_page(job="base").selectbox(key="drift_suite").value == "made"
    app.selectbox(key="drift_suite").set_value("made").run()
    assert app.selectbox(key="drift_against").value == "harmful"


def test_readers_and_principles(workspace: Path) -> None:
    def lines(seed: int, oracle: bool) -> list[dict[str, Any]]:
        made = make_lines({**RATES, "harmful compliance": 0.5}, seed=seed, prompts=40)
        for line in made:
            for told in line["verdicts"].values():
                if oracle:
                    told["oracle"] = False
            line["keeps"] = {"be-kind": {"judge": line["sample"] == 0 or seed == 1}}
        return made

    write_evaluation(workspace, "base", lines(1, True))
    write_evaluation(workspace, "all", lines(2, True))
    write_evaluation(workspace, "judged", lines(3, False))
    every, judged = load_matrix(workspace, "base", ["all", "judged"], None)
    # One evaluation without an oracle takes it from no other one.
    assert every.cells["harmful compliance"].reader == "oracle"
    assert judged.cells["harmful compliance"].reader == "judge"
    app = open_page(by="judge")
    assert app.selectbox(key="drift_by").value == "judge"
    assert "Adherence by principle" in shown(app) and "be-kind" in shown(app)
    for row in load_matrix(workspace, "base", ["all", "judged"], "judge"):
        assert row.cells["leak"].reader == "judge"
        assert row.cells["keeps: be-kind"].word == "worse"
    # Nobody read it so: said, not guessed.
    assert "not measured" in shown(open_page(by="phrases")) or "Nothing to compare" in shown(
        open_page(by="phrases")
    )


def test_addresses_and_texts_are_not_trusted(workspace: Path) -> None:
    lines = make_lines(RATES, seed=1, prompts=4)
    hostile = [
        {**one, "response": HOSTILE, "prompt_id": f"{HOSTILE}{n}"} for n, one in enumerate(lines)
    ]
    for line in hostile:
        line["conversation"] = [{"role": "user", "content": HOSTILE}]
    flipped = [
        {**one, "verdicts": {name: {"judge": True} for name in one["verdicts"]}} for one in hostile
    ]
    model = {**HEADER["model"], "name": HOSTILE}
    write_evaluation(workspace, "base", hostile, model=model)
    write_evaluation(workspace, "bad", flipped, thought=HOSTILE, model=model)
    app = open_page(run="bad", measure="over-refusal", suite="<b>", against="../x", by="nobody")
    assert "answers flipped" in shown(app)
    drawn = "".join(block for block in shown(app).splitlines() if not block.startswith("<style>"))
    for tag in ("<img", "<script", "<svg", "<iframe", "<object", "<meta", "<video"):
        assert tag not in drawn and html.escape(tag) in drawn
    for params in ({"run": "../..", "measure": "leak"}, {"run": "bad", "measure": "keeps: no"}):
        assert "No such cell" in shown(open_page(**params))
    assert "No such cell" not in shown(open_page(run="bad", measure="no such"))


def test_a_viewer_can_look_and_nothing_else(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = Actor(name="vera", role=AccessRole.VIEWER)
    monkeypatch.setattr(services, "actor", lambda: viewer)
    app = open_page(evaluate="1")
    assert read_rows(app)
    keys = {button.key for button in app.button}
    assert not keys & {"drift_form", "drift_pin", "drift_go"}


def test_the_timeline_draws_intervals_and_what_passes(filled: Path) -> None:
    evaluations = list_evaluated(filled)
    rows = {row.run: row for row in load_matrix(filled, "base", ["again", "harmful"], None)}
    points = [(one, rows[one.run].cells["leak"]) for one in evaluations if one.run in rows]
    figure = build_timeline("leak", evaluations[0], points, evaluations, dark=False)
    assert list(figure.data[0].x) == [1, 2]
    assert list(figure.data[0].y) == [100 * cell.change.difference for _, cell in points]
    assert [shape.y0 for shape in figure.layout.shapes] == [0, 2.0]
    assert "again: " in describe_timeline("leak", evaluations[0], points)


def test_nothing_is_computed_twice_and_what_changed_is_read_again(filled: Path) -> None:
    first = load_matrix(filled, "base", ["again", "harmful"], None)
    assert load_matrix(filled, "base", ["again", "harmful"], None) is first
    path = filled / "runs" / "again" / "outputs" / "judgements.jsonl"
    path.write_bytes((filled / "runs" / "base" / "outputs" / "judgements.jsonl").read_bytes())
    (again, harmful) = load_matrix(filled, "base", ["again", "harmful"], None)
    assert {cell.word for cell in again.cells.values()} <= {"pass", "warn", "no change"}
    assert all(not cell.change.difference for cell in again.cells.values())
    assert harmful == first[1]


def test_evaluations_without_a_prompt_in_common_are_left_out(filled: Path) -> None:
    lines = [{**one, "prompt_id": f"x{one['prompt_id']}"} for one in make_lines(RATES, prompts=2)]
    write_evaluation(filled, "elsewhere", lines)
    assert "elsewhere" not in read_rows(open_page())
    assert build_side("n", "r", HEADER, lines).keys[0][0].startswith("x")
