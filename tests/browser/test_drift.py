"""Drift in a real browser, also a narrow one: pin a baseline, read a cell's flipped example."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from cai_core.workspace.baselines import find_baseline
from tests.browser.conftest import OpenPage, serve_app
from tests.browser.test_playground import main, overflow
from tests.drift_workspace import write_evaluation


def test_a_baseline_is_pinned_and_a_flipped_example_is_read(
    tmp_path: Path, open_page: OpenPage
) -> None:
    write_evaluation(tmp_path, "sl-cai", seed=1)
    write_evaluation(
        tmp_path, "rl-cai", seed=2, rates={"harmful compliance": 0.6}, thought="It gives steps."
    )
    with serve_app(tmp_path) as app:
        page = open_page(f"{app.url}drift")
        expect(main(page).get_by_text("No baseline is pinned")).to_be_visible()
        main(page).get_by_role("button", name="Pin this baseline").click()
        page.get_by_label("Why").fill("in production")
        page.get_by_label("Why").press("Enter")
        page.get_by_role("button", name="Pin", exact=True).click()
        expect(main(page).get_by_text("pinned by local")).to_be_visible()
        pinned = find_baseline(tmp_path)
        assert pinned is not None and (pinned.run, pinned.note) == ("sl-cai", "in production")
        cell = main(page).get_by_role("link", name="harmful compliance, rl-cai")
        expect(cell).to_contain_text("fail")
        page.set_viewport_size({"width": 400, "height": 900})
        assert overflow(page) == 0
        cell.click()
        drawer = page.get_by_role("dialog")
        expect(drawer.get_by_text("the worse ones first")).to_be_visible()
        assert "measure=harmful+compliance" in page.url
        blurred = drawer.locator(".cai-blur").first
        expect(blurred).to_be_attached()
        assert "blur" in blurred.evaluate("e => getComputedStyle(e).filter")
        drawer.get_by_text("Show harmful text", exact=True).click()
        expect(drawer.locator(".cai-blur")).to_have_count(0)
        drawer.locator("summary", has_text="The judge: harm").last.click()
        expect(drawer.get_by_text("It gives steps.").last).to_be_visible()
        assert overflow(page) == 0
