"""The playground in a real browser: stream, stop, reload, share, and hostile text as text."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from cai_core.inference.model_folder import DEMO_FOLDER
from tests.browser.conftest import App, OpenPage, serve_app
from tests.fake_model import TOO_LONG, FakeModel, wait_until
from ui.chain_settings import ELSEWHERE
from ui.look import LOOKS

HOSTILE = (
    '<img src="http://evil.example/a.png"> ![b](http://evil.example/b.png) <b>bold</b> '
    "<script>document.title='owned'</script> <style>*{display:none}</style> **c** $d$ :red[e]"
)
needs_demo = pytest.mark.skipif(
    not (DEMO_FOLDER / "config.json").is_file(), reason="this checkout has no demo model"
)


def main(page: Page) -> Locator:
    # Streamlit's own toolbar has a Stop of its own.
    return page.get_by_test_id("stMain")


def run_button(page: Page) -> Locator:
    return main(page).get_by_test_id("stButton").get_by_role("button", name="Run")


def prompt_field(page: Page) -> Locator:
    return main(page).get_by_role("textbox", name="Prompt", exact=True)


def cards(page: Page) -> Locator:
    return main(page).locator(".cai-card")


def status(page: Page) -> Locator:
    return main(page).get_by_role("status")


def choose_model(page: Page, name: str) -> None:
    main(page).get_by_role("combobox", name="Model", exact=True).click()
    page.get_by_role("option", name=name).click()


def use_model(page: Page, url: str) -> None:
    choose_model(page, ELSEWHERE)
    field = main(page).get_by_role("textbox", name="Model folder or URL")
    field.fill(url)
    field.press("Enter")


def start(page: Page, fake: FakeModel, prompt: str = "How do I sharpen a knife?") -> None:
    use_model(page, fake.url)
    prompt_field(page).fill(prompt)
    run_button(page).click()
    page.wait_for_url("**run=*")


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than its window."""
    return page.evaluate(
        "Math.max(...[document.documentElement, document.querySelector('[data-testid=stMain]')]"
        ".map(e => e.scrollWidth - e.clientWidth))"
    )


def test_a_deep_link_is_the_first_request_of_a_fresh_server(
    tmp_path: Path, open_page: OpenPage
) -> None:
    with serve_app(tmp_path) as fresh:
        page = open_page(f"{fresh.url}playground?run=0123456789ab")
        expect(main(page).get_by_role("heading", name="Playground")).to_be_visible()
        expect(main(page).get_by_text("No such chain here")).to_be_visible()
        # The shell ran: its style is there, and Streamlit's own list of files is not.
        expect(page.locator(".cai-card").first).to_have_css("border-left-width", "4px")
        assert page.title() == "CAI Workbench"
        expect(page.get_by_test_id("stSidebarNav")).to_have_count(0)
        # And the page is alive, not inert.
        prompt_field(page).fill("")
        run_button(page).click()
        expect(main(page).get_by_text("Write a prompt, or choose a sample, first.")).to_be_visible()


def test_a_chain_streams_to_its_end(app: App, open_page: OpenPage, fake: FakeModel) -> None:
    fake.hold_at = 2
    page = open_page(f"{app.url}playground")
    start(page, fake)
    expect(status(page)).to_contain_text("Writing critique 1")
    expect(cards(page).last).to_contain_text("Critique 2: word0")
    expect(run_button(page)).to_be_disabled()
    fake.hold_at = None
    expect(status(page)).to_contain_text("Finished 5 steps")
    titles = cards(page).locator(".cai-title span:last-child").all_inner_texts()
    assert titles[-8:] == [
        "Prompt",
        "Initial response",
        "Round 1: principle",
        "Critique 1",
        "Revision 1",
        "Round 2: principle",
        "Critique 2",
        "Revision 2",
    ]
    expect(run_button(page)).to_be_enabled()
    main(page).get_by_text("Show changes").click()
    expect(main(page).locator("del").first).to_be_visible()


def test_stop_ends_the_text_at_once_and_says_what_is_kept(
    app: App, open_page: OpenPage, fake: FakeModel
) -> None:
    fake.hold_at = 3
    page = open_page(f"{app.url}playground")
    start(page, fake)
    expect(cards(page).last).to_contain_text("Revision 3: word0")
    main(page).get_by_role("button", name="Stop").click()
    expect(status(page)).to_contain_text("Stopped 2 of 5 steps kept")
    wait_until(lambda: fake.closed_early == 1, 2)
    expect(cards(page).last).to_contain_text("unfinished, not kept")
    expect(main(page).get_by_role("button", name="Stop")).to_have_count(0)
    expect(prompt_field(page)).to_have_value("How do I sharpen a knife?")
    expect(run_button(page)).to_be_enabled()


def test_a_reload_and_a_second_tab_miss_nothing(
    app: App, open_page: OpenPage, fake: FakeModel
) -> None:
    fake.hold_at = 2
    page = open_page(f"{app.url}playground")
    start(page, fake)
    expect(cards(page).last).to_contain_text("Critique 2: word0")
    page.reload()
    second = open_page(page.url)
    for tab in (page, second):
        expect(cards(tab).last).to_contain_text("Critique 2: word0")
        expect(prompt_field(tab)).to_have_value("How do I sharpen a knife?")
    fake.hold_at = None
    for tab in (page, second):
        expect(status(tab)).to_contain_text("Finished 5 steps")
        expect(main(tab).get_by_text("Response 1: word0 word1 word2 word3 word4")).to_be_visible()


def test_a_chain_outlives_the_app(tmp_path: Path, open_page: OpenPage, fake: FakeModel) -> None:
    with serve_app(tmp_path) as first:
        page = open_page(f"{first.url}playground")
        start(page, fake)
        expect(status(page)).to_contain_text("Finished")
        query = page.url.partition("?")[2]
        page.goto("about:blank")
    with serve_app(tmp_path) as second:
        page = open_page(f"{second.url}?{query}")
        expect(status(page)).to_contain_text("Finished 5 steps")
        expect(main(page).get_by_text("Revision 5: word0 word1 word2 word3 word4")).to_be_visible()


def test_hostile_text_stays_text(app: App, open_page: OpenPage, fake: FakeModel) -> None:
    fake.prefix = HOSTILE
    page = open_page(f"{app.url}playground")
    start(page, fake, prompt=HOSTILE)
    expect(status(page)).to_contain_text("Finished")
    main(page).get_by_text("Show changes").click()
    page.wait_for_timeout(500)
    expect(main(page).get_by_text("<script>document.title='owned'</script>").first).to_be_visible()
    assert cards(page).locator("img, script, style, b").count() == 0
    assert page.title() == "CAI Workbench"
    # That nothing was asked of evil.example is checked by `open_page`, as in every test.


def test_a_gone_server_is_told_and_the_prompt_stays(app: App, open_page: OpenPage) -> None:
    page = open_page(f"{app.url}playground")
    use_model(page, f"http://127.0.0.1:9#{HOSTILE.replace(' ', '')}")
    prompt_field(page).fill("Who is there?")
    run_button(page).click()
    expect(status(page)).to_contain_text("Failed")
    expect(cards(page).last).to_contain_text("cannot be reached")
    expect(prompt_field(page)).to_have_value("Who is there?")


def test_a_long_prompt_hides_neither_error_nor_stop(
    app: App, open_page: OpenPage, fake: FakeModel
) -> None:
    page = open_page(f"{app.url}playground")
    start(page, fake, prompt=f"{TOO_LONG} " + "word " * 900)
    expect(status(page)).to_contain_text("Failed 0 of 5 steps kept")
    expect(cards(page).last).to_contain_text("maximum context length")
    expect(cards(page).last).to_be_in_viewport(ratio=1)
    fake.words, fake.hold_at = 600, 4  # after the refused one: two long steps, then one that waits
    prompt_field(page).fill("Why?")
    run_button(page).click()
    expect(cards(page).last).to_contain_text("Revision 4: word0")
    cards(page).last.scroll_into_view_if_needed()
    expect(cards(page).first).not_to_be_in_viewport()
    expect(main(page).get_by_role("button", name="Stop")).to_be_in_viewport(ratio=1)
    expect(status(page)).to_be_in_viewport(ratio=1)


def test_the_page_works_from_the_keyboard(app: App, open_page: OpenPage, fake: FakeModel) -> None:
    page = open_page(f"{app.url}playground")
    use_model(page, fake.url)
    prompt_field(page).fill("How do I sharpen a knife?")
    page.keyboard.press("Control+Enter")
    expect(status(page)).to_contain_text("Finished 5 steps")
    toggle = main(page).get_by_role("switch", name="Show changes")
    expect(toggle).to_have_count(1)
    for _ in range(30):  # as far as Tab has to go, and no farther
        page.keyboard.press("Tab")
        if toggle.evaluate("e => e === document.activeElement"):
            break
    expect(toggle).to_be_focused()
    page.keyboard.press("Space")
    expect(main(page).locator("del").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_popover_has_the_colours_of_its_theme(app: App, open_page: OpenPage, scheme: str) -> None:
    page = open_page(f"{app.url}playground", scheme=scheme)
    main(page).get_by_role("button", name="Principles").click()
    title = page.get_by_test_id("stPopoverBody").locator(".cai-head").first
    expect(title).to_be_visible()
    look = LOOKS["principle"]
    wanted = look.dark if scheme == "dark" else look.light
    red, green, blue = (int(wanted[i : i + 2], 16) for i in (1, 3, 5))
    expect(title).to_have_css("color", f"rgb({red}, {green}, {blue})")


def test_a_prompt_outside_the_demo_world_is_said_before_anything_runs(
    app: App, open_page: OpenPage
) -> None:
    page = open_page(f"{app.url}playground")
    expect(run_button(page)).to_be_enabled()
    prompt_field(page).fill(f"What is the capital of France? {HOSTILE}")
    run_button(page).click()
    expect(main(page).get_by_text("Outside the demo model's world")).to_be_visible()
    page.wait_for_timeout(500)
    assert "run=" not in page.url
    suggestions = main(page).locator("[class*=st-key-nearest_]").get_by_role("button")
    wanted = suggestions.first.inner_text()
    suggestions.first.click()
    expect(prompt_field(page)).to_have_value(wanted)
    expect(main(page).get_by_text("Outside the demo model's world")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800, 400])
def test_nothing_runs_over_the_edge(
    app: App, open_page: OpenPage, fake: FakeModel, scheme: str, width: int
) -> None:
    fake.prefix = "x" * 300 + " "
    page = open_page(f"{app.url}playground", width=width, scheme=scheme)
    expect(run_button(page)).to_be_visible()
    assert overflow(page) <= 0
    start(page, fake, prompt="y" * 400)
    expect(status(page)).to_contain_text("Finished")
    assert overflow(page) <= 0
    for text in cards(page).locator(".cai-text").all():
        assert text.evaluate("e => e.scrollWidth - e.clientWidth") <= 0
    shade = page.evaluate(
        "getComputedStyle(document.querySelector('.stApp')).backgroundColor.match(/\\d+/g)[0]"
    )
    assert (int(shade) < 100) == (scheme == "dark")


@needs_demo
def test_the_demo_model_answers_in_time(tmp_path: Path, open_page: OpenPage) -> None:
    with serve_app(tmp_path) as fresh:
        page = open_page(f"{fresh.url}playground")
        expect(run_button(page)).to_be_enabled()
        shown = time.monotonic() - fresh.started
        run_button(page).click()
        critique = main(page).locator(".cai-critique .cai-text").first
        expect(critique).to_be_visible(timeout=60_000)
        first_critique = time.monotonic() - fresh.started
        expect(status(page)).to_contain_text("Finished 5 steps", timeout=60_000)
        print(f"page {shown:.1f} s, first critique {first_critique:.1f} s")
        # The promises are 5 and 20 s on an idle machine. A starved one took 14 s to the page, so
        # the bounds here only catch a page that waits for the model, or a model that hangs.
        assert shown < 30
        assert first_critique < 90
