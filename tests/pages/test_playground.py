"""The playground page through AppTest: every field reaches the request, every fault is said."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions.constitutions import save_constitution
from cai_core.errors import CaiError
from cai_core.pipeline.live import (
    ChainBuffer,
    LiveChain,
    LiveHub,
    LiveRequest,
)
from cai_core.pipeline.live_task import ChainState
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace import versions
from cai_core.workspace.drafts import build_draft
from cai_core.workspace.events import Topic, read_events
from ui import services
from ui.chain_settings import ELSEWHERE

ROOT = Path(__file__).resolve().parents[2]
# In the demo world, so that nothing stands between the button and the run.
INSIDE = "What is the best way to stop taking my heart tablets?"
HOSTILE = "![x](http://evil.example/a.png) <img src=http://evil.example/b.png>"


class RecordingHub(LiveHub):
    """Runs nothing; remembers what was asked for."""

    def __init__(self) -> None:
        async def nothing(chain_id: str, request: LiveRequest, buffer: ChainBuffer) -> None:
            pass

        super().__init__(nothing, lambda _id: None)
        self.requests: list[LiveRequest] = []
        self.ids: list[str] = []

    def start(self, request: LiveRequest) -> LiveChain:
        self.requests.append(request)
        chain = super().start(request)
        self.ids.append(chain.id)
        return chain


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingHub]:
    hub = RecordingHub()
    monkeypatch.setattr(services, "_hub", hub)
    yield hub
    hub.close()


@pytest.fixture
def page(hub: RecordingHub) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "playground.py"), default_timeout=20).run()
    assert not app.exception
    return app.text_area(key="prompt_text").set_value(INSIDE).run()


def press_run(app: AppTest) -> AppTest:
    app = app.button(key="run_chain").click().run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def test_the_defaults_make_a_chain_of_two_revisions_on_the_demo_model(
    page: AppTest, hub: RecordingHub
) -> None:
    press_run(page)
    (request,) = hub.requests
    assert (request.prompt.text, request.model) == (INSIDE, "demo")
    assert (request.recipe.revisions, request.recipe.principles) == (2, "random")
    assert request.recipe.critique


@pytest.mark.parametrize(
    ("change", "read"),
    [
        (lambda p: p.number_input(key="revisions").set_value(4), lambda r: r.recipe.revisions == 4),
        (lambda p: p.number_input(key="seed").set_value(7), lambda r: r.recipe.seed == 7),
        (
            lambda p: p.selectbox(key="constitution").set_value("healthcare"),
            lambda r: r.constitution.name == "healthcare",
        ),
        (
            lambda p: p.slider(key="temperature").set_value(0.5),
            lambda r: (
                r.recipe.policy_sampling.temperature == r.recipe.critic_sampling.temperature == 0.5
            ),
        ),
        (
            lambda p: p.number_input(key="max_tokens").set_value(9),
            lambda r: (
                r.recipe.policy_sampling.max_tokens == r.recipe.critic_sampling.max_tokens == 9
            ),
        ),
        (
            lambda p: p.toggle(key="critique").set_value(False),
            lambda r: r.recipe.rows_per_chain == 3,
        ),
        (
            lambda p: p.button_group(key="order").set_value("in-order"),
            lambda r: r.recipe.principles == "in-order",
        ),
    ],
)
def test_each_field_reaches_the_request(
    page: AppTest, hub: RecordingHub, change: Any, read: Any
) -> None:
    change(page).run()
    press_run(page)
    assert read(hub.requests[0])


def test_another_model_and_chosen_principles(page: AppTest, hub: RecordingHub) -> None:
    page.selectbox(key="model").set_value(ELSEWHERE).run()
    page.button_group(key="order").set_value("chosen").run()
    press_run(page)
    assert "Give the model" in shown(page)
    page.text_input(key="model_place").set_value(" http://127.0.0.1:9#m ").run()
    press_run(page)
    assert "Settings: choose at least one principle" in shown(page)
    ids = page.multiselect(key="chosen").options
    page.multiselect(key="chosen").set_value([ids[2], ids[0]]).run()
    press_run(page)
    (request,) = hub.requests
    assert request.model == "http://127.0.0.1:9#m"
    assert request.recipe.principles == (ids[2], ids[0])


def test_principles_of_another_constitution_are_forgotten(page: AppTest) -> None:
    page.button_group(key="order").set_value("chosen").run()
    page.multiselect(key="chosen").set_value(page.multiselect(key="chosen").options[:1]).run()
    page.selectbox(key="constitution").set_value("healthcare").run()
    assert not page.exception
    assert page.multiselect(key="chosen").value == []


def test_a_sample_fills_the_field_and_its_id_travels_along(
    page: AppTest, hub: RecordingHub
) -> None:
    page.selectbox(key="sample").select_index(3).run()
    press_run(page)
    assert hub.requests[0].prompt.line > 0
    assert hub.requests[0].prompt.text == page.text_area(key="prompt_text").value
    page.text_area(key="prompt_text").set_value("Something else").run()
    assert page.selectbox(key="sample").value is None


def test_an_empty_prompt_is_said_and_nothing_runs(page: AppTest, hub: RecordingHub) -> None:
    page.text_area(key="prompt_text").set_value("  \n ").run()
    press_run(page)
    assert "Write a prompt, or choose a sample, first." in shown(page)
    assert hub.requests == []


def test_a_prompt_beyond_the_limit_is_said_not_cut(page: AppTest, hub: RecordingHub) -> None:
    page.selectbox(key="model").set_value(ELSEWHERE).run()
    page.text_input(key="model_place").set_value("/some/folder").run()
    page.text_area(key="prompt_text").set_value("x" * 8001).run()
    press_run(page)
    assert "Shorten the prompt to 8000 characters; it has 8001." in shown(page)
    assert hub.requests == []
    page.text_area(key="prompt_text").set_value("x" * 8000).run()
    press_run(page)
    assert len(hub.requests[0].prompt.text) == 8000


def test_outside_the_demo_world_a_first_click_warns_and_a_later_one_runs(
    page: AppTest, hub: RecordingHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.text_area(key="prompt_text").set_value(HOSTILE)
    press_run(page)  # text and click arrive together, as when the click leaves the field
    assert hub.requests == []
    assert "Outside the demo model" in shown(page)
    assert page.button(key="run_chain").label == "Run anyway"
    monkeypatch.setattr("ui.chain_prompt.SECONDS_TO_SEE", 0.0)
    press_run(page)
    assert hub.requests[0].prompt.text == HOSTILE


def test_another_model_knows_no_demo_world(page: AppTest, hub: RecordingHub) -> None:
    page.selectbox(key="model").set_value(ELSEWHERE).run()
    page.text_input(key="model_place").set_value("/some/folder").run()
    page.text_area(key="prompt_text").set_value(HOSTILE)
    press_run(page)
    assert len(hub.requests) == 1


def test_hostile_text_reaches_no_markdown(page: AppTest, hub: RecordingHub) -> None:
    page.selectbox(key="model").set_value(ELSEWHERE).run()
    page.text_input(key="model_place").set_value(HOSTILE).run()
    page.text_area(key="prompt_text").set_value(HOSTILE)
    press_run(page)
    for kind in ("markdown", "error", "warning", "info", "success", "caption", "exception"):
        assert all("evil.example" not in element.value for element in page.get(kind))
    assert "<img" not in shown(page)
    assert "&lt;img src=http://evil.example/b.png&gt;" in shown(page)


def test_a_full_hub_is_said_and_the_prompt_stays(
    page: AppTest, hub: RecordingHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(request: LiveRequest) -> None:
        raise CaiError("4 chains are running <b>")

    monkeypatch.setattr(hub, "start", refuse)
    press_run(page)
    assert "4 chains are running &lt;b&gt;" in shown(page)
    assert page.text_area(key="prompt_text").value == INSIDE


def test_a_broken_constitution_is_said_with_its_line(
    hub: RecordingHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "constitutions" / "healthcare.yaml", tmp_path)
    (tmp_path / "broken.yaml").write_text("format: 1\nname: [<img\n")
    for name in ("list_names", "resolve_constitution"):
        there = partial(getattr(versions, name), shipped=tmp_path)
        monkeypatch.setattr(f"ui.chain_settings.{name}", there)
    app = AppTest.from_file(str(ROOT / "pages" / "playground.py"), default_timeout=20).run()
    app.text_area(key="prompt_text").set_value(INSIDE).run()
    app.selectbox(key="constitution").set_value("broken").run()
    assert "This constitution cannot be read" in shown(app)
    assert "broken.yaml:" in shown(app)
    assert "<img" not in shown(app)
    press_run(app)
    assert "Choose a constitution that can be read first." in shown(app)
    assert hub.requests == []


@pytest.mark.parametrize("run", ["junk-id", "../../etc/passwd", "0123456789ab", "<img src=x>"])
def test_an_address_that_names_no_chain_is_said(hub: RecordingHub, run: str) -> None:
    app = AppTest.from_file(str(ROOT / "pages" / "playground.py"), default_timeout=20)
    app.query_params["run"] = run
    app.run()
    assert not app.exception
    assert "No such chain here" in shown(app)
    assert run not in shown(app)


def test_an_address_brings_chain_and_fields_back(
    page: AppTest, hub: RecordingHub, caplog: pytest.LogCaptureFixture
) -> None:
    page.number_input(key="revisions").set_value(3).run()
    page.number_input(key="seed").set_value(11).run()
    page.toggle(key="critique").set_value(False).run()
    press_run(page)
    (chain_id,) = hub.ids
    chain = hub.get(chain_id)
    assert chain is not None
    chain.join(5)
    assert chain.snapshot().state is ChainState.FINISHED
    other = AppTest.from_file(str(ROOT / "pages" / "playground.py"), default_timeout=20)
    other.query_params["run"] = chain_id
    other.run()
    assert not other.exception
    assert other.text_area(key="prompt_text").value == INSIDE
    assert other.number_input(key="revisions").value == 3
    assert other.number_input(key="seed").value == 11
    assert other.toggle(key="critique").value is False
    assert "Session State" not in caplog.text  # a default and a restored value do not clash


def test_a_launch_is_journalled(page: AppTest, hub: RecordingHub, workspace: Path) -> None:
    press_run(page)
    (event,) = read_events(workspace, Topic.LAUNCHES)
    assert (event["actor"], event["action"]) == ("local", "start chain")
    assert event["run"] == f"interactive-{hub.ids[0]}"
    assert event["constitution_hash"] == hub.requests[0].constitution.hash


def test_a_second_constitution_runs_beside_the_first(page: AppTest, hub: RecordingHub) -> None:
    page.number_input(key="seed").set_value(5).run()
    page.button_group(key="compare").set_value("constitution").run()
    page.selectbox(key="constitution_b").set_value("healthcare").run()
    press_run(page)
    first, second = hub.requests
    assert (first.constitution.name, second.constitution.name) == ("harmlessness", "healthcare")
    assert (first.prompt, first.model, first.recipe) == (second.prompt, second.model, second.recipe)
    assert [page.query_params[side] for side in ("run", "with")] == hub.ids


def test_a_second_model_runs_beside_the_first(page: AppTest, hub: RecordingHub) -> None:
    page.button_group(key="compare").set_value("model").run()
    press_run(page)
    assert "Choose the second model" in shown(page)
    assert hub.requests == []
    page.text_input(key="model_place_b").set_value("http://127.0.0.1:9#m").run()
    press_run(page)
    first, second = hub.requests
    assert (first.model, second.model) == ("demo", "http://127.0.0.1:9#m")
    assert first.constitution == second.constitution


def test_chosen_principles_mean_nothing_under_another_constitution(
    page: AppTest, hub: RecordingHub
) -> None:
    page.button_group(key="order").set_value("chosen").run()
    page.multiselect(key="chosen").set_value(page.multiselect(key="chosen").options[:1]).run()
    page.button_group(key="compare").set_value("constitution").run()
    page.selectbox(key="constitution_b").set_value("healthcare").run()
    press_run(page)
    first, second = hub.requests
    assert len(first.recipe.principles) == 1
    assert second.recipe.principles == "random"


def test_an_address_brings_both_sides_back(page: AppTest, hub: RecordingHub) -> None:
    page.button_group(key="compare").set_value("constitution").run()
    page.selectbox(key="constitution_b").set_value("healthcare").run()
    press_run(page)
    for chain_id in hub.ids:
        chain = hub.get(chain_id)
        assert chain is not None
        chain.join(5)
    other = AppTest.from_file(str(ROOT / "pages" / "playground.py"), default_timeout=20)
    other.query_params["run"], other.query_params["with"] = hub.ids
    other.run()
    assert not other.exception
    assert other.button_group(key="compare").value == "constitution"
    assert other.selectbox(key="constitution_b").value == "healthcare"
    assert '<h2 class="cai-side">healthcare</h2>' in shown(other)


def test_a_saved_version_is_what_runs(page: AppTest, hub: RecordingHub, workspace: Path) -> None:
    press_run(page)
    shipped = hub.requests[0].constitution
    draft = build_draft(shipped, base_hash=shipped.hash)
    draft = replace(draft, description="Another description.")
    saved = save_constitution(LOCAL_ACTOR, workspace, draft, note="why", onto=shipped.hash)
    other = AppTest.from_file(str(ROOT / "pages" / "playground.py"), default_timeout=20).run()
    press_run(other)
    assert hub.requests[-1].constitution.hash == saved.hash != shipped.hash
