"""The playground's comparison of ways in a real browser: reload midway, stop, hostile text."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import App, OpenPage
from tests.fake_model import FakeModel, wait_until
from ui.chain_settings import ELSEWHERE
from ui.ways_form import NAMES
from ui.ways_words import Way

HOSTILE = (
    '<img src="http://evil.example/a.png"> ![b](http://evil.example/b.png) <b>bold</b> '
    "<script>document.title='owned'</script> **c** $d$ :red[e]"
)
PROMPT = "How do I sharpen a knife?"
INSIDE = "What is the best way to stop taking my heart tablets?"


def main(page: Page) -> Locator:
    return page.get_by_test_id("stMain")


def status(page: Page) -> Locator:
    return main(page).get_by_role("status")


def run_button(page: Page) -> Locator:
    return main(page).get_by_test_id("stButton").get_by_role("button", name="Run")


def press_way(page: Page, way: Way) -> None:
    main(page).get_by_test_id("stButtonGroup").get_by_role("button", name=NAMES[way]).click()


def use_url(page: Page, label: str, url: str, nth: int = 0) -> None:
    main(page).get_by_role("combobox", name=label, exact=True).click()
    page.get_by_role("option", name=ELSEWHERE).click()
    field = main(page).get_by_role("textbox", name="Model folder or URL").nth(nth)
    field.fill(url)
    field.press("Enter")


def open_ways(open_page: OpenPage, app: App, **look: object) -> Page:
    page = open_page(f"{app.url}playground?mode=ways", **look)
    expect(run_button(page)).to_be_enabled()
    return page


def start(page: Page, prompt: str) -> None:
    main(page).get_by_role("textbox", name="Prompt", exact=True).fill(prompt)
    run_button(page).click()
    page.wait_for_url("**ways=*")


def test_a_comparison_goes_on_through_a_reload_and_ends_with_every_answer(
    app: App, open_page: OpenPage, fake: FakeModel
) -> None:
    fake.hold_at, fake.prefix = 1, HOSTILE
    page = open_ways(open_page, app)
    press_way(page, Way.OTHER_MODEL)
    use_url(page, "The other model", fake.url)
    start(page, INSIDE)
    # The other model is held in the middle of its text; the demo model's three ways go on.
    expect(status(page)).to_contain_text("3 of 4 ways done")
    expect(run_button(page)).to_be_disabled()
    page.reload()
    second = open_page(page.url)
    for tab in (page, second):
        expect(status(tab)).to_contain_text("Answering 3 of 4 ways done")
        expect(main(tab).get_by_role("heading", name="Best of 4")).to_be_visible()
        expect(main(tab).get_by_text("✕ harmful compliance").first).to_be_visible()
    fake.hold_at = None
    for tab in (page, second):
        expect(status(tab)).to_contain_text("Finished")
        # The plain answer, the system prompt's, the other model's, and best-of-n's.
        expect(main(tab).get_by_role("article", name="Answer")).to_have_count(4)
        main(tab).get_by_text("Show harmful text", exact=True).click()
        expect(main(tab).get_by_text("Response 1: word0 word1 word2").first).to_be_visible()
        main(tab).get_by_text("Show harmful text", exact=True).click()
    expect(run_button(page)).to_be_enabled()
    main(page).get_by_text("comparisons, each in both orders").click()
    expect(main(page).locator(".cai-ways-match").first).to_contain_text("by ")
    assert main(page).locator(".cai-card").locator("img, script, b").count() == 0
    assert page.title() == "CAI Workbench"


def test_stop_ends_the_texts_at_once_and_keeps_what_was_finished(
    app: App, open_page: OpenPage, fake: FakeModel
) -> None:
    fake.hold_at = 1
    page = open_ways(open_page, app)
    for way in (Way.SYSTEM_PROMPT, Way.BEST_OF_N):
        press_way(page, way)
    use_url(page, "Model", fake.url)
    start(page, PROMPT)
    expect(main(page).get_by_text("Response 1: word0")).to_be_visible()
    main(page).get_by_role("button", name="Stop").click()
    expect(status(page)).to_contain_text("Stopped")
    wait_until(lambda: fake.closed_early == 1, 2)
    expect(main(page).get_by_text("unfinished, not kept")).to_be_visible()
    expect(run_button(page)).to_be_enabled()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_nothing_runs_over_the_edge(
    app: App, open_page: OpenPage, fake: FakeModel, width: int, scheme: str
) -> None:
    fake.prefix = "x" * 300 + " "
    page = open_ways(open_page, app, width=width, scheme=scheme)
    for way in (Way.SYSTEM_PROMPT, Way.BEST_OF_N, Way.OTHER_MODEL):
        press_way(page, way)
    use_url(page, "Model", fake.url)
    use_url(page, "The other model", fake.url, nth=1)
    start(page, "y" * 400)
    expect(status(page)).to_contain_text("Finished")
    over = page.evaluate(
        "Math.max(...[document.documentElement, document.querySelector('[data-testid=stMain]')]"
        ".map(e => e.scrollWidth - e.clientWidth))"
    )
    assert over <= 0
