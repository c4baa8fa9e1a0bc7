"""The paths that lead across pages, in a real browser; and one app a workspace."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import expect

from cai_core.workspace.events import Topic, read_events
from tests.browser.conftest import ROOT, App, OpenPage, serve_app
from tests.browser.test_playground import cards, main, overflow, run_button, start, status
from tests.fake_model import FakeModel


def test_a_prompt_becomes_a_saved_chain_that_a_link_shows_elsewhere(
    app: App, open_page: OpenPage, fake: FakeModel
) -> None:
    page = open_page(f"{app.url}playground")
    start(page, fake, prompt="Where do lost socks go, and who keeps them?")
    expect(status(page)).to_contain_text("Finished 5 steps")
    main(page).get_by_text("Saved", exact=True).click()
    main(page).get_by_role("button", name="Note").click()
    page.get_by_role("textbox", name="Add a note").fill("Ask the laundry.")
    page.get_by_role("button", name="Add note").click()
    expect(main(page).get_by_role("button", name="Notes (1)")).to_be_visible()
    page.keyboard.press("Escape")
    # Find it in Critiques, by its mark and a word of the prompt.
    page.goto(f"{app.url}critiques?mark=saved")
    search = main(page).get_by_role("textbox", name="Search")
    search.fill("lost socks")
    search.press("Enter")
    expect(main(page).get_by_text("2 rounds")).to_be_visible()
    main(page).get_by_role("button", name="Open chain").first.click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_text("Ask the laundry.")).to_be_visible()
    expect(drawer.get_by_text("Revision 5: word0 word1 word2 word3 word4").first).to_be_visible()
    path = drawer.get_by_text(re.compile(r"^critiques\?chain=[0-9a-f]{32}$")).inner_text()
    elsewhere = open_page(urljoin(app.url, path))
    there = elsewhere.get_by_role("dialog")
    expect(there.get_by_text("Ask the laundry.")).to_be_visible()
    expect(there.get_by_text("Revision 5: word0 word1 word2 word3 word4").first).to_be_visible()
    expect(there.get_by_role("switch", name="Saved")).to_be_checked()
    actions = [event["action"] for event in read_events(app.workspace, Topic.REVIEWS)]
    assert actions[-2:] == ["mark chain", "mark chain"]


def test_two_constitutions_side_by_side(app: App, open_page: OpenPage, fake: FakeModel) -> None:
    fake.hold_at = 4
    page = open_page(f"{app.url}playground")
    main(page).get_by_role("radio", name="Constitution").click()
    expect(main(page).get_by_text("Second constitution")).to_be_visible()
    start(page, fake)
    page.wait_for_url("**with=*")
    expect(main(page).locator("h2.cai-side")).to_have_text(["harmlessness", "customer-support"])
    expect(status(page)).to_have_count(2)
    expect(cards(page).get_by_text("Response", exact=False).nth(1)).to_be_visible()
    page.reload()  # in the middle of both
    expect(status(page)).to_have_count(2)
    fake.hold_at = None
    expect(status(page).nth(0)).to_contain_text("Finished 5 steps")
    expect(status(page).nth(1)).to_contain_text("Finished 5 steps")
    expect(run_button(page)).to_be_enabled()
    assert overflow(page) <= 0
    prompts = {body["messages"][0]["content"] for body in fake.requests}
    seeds = [body["seed"] for body in fake.requests if len(body["messages"]) == 1]
    assert len(prompts) == 1
    assert len(set(seeds)) == 1, "both sides answer with the same seed"


def test_pages_lead_to_each_other_and_the_bare_address_to_the_overview(
    app: App, open_page: OpenPage
) -> None:
    page = open_page(app.url)
    expect(main(page).get_by_role("heading", name="Overview")).to_be_visible()
    for name in ("Constitutions", "Playground", "Critiques", "Overview"):
        page.get_by_role("link", name=name, exact=True).first.click()
        expect(main(page).get_by_role("heading", name=name, level=1)).to_be_visible()


def test_a_second_app_on_the_workspace_refuses_and_names_the_owner(tmp_path: Path) -> None:
    with serve_app(tmp_path) as first:
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", "0"]
        env = {**os.environ, "CAI_WORKSPACE": str(first.workspace)}
        second = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert second.returncode == 2
        assert re.search(r"another process owns its indexes \(pid \d+\)", second.stderr)
        assert "Traceback" not in second.stderr


def test_a_damaged_index_is_made_anew_and_said_aloud(
    tmp_path: Path, open_page: OpenPage, fake: FakeModel
) -> None:
    with serve_app(tmp_path) as first:
        page = open_page(f"{first.url}playground")
        start(page, fake, prompt="Where do lost socks go?")
        expect(status(page)).to_contain_text("Finished 5 steps")
        page.goto("about:blank")
        time.sleep(1)
    (tmp_path / "index.duckdb").write_bytes(b"not a database" * 999)
    with serve_app(tmp_path) as second:
        page = open_page(f"{second.url}overview")
        expect(main(page).get_by_text("The index was made anew")).to_be_visible()
        page.goto(f"{second.url}critiques?recorded=no")
        expect(main(page).get_by_text("Where do lost socks go?").first).to_be_visible()
    assert list(tmp_path.glob("index.duckdb.broken-*"))


def test_a_first_visit_has_recorded_chains_to_look_at(
    tmp_path: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CAI_RECORDINGS")
    with serve_app(tmp_path) as fresh:
        page = open_page(f"{fresh.url}critiques")
        expect(main(page).get_by_text("recorded", exact=True).first).to_be_visible()
        expect(main(page).get_by_text("80 rounds")).to_be_visible()
        main(page).get_by_role("button", name="Open chain").first.click()
        expect(page.get_by_role("dialog").get_by_text("What made it")).to_be_visible()
