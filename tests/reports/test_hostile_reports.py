"""Texts of models and people stay texts, in the HTML file, in Markdown, and in a real browser."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from playwright.sync_api import sync_playwright

from cai_core.reports.build import build_html, build_markdown
from cai_core.reports.load import load_report
from cai_core.reports.report import Report
from cai_core.reports.signs import escape_cell, escape_line, fence_markdown, make_visible
from tests.browser.conftest import FLAGS, find_chromium
from tests.evaluation.drift_makers import HEADER
from tests.hostile import HOSTILE
from tests.pipeline.makers import make_constitution
from tests.reports.reading import Reader, check_inert
from tests.reports.test_report import MADE
from tests.reports.worlds import make_rich_lines, make_world, write_evaluation

PAGES = re.compile(rb"/Type\s*/Page\b(?!s)")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Every hostile text in every place that a person's or a model's text can have."""
    workspace = tmp_path_factory.mktemp("hostile") / "w"
    make_world(workspace)
    everything = "\n".join(HOSTILE)
    for name, rate in (("one", 0.0), ("two", 1.0)):
        lines = make_rich_lines({"over-refusal": rate, "leak": rate}, seed=1, prompts=len(HOSTILE))
        for number, line in enumerate(lines):
            text = HOSTILE[number % len(HOSTILE)]
            line["response"] = f"{text}\n{everything}"
            line["conversation"] = [{"role": "user", "content": f"{text}\n{everything}"}]
            line["category"] = text
        evil = {**HEADER["judge"], "name": everything, "rubric": everything}
        write_evaluation(
            workspace,
            name,
            lines,
            model=f"{name} {everything}",
            parents=("sl",),
            judge=evil,
            cautions=[{"kind": "failed", "text": everything}],
        )
    card = workspace / "runs/sl/outputs/model/README.md"
    card.write_text(f"# Card\n{everything}\n```\n", "utf-8")
    return load_report(workspace, ["one", "two"], made=MADE)


def squeeze(text: str) -> str:
    """Without the white space, which a line of Markdown does not keep."""
    return "".join(text.split())


def test_no_text_becomes_markup_in_html(report: Report) -> None:
    page = check_inert(build_html(report))
    shown = squeeze(page.text)
    for text in HOSTILE:
        # As the answer, in the prompt, in the model's name, the judge's, a category, the card.
        assert shown.count(squeeze(make_visible(text))) >= 6, text


def test_no_text_becomes_markup_in_markdown(report: Report) -> None:
    text = build_markdown(report)
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    reader = Reader(rendered)
    allowed = "h1 h2 h3 p ul li em strong code pre table thead tbody tr th td details summary"
    assert set(reader.tags) <= set(allowed.split())
    assert {name for _, name, _ in reader.attributes} <= {"class", "style"}
    styles = {value for _, name, value in reader.attributes if name == "style"}
    assert all(value.startswith("text-align") for value in styles)
    shown = squeeze(reader.text)
    for one in HOSTILE:
        assert squeeze(make_visible(one)) in shown, one


def test_markdown_tables_keep_their_columns(report: Report) -> None:
    rendered = (
        MarkdownIt("commonmark", {"html": True}).enable("table").render(build_markdown(report))
    )
    html, markdown = Reader(build_html(report)).rows, Reader(rendered).rows
    assert [len(row) for row in markdown] == [len(row) for row in html]
    assert [[squeeze(cell) for cell in row] for row in markdown] == [
        [squeeze(cell) for cell in row] for row in html
    ]


@pytest.mark.parametrize("text", ["a|b", "- a", "1. a", "# a", "+ a", "> a", "`a`", "a\n\nb", "\\"])
def test_a_line_of_markdown_is_one_paragraph(text: str) -> None:
    reader = Reader(MarkdownIt("commonmark").enable("table").render(escape_line(text)))
    assert set(reader.tags) == {"p"}
    assert squeeze(reader.text) == squeeze(text)


def test_pipes_are_escaped_and_fences_are_longer_than_what_they_hold() -> None:
    assert escape_cell("a|b\nc") == "a\\|b c"
    told = fence_markdown("````\n</details>")
    assert told.startswith("`````text\n") and told.endswith("\n`````")


def test_signs_that_turn_or_steer_are_made_visible() -> None:
    assert make_visible("a\u202eb\x1b[2J\x00\tc\r\nd\ud800") == "a\ufffdb\ufffd[2J\ufffd\tc\nd?"


def test_a_real_browser_opens_it_offline_and_prints_it(report: Report, tmp_path: Path) -> None:
    path, pdf = tmp_path / "report.html", tmp_path / "report.pdf"
    path.write_text(build_html(report), "utf-8")
    asked: list[str] = []
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        context = browser.new_context(viewport={"width": 400, "height": 900}, offline=True)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(path.as_uri())
        page.wait_for_load_state("networkidle")
        folds = page.locator("details")
        assert folds.count() > 5
        # What is hidden takes no room until it is asked for.
        answer = page.locator(".beside details .said").first
        assert not answer.is_visible()
        page.locator(".beside details summary").first.click()
        assert answer.is_visible()
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("typeof window.owned") == "undefined"
        wide = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        paper = {}
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, media="screen")
            paper[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.emulate_media(color_scheme="dark", media="print")
        paper["print"] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.pdf(path=pdf, prefer_css_page_size=True)
        browser.close()
    assert asked == [path.as_uri()]
    assert said == []
    assert wide[0] <= wide[1]
    assert paper["light"] == paper["print"] != paper["dark"]
    assert len(PAGES.findall(pdf.read_bytes())) > 1


def test_what_a_constitution_says_is_text(tmp_path: Path) -> None:
    everything = " ".join(HOSTILE)
    used = make_constitution()
    principles = tuple(replace(one, text=everything) for one in used.principles)
    make_world(tmp_path, replace(used, principles=principles, description=everything))
    page = check_inert(build_html(load_report(tmp_path, ["before", "after"], made=MADE)))
    shown = squeeze(page.text)
    for text in HOSTILE:
        assert shown.count(squeeze(make_visible(text))) >= 2
