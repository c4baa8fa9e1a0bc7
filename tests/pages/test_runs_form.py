"""The forms for new runs and clones: fields and text say the same, roles hold, no file is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions import jobs
from cai_core.jobs.plan_edit import read_fields
from cai_core.jobs.plan_specs import build_plan
from cai_core.jobs.queue import load_queue
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.review_votes import VoteChoice
from cai_core.workspace.runs import open_run
from tests.hostile import HOSTILE
from tests.jobs.background import make_spec
from tests.pages.test_runs import open_page, press, shown
from tests.review_makers import ADA, make_workspace, queue_up, say
from ui import services
from ui.runs_form import PRESETS

TEXT = "plan_text_demo-sl"
SL = 4  # the fine-tuning's place in that plan


@pytest.fixture(autouse=True)
def no_dispatcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests look at the page alone."""
    monkeypatch.setattr("cai_core.actions.jobs.ensure_dispatcher", lambda workspace: False)


def be(monkeypatch: pytest.MonkeyPatch, role: AccessRole) -> None:
    monkeypatch.setattr(services, "actor", lambda: Actor(name="somebody", role=role))


def text_of(app: AppTest) -> str:
    return str(app.text_area(key=TEXT).value)


def values(app: AppTest, run: int) -> dict[str, Any]:
    return dict(read_fields(text_of(app))[run].values)


def choose_run(app: AppTest, number: int) -> AppTest:
    app.session_state[f"{TEXT}_run"] = number
    return app.run()


def test_the_fields_show_the_text_and_write_into_it(workspace: Path) -> None:
    app = open_page(new="1")
    limit = app.number_input(key=f"{TEXT}_0_where.limit")
    assert limit.value == 500
    app = limit.set_value(12).run()
    assert values(app, 0)["where.limit"] == 12
    assert "# SL-CAI with the demo model" in text_of(app)
    changed = text_of(app).replace("limit: 12", "limit: 7")
    app = app.text_area(key=TEXT).set_value(changed).run()
    assert app.number_input(key=f"{TEXT}_0_where.limit").value == 7
    app = choose_run(app, SL)
    rate = app.number_input(key=f"{TEXT}_{SL}_learning_rate")
    assert rate.value == 1e-3
    app = rate.set_value(3e-4).run()
    app = app.selectbox(key=f"{TEXT}_{SL}_method").select("lora").run()
    app = app.number_input(key=f"{TEXT}_{SL}_sources.1.share").set_value(0.25).run()
    app = app.selectbox(key=f"{TEXT}_{SL}_sources.0.use").select("all").run()
    held = values(app, SL)
    assert (held["learning_rate"], held["method"]) == (3e-4, "lora")
    assert (held["sources.1.share"], held["sources.0.use"]) == (0.25, "all")
    assert "What is handed in" in shown(app)
    app = press(app, "plan_reset")
    assert text_of(app) == (PRESETS / "demo-sl.yaml").read_text("utf-8")


def test_a_name_changes_in_every_run_that_says_it_or_in_this_one_alone(workspace: Path) -> None:
    app = open_page(new="1")
    app = app.selectbox(key=f"{TEXT}_0_constitution").select("healthcare").run()
    assert {values(app, n)["constitution"] for n in (0, 1, 2, 3, 5, 6)} == {"healthcare"}
    app = app.toggle(key=f"{TEXT}_everywhere").set_value(False).run()
    app = app.selectbox(key=f"{TEXT}_0_constitution").select("harmlessness").run()
    assert values(app, 0)["constitution"] == "harmlessness"
    assert values(app, 1)["constitution"] == "healthcare"


def test_a_text_beyond_the_fields_is_said(workspace: Path) -> None:
    app = open_page(new="1")
    plan = text_of(app)
    app = app.text_area(key=TEXT).set_value("runs: [").run()
    assert "the fields come back when it can" in shown(app)
    assert "The plan cannot be run yet" in shown(app)
    odd = plan.replace("limit: 500", "limit: [5]").replace("prompts: redteam", "prompts: [x]")
    app = app.text_area(key=TEXT).set_value(odd).run()
    assert not app.exception
    assert app.text_input(key=f"{TEXT}_0_where.limit_odd").value == "[5]"
    assert app.text_input(key=f"{TEXT}_0_prompts_odd").disabled
    low = plan.replace("limit: 500", "limit: -5").replace("seed: 1", f"seed: {2**60}")
    app = app.text_area(key=TEXT).set_value(low).run()
    assert not app.exception
    assert app.text_input(key=f"{TEXT}_0_chain.seed_odd").value == str(2**60)
    for text in HOSTILE[:8]:
        name = repr(text)[1:-1].replace("'", "''")
        app = app.text_area(key=TEXT).set_value(plan.replace("redteam", f"'{name}'")).run()
        assert not app.exception


def test_the_plan_is_checked_and_handed_in(workspace: Path) -> None:
    app = open_page(new="1")
    command = "\n".join(code.value for code in app.code)
    assert "python -m cai_core run data/recipes/demo-sl.yaml" in command
    plan = text_of(app)
    broken = plan.replace("learning_rate", "learing_rate")
    text = shown(app.text_area(key=TEXT).set_value(broken).run())
    assert "cannot be run yet" in text
    assert "learing_rate" in text
    app = press(app.text_area(key=TEXT).set_value(plan).run(), "plan_launch")
    assert len(load_queue(workspace)) == 7
    assert "handed in" in shown(app)


def test_what_does_not_fit_is_launched_only_where_that_is_said(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.runs_form.show_plan_forecast", lambda specs: False)
    app = open_page(new="1")
    assert app.button(key="plan_launch").disabled
    app = app.checkbox(key="plan_anyway").check().run()
    assert not app.button(key="plan_launch").disabled


def test_a_viewer_reads_presets_and_nothing_of_theirs_is_looked_up(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a viewer's plan was built")

    monkeypatch.setattr("ui.runs_form.build_plan", never)
    be(monkeypatch, AccessRole.VIEWER)
    app = open_page(new="1")
    assert not app.text_area
    codes = "\n".join(code.value for code in app.code)
    assert "python -m cai_core run data/recipes/demo-sl.yaml" in codes
    assert "learning_rate: 1.0e-3" in codes


@pytest.mark.parametrize("role", [AccessRole.EDITOR, AccessRole.ADMIN])
def test_no_page_reads_a_file_of_the_server(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, role: AccessRole
) -> None:
    be(monkeypatch, role)
    secret = workspace.parent / "secret.jsonl"
    secret.write_text('{"prompt": "sesame"}\n')
    app = open_page(new="1")
    plan = text_of(app).replace("prompts: redteam", f"prompts: {secret}")
    text = shown(app.text_area(key=TEXT).set_value(plan).run())
    assert "is a path. A page takes names alone" in text
    assert "sesame" not in text
    plan = text_of(open_page(new="1")).replace("model: demo", f"model: {workspace}")
    text = shown(app.text_area(key=TEXT).set_value(plan).run())
    told = "Folders and URLs are an admin" in text
    assert told is (role is AccessRole.EDITOR)


def test_a_clone_shows_what_differs_and_is_handed_in(workspace: Path) -> None:
    jobs.submit(LOCAL_ACTOR, workspace, make_spec("plan-r-0123abcd"))
    app = press(open_page(run="plan-r-0123abcd"), "clone_plan-r-0123abcd")
    assert app.query_params["clone"] == "1"
    app = open_page(run="plan-r-0123abcd", clone="1")
    assert "<td>chain.seed</td><td>1 → 2</td>" in shown(app)
    seed = "clone_plan-r-0123abcd_chain.seed"
    app = app.number_input(key=seed).set_value(1).run()
    assert "nothing is changed" in shown(app)
    app = app.number_input(key=seed).set_value(5).run()
    assert "<td>chain.seed</td><td>1 → 5</td>" in shown(app)
    app = press(app, "clone_launch")
    (_, clone) = load_queue(workspace)
    assert open_run(workspace / "runs" / clone).recipe["chain"]["seed"] == 5
    assert app.query_params["run"] == clone


def test_an_editor_clones_onto_no_folder(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.submit(LOCAL_ACTOR, workspace, make_spec("r"))
    be(monkeypatch, AccessRole.EDITOR)
    app = open_page(run="r", clone="1")
    app.session_state["clone_r_model"] = "/etc"
    app = app.multiselect(key="clone_keys_r").set_value(["model"]).run()
    assert "is no endpoint" in shown(app)
    assert not [button for button in app.button if button.key == "clone_launch"]


def test_what_people_say_is_chosen_from_the_queues_and_stands_in_the_recipe(
    workspace: Path,
) -> None:
    make_workspace(workspace)
    queue = queue_up(workspace).queue_id
    text = (
        "format: 1\nname: p\nruns:\n  - name: rm\n    kind: reward\n    base: demo\n"
        "    sources: [{run: labels}]\n    learning_rate: 0.001\n"
    )
    app = open_page(new="1")
    app = app.text_area(key=TEXT).set_value(text).run()
    human = app.selectbox(key=f"{TEXT}_0_human")
    assert human.options == [f"queue:{queue}"]
    app = human.select(f"queue:{queue}").run()
    assert "at least one of the two" in shown(app)
    app = app.toggle(key=f"{TEXT}_0_use_human").set_value(True).run()
    app = app.toggle(key=f"{TEXT}_0_drop_disputed").set_value(True).run()
    assert "nobody has voted there yet" in shown(app)
    say(workspace, queue, ADA, "c0", VoteChoice.A)
    app = app.multiselect(key=f"{TEXT}_0_sources.0.kinds").set_value(["helpful"]).run()
    held = values(app, 0)
    assert (held["human"], held["use_human"], held["drop_disputed"]) == (
        f"queue:{queue}",
        True,
        True,
    )
    assert held["sources.0.kinds"] == ["helpful"]
    assert "What is handed in" in shown(app)
    (spec,) = build_plan(text_of(app), "p.yaml", PRESETS, workspace, names_only=True)
    assert spec.recipe["use_human"] and spec.recipe["drop_disputed"]
    assert spec.recipe["human_hash"]
    assert spec.recipe["sources"][0]["kinds"] == ["helpful"]
    app = app.toggle(key=f"{TEXT}_0_use_human").set_value(False).run()
    assert values(app, 0)["use_human"] is False
