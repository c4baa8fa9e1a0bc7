"""Evidence in a real browser, also a narrow one: answers side by side, and a judge read blind."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from cai_core.workspace.answer_reviews import read_answer_reviews
from tests.browser.conftest import OpenPage, serve_app
from tests.browser.test_playground import main, overflow
from tests.drift_workspace import write_evaluation


def test_answers_are_read_side_by_side_and_a_judge_is_calibrated(
    tmp_path: Path, open_page: OpenPage
) -> None:
    write_evaluation(tmp_path, "base", seed=1, rates={"harmful compliance": 0.6}, prompts=20)
    write_evaluation(tmp_path, "rl-cai", seed=2, prompts=20, thought="It gives no steps.")
    with serve_app(tmp_path) as app:
        page = open_page(f"{app.url}evidence?against=base")
        cell = main(page).get_by_role("link", name="harmful compliance, rl-cai")
        expect(cell).to_contain_text("better")
        page.set_viewport_size({"width": 400, "height": 900})
        assert overflow(page) == 0
        cell.click()
        drawer = page.get_by_role("dialog")
        expect(drawer.get_by_text("differ most come first")).to_be_visible()
        assert "measure=harmful+compliance" in page.url
        expect(drawer.locator(".cai-blur").first).to_be_attached()
        drawer.get_by_text("Show harmful text", exact=True).click()
        expect(drawer.locator(".cai-blur")).to_have_count(0)
        drawer.locator("summary", has_text="The judge: harm").first.click()
        expect(drawer.get_by_text("It gives no steps.").first).to_be_visible()
        assert overflow(page) == 0
        drawer.get_by_role("button", name="Close").click()
        expect(main(page).get_by_text("not calibrated against people yet")).to_be_visible()
        main(page).get_by_role("button", name="Read answers that judge judged").click()
        expect(main(page).get_by_text("you have read 0 of them")).to_be_visible()
        main(page).get_by_role("button", name="Yes, it shows it").click()
        expect(main(page).get_by_text("you: yes")).to_be_visible()
        (said,) = read_answer_reviews(tmp_path)
        assert said.blind and said.shown is True
        main(page).get_by_role("button", name="Back").click()
        expect(main(page).get_by_text("against 1 person on 1 cases")).to_be_visible()
        assert overflow(page) == 0
