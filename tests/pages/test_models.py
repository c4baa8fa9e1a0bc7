"""The models page through AppTest: every field reaches the file, every fault is said."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from streamlit.testing.v1 import AppTest

from cai_core.actions.endpoints import save_endpoint, set_role
from cai_core.inference.capabilities import Capabilities, Capability
from cai_core.inference.endpoints import EndpointConfig
from cai_core.pipeline import model_service
from cai_core.pipeline.model_look import ServerView
from cai_core.pipeline.model_service import CheckResult, CheckView
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.endpoints import FILE, load_book, read_endpoints
from cai_core.workspace.events import Topic, read_events
from tests.hostile import HOSTILE
from tests.inference.test_endpoints import books
from ui import services
from ui.models_cards import build_abilities, build_check, build_facts, build_head, build_trouble
from ui.models_fields import EXAMPLES, build_config, build_typed
from ui.models_words import describe_model, describe_seconds

ROOT = Path(__file__).resolve().parents[2]
ALL = "\n".join(HOSTILE)
ONE = EndpointConfig(name="one", kind="url", model="m", urls=("http://127.0.0.1:9",))


@pytest.fixture(autouse=True)
def fresh() -> None:
    model_service.forget()


def open_page(**address: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "models.py"), default_timeout=20)
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def add(workspace: Path, config: EndpointConfig = ONE) -> None:
    seen = read_endpoints(workspace).hash
    save_endpoint(LOCAL_ACTOR, workspace, config, seen=seen, new=True)


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def press(app: AppTest, key: str) -> AppTest:
    app = app.button(key=key).click().run()
    assert not app.exception
    return app


def keys(app: AppTest) -> set[str]:
    return {button.key for button in app.button}


def test_an_empty_workspace_shows_demo_in_every_role() -> None:
    app = open_page()
    assert [box.value for box in app.selectbox] == ["demo"] * 4
    assert "not running" in shown(app)
    assert "Judge and feedback model are the same" in shown(app)
    assert {"model_add", "start_demo", "check_demo"} <= keys(app)
    assert not {"edit_demo", "remove_demo"} & keys(app)
    assert "There is no file yet" in shown(app)
    assert app.code[0].value.startswith("endpoints: {}")


@pytest.mark.parametrize(("name", "kind"), [*zip(EXAMPLES, ["vllm", "url", "url"], strict=True)])
def test_every_example_can_be_saved_as_it_is(workspace: Path, name: str, kind: str) -> None:
    app = press(open_page(add="1"), f"example_{name}")
    app = press(app, "model_save")
    (saved,) = [c for c in load_book(workspace).endpoints.values() if c.name != "demo"]
    assert saved.kind == kind
    assert not app.query_params
    assert f"{saved.name} is in endpoints.yaml" in shown(app)
    if name == "Ollama":
        assert (saved.urls, saved.model) == (("http://127.0.0.1:11434",), "qwen3:8b")


def test_fields_follow_the_kind_and_what_is_typed_survives_it() -> None:
    app = open_page(add="1")
    assert {"model_urls"} == {area.key for area in app.text_area} - {"model_extra_body"}
    app.text_input(key="model_name").set_value("mine").run()
    app.text_area(key="model_urls").set_value("http://127.0.0.1:9").run()
    app.button_group(key="model_kind").set_value("vllm").run()
    assert {i.key for i in app.text_input} == {"model_name", "model_model", "model_options"}
    app.button_group(key="model_kind").set_value("bundled").run()
    assert {i.key for i in app.text_input} == {"model_name", "model_model"}
    app.button_group(key="model_kind").set_value("url").run()
    assert app.text_area(key="model_urls").value == "http://127.0.0.1:9"
    assert app.text_input(key="model_name").value == "mine"


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("model_name", "", "no name yet"),
        ("model_name", "Big Name", "is no name of an endpoint"),
        ("model_urls", "", "no urls"),
        ("model_urls", "http://169.254.169.254", "metadata address"),
        ("model_urls", "http://127.0.0.1:9#other", "names another model"),
        ("model_key_env", "sk-canary-4711", "its name, not the key"),
        ("model_extra_body", "{", "are no JSON"),
        ("model_extra_body", "[1]", "one JSON object"),
        ("model_extra_body", '{"seed": 1}', "sends itself"),
    ],
)
def test_a_mistake_is_said_beside_the_form_and_nothing_typed_is_lost(
    workspace: Path, field: str, value: str, says: str
) -> None:
    app = press(open_page(add="1"), "example_A hosted API")
    areas = {area.key for area in app.text_area}
    widget = app.text_area(key=field) if field in areas else app.text_input(key=field)
    widget.set_value(value).run()
    app = press(app, "model_save")
    assert "Not saved" in shown(app)
    assert says in shown(app)
    assert "canary" not in shown(app)
    assert app.number_input(key="model_price_prompt").value == 0.15
    assert (app.text_area if field in areas else app.text_input)(key=field).value == value
    assert not (workspace / FILE).exists()
    assert app.query_params["add"] == "1"


def test_an_edit_begins_with_what_is_there_and_keeps_the_name(workspace: Path) -> None:
    add(workspace, EndpointConfig(name="q", kind="vllm", model="a/b", options=("--x", "1 2")))
    app = open_page(edit="q")
    assert app.text_input(key="model_name").disabled
    assert app.text_input(key="model_options").value == "--x '1 2'"
    app.text_input(key="model_model").set_value("c/d").run()
    app.number_input(key="model_concurrency").set_value(7).run()
    press(app, "model_save")
    saved = load_book(workspace).endpoints["q"]
    assert (saved.model, saved.options, saved.concurrency) == ("c/d", ("--x", "1 2"), 7)
    assert read_events(workspace, Topic.SETTINGS)[-1]["before"]["model"] == "a/b"


def test_a_change_by_another_hand_is_shown_before_it_is_overwritten(workspace: Path) -> None:
    add(workspace)
    app = open_page(edit="one")
    app.text_input(key="model_model").set_value("mine").run()
    set_role(LOCAL_ACTOR, workspace, "judge", "one", seen=read_endpoints(workspace).hash)
    app = press(app, "model_save")
    assert "was changed since this was looked at" in shown(app)
    assert load_book(workspace).endpoints["one"].model == "m"
    assert app.text_input(key="model_model").value == "mine"
    press(app, "model_save")
    assert load_book(workspace).endpoints["one"].model == "mine"
    assert load_book(workspace).roles["judge"] == "one"


@pytest.mark.parametrize("name", ["nobody", "demo", "<img src=x>"])
def test_an_address_that_names_nothing_to_edit_is_said(name: str) -> None:
    app = open_page(edit=name)
    assert "No such endpoint" in shown(app)
    assert "model_save" not in keys(app)
    assert "<img" not in shown(app)


def test_a_role_is_saved_at_once_and_the_note_goes(workspace: Path) -> None:
    add(workspace)
    app = open_page()
    app.selectbox(key="role_judge_demo").set_value("one").run()
    assert not app.exception
    assert load_book(workspace).roles["judge"] == "one"
    assert app.selectbox(key="role_judge_one").value == "one"
    assert "are the same" not in shown(app)
    (_, event) = read_events(workspace, Topic.SETTINGS)
    assert (event["action"], event["role"], event["endpoint"]) == ("set role", "judge", "one")


def test_a_role_on_an_old_file_is_refused_and_said(workspace: Path) -> None:
    add(workspace)
    app = open_page()
    set_role(LOCAL_ACTOR, workspace, "policy", "one", seen=read_endpoints(workspace).hash)
    app.selectbox(key="role_judge_demo").set_value("one").run()
    assert "The role was not changed" in shown(app)
    assert load_book(workspace).roles["judge"] == "demo"
    # The critic followed the policy.
    assert [box.value for box in app.selectbox] == ["one", "one", "demo", "demo"]


def test_removing_takes_two_presses_and_no_role(workspace: Path) -> None:
    add(workspace)
    set_role(LOCAL_ACTOR, workspace, "judge", "one", seen=read_endpoints(workspace).hash)
    app = open_page()
    press(app, "remove_one")  # the popover is shut, but a stale tab may still ask
    assert "Give the role to another one first" in shown(app)
    set_role(LOCAL_ACTOR, workspace, "judge", "demo", seen=read_endpoints(workspace).hash)
    app = press(open_page(), "remove_one")
    assert "one is no longer an endpoint" in shown(app)
    assert list(load_book(workspace).endpoints) == ["demo"]


@pytest.mark.parametrize("text", ["endpoints:\n  a: {kind: <img src=x>}\n", "roles: [\n"])
def test_a_broken_file_is_told_with_its_line_and_left_alone(workspace: Path, text: str) -> None:
    (workspace / FILE).write_text(text)
    app = open_page()
    assert "endpoints.yaml cannot be read" in shown(app)
    assert f"{FILE}:2:" in shown(app)
    assert "<img" not in shown(app)
    assert app.code[0].value == text.rstrip()
    assert {"start_demo", "check_demo"} <= keys(app)
    assert "model_add" not in keys(app)
    assert not app.selectbox
    open_page(add="1")
    assert (workspace / FILE).read_text() == text


def test_a_viewer_looks_and_an_editor_starts(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(workspace)
    for role, may in ((AccessRole.VIEWER, False), (AccessRole.EDITOR, True)):
        monkeypatch.setattr(services, "actor", lambda role=role: Actor(name="x", role=role))
        app = open_page()
        assert app.button(key="start_demo").disabled != may
        assert app.button(key="check_one").disabled != may
        assert not {"model_add", "edit_one", "remove_one"} & keys(app)
        assert all(box.disabled for box in app.selectbox)
        assert "Endpoints are for admins" in shown(open_page(add="1"))


def test_a_check_that_hangs_is_shown_and_can_be_left(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(model_service, "run_check", lambda *_: let_go.wait(60))
    add(workspace)
    app = press(open_page(), "check_one")
    assert "Checking" in shown(app)
    app = press(app, "leave_one")
    assert "Checking" not in shown(app)
    assert "check_one" in keys(app)
    let_go.set()


@given(books())
def test_what_the_form_shows_of_an_endpoint_is_that_endpoint(book: Any) -> None:
    for config in book.endpoints.values():
        kept = {"key_env": config.key_env} if config.kind == "url" else {"key_env": None}
        model = config.model.strip()
        if model and model == config.model and "#" not in model:
            plain = EndpointConfig(name=config.name, **{**_fields(config), **kept})
            assert build_config(build_typed(config)) == plain


def _fields(config: EndpointConfig) -> dict[str, Any]:
    return {
        name: getattr(config, name)
        for name in EndpointConfig.__dataclass_fields__
        if name != "name"
    }


def test_hostile_texts_become_no_markup() -> None:
    config = EndpointConfig(name="a", kind="vllm", model=ALL, options=HOSTILE)
    server = ServerView(state="failed", reason=ALL, url=ALL, log_tail=ALL)
    ability = Capability(name=ALL, support="no", evidence=ALL, fallback=ALL)
    found = Capabilities(
        model_id=ALL,
        engine=ALL,
        engine_version=ALL,
        context_length=None,
        scoring_way=None,
        capabilities=(ability,),
        seconds=1,
    )
    result = CheckResult(found=found, servers=(ALL,), at=0.0, seconds=1.0)
    done = CheckView(state="done", begun=0.0, result=result)
    failed = CheckView(state="failed", begun=0.0, error=ALL)
    book = load_book(Path("/nowhere"))
    html = "".join(
        (
            build_head(config, book, server, done),
            build_facts(config, server, 0.0),
            build_trouble(server),
            build_check(done, 0.0),
            build_check(failed, 0.0),
            build_abilities((ability,)),
        )
    )
    assert "evil.example" in html
    for tag in ("<img", "<script", "<svg", "<style", "<iframe", "<a "):
        assert tag not in html
    assert describe_model(config)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (172800, "2 d")],
)
def test_lengths_of_time_are_told_in_their_largest_unit(seconds: float, words: str) -> None:
    assert describe_seconds(seconds) == words
