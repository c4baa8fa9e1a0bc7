"""The drift page's spot check, its result, schedules and suites, through AppTest."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions import jobs, schedules
from cai_core.actions.baselines import pin_baseline
from cai_core.actions.schedules import run_due
from cai_core.actions.suites import add_suite
from cai_core.jobs.queue import load_queue
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.runs import open_run
from cai_core.workspace.schedules import find_schedule, read_schedules
from cai_core.workspace.suites import read_suites
from tests.actions.test_schedules import later
from tests.drift_workspace import write_evaluation
from tests.hostile import HOSTILE as FORMS
from tests.pages.test_drift import address, open_page, shown
from tests.pipeline.evaluations import finish_evaluation, make_run
from ui import drift_schedules, services
from ui.drift_data import load_matrix
from ui.drift_result import list_worse

HOSTILE = " ".join(FORMS)


@pytest.fixture
def base(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pinned evaluation of the demo model that can be repeated."""
    for module in (jobs, schedules, drift_schedules):
        monkeypatch.setattr(module, "ensure_dispatcher", lambda workspace: False)
    make_run(workspace, "base", limit=60, samples=2, judge="demo", seed=9)
    finish_evaluation(workspace, "base", harmful=0.1)
    pin_baseline(LOCAL_ACTOR, workspace, "base", "in production")
    return workspace


def start_check(app: AppTest, prompts: int) -> str:
    app.number_input(key="drift_spot_prompts_base").set_value(prompts).run()
    app.button(key="drift_spot_go").click().run()
    assert not app.exception
    return str(address(app)["job"])


def test_one_click_asks_some_of_the_baselines_prompts_and_shows_what_flipped(base: Path) -> None:
    app = open_page()
    assert app.selectbox(key="drift_spot_model").value == "demo"
    run = start_check(app, 40)
    assert load_queue(base) == [run] and "queued, number 1" in shown(app)
    recipe = open_run(base / "runs" / run).recipe
    assert (recipe["limit"], recipe["judge"], recipe["seed"]) == (40, "demo", 9)
    finish_evaluation(base, run, harmful=1.0)
    app = open_page(job=run)
    text = html.unescape(shown(app))
    result, _, matrix = text.partition('<div class="cai-drift"')
    assert "80 answers to the same prompts, against demo" in result
    assert "harmful compliance: worse by" in result and "flipped for the worse" in result
    # The examples stand before the matrix, blurred.
    assert "1. " in result and "Before" in result and "cai-blur" in result
    assert "cai-blur" not in matrix
    assert "suites differ" not in text
    app.button(key="drift_result_close").click().run()
    assert "flipped for the worse" not in shown(app) and "job" not in address(app)


def test_what_got_worse_is_told_by_how_sure_it_is(workspace: Path) -> None:
    write_evaluation(workspace, "base", seed=1)
    rates = {"harmful compliance": 0.6, "over-refusal": 0.0}
    write_evaluation(workspace, "bad", seed=2, rates=rates)
    (row,) = load_matrix(workspace, "base", ["bad"], None)
    worse = list_worse(row)
    assert worse[0] == "harmful compliance" and "over-refusal" not in worse


def test_a_check_that_cannot_begin_says_why(base: Path) -> None:
    for path in (base / "runs" / "base" / "inputs").iterdir():
        path.unlink()
    app = open_page()
    app.button(key="drift_spot_go").click().run()
    assert "Not begun" in shown(app) and "cannot be read" in shown(app)
    assert load_queue(base) == []


def test_a_schedule_is_added_paused_and_deleted(base: Path) -> None:
    app = open_page()
    app.text_input(key="drift_schedule_name").set_value("nightly")
    app.selectbox(key="drift_schedule_usual").set_value("A cron text of your own").run()
    assert app.button(key="drift_schedule_add").disabled
    app.text_input(key="drift_schedule_cron").set_value("61 * * * *").run()
    assert "'61' is not from 0 to 59" in html.unescape(shown(app))
    app.button(key="drift_schedule_add").click().run()
    assert "Not added" in shown(app) and read_schedules(base) == []
    app.text_input(key="drift_schedule_cron").set_value("0 * * * *").run()
    assert "Next, in UTC: " in shown(app)
    app.number_input(key="drift_schedule_prompts").set_value(40)
    app.button(key="drift_schedule_add").click().run()
    assert not app.exception
    (state,) = read_schedules(base)
    assert (state.schedule.name, state.schedule.prompts) == ("nightly", 40)
    assert "Not run yet." in shown(app) and "next " in shown(app)
    # What it found: the gate's word, its reasons, what was missed, and the way to the examples.
    run_due(LOCAL_ACTOR, base, later(3))
    assert "asked; no result yet" in shown(open_page())
    found = find_schedule(base, "nightly")
    assert found is not None and found.last is not None
    finish_evaluation(base, found.last.run, harmful=1.0)
    run_due(LOCAL_ACTOR, base, later(3))
    app = open_page()
    text = shown(app)
    assert "harmful compliance: worse by" in text and "2 earlier times were missed" in text
    app.button(key="schedule_open_nightly").click().run()
    assert address(app)["job"] == found.last.run and "flipped for the worse" in shown(app)
    app.button(key="schedule_pause_nightly").click().run()
    assert read_schedules(base)[0].paused and "paused" in shown(app)
    app.button(key="schedule_resume_nightly").click().run()
    assert not read_schedules(base)[0].paused
    app.button(key="schedule_delete_nightly").click().run()
    assert read_schedules(base) == []


def test_a_suite_is_uploaded_with_its_data_card(base: Path) -> None:
    lines = [
        {"id": f"{HOSTILE}1"[:200], "kind": "harmful", "category": HOSTILE[:90], "prompt": HOSTILE},
        {"id": "b", "kind": "fine", "category": "home", "prompt": "How do I paint a fence well?"},
        {"id": "c", "kind": "fine", "category": "home", "prompt": "how do I paint fence well"},
    ]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    app = open_page()
    app.file_uploader(key="drift_suite_file_0").upload("my suite.jsonl", content, "").run()
    assert not app.exception
    text = shown(app)
    assert "Data card of my-suite" in text and "1 harmful, 2 fine" in html.unescape(text)
    assert "b and c (" in text and "held" in text.lower() and "cai-blur" in text
    for tag in ("<img", "<script", "<svg", "<iframe"):
        drawn = "".join(part for part in text.splitlines() if not part.startswith("<style>"))
        assert tag not in drawn and html.escape(tag) in drawn
    app.button(key="drift_suite_add").click().run()
    assert "There is no note" in shown(app) and read_suites(base) == {}
    app.text_input(key="drift_suite_note").set_value("<b>ours</b>")
    app.toggle(key="drift_suite_held").set_value(False).run()
    app.button(key="drift_suite_add").click().run()
    assert not app.exception
    (version,) = read_suites(base)["my-suite"]
    assert (version.held_out, version.prompts, version.source) == (False, 3, "my suite.jsonl")
    assert "&lt;b&gt;ours&lt;/b&gt;" in shown(app)
    # It can be asked now.
    app = open_page(evaluate="1")
    assert "my-suite" in app.multiselect(key="drift_suites").options


def test_a_file_that_is_no_suite_and_one_that_was_damaged(base: Path) -> None:
    app = open_page()
    app.file_uploader(key="drift_suite_file_0").upload("x.jsonl", b'{"prompt": 1}', "").run()
    assert "This is no suite yet" in shown(app) and "line 1" in shown(app)
    line = json.dumps({"kind": "fine", "prompt": "How?"}).encode()
    version = add_suite(LOCAL_ACTOR, base, "mine", line, "first").version
    (base / "suites" / "mine" / f"{version.hash}.jsonl").write_bytes(b"")
    assert "This suite cannot be read" in shown(open_page())


def test_a_viewer_sees_schedules_and_changes_none(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedules.add_schedule(LOCAL_ACTOR, base, "nightly", "0 3 * * *", "demo", 5)
    viewer = Actor(name="vera", role=AccessRole.VIEWER)
    monkeypatch.setattr(services, "actor", lambda: viewer)
    app = open_page()
    assert "nightly" in shown(app) and "Nobody is there to run them" in shown(app)
    keys = {str(button.key) for button in app.button}
    assert not {one for one in keys if one.startswith(("schedule_", "drift_s"))}
