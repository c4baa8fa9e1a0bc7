"""The demo in a real browser: five screens by keys, on a phone too, and nothing to launch."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, serve_app
from tests.browser.test_playground import main, overflow, run_button
from tests.pages.test_demo import snapshot
from tests.pages.test_story import TITLES
from tests.story_workspace import write_story


def test_the_story_is_told_by_keys_and_nothing_can_be_launched(
    tmp_path: Path, open_page: OpenPage
) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    write_story(workspace)
    with serve_app(workspace, CAI_DEMO="1") as app:
        (workspace / "app.log").rename(tmp_path / "app.log")  # the test's own
        before = snapshot(workspace)
        page = open_page(app.url)
        heading = main(page).get_by_role("heading", level=1)
        expect(heading).to_have_text(TITLES[0])
        expect(main(page).get_by_text("Read-only demo")).to_be_visible()
        for number, title in enumerate(TITLES[1:], start=2):
            page.keyboard.press("ArrowRight")
            expect(heading).to_have_text(title)
            assert f"screen={number}" in page.url
        expect(main(page).get_by_role("rowheader", name="RL-CAI")).to_have_count(3)
        page.set_viewport_size({"width": 400, "height": 800})
        expect(main(page).get_by_role("button", name="Back")).to_be_in_viewport()
        assert overflow(page) == 0
        for title in reversed(TITLES[1:-1]):
            page.keyboard.press("ArrowLeft")
            expect(heading).to_have_text(title)
            assert overflow(page) == 0
        page.set_viewport_size({"width": 1280, "height": 900})
        blurred = main(page).locator(".cai-blur")
        expect(blurred).to_have_count(1)
        assert "blur" in blurred.evaluate("e => getComputedStyle(e).filter")
        page.keyboard.press("h")
        expect(blurred).to_have_count(0)
        # Another tab has not asked, and a link leads to the same screen.
        other = open_page(page.url, scheme="dark")
        expect(main(other).get_by_role("heading", level=1)).to_have_text(TITLES[1])
        expect(main(other).locator(".cai-blur")).to_have_count(1)
        other.goto(f"{app.url}playground")
        expect(run_button(other)).to_be_disabled()
        other.goto(f"{app.url}runs")
        expect(main(other).get_by_role("button", name="New run")).to_be_disabled()
        expect(main(other).get_by_role("button", name="Delete")).to_have_count(0)
        other.goto(f"{app.url}drift")
        expect(main(other).get_by_role("button", name="Evaluate a model")).to_be_disabled()
        expect(main(other).get_by_text("Read-only demo")).to_be_visible()
        assert snapshot(workspace) == before
