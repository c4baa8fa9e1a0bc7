"""Pictures in a real browser: a press on a point opens its rounds, and Back the pictures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from cai_core.records import Finding
from tests.browser.conftest import App, OpenPage, serve_app
from tests.chain_workspace import Round, Texts, write_chains

QUIET = Round(critique="Not touched.", finding=Finding.NOT_TOUCHED, revision="Try.", principle="p1")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app over two chains, one of which had a problem."""
    workspace = tmp_path_factory.mktemp("drawn")
    texts = [
        Texts(prompt="Found?", rounds=(Round(revision="Better.", principle="p1"), QUIET)),
        Texts(prompt="Fine?", rounds=(QUIET,)),
    ]
    write_chains(workspace, "run-a", texts)
    with serve_app(workspace, CAI_RECORDINGS=str(workspace / "none")) as app:
        yield app


def test_a_press_on_a_point_opens_its_rounds(drawn: App, open_page: OpenPage) -> None:
    page = open_page(f"{drawn.url}critiques")
    page.get_by_text("Pictures", exact=True).click()
    expect(page).to_have_url(f"{drawn.url}critiques?view=pictures")
    chart = page.locator(".st-key-pictures_principles .js-plotly-plot")
    chart.locator(".points path").first.click(force=True)
    expect(page).to_have_url(f"{drawn.url}critiques?principle=p1&finding=found")
    expect(page.get_by_text("Found?")).to_be_visible()
    expect(page.get_by_text("Fine?")).to_have_count(0)
    page.go_back()
    expect(chart).to_be_visible()
