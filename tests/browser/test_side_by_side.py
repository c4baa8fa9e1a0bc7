"""Two runs of the real demo model side by side in a real browser, and a chain run again."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from cai_core.workspace.events import Topic, read_events
from tests.browser.conftest import App, OpenPage, serve_app
from tests.pipeline.label_runs import held_out_prompts, make_chains


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app over two runs that differ in their seed alone."""
    workspace = tmp_path_factory.mktemp("sides")
    for name, seed in (("one", 1), ("two", 2)):
        make_chains(workspace, name, held_out_prompts("redteam", 3), revisions=1, seed=seed)
    with serve_app(workspace) as app:
        yield app


def main(page: Page) -> Locator:
    return page.get_by_test_id("stMain")


def choose(page: Page, label: str, option: str) -> None:
    field = main(page).get_by_role("combobox", name=label, exact=True)
    field.click()
    field.fill(option)
    page.get_by_role("option", name=re.compile(f"^{option} ")).click()


def test_two_runs_are_compared_and_a_chain_is_run_again(made: App, open_page: OpenPage) -> None:
    page = open_page(f"{made.url}compare")
    choose(page, "Left run", "one")
    choose(page, "Right run", "two")
    page.wait_for_url(lambda url: "left=one" in url and "right=two" in url)
    expect(main(page).locator(".cai-side-table")).to_contain_text("Seed")
    expect(main(page).get_by_text("The seeds differ: each text is drawn anew")).to_be_visible()
    main(page).get_by_text(re.compile("^Only changed")).click()
    page.wait_for_url("**show=differ*")
    pairs = main(page).locator(".cai-pair-prompt")
    expect(pairs.first).to_be_visible()
    expect(main(page).locator(".cai-two ins").first).to_be_visible()

    main(page).get_by_role("button", name="Open right chain").first.click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_role("button", name="Run it again").click()
    page.wait_for_url("**replay=*")
    expect(drawer.get_by_text("The same to the letter")).to_be_visible()
    expect(drawer.get_by_role("status").filter(has_text="3 of 3 steps")).to_be_visible()
    expect(drawer.get_by_role("button", name="Run it once more")).to_be_enabled()
    page.reload()
    expect(drawer.get_by_text("The same to the letter")).to_be_visible()
    begun, ended = read_events(made.workspace, Topic.LAUNCHES)
    assert (begun["action"], ended["action"], ended["same"]) == (
        "replay chain",
        "replayed chain",
        True,
    )
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    page.wait_for_url(lambda url: "chain=" not in url and "replay=" not in url)
    expect(pairs.first).to_be_visible()
