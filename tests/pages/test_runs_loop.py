"""The forms of the loop: fields of every kind, choices that become a plan, and who may judge."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.errors import ServerUnavailableError
from cai_core.inference.launcher import stop_server
from cai_core.jobs.plan_edit import read_fields
from cai_core.jobs.plan_loop import build_loop
from cai_core.jobs.plan_loop_choices import LoopChoices
from cai_core.jobs.queue import load_queue
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.files import replace_file
from cai_core.workspace.qualifications import build_path
from cai_core.workspace.runs import open_run
from tests.pages.test_runs import open_page, press, shown
from ui import qualifying, services

TEXT = "plan_text_loop"
RL, LABELS, RM, DPO = 9, 4, 8, 10


@pytest.fixture(autouse=True)
def no_dispatcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests look at the page alone."""
    monkeypatch.setattr("cai_core.actions.jobs.ensure_dispatcher", lambda workspace: False)


def build(app: AppTest | None = None) -> AppTest:
    return press(app or open_page(new="loop"), "loop_build")


def text_of(app: AppTest) -> str:
    return str(app.text_area(key=TEXT).value)


def values(app: AppTest, run: int) -> dict[str, Any]:
    return dict(read_fields(text_of(app))[run].values)


def choose_run(app: AppTest, number: int) -> AppTest:
    app.session_state[f"{TEXT}_run"] = number
    app = app.run()
    assert not app.exception
    return app


def keep_qualification(workspace: Path, *, accuracy: float, **changes: Any) -> None:
    """What a model showed, as the action keeps it."""
    below = ["accuracy"] if accuracy < 0.8 else []
    rate = {"rate": accuracy, "low": accuracy - 0.05, "high": accuracy + 0.05, "n": 96}
    told = {
        "model": "demo",
        "template": "chat",
        "reasoned": False,
        "set": "demo world",
        "set_hash": "0",
        "asked_by": "harmlessness",
        "accuracy": rate,
        "planted": {**rate, "n": 24},
        "swap_consistency": None,
        "qualified": not below,
        "below": below,
        "at": "2026-01-02T03:04:05+00:00",
        **changes,
    }
    path = build_path(workspace, told)
    path.parent.mkdir(exist_ok=True)
    replace_file(path, [json.dumps(told).encode()])


def test_choices_become_a_plan_that_is_edited_and_launched(workspace: Path) -> None:
    app = open_page(new="loop")
    assert not app.text_area
    assert "The whole loop, as one plan." in shown(app)
    app = build(app)
    told = LoopChoices(
        name="loop",
        constitution="harmlessness",
        base="demo",
        feedback_model="demo",
        red_team="redteam",
        helpful="helpful",
        in_demo_world=True,
    )
    assert text_of(app) == build_loop(told)
    command = "\n".join(code.value for code in app.code)
    assert "python -m cai_core loop loop.yaml" in command
    # Choices alone change nothing: what somebody wrote stays until they build anew.
    app = app.number_input(key=f"{TEXT}_0_where.limit").set_value(12).run()
    app = app.radio(key="loop_size").set_value("small").run()
    app.session_state["loop_training"] = "DPO"
    app = app.run()
    assert values(app, 0)["where.limit"] == 12
    app = press(app, "plan_reset")
    assert values(app, 0)["where.limit"] == 500
    app = build(app)
    assert "name: rl\n" not in text_of(app)
    assert values(app, 0)["where.limit"] == 40
    app = press(app, "plan_launch")
    assert len(load_queue(workspace)) == 15
    assert "15 runs are handed in" in shown(app)


def test_a_choice_that_cannot_be_is_said(workspace: Path) -> None:
    app = open_page(new="loop")
    app = app.text_input(key="loop_name").set_value("no name!").run()
    app = build(app)
    assert "No plan could be made" in shown(app)
    assert not app.text_area


def test_who_is_no_admin_names_no_folder_as_a_model(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "actor", lambda: Actor(name="e", role=AccessRole.EDITOR))
    app = open_page(new="1")
    app.query_params["new"] = "loop"
    app.session_state["loop_feedback"] = "/etc"
    app = build(app.run())
    assert "Folders and URLs are an admin" in shown(app)
    assert not [button for button in app.button if button.key == "plan_launch"]


def test_fields_of_every_kind_write_into_the_text(workspace: Path) -> None:
    app = choose_run(build(), LABELS)
    key = f"{TEXT}_{LABELS}"
    app = app.toggle(key=f"{key}_reasoned").set_value(True).run()
    app = app.number_input(key=f"{key}_clamp").set_value(0.3).run()
    app = app.number_input(key=f"{key}_sources.1.share").set_value(0.25).run()
    app = app.selectbox(key=f"{key}_sources.0.pairs").select("all").run()
    held = values(app, LABELS)
    assert (held["reasoned"], held["clamp"]) == (True, [0.3, 0.7])
    assert (held["sources.1.share"], held["sources.0.pairs"]) == (0.25, "all")
    several = app.multiselect(key=f"{key}_principles")
    assert {"random", "in-order"} < set(several.options)
    app = several.set_value(["in-order"]).run()
    assert values(app, LABELS)["principles"] == "in-order"
    one = next(name for name in several.options if name not in ("random", "in-order"))
    app = app.multiselect(key=f"{key}_principles").set_value(["in-order", one]).run()
    assert values(app, LABELS)["principles"] == [one]
    app = choose_run(app, RL)
    key = f"{TEXT}_{RL}"
    assert app.multiselect(key=f"{key}_prompts").value == ["redteam", "helpful"]
    app = app.selectbox(key=f"{key}_algorithm").select("grpo").run()
    app = app.number_input(key=f"{key}_rewards.0.weight").set_value(0.5).run()
    app = app.number_input(key=f"{key}_alarms.kl").set_value(0.25).run()
    held = values(app, RL)
    assert (held["algorithm"], held["rewards.0.weight"], held["alarms.kl"]) == ("grpo", 0.5, 0.25)
    for run, field in ((RM, "soft"), (DPO, "soft")):
        app = choose_run(app, run)
        app = app.toggle(key=f"{TEXT}_{run}_{field}").set_value(False).run()
        assert values(app, run)[field] is False
    assert not app.exception
    assert "What is handed in" in shown(app)


def test_what_a_field_cannot_show_is_left_to_the_text(workspace: Path) -> None:
    app = build()
    odd = text_of(app).replace("red_team_share: 0.25", "alarms: {kl: null}\n    steps: many", 1)
    app = choose_run(
        app.text_area(key=TEXT).set_value(odd.replace("    steps: 60\n", "")).run(), RL
    )
    assert app.text_input(key=f"{TEXT}_{RL}_alarms.kl_odd").value == "null"
    assert app.text_input(key=f"{TEXT}_{RL}_steps_odd").value == "many"


def test_the_feedback_models_standing_is_shown_before_a_launch(workspace: Path) -> None:
    app = build()
    assert "demo is not qualified" in shown(app)
    assert app.button(key="qualify_demo_chat_False").label == "Qualify demo"
    keep_qualification(workspace, accuracy=0.6)
    text = shown(app.run())
    assert "demo is below the threshold" in text
    assert "60.0 %" in text and "[55.0, 65.0], n = 96" in text and "n = 24" in text
    assert "demo world, by harmlessness" in text
    keep_qualification(workspace, accuracy=0.9)
    text = shown(app.run())
    assert "below the threshold" not in text
    assert "90.0 %" in text and ">qualified<" in text
    # Asked in another way, it has shown nothing.
    app = choose_run(app, LABELS)
    app = app.toggle(key=f"{TEXT}_{LABELS}_reasoned").set_value(True).run()
    assert "demo (with a chain of thought) is not qualified" in shown(app)


@pytest.mark.parametrize(("accuracy", "action"), [(0.6, "go on unqualified"), (0.9, None)])
def test_going_on_with_a_warning_is_journalled(
    workspace: Path, accuracy: float, action: str | None
) -> None:
    keep_qualification(workspace, accuracy=accuracy)
    press(build(), "plan_launch")
    actions = [event["action"] for event in read_events(workspace, Topic.LAUNCHES)]
    assert actions.count(action or "label by a qualified model") == 2
    # Launched ones have been decided about.
    assert "Can the feedback model judge?" not in shown(build())


def test_the_demo_model_is_asked_in_the_background(workspace: Path) -> None:
    app = build()
    try:
        app = press(app, "qualify_demo_chat_False")
        assert "demo is being asked" in shown(app)
        assert not [one for one in app.button if one.key == "qualify_demo_chat_False"]
        asked = qualifying.Asked("demo", "chat", False)
        deadline = time.monotonic() + 240
        while qualifying.is_under_way(workspace, asked) and time.monotonic() < deadline:
            time.sleep(0.2)
        app = app.run()
        assert ">qualified<" in shown(app), shown(app)
        event = read_events(workspace, Topic.LAUNCHES)[0]
        assert (event["action"], event["qualified"]) == ("qualify model", True)
    finally:
        stop_server("demo", workspace)


def test_what_cannot_be_asked_says_why(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ServerUnavailableError("no server <b>answers</b>")

    monkeypatch.setattr("ui.qualifying.qualify_model", refuse)
    app = press(build(), "qualify_demo_chat_False")
    time.sleep(0.2)
    text = shown(app.run())
    assert "demo could not be asked" in text
    assert "no server &lt;b&gt;answers" in text
    assert app.button(key="qualify_demo_chat_False")


def test_a_label_run_is_cloned_from_its_page(workspace: Path) -> None:
    press(build(), "plan_launch")
    (name,) = [run for run in load_queue(workspace) if run.startswith("loop-labels-helpful-")]
    app = open_page(run=name, clone="1")
    app = app.multiselect(key=f"clone_keys_{name}").set_value(["reasoned", "seed"]).run()
    app = app.toggle(key=f"clone_{name}_reasoned").set_value(True).run()
    assert "<td>reasoned</td><td>False → True</td>" in shown(app)
    assert "with a chain of thought) is not qualified" in shown(app)
    app = press(app, "clone_launch")
    made = open_run(workspace / "runs" / load_queue(workspace)[-1])
    assert made.recipe["reasoned"] is True
    assert made.run_id.startswith("loop-labels-helpful-")
    events = read_events(workspace, Topic.LAUNCHES)
    assert [e["source"] for e in events if e["action"] == "clone run"] == [name]
    assert {event["actor"] for event in events} == {LOCAL_ACTOR.name}
