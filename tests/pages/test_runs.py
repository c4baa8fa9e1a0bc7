"""The runs page through AppTest: states, buttons by role, charts, samples, hostile names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.jobs.listing import JobView
from cai_core.jobs.looking import Ancestor
from cai_core.jobs.queue import hold_queue, load_queue
from cai_core.records import AccessRole, Actor
from cai_core.workspace.journal import append_records
from cai_core.workspace.runs import Run, create_run, open_run
from cai_core.workspace.status import RunState, load_status, replace_status, save_status
from tests.hostile import HOSTILE
from ui import services
from ui.runs_lineage import build_lineage
from ui.runs_words import build_run_head, build_table, describe_age

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_dispatcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests look at the page alone; tests/jobs and tests/browser have a real dispatcher."""
    monkeypatch.setattr("cai_core.actions.jobs.ensure_dispatcher", lambda workspace: False)


def open_page(**address: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "runs.py"), default_timeout=20)
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def press(app: AppTest, key: str) -> AppTest:
    app = app.button(key=key).click().run()
    assert not app.exception
    return app


def make_run(workspace: Path, name: str, state: RunState, **changes: Any) -> Run:
    recipe = {"base": "demo", "learning_rate": 1e-4, **changes.pop("recipe", {})}
    run = create_run(
        workspace / "runs" / name, kind="sft", recipe=recipe, parents=changes.pop("parents", ())
    )
    path = run.path / "status.json"
    save_status(path, replace_status(load_status(path), state=state, **changes))
    return run


def test_an_empty_workspace_says_what_a_run_is(workspace: Path) -> None:
    app = open_page()
    assert "Nothing has run here yet" in shown(app)
    assert press(app, "runs_new").query_params["new"] == "1"


def test_states_reasons_and_progress_are_words(workspace: Path) -> None:
    counts = {"steps_done": 30, "steps_total": 120}
    make_run(
        workspace, "broken", RunState.FAILED, reason="the loss is nan in step 7", counts=counts
    )
    make_run(workspace, "left", RunState.INTERRUPTED, counts=counts)
    text = shown(open_page())
    assert "The loss is nan in step 7" in text
    assert "30 of 120 steps" in text
    assert "width:25.0%" in text
    assert ">failed<" in text
    assert ">interrupted<" in text


def test_resume_move_and_take_out_change_the_queue(workspace: Path) -> None:
    for name in ("one", "two"):
        make_run(workspace, name, RunState.INTERRUPTED)
    app = open_page()
    press(app, "resume_one")
    app = press(open_page(), "resume_two")
    assert load_queue(workspace) == ["one", "two"]
    assert open_run(workspace / "runs" / "one").status().state is RunState.QUEUED
    press(open_page(), "later_one")
    assert load_queue(workspace) == ["two", "one"]
    press(open_page(), "take_out_two")
    assert load_queue(workspace) == ["one"]


def test_a_viewer_can_press_nothing(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(workspace, "one", RunState.INTERRUPTED)
    monkeypatch.setattr(services, "actor", lambda: Actor(name="v", role=AccessRole.VIEWER))
    app = open_page()
    assert app.button(key="resume_one").disabled
    assert app.button(key="runs_new").disabled
    assert not [button for button in app.button if button.key == "delete_one"]


def test_delete_says_what_goes_and_leaves_a_tombstone(workspace: Path) -> None:
    run = make_run(workspace, "one", RunState.SUCCEEDED)
    (run.outputs / "big").write_bytes(b"w" * 12_345)
    app = press(open_page(), "delete_one")
    assert app.query_params["delete"] == "1"
    text = shown(open_page(run="one", delete="1"))
    assert "What goes, for good: 1 file, 12.3 kB" in text
    assert "its model among them" in text
    assert "a tombstone with the hash" in text
    assert (run.outputs / "big").exists()
    app = press(open_page(run="one", delete="1"), "delete_yes")
    assert "one: 1 file deleted." in shown(app)
    assert not (run.outputs / "big").exists()
    assert (run.path / "tombstone.json").exists()
    assert (run.path / "recipe.yaml").exists()
    assert "It is deleted" in shown(open_page(run="one", delete="1"))
    assert not [button for button in open_page().button if button.key == "delete_one"]


def test_a_run_in_use_is_not_deleted_and_that_is_said(workspace: Path) -> None:
    make_run(workspace, "one", RunState.SUCCEEDED)
    make_run(workspace, "two", RunState.SUCCEEDED, parents=("one",))
    app = open_page(run="one", delete="1")
    assert "Other runs depend on it" in shown(app)
    assert "<td>two</td>" in shown(app)
    assert app.button(key="delete_yes").disabled


def test_only_who_may_is_asked(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(workspace, "one", RunState.SUCCEEDED)
    monkeypatch.setattr(services, "actor", lambda: Actor(name="v", role=AccessRole.VIEWER))
    for ask in ("delete", "clone"):
        app = open_page(run="one", **{ask: "1"})
        assert [tab.label for tab in app.tabs]
        assert not [b for b in app.button if b.key in ("delete_yes", "clone_launch")]


def test_moves_are_shown_only_where_possible(workspace: Path) -> None:
    for name in ("one", "two", "three"):
        make_run(workspace, name, RunState.INTERRUPTED)
        press(open_page(), f"resume_{name}")
    keys = {button.key for button in open_page().button}
    assert {"later_one", "sooner_two", "later_two", "first_three"} <= keys
    assert not {"sooner_one", "first_one", "later_three"} & keys
    press(open_page(), "first_three")
    assert load_queue(workspace) == ["three", "one", "two"]
    app = open_page()
    # The queue has moved on since the page was drawn.
    with hold_queue(workspace) as queue:
        queue.remove("three")
    press(app, "sooner_two")
    assert load_queue(workspace) == ["two", "one"]


def test_the_whole_story_of_a_training(workspace: Path) -> None:
    make_run(workspace, "chains", RunState.SUCCEEDED)
    run = make_run(workspace, "tuned", RunState.SUCCEEDED, parents=("chains", "gone"))
    lines = [
        {"step": n, "loss": 3.0 - n / 10, "num_tokens": 100.0 * n, "tokens_per_second": 900.0}
        for n in range(1, 11)
    ]
    append_records(run.path / "metrics.jsonl", [*lines, {"event": "checkpoint-5 left out: cut"}])
    samples = [
        {"step": s, "prompt_id": "p#1", "prompt": "How do I?", "text": f"answer {s}"}
        for s in (0, 10)
    ]
    append_records(run.path / "samples.jsonl", samples)
    (run.path / "worker.log").write_text("step 10\n")
    text = shown(app := open_page(run="tuned"))
    assert "2.000" in text
    assert "answer 0" in text
    assert "after 10 steps" in text
    assert "checkpoint-5 left out: cut" in text
    codes = "\n".join(code.value for code in app.code)
    assert "learning_rate: 0.0001" in codes
    assert "step 10" in codes
    assert "python -m cai_core resume tuned" in codes
    assert [tab.label for tab in app.tabs] == [
        "Charts",
        "Samples",
        "Checkpoints",
        "Log",
        "Recipe",
        "Lineage",
        "Forecast",
    ]


def test_what_differs_between_two_recipes(workspace: Path) -> None:
    make_run(workspace, "one", RunState.SUCCEEDED)
    make_run(workspace, "two", RunState.SUCCEEDED, recipe={"learning_rate": 3e-4})
    app = open_page(run="one")
    app.selectbox(key="recipe_beside_one").select("two").run()
    assert "0.0001 → 0.0003" in shown(app)


def test_an_address_that_names_nothing(workspace: Path) -> None:
    for name in ("nosuch", "../../etc", *HOSTILE[:3]):
        assert "No such run" in shown(open_page(run=name))


def test_nothing_hostile_leaves_its_place() -> None:
    for text in HOSTILE:
        view = JobView(
            run=text,
            kind=text,
            state=RunState.FAILED,
            reason=text,
            position=None,
            done=1,
            total=2,
            parents=(),
            updated_at=text,
        )
        built = build_run_head(view, now=0.0) + build_table([text], [[text]])
        assert "<script" not in built
        assert "<img" not in built
        assert "<svg" not in built
        picture = build_lineage(
            [Ancestor(run=text, kind=text, state=None, parents=(text,))], dark=False
        )
        assert picture.count("\n") == picture.replace("\\n", "").count("\n")


def test_ages_are_told_in_words() -> None:
    at = "2026-11-25T12:00:00+00:00"
    base = 1795608000.0
    assert describe_age(at, now=base + 1) == "just now"
    assert describe_age(at, now=base + 60) == "1 minute ago"
    assert describe_age(at, now=base + 7300) == "2 hours ago"
    assert describe_age("nonsense", now=base) == ""
