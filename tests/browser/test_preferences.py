"""The preference explorer in a real browser: search, facet, drawer, export, saved view, back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from cai_core.records import PromptKind
from tests.browser.conftest import App, OpenPage, serve_app
from tests.browser.test_critiques import HOSTILE, choose, drawer, main, overflow
from tests.browser.test_hostile import check_inert
from tests.label_workspace import write_labels
from tests.training.labels import make_label


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app over a long run of labels and one in which every text is hostile."""
    workspace = tmp_path_factory.mktemp("labelled")
    kinds = (PromptKind.RED_TEAM, PromptKind.HELPFUL)
    labels = [
        replace(
            make_label(n, 0.1 * (n % 10), principle_ids=(f"p{n % 3}",), prompt_kind=kinds[n % 2]),
            feedback_model="judge",
            response_b=f"Sure: {'zebra' if n % 4 == 0 else 'giraffe'} number {n}.",
        )
        for n in range(60)
    ]
    answers = {n: {(f"p{n % 3}", 0): 0.75, (f"p{n % 3}", 1): 0.5} for n in range(60)}
    write_labels(workspace, "run-long", labels, answers=answers, thought="Because it is kinder.")
    evil = make_label(0, response_a=HOSTILE, response_b=f"{HOSTILE} b", principle_ids=(HOSTILE,),
                      feedback_model=HOSTILE, reviewer=HOSTILE, prompt_id=HOSTILE)  # fmt: skip
    write_labels(workspace, "run-evil", [evil], answers={0: {(HOSTILE, 0): 0.9}}, thought=HOSTILE)
    with serve_app(workspace) as app:
        yield app


def expect_total(page: Page, words: str) -> None:
    expect(main(page).get_by_role("status").filter(has_text="comparison")).to_have_text(words)


def test_search_facet_drawer_export_and_a_saved_view(labelled: App, open_page: OpenPage) -> None:
    page = open_page(f"{labelled.url}preferences")
    expect_total(page, "61 comparisons")
    field = main(page).get_by_role("textbox", name="Search")
    field.fill("zebra")
    field.press("Enter")
    expect_total(page, "15 comparisons")
    choose(page, "Principle", "p0")
    expect_total(page, "5 comparisons")
    assert page.url.endswith("preferences?q=zebra&principle=p0")
    # The drawer, and its link elsewhere.
    main(page).get_by_role("button", name="Open comparison").first.click()
    expect(drawer(page)).to_contain_text("zebra number 48")
    expect(drawer(page)).to_contain_text("Because it is kinder.")
    drawer(page).get_by_text("Show changes from A to B").click()
    expect(drawer(page).locator("ins").first).to_be_attached()
    other = open_page(page.url)
    expect(drawer(other)).to_contain_text("B shown first")
    page.keyboard.press("Escape")
    expect(drawer(page)).to_have_count(0)
    # The export: all that matches, and its card.
    main(page).get_by_role("button", name="Export").click()
    page.get_by_role("button", name="Make the file").click()
    with page.expect_download() as taken:
        page.get_by_role("button", name="Download the file").click()
    lines = [json.loads(line) for line in taken.value.path().read_text("utf-8").splitlines()]
    assert [line["comparison_id"] for line in lines] == ["c48", "c36", "c24", "c12", "c0"]
    with page.expect_download() as taken:
        page.get_by_role("button", name="Download its data card").click()
    assert '"principle": "p0"' in taken.value.path().read_text("utf-8")
    page.keyboard.press("Escape")
    # A saved view under a hostile name: text, and the way back.
    main(page).get_by_role("button", name="Saved views").click()
    page.get_by_role("textbox", name="Name").fill("<b>zebras</b> ![x](http://evil.example/a)")
    page.get_by_role("button", name="Save this view").click()
    saved = page.get_by_role("button", name="<b>zebras</b> ![x](http://evil.example/a)")
    expect(saved).to_be_visible()
    check_inert(page)
    page.keyboard.press("Escape")
    main(page).get_by_role("button", name="Clear filters").click()
    expect_total(page, "61 comparisons")
    main(page).get_by_role("button", name="Saved views (1)").click()
    page.get_by_role("button", name="<b>zebras</b> ![x](http://evil.example/a)").click()
    expect_total(page, "5 comparisons")
    assert page.url.endswith("preferences?q=zebra&principle=p0")


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1280, "light")])
def test_hostile_text_stays_text_and_nothing_is_wider_than_the_page(
    labelled: App, open_page: OpenPage, width: int, scheme: str
) -> None:
    address = f"{labelled.url}preferences?run=run-evil"
    page = open_page(address, width=width, scheme=scheme)
    expect_total(page, "1 comparison")
    assert overflow(page) <= 1
    main(page).get_by_role("button", name="Open comparison").click()
    expect(drawer(page)).to_contain_text("Where it comes from")
    drawer(page).get_by_text("Show harmful text", exact=True).click()
    drawer(page).get_by_text("Show changes from A to B").click()
    expect(drawer(page).locator("ins").first).to_be_attached()
    check_inert(page)
    assert overflow(page) <= 1
