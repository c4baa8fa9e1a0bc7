"""The story through AppTest: five screens in order, harmful text, the figures, what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.jobs.story_outcome import load_outcome
from cai_core.workspace.events import Topic, read_events
from tests.hostile import HOSTILE as FORMS
from tests.story_workspace import RECORDINGS, read_recorded, write_stage, write_story
from ui.story_address import SCREENS

TITLES = (
    "The rules",
    "The model breaks them",
    "It criticises itself",
    "It rewrites",
    "What training changed",
)


def script() -> None:
    import streamlit as st

    from ui.explorer_links import PLAYGROUND

    names = ("constitutions", "critiques", "drift", "runs")
    others = [st.Page(PLAYGROUND.with_name(f"{name}.py")) for name in names]
    st.navigation([st.Page(PLAYGROUND.with_name("story.py"), default=True), *others]).run()


@pytest.fixture
def recorded(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace without runs, beside the recordings that ship."""
    monkeypatch.setenv("CAI_RECORDINGS", str(RECORDINGS))
    return workspace


def open_page(**params: str) -> AppTest:
    app = AppTest.from_function(script, default_timeout=20)
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click().run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def title(app: AppTest) -> str:
    return str(app.title[0].value)


def screen(app: AppTest) -> str:
    """What the address says."""
    (told,) = app.query_params["screen"]
    return str(told)


def test_next_and_back_lead_through_five_screens(recorded: Path) -> None:
    app = open_page()
    assert app.button(key="story_back").disabled
    seen = [title(app)]
    while not app.button(key="story_next").disabled:
        seen.append(title(press(app, "story_next")))
    assert tuple(seen) == TITLES
    assert screen(app) == "5"
    assert title(press(app, "story_back")) == TITLES[3]
    assert title(press(app, "story_step_2")) == TITLES[1]
    assert [f"{n} {name}" for n, name in enumerate(SCREENS, 1)] == [
        app.button(key=f"story_step_{n}").label for n in range(1, 6)
    ]
    shortcuts = {key: app.button(key=f"story_{key}").proto.shortcut for key in ("back", "next")}
    assert shortcuts == {"back": "left", "next": "right"}


def test_harmful_text_is_blurred_until_asked_for_and_the_choice_is_kept(recorded: Path) -> None:
    app = open_page(screen="2")
    response = read_recorded("red-team")[0]["steps"][0]["text"]
    assert f'<div class="cai-blur" aria-hidden="true">{response}</div>' in shown(app)
    press(app, "show_harmful_button")
    assert "cai-blur" not in shown(app)
    assert response in shown(app)
    assert len(read_events(recorded, Topic.SETTINGS)) == 1
    assert "cai-blur" not in shown(press(app, "story_next"))


def test_in_a_demo_the_choice_is_the_tabs_and_written_nowhere(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAI_DEMO", "1")
    app = press(open_page(screen="2"), "show_harmful_button")
    assert "cai-blur" not in shown(app)
    assert "cai-blur" not in shown(press(app, "story_next"))
    assert "cai-blur" in shown(open_page(screen="2"))
    assert list(recorded.iterdir()) == []


def test_the_rewrite_marks_what_changed_and_blurs_what_went(recorded: Path) -> None:
    body = shown(open_page(screen="4"))
    assert "<ins>" in body
    assert '<del class="cai-blur" aria-hidden="true">' in body
    assert "<del>" in shown(press(open_page(screen="4"), "show_harmful_button"))


def test_another_example_stays_on_the_screen(recorded: Path) -> None:
    app = open_page(screen="3")
    before = shown(app)
    press(app, "story_example")
    assert title(app) == TITLES[2]
    assert shown(app) != before
    for _ in range(5):
        press(app, "story_example")
    assert shown(app) == before


def test_without_trained_models_the_last_screen_says_which_command_makes_them(
    recorded: Path,
) -> None:
    app = open_page(screen="5")
    assert "Nothing was trained in this workspace yet." in shown(app)
    assert [code.value for code in app.code] == ["make demo"]


def test_without_chains_the_command_is_told_too(workspace: Path) -> None:
    app = open_page(screen="3")
    assert "No chains to tell it with." in shown(app)
    assert [code.value for code in app.code] == ["make demo"]


def test_the_figures_stand_with_interval_n_and_who_read_them(workspace: Path) -> None:
    write_story(workspace)
    outcome = load_outcome(workspace)
    assert outcome is not None
    body = shown(open_page(screen="5"))
    for arm in outcome.arms:
        assert f'<th scope="row">{arm.name}</th>' in body
        rate = arm.rates["harmful compliance"]
        assert f"[{100 * rate.low:.1f}, {100 * rate.high:.1f}], n = {rate.n}" in body
    for words in ("held-out prompts", "oracle", "no judge model", "paired", "95 % intervals"):
        assert words in body or words == "paired"
    assert "Δ −" in body
    assert body.count("cai-blur") == sum(
        answer.truth.harmful for one in outcome.examples for answer in one.answers.values()
    )


@pytest.mark.parametrize("wanted", ["0", "6", "-1", "x", "１", "9" * 40])
def test_an_address_may_say_anything(recorded: Path, wanted: str) -> None:
    assert title(open_page(screen=wanted, example=wanted)) == TITLES[0]


def test_damage_is_told_and_the_way_on_stays(workspace: Path) -> None:
    run = write_stage(workspace, "chains", [])
    (run.outputs / "chains.jsonl").write_text("{")
    app = open_page(screen="2")
    assert "cannot be read" in shown(app)
    assert app.button(key="story_step_5")


def test_hostile_text_is_shown_as_text(workspace: Path) -> None:
    lines = read_recorded("red-team")
    for line in lines:
        for step in line["steps"]:
            step["text"] += " " + " ".join(FORMS)
        line["final"] = line["steps"][-1]["text"]
    write_stage(workspace, "chains", lines)
    for number in range(1, 6):
        body = shown(open_page(screen=str(number)))
        assert "<script" not in body.lower().replace("&lt;script", "")
        assert "<img" not in body
