"""The playground's comparison of ways through AppTest: fields, address, answers, hostile text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions.constitutions import save_constitution
from cai_core.actions.settings import set_setting
from cai_core.constitution import find_constitution
from cai_core.demo_world.oracle import load_oracle
from cai_core.errors import CaiError
from cai_core.inference.launcher import stop_server
from cai_core.pipeline.live_task import ChainState
from cai_core.pipeline.system_prompt import preview_system_prompt
from cai_core.pipeline.ways_answers import STEPS, build_response_id
from cai_core.pipeline.ways_interactive import load_live_ways, run_live_ways
from cai_core.pipeline.ways_live import LiveWays, WaysBuffer, WaysHub, WaysRequest
from cai_core.pipeline.ways_recipe import Way
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.drafts import build_draft
from cai_core.workspace.events import Topic, read_events
from tests.pages.constitution_page import open_page as open_constitutions
from tests.workspace.rows_of import make_row
from ui import services
from ui.chain_settings import ELSEWHERE
from ui.harm import SETTING

ROOT = Path(__file__).resolve().parents[2]
INSIDE = "What is the best way to stop taking my heart tablets?"
HOSTILE = '<img src=x onerror="window.owned=1"> ![b](http://evil.example/b.png) :red[e]'


class RecordingHub(WaysHub):
    """Asks nobody: each way brings the text that the test gives it."""

    def __init__(self, texts: dict[Way, str]) -> None:
        self.texts = texts
        self.requests: list[WaysRequest] = []

        async def bring(ways_id: str, request: WaysRequest, buffer: WaysBuffer) -> None:
            run_id = f"interactive-ways-{ways_id}"
            for way in request.recipe.ways:
                if way not in self.texts:
                    buffer.way_ended(way, f"no server {HOSTILE}")
                    continue
                row_id = build_response_id(run_id, request.prompt, way, 0)
                text = self.texts[way]
                buffer.row(make_row(row_id=row_id, step=STEPS[way], text=text, seconds=1.5))
                buffer.way_ended(way)

        super().__init__(bring, lambda _id: None)

    def start(self, request: WaysRequest) -> LiveWays:
        self.requests.append(request)
        ways = super().start(request)
        ways.join(5)
        return ways


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingHub]:
    hub = RecordingHub({Way.PLAIN: HOSTILE, Way.OTHER_MODEL: HOSTILE})
    monkeypatch.setattr(services, "_ways", hub)
    yield hub
    hub.close()


def open_page(**address: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "playground.py"), default_timeout=30)
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


@pytest.fixture
def page(hub: RecordingHub) -> AppTest:
    app = open_page(mode="ways")
    return app.text_area(key="prompt_text").set_value(INSIDE).run()


def choose(app: AppTest, *ways: Way) -> AppTest:
    app.button_group(key="ways").set_value(list(ways)).run()
    assert not app.exception
    return app


def press_run(app: AppTest) -> AppTest:
    app = app.button(key="run_chain").click().run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    bodies = [block.proto.body for block in app.get("html")]
    return "\n".join(body for body in bodies if not body.startswith("<style>"))


def test_the_mode_is_chosen_and_stands_in_the_address(hub: RecordingHub) -> None:
    app = open_page()
    assert app.button_group(key="mode").value == "chain"
    app.button_group(key="mode").set_value("ways").run()
    assert not app.exception
    assert app.query_params["mode"] == ["ways"] or app.query_params["mode"] == "ways"
    assert "side by side" in shown(app)
    assert app.button_group(key="ways").value == [Way.PLAIN, Way.SYSTEM_PROMPT, Way.BEST_OF_N]


def test_the_defaults_ask_the_demo_model_in_three_ways(page: AppTest, hub: RecordingHub) -> None:
    press_run(page)
    (request,) = hub.requests
    recipe = request.recipe
    assert recipe.ways == (Way.PLAIN, Way.SYSTEM_PROMPT, Way.BEST_OF_N)
    assert (recipe.model, recipe.feedback_model, recipe.other_model) == ("demo", "demo", None)
    assert (recipe.n, recipe.principles, recipe.sampling.max_tokens) == (4, "random", 96)
    assert request.prompt.line > 0  # the sample's id and kind travel along


@pytest.mark.parametrize(
    ("change", "read"),
    [
        (lambda p: p.number_input(key="ways_n").set_value(2), lambda r: r.n == 2),
        (lambda p: p.number_input(key="seed").set_value(7), lambda r: r.seed == 7),
        (
            lambda p: p.slider(key="temperature_ways").set_value(0.5),
            lambda r: r.sampling.temperature == 0.5,
        ),
        (
            lambda p: p.number_input(key="max_tokens_ways").set_value(9),
            lambda r: r.sampling.max_tokens == 9,
        ),
        (
            lambda p: p.selectbox(key="constitution").set_value("healthcare"),
            lambda r: r.constitution == "healthcare",
        ),
        (
            lambda p: p.multiselect(key="ways_principles").set_value(
                p.multiselect(key="ways_principles").options[1:2]
            ),
            lambda r: r.principles == (find_constitution("harmlessness").principles[1].id,),
        ),
    ],
)
def test_each_field_reaches_the_request(
    page: AppTest, hub: RecordingHub, change: Any, read: Any
) -> None:
    change(page).run()
    press_run(page)
    assert read(hub.requests[0].recipe)


def test_what_is_missing_is_said_and_nothing_runs(page: AppTest, hub: RecordingHub) -> None:
    choose(page)
    assert "Choose at least one way" in shown(press_run(page))
    choose(page, Way.PLAIN, Way.OTHER_MODEL)
    page.selectbox(key="model_other").set_value(ELSEWHERE).run()
    assert "Give the other model" in shown(press_run(page))
    choose(page, Way.BEST_OF_N)
    page.slider(key="temperature_ways").set_value(0.0).run()
    assert "samples of temperature 0 are all the same" in shown(press_run(page))
    page.text_area(key="prompt_text").set_value(" ").run()
    assert "Write a prompt" in shown(press_run(page))
    assert hub.requests == []


def test_another_model_is_a_way_of_its_own(page: AppTest, hub: RecordingHub) -> None:
    choose(page, Way.PLAIN, Way.OTHER_MODEL)
    page.selectbox(key="model_other").set_value(ELSEWHERE).run()
    page.text_input(key="model_place_other").set_value("http://127.0.0.1:9#m").run()
    press_run(page)
    (request,) = hub.requests
    assert request.recipe.other_model == "http://127.0.0.1:9#m"
    assert request.recipe.feedback_model is None


def test_an_address_brings_answers_and_fields_back(page: AppTest, hub: RecordingHub) -> None:
    choose(page, Way.PLAIN, Way.SYSTEM_PROMPT)
    page.number_input(key="seed").set_value(11).run()
    press_run(page)
    address = {k: v[0] if isinstance(v, list) else v for k, v in page.query_params.items()}
    assert set(address) == {"ways", "mode"}
    other = open_page(**address)
    assert other.text_area(key="prompt_text").value == INSIDE
    assert other.number_input(key="seed").value == 11
    assert other.button_group(key="ways").value == [Way.PLAIN, Way.SYSTEM_PROMPT]
    assert "Finished" in shown(other)


@pytest.mark.parametrize("ways", ["junk", "../../etc/passwd", "0123456789ab", "<img src=x>"])
def test_an_address_that_names_no_comparison_is_said(hub: RecordingHub, ways: str) -> None:
    app = open_page(ways=ways)
    assert "No such comparison here" in shown(app)
    assert ways not in shown(app)


def test_hostile_answers_and_faults_are_text(
    page: AppTest, hub: RecordingHub, workspace: Path
) -> None:
    set_setting(LOCAL_ACTOR, workspace, SETTING, True)
    choose(page, Way.PLAIN, Way.SYSTEM_PROMPT, Way.OTHER_MODEL)
    page.selectbox(key="model_other").set_value(ELSEWHERE).run()
    page.text_input(key="model_place_other").set_value(f"http://127.0.0.1:9#{HOSTILE}").run()
    press_run(page)
    body = shown(page)
    assert "<img" not in body
    assert body.count("&lt;img src=x onerror=&quot;window.owned=1&quot;&gt;") >= 4
    for kind in ("markdown", "error", "warning", "info", "caption", "exception"):
        assert all("evil.example" not in element.value for element in page.get(kind))


def test_the_oracle_says_what_it_knows_and_blurs_what_does_harm(
    page: AppTest, hub: RecordingHub
) -> None:
    oracle = load_oracle()
    intent = oracle.read_prompt(INSIDE)
    assert intent is not None and intent.harmful
    language = oracle.world.language
    refusal = language["decline"][0].format(
        intent=intent.text, yours=intent.yours, harm="x", name="x"
    )
    harmful = language["detail"][0]
    hub.texts = {Way.PLAIN: harmful, Way.SYSTEM_PROMPT: refusal}
    choose(page, Way.PLAIN, Way.SYSTEM_PROMPT)
    body = shown(press_run(page))
    assert "✕ harmful compliance" in body and "✓ refusal" in body
    blurred = body.partition('class="cai-blur"')[2].partition("</div>")[0]
    assert harmful in blurred  # behind the blur, and only there
    assert body.count('class="cai-blur"') == 1  # the refusal can be read


def test_outside_the_world_nothing_is_said_of_an_answer(page: AppTest, hub: RecordingHub) -> None:
    hub.texts = {Way.PLAIN: "Tie Tie Not touched.", Way.SYSTEM_PROMPT: "Tie Tie Not touched."}
    choose(page, Way.PLAIN, Way.SYSTEM_PROMPT)
    body = shown(press_run(page))
    assert body.count("outside the demo world: not judged") == 2
    assert "cai-remark-" not in body
    assert "the same as plain" in body
    page.selectbox(key="model").set_value(ELSEWHERE).run()
    page.text_input(key="model_place").set_value("http://127.0.0.1:9#m").run()
    page.text_area(key="prompt_text").set_value("What is the capital of France?").run()
    body = shown(press_run(page))
    assert "not judged" not in body and "cai-remark-" not in body


def test_the_page_says_that_the_demo_model_follows_no_system_prompt(
    page: AppTest, hub: RecordingHub
) -> None:
    assert "never trained with a system prompt" in shown(page)
    choose(page, Way.PLAIN)
    assert "never trained with a system prompt" not in shown(page)
    choose(page, Way.SYSTEM_PROMPT)
    page.selectbox(key="model").set_value(ELSEWHERE).run()
    assert "never trained with a system prompt" not in shown(page)


def test_a_full_hub_is_said(
    page: AppTest, hub: RecordingHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(request: WaysRequest) -> None:
        raise CaiError("2 comparisons are running <b>")

    monkeypatch.setattr(hub, "start", refuse)
    assert "2 comparisons are running &lt;b&gt;" in shown(press_run(page))


def test_a_launch_is_journalled(page: AppTest, hub: RecordingHub, workspace: Path) -> None:
    press_run(page)
    (event,) = read_events(workspace, Topic.LAUNCHES)
    assert (event["actor"], event["action"]) == ("local", "compare ways")
    assert event["ways"] == ["plain", "system-prompt", "best-of-n"]
    assert event["constitution_hash"] == hub.requests[0].constitution.hash


def test_principles_that_are_off_are_offered_in_neither_mode(
    hub: RecordingHub, workspace: Path
) -> None:
    shipped = find_constitution("harmlessness")
    draft = build_draft(shipped, base_hash=shipped.hash)
    first, *rest = draft.principles
    off = replace(draft, principles=(replace(first, enabled=False), *rest))
    save_constitution(LOCAL_ACTOR, workspace, off, note="why", onto=shipped.hash)
    app = open_page(mode="ways")
    name = shipped.principles[0].id
    assert name not in app.multiselect(key="ways_principles").options
    assert len(app.multiselect(key="ways_principles").options) == len(shipped.principles) - 1
    assert shipped.principles[0].text not in shown(app)
    assert "1 switched off, and never drawn." in shown(app)
    app.button_group(key="mode").set_value("chain").run()
    app.button_group(key="order").set_value("chosen").run()
    assert name not in app.multiselect(key="chosen").options
    assert "1 switched off, and never drawn." in shown(app)


def test_the_demo_model_compared_is_kept_and_found_again(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = WaysHub(run_live_ways, load_live_ways)
    monkeypatch.setattr(services, "_ways", hub)
    try:
        app = open_page(mode="ways")
        app.text_area(key="prompt_text").set_value(INSIDE).run()
        choose(app, *Way)
        app.selectbox(key="model_other").set_value(ELSEWHERE).run()
        app.text_input(key="model_place_other").set_value("http://127.0.0.1:9#m").run()
        app.number_input(key="ways_n").set_value(2).run()
        press_run(app)
        (ways,) = hub._held.values()
        ways.join(90)
        snapshot = ways.snapshot()
        assert snapshot.state is ChainState.FINISHED
        assert list(snapshot.faults) == [Way.OTHER_MODEL]  # and it held up nobody
        address = app.query_params["ways"]
        ways_id = address[0] if isinstance(address, list) else address
    finally:
        hub.close()
        stop_server("demo", workspace)
    kept = load_live_ways(ways_id)
    assert kept is not None
    again = kept.snapshot()
    assert dict(again.rows) == dict(snapshot.rows)
    assert again.faults == snapshot.faults
    for way in (Way.PLAIN, Way.BEST_OF_N):
        told = again.read(kept.request, kept.run_id, way)
        assert told.text == snapshot.read(ways.request, ways.run_id, way).text
        assert told.text


def test_the_constitutions_page_offers_the_system_prompt_to_copy() -> None:
    app = open_constitutions()
    (prompt,) = [code.value for code in app.code if "every answer" in code.value]
    assert prompt == preview_system_prompt(find_constitution("harmlessness")).text
    assert "16 principles, 261 words" in shown(app)
