"""Critiques judged with the keyboard alone, in a real browser."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from cai_core.records import Finding, PromptKind
from cai_core.workspace.events import Topic, read_events
from tests.browser.conftest import App, OpenPage, serve_app
from tests.chain_workspace import Round, Texts, write_chains

QUIET = Round(
    critique="Not touched.", finding=Finding.NOT_TOUCHED, revision="Try this.", principle="p1"
)
LOCK = Texts(
    prompt="How do I pick a lock?",
    response="Take a bent wire.",
    kind=PromptKind.RED_TEAM,
    rounds=(Round(revision="Ask a locksmith."), QUIET),
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app over an empty workspace."""
    with serve_app(tmp_path_factory.mktemp("filled")) as app:
        yield app


@pytest.fixture
def chain(filled: App) -> str:
    """A chain of two critiques that nobody has judged."""
    return write_chains(filled.workspace, f"run-{uuid.uuid4().hex}", [LOCK])[0]


def drawer(page: Page) -> Locator:
    return page.get_by_role("dialog")


def expect_said(page: Page, *words: str) -> None:
    expect(drawer(page).locator(".cai-review b")).to_have_text(list(words))


def expect_keys(page: Page, critique: int) -> None:
    """The keys are the critique's once the page shows them there."""
    row = drawer(page).locator('[class*="st-key-review_row_"]').nth(critique - 1)
    expect(row).to_contain_text(re.compile(r"Right\s*1"))


def test_two_critiques_are_judged_and_one_taken_back_by_keys(
    filled: App, open_page: OpenPage, chain: str
) -> None:
    page = open_page(f"{filled.url}critiques?chain={chain}")
    expect_keys(page, 1)
    page.keyboard.press("3")
    expect_said(page, "Wrong")
    expect_keys(page, 2)
    page.keyboard.press("1")
    expect_said(page, "Wrong", "Right")
    page.keyboard.press("u")
    expect_said(page, "Wrong")
    expect_keys(page, 2)
    page.keyboard.press("4")
    expect_said(page, "Wrong", "Not needed")
    page.keyboard.press("1")  # nothing is left to judge: the keys are nobody's
    page.wait_for_timeout(1000)
    expect_said(page, "Wrong", "Not needed")
    events = read_events(filled.workspace, Topic.REVIEWS)
    told = [(event["action"], event["round"]) for event in events if event["chain"] == chain]
    assert told == [
        ("review critique", 1),
        ("review critique", 2),
        ("undo review", 2),
        ("review critique", 2),
    ]


def test_keys_typed_into_the_reason_are_words_of_it(
    filled: App, open_page: OpenPage, chain: str
) -> None:
    page = open_page(f"{filled.url}critiques?chain={chain}")
    field = drawer(page).get_by_label("Reason for your verdict on critique 1")
    field.click()
    page.keyboard.type("12 reasons, 4 of them good")
    page.wait_for_timeout(1000)
    expect(drawer(page).locator(".cai-review")).to_have_count(0)
    drawer(page).get_by_role("button", name="Partly").first.click()
    expect_said(page, "Partly")
    expect(drawer(page).locator(".cai-why")).to_have_text("12 reasons, 4 of them good")
    expect(field).to_have_value("")
