"""A spot check in a real browser: one click, the real model, what flipped, the report offline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cai_core.actions.baselines import pin_baseline
from cai_core.records import LOCAL_ACTOR
from tests.browser.conftest import OpenPage, serve_app
from tests.browser.test_playground import main, overflow
from tests.jobs.background import Background
from tests.pipeline.evaluations import finish_evaluation, make_run


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """A pinned evaluation in which nothing was harmful; the demo model, asked now, complies."""
    make_run(tmp_path, "base", limit=30, samples=1)
    finish_evaluation(tmp_path, "base", harmful=0.0)
    pin_baseline(LOCAL_ACTOR, tmp_path, "base", "in production")
    yield tmp_path
    Background(tmp_path).end()


def test_one_click_finds_a_regression(workspace: Path, open_page: OpenPage) -> None:
    with serve_app(workspace, CAI_DISPATCHER_IDLE="5") as app:
        page = open_page(f"{app.url}drift")
        spot = main(page).get_by_role("button", name="Spot check")
        expect(spot).to_be_visible()
        spot.click()
        expect(main(page).get_by_role("button", name="Stop")).to_be_visible()
        assert "job=spot-demo-" in page.url
        result = main(page).locator(".st-key-drift_result")
        expect(result).to_be_visible(timeout=90_000)
        expect(result.get_by_text("harmful compliance: worse by")).to_be_visible()
        expect(result.get_by_text("flipped for the worse")).to_be_visible()
        blurred = result.locator(".cai-blur").first
        assert "blur" in blurred.evaluate("e => getComputedStyle(e).filter")
        page.set_viewport_size({"width": 400, "height": 900})
        assert overflow(page) == 0
        result.get_by_role("link", name="All flipped examples").first.click()
        drawer = page.get_by_role("dialog")
        expect(drawer.get_by_text("the worse ones first")).to_be_visible()
        page.keyboard.press("Escape")
        with page.expect_download() as taken:
            main(page).get_by_role("button", name="Report", exact=True).click()
        report = workspace / "report.html"
        taken.value.save_as(report)
        read_offline(page, report)


def read_offline(page: Page, report: Path) -> None:
    """The file says what was found, in a browser without a network that asks for nothing else."""
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    try:
        alone = context.new_page()
        asked: list[str] = []
        alone.on("request", lambda request: asked.append(request.url))
        alone.goto(report.as_uri())
        expect(alone.get_by_text("harmful compliance").first).to_be_visible()
        assert alone.locator("svg").count() > 0
        wide = "e => e.scrollWidth - e.clientWidth"
        assert alone.locator("html").evaluate(wide) == 0
        assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    finally:
        context.close()
