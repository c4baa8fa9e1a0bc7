"""The models page in a real browser: add, check, give a role, run on it, and go back to demo."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from cai_core.actions.endpoints import save_endpoint, set_role
from cai_core.inference.endpoints import EndpointConfig
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.endpoints import FILE, read_endpoints
from tests.browser.conftest import ROOT, App, OpenPage, serve_app
from tests.browser.test_hostile import check_inert
from tests.browser.test_playground import (
    cards,
    choose_model,
    main,
    overflow,
    prompt_field,
    run_button,
    status,
)
from tests.fake_model import FakeModel, wait_until
from tests.hostile import HOSTILE

KEY = "canary-b1f0-4711"
VARIABLE = "CAI_TEST_MODELS_KEY"
INSIDE = "What is the best way to stop taking my heart tablets?"
# Remembers whether a text was ever seen while it was being written.
WATCH = """() => { window.streamed = false; new MutationObserver(() => {
  window.streamed ||= document.querySelector('.cai-writing') !== null;
}).observe(document.body, {subtree: true, childList: true}); }"""


@contextmanager
def serve_bundled(log: Path) -> Iterator[str]:
    """A bundled server of the demo model that asks for a key; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "cai_core.inference.serve_cli", "serve", "--model", "demo"]
    command += ["--port", str(port), "--api-key-env", VARIABLE]
    env = {**os.environ, VARIABLE: KEY, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=file, stderr=file)
    try:
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}/health"), 120)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


def card(page: Page, name: str) -> Locator:
    return main(page).locator(f".st-key-model_card_{name}")


def press(scope: Locator, name: str) -> None:
    # A button with a hint stands twice in the page, once for small screens.
    scope.get_by_role("button", name=name).locator("visible=true").click()


def go_to(page: Page, name: str) -> None:
    page.get_by_role("link", name=name).click()
    expect(main(page).get_by_role("heading", name=name, exact=True)).to_be_visible()


def test_a_server_is_added_checked_given_a_role_and_used(
    tmp_path: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    with serve_bundled(tmp_path / "server.log") as url, serve_app(workspace) as fresh:
        page = open_page(f"{fresh.url}models")
        press(main(page), "Add endpoint")
        main(page).get_by_role("textbox", name="Name").fill("mine")
        main(page).get_by_role("textbox", name="URLs, one a line").fill(f"{url}#demo")
        main(page).get_by_role("textbox", name="Variable that holds the key").fill(VARIABLE)
        press(main(page), "Save")
        expect(card(page, "mine")).to_contain_text(f"{VARIABLE} is set")
        press(card(page, "mine"), "Check")
        expect(card(page, "mine").get_by_text("What it can do")).to_be_visible()
        expect(card(page, "mine")).to_contain_text("cai-local")
        expect(card(page, "mine").get_by_role("status")).to_contain_text("answers")
        choose_role(page, "Policy", "mine")
        expect(card(page, "mine")).to_contain_text("Policy")

        go_to(page, "Playground")
        expect(model_field(page)).to_have_value("mine · demo")
        chain_runs(page)
        go_to(page, "Models")
        go_to(page, "Playground")
        choose_model(page, "demo · the bundled demo model")
        chain_runs(page)
        page.goto("about:blank")
    held = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert all(KEY.encode() not in text for text in held)


def model_field(page: Page) -> Locator:
    return main(page).get_by_role("combobox", name="Model", exact=True)


def choose_role(page: Page, role: str, name: str) -> None:
    main(page).get_by_role("combobox", name=role).click()
    page.get_by_role("option", name=name).click()


def chain_runs(page: Page) -> None:
    before = page.url
    prompt_field(page).fill(INSIDE)
    prompt_field(page).press("Tab")
    expect(run_button(page)).to_be_enabled()
    page.evaluate(WATCH)
    run_button(page).click()
    page.wait_for_url(lambda url: "run=" in url and url != before)
    expect(status(page)).to_contain_text("Finished 5 steps", timeout=90_000)
    expect(cards(page).last).to_contain_text("Revision 2")
    assert page.evaluate("window.streamed"), "the text came all at once"


def test_the_bundled_server_stops_and_starts_and_what_is_open_stays_open(
    tmp_path: Path, open_page: OpenPage
) -> None:
    with serve_app(tmp_path) as fresh:
        page = open_page(f"{fresh.url}models")
        state = card(page, "demo").get_by_role("status").first
        expect(state).to_contain_text("running")
        press(card(page, "demo"), "Stop")
        expect(state).to_contain_text("not running")
        press(card(page, "demo"), "Start")
        expect(state).to_contain_text("starting")
        expect(state.get_by_text("● running").or_(state).first).to_contain_text("● running")
        press(card(page, "demo"), "Check")
        more = card(page, "demo").get_by_text("What it can do")
        more.click()
        table = card(page, "demo").get_by_role("table")
        expect(table).to_be_visible()
        page.wait_for_timeout(5000)  # more than two ticks of the list
        expect(table).to_be_visible()


def test_a_file_changed_by_hand_shows_by_itself_and_a_broken_one_keeps_demo(
    tmp_path: Path, open_page: OpenPage
) -> None:
    with serve_app(tmp_path) as fresh:
        page = open_page(f"{fresh.url}models")
        expect(card(page, "demo")).to_be_visible()
        good = "endpoints:\n  hand: {kind: url, urls: [http://127.0.0.1:9], model: m}\n"
        (tmp_path / FILE).write_text(good)
        expect(card(page, "hand")).to_be_visible()
        (tmp_path / FILE).write_text(good + "  other: {kind: teapot}\n")
        expect(main(page).get_by_role("alert")).to_contain_text(f"{FILE}:3:")
        expect(card(page, "hand")).to_have_count(0)
        press(card(page, "demo"), "Check")
        page.goto(f"{fresh.url}playground")
        expect(main(page).get_by_text("Only the demo model can be named")).to_be_visible()
        expect(run_button(page)).to_be_enabled()
        assert (tmp_path / FILE).read_text() == good + "  other: {kind: teapot}\n"


def test_a_check_that_hangs_can_be_left(
    tmp_path: Path, open_page: OpenPage, fake: FakeModel
) -> None:
    fake.hold_at = 1
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        add(tmp_path, EndpointConfig(name="silent", kind="url", model="m", urls=(url,)))
        with serve_app(tmp_path) as fresh:
            page = open_page(f"{fresh.url}models")
            press(card(page, "silent"), "Check")
            expect(card(page, "silent")).to_contain_text("Checking")
            press(card(page, "silent"), "Leave the check")
            expect(card(page, "silent")).not_to_contain_text("Checking")
            expect(card(page, "silent").get_by_role("status")).to_contain_text("not checked yet")


def add(workspace: Path, config: EndpointConfig) -> None:
    seen = read_endpoints(workspace).hash
    save_endpoint(LOCAL_ACTOR, workspace, config, seen=seen, new=True)


@pytest.fixture(scope="module")
def full_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app on a workspace with long and hostile endpoints of every kind."""
    workspace = tmp_path_factory.mktemp("models")
    long = "a-very-long-name-of-an-endpoint-that-somebody-thought-up-9876543"
    for number, text in enumerate(HOSTILE):
        kind = ("vllm", "bundled", "url")[number % 3]
        urls = ("http://127.0.0.1:9/" + "p" * 90,) if kind == "url" else ()
        options = (text, "--x") if kind == "vllm" else ()
        name = f"h{number}" if number else long[:63]
        if number > 12:
            break
        config = EndpointConfig(name=name, kind=kind, model=text, urls=urls, options=options)
        add(workspace, config)
    every = EndpointConfig(
        name="every", kind="bundled", model=" ".join(HOSTILE).replace("\x00", "")
    )
    add(workspace, every)
    seen = read_endpoints(workspace).hash
    set_role(LOCAL_ACTOR, workspace, "judge", long[:63], seen=seen)
    with serve_app(workspace) as app:
        yield app


def test_hostile_names_models_and_errors_stay_text(full_app: App, open_page: OpenPage) -> None:
    page = open_page(f"{full_app.url}models")
    expect(card(page, "every")).to_be_visible()
    press(card(page, "every"), "Start")
    expect(card(page, "every").get_by_role("alert")).to_contain_text("evil.example")
    press(card(page, "h2"), "Check")
    page.wait_for_timeout(3000)
    check_inert(page)
    press(card(page, "every"), "Edit")
    expect(main(page).get_by_role("textbox", name="Model")).to_be_visible()
    press(main(page), "Save")
    check_inert(page)
    page.goto(f"{full_app.url}playground")
    model_field(page).click()
    page.wait_for_timeout(500)
    check_inert(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800, 400])
def test_nothing_runs_over_the_edge(
    full_app: App, open_page: OpenPage, scheme: str, width: int
) -> None:
    page = open_page(f"{full_app.url}models", width=width, scheme=scheme)
    expect(card(page, "every")).to_be_visible()
    page.wait_for_timeout(1000)
    assert overflow(page) <= 0
    for shown in main(page).locator("[class*=st-key-model_card_] .cai-facts").all():
        assert shown.evaluate("e => e.scrollWidth - e.clientWidth") <= 0
    page.goto(f"{full_app.url}models?edit=every")
    expect(main(page).get_by_role("textbox", name="Model")).to_be_visible()
    assert overflow(page) <= 0
