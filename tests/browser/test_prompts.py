"""The prompt sets page in a real browser: a real file with bad lines becomes a set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cai_core.workspace.prompt_sets import read_prompt_sets
from tests.browser.conftest import App, OpenPage, serve_app
from tests.browser.test_hostile import check_inert, check_shown
from tests.browser.test_playground import main, overflow
from tests.hostile import HOSTILE


@pytest.fixture(scope="module")
def prompts_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with serve_app(tmp_path_factory.mktemp("workspace")) as app:
        yield app


def choose(page: Page, path: Path) -> None:
    main(page).locator("input[type=file]").set_input_files(path)
    expect(main(page).get_by_text("What it comes to")).to_be_visible()


def test_a_file_with_bad_lines_becomes_a_set(
    prompts_app: App, open_page: OpenPage, tmp_path: Path
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("prompt,kind,tags\nHow do I knit?,helpful,wool;warm\n,helpful,\nx,odd,\n")
    page = open_page(f"{prompts_app.url}prompts")
    main(page).get_by_role("button", name="Add prompts").click()
    choose(page, path)
    expect(main(page).get_by_text("the prompt is empty")).to_be_visible()
    page.reload()  # what was uploaded is still there
    expect(main(page).get_by_text("kind is 'odd'")).to_be_visible()
    with page.expect_download() as download:
        main(page).get_by_role("button", name="Download the rejected lines").click()
    lines = [json.loads(line) for line in download.value.path().read_text().splitlines()]
    assert [line["line"] for line in lines] == [3, 4]
    main(page).get_by_role("button", name="Add 1 prompt").click()
    expect(main(page).get_by_text("holds 1 prompt.")).to_be_visible()
    expect(main(page).get_by_text("How do I knit?")).to_be_visible()
    assert "set=mine" in page.url
    (version,) = read_prompt_sets(prompts_app.workspace)["mine"]
    assert (version.prompts, version.rejected, version.tags) == (1, 2, {"wool": 1, "warm": 1})
    with page.expect_download() as download:
        main(page).get_by_role("button", name="Download as JSONL").click()
    (line,) = download.value.path().read_text().splitlines()
    assert json.loads(line)["prompt"] == "How do I knit?"
    main(page).get_by_role("button", name="All prompt sets").click()
    expect(main(page).get_by_role("heading", name="mine", exact=True)).to_be_visible()


def test_hostile_prompts_are_text_on_every_view(
    prompts_app: App, open_page: OpenPage, tmp_path: Path
) -> None:
    path = tmp_path / "<img src=x>.jsonl"
    lines = [{"prompt": text, "tags": [" ".join(text.split())[:90]]} for text in HOSTILE]
    path.write_text("\n".join([*map(json.dumps, lines), *HOSTILE]))
    page = open_page(f"{prompts_app.url}prompts?add=1&name=hostile", width=800)
    choose(page, path)
    check_inert(page)
    main(page).get_by_role("button", name=f"Add {len(HOSTILE)} prompts").click()
    expect(main(page).get_by_text("1 to 25 of")).to_be_visible()
    check_inert(page)
    check_shown(page, least=25)
    assert overflow(page) <= 0
    main(page).get_by_role("button", name="Page 2").click()
    expect(main(page).get_by_text("26 to 50 of")).to_be_visible()
    check_inert(page)
    assert "page=2" in page.url
