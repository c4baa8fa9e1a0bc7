"""The models that were made here, in a real browser: list, card, two beside each other, try."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from cai_core.workspace.journal import append_records
from tests.browser.conftest import App, OpenPage, serve_app
from tests.browser.test_hostile import check_inert
from tests.browser.test_playground import main, needs_demo, overflow
from tests.hostile import HOSTILE
from tests.jobs.test_registry import make_chains, make_model


@pytest.fixture(scope="module")
def registry_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    workspace = tmp_path_factory.mktemp("workspace")
    make_chains(workspace, "chains", "own")
    for name, rate in (("first", 0.1), ("second", 0.2)):
        run = make_model(workspace, name, "chains", learning_rate=rate)
        text = " ".join(HOSTILE)
        lines = [
            {"step": step, "prompt_id": "p#1", "prompt": text, "text": f"{step} {text}"}
            for step in (0, 30)
        ]
        append_records(run.path / "samples.jsonl", lines)
        (run.outputs / "model" / "README.md").write_text("\n\n".join(HOSTILE), "utf-8")
    with serve_app(workspace) as app:
        yield app


@needs_demo
def test_found_read_compared_and_taken_to_the_playground(
    registry_app: App, open_page: OpenPage
) -> None:
    page = open_page(f"{registry_app.url}models")
    main(page).get_by_role("radio", name="Made here").click()
    expect(main(page).get_by_role("heading", name="second")).to_be_visible()
    search = main(page).get_by_role("textbox", name="Search")
    search.fill("first")
    search.press("Enter")
    expect(main(page).get_by_text("1 model of 2")).to_be_visible()
    main(page).get_by_test_id("stButton").get_by_role("button", name="Open").first.click()
    expect(main(page).get_by_role("tab", name="Card")).to_be_visible()
    check_inert(page)
    main(page).get_by_role("tab", name="Samples").click()
    expect(main(page).get_by_text("after 30 steps")).to_be_visible()
    check_inert(page)
    main(page).get_by_role("tab", name="Lineage").click()
    expect(main(page).locator("svg .node")).to_have_count(2)
    main(page).get_by_role("combobox", name="Compare with").click()
    page.get_by_role("option", name="second").click()
    expect(main(page).get_by_text("The weights are equal").first).to_be_visible()
    assert "model=first" in page.url and "with=second" in page.url
    main(page).get_by_role("tab", name="What differs").click()
    expect(main(page).get_by_text("0.1 → 0.2")).to_be_visible()
    assert overflow(page) <= 0
    check_inert(page)
    main(page).get_by_role("button", name="Ask both in the Playground").click()
    expect(main(page).get_by_role("heading", name="Playground")).to_be_visible()
    for label, name in (("Model", "first"), ("Second model", "second")):
        field = main(page).get_by_role("combobox", name=label, exact=True)
        expect(field).to_have_value(name)
