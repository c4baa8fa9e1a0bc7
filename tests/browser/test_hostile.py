"""Every hostile input in every field that a model or a person fills: it stays text, everywhere.

`open_page` fails a test whose page asks another host for anything; `check_inert` looks for what a
text would have become where it was let through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from cai_core.actions.chains import mark_chain
from cai_core.actions.constitutions import save_constitution, save_draft
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.drafts import Draft, DraftPrinciple, build_draft
from cai_core.workspace.rows import Row
from cai_core.workspace.status import RunState
from tests.browser.conftest import App, OpenPage, serve_app
from tests.browser.test_playground import main, status, use_model
from tests.fake_model import FakeModel
from tests.hostile import HOSTILE
from tests.workspace.index.makers import make_chain, make_run, write_rows

ALL = "\n".join(HOSTILE)
# What YAML cannot hold, however it is written.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
BECOME = """() => {
  const evil = e => [...e.attributes].some(a => /evil\\.example|owned/i.test(a.value)
    && !/^(value|aria-label|title|placeholder|data-.*)$/.test(a.name));
  return [...document.querySelectorAll('*')].filter(evil).map(e => e.outerHTML.slice(0, 200))
    .concat([...document.scripts, ...document.querySelectorAll('style')]
      .filter(e => /evil\\.example|owned/i.test(e.textContent)).map(e => e.outerHTML.slice(0, 200)))
    .concat([...document.querySelectorAll(
      'iframe, object, embed, video, audio, base, portal, form')]
      .filter(e => !e.closest('[data-testid=stForm]')).map(e => e.outerHTML.slice(0, 200)));
}"""


def check_inert(page: Page) -> None:
    """Nothing on the page is more than text."""
    page.wait_for_timeout(300)  # what a text set going would have arrived
    assert page.evaluate("window.owned") is None
    assert page.title() == "CAI Workbench"
    assert page.evaluate(BECOME) == []
    expect(main(page)).to_be_visible()


def check_shown(page: Page, *, least: int = 60) -> None:
    """The inputs are there as text: as many of their numbers as can be read."""
    body = page.evaluate("document.body.textContent")
    assert len({n for n in re.findall(r"10\d\d", body) if 1000 <= int(n) < 1066}) >= least


def build_hostile_rows(run: object, number: int, text: str) -> list[Row]:
    rows = make_chain(
        run,  # type: ignore[arg-type]
        f"p#{number} {text}",
        rounds=1,
        prompt=text,
        response=text,
        critiques=[text],
        revisions=[text + " again"],
        model_id=text,
        engine=text,
        engine_version=text,
        weights_hash=text,
        finish_reason=text,
    )
    return [replace(row, principle_id=text) if row.round else row for row in rows]


@pytest.fixture(scope="module")
def hostile_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app on a workspace in which every field holds every input."""
    workspace = tmp_path_factory.mktemp("hostile")
    fields = {"constitution": ALL, "model": ALL}
    many = make_run(workspace / "runs", "many", **fields)
    rows = [r for n, text in enumerate(HOSTILE) for r in build_hostile_rows(many, n, text)]
    write_rows(many, rows, state=RunState.SUCCEEDED)
    # One chain of as many rounds as there are inputs, the last of which ended in an error.
    long = make_run(workspace / "runs", "long", **fields)
    rounds = make_chain(
        long,
        rounds=len(HOSTILE),
        prompt=ALL,
        response=ALL,
        critiques=HOSTILE,
        revisions=HOSTILE[1:] + HOSTILE[:1],
        kind="helpful",
    )
    rounds[-1] = replace(rounds[-1], text=None, error=ALL, error_kind=HOSTILE[0])
    write_rows(long, rounds, state=RunState.SUCCEEDED)
    failed = make_run(workspace / "runs", "failed", **fields)
    write_rows(failed, rounds[:0], state=None)
    for text in HOSTILE:
        mark_chain(LOCAL_ACTOR, workspace, chain=rounds[0].row_id, run=text, note=text)
    save_hostile_constitution(workspace)
    with serve_app(workspace) as app:
        (workspace / "chain").write_text(rounds[0].row_id)
        yield app


def save_hostile_constitution(workspace: Path) -> None:
    principles = tuple(
        DraftPrinciple(
            key=f"{n:08x}",
            id=f"p{n}",
            text=text,
            critique_request=text,
            revision_request=text,
            comparison_request=text,
            tags=(text,),
        )
        for n, text in enumerate(_CONTROLS.sub("?", text) for text in HOSTILE)
    )
    draft = replace(
        build_draft(None, base_hash=None, name="hostile"),
        description=_CONTROLS.sub("?", ALL),
        principles=principles,
    )
    first = save_constitution(LOCAL_ACTOR, workspace, draft, note="begin", onto=None)
    second = replace(draft, base_hash=first.hash, principles=principles[::-1])
    save_constitution(LOCAL_ACTOR, workspace, second, note=ALL[:1900], onto=first.hash)
    # And a draft that cannot be saved: its messages quote what is wrong.
    broken = [replace(p, id=HOSTILE[n]) for n, p in enumerate(principles)]
    kept = Draft(
        draft_id="0123456789ab",
        name=HOSTILE[0],
        base_hash=None,
        description=ALL,
        principles=tuple(broken),
        note=ALL,
    )
    save_draft(LOCAL_ACTOR, workspace, kept)


def test_lists_of_rounds(hostile_app: App, open_page: OpenPage) -> None:
    page = open_page(f"{hostile_app.url}critiques?run=many")
    older = main(page).get_by_role("button", name="Older")
    seen: set[str] = set()
    for _page in range(5):
        expect(main(page).get_by_role("button", name="Open chain").first).to_be_visible()
        check_inert(page)
        seen |= set(re.findall(r"10\d\d", page.evaluate("document.body.textContent")))
        if older.is_disabled():
            break
        first = main(page).locator(".cai-round-texts").first.inner_text()
        older.click()
        expect(main(page).locator(".cai-round-texts").first).not_to_have_text(first)
    assert len([n for n in seen if 1000 <= int(n) < 1066]) >= 60


def test_filters_and_search(hostile_app: App, open_page: OpenPage) -> None:
    page = open_page(f"{hostile_app.url}critiques")
    for label in ("Constitution", "Principle", "Model"):
        main(page).get_by_role("combobox", name=label, exact=True).click()
        expect(page.get_by_role("option").first).to_be_visible()
        check_inert(page)
        page.keyboard.press("Escape")
    search = main(page).get_by_role("textbox", name="Search")
    for text in HOSTILE[::6]:
        search.fill(text)
        search.press("Enter")
        page.wait_for_timeout(400)
        check_inert(page)


def test_a_chain_with_every_input_in_the_drawer(hostile_app: App, open_page: OpenPage) -> None:
    chain = (hostile_app.workspace / "chain").read_text()
    page = open_page(f"{hostile_app.url}critiques?chain={chain}")
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_text("What made it")).to_be_visible(timeout=90_000)
    drawer.get_by_text("Show changes").click()
    drawer.get_by_text("Show harmful text", exact=True).click()
    expect(drawer.locator("ins").first).to_be_visible()
    drawer.get_by_text("Recipe of the run").click()
    check_inert(page)
    check_shown(page)


def test_overview(hostile_app: App, open_page: OpenPage) -> None:
    page = open_page(f"{hostile_app.url}overview")
    expect(main(page).get_by_text("Audit log")).to_be_visible()
    check_inert(page)


@pytest.mark.parametrize("view", ["Principles", "Changes", "History"])
def test_a_constitution(hostile_app: App, open_page: OpenPage, view: str) -> None:
    page = open_page(f"{hostile_app.url}constitutions?constitution=hostile")
    expect(main(page).get_by_role("heading", name="hostile")).to_be_visible()
    main(page).get_by_test_id("stButtonGroup").get_by_text(view).click()
    page.wait_for_timeout(1500)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    check_inert(page)
    if view == "Principles":
        check_shown(page)


def test_a_draft_and_its_review(hostile_app: App, open_page: OpenPage) -> None:
    page = open_page(f"{hostile_app.url}constitutions?draft=0123456789ab")
    expect(main(page).get_by_role("textbox", name="Description")).to_be_visible()
    check_inert(page)
    check_shown(page)
    main(page).get_by_role("button", name="Review").click()
    page.wait_for_timeout(1500)
    check_inert(page)


def test_the_playground(hostile_app: App, open_page: OpenPage, fake: FakeModel) -> None:
    fake.prefix = ALL
    page = open_page(f"{hostile_app.url}playground")
    use_model(page, fake.url)
    main(page).get_by_role("textbox", name="Prompt", exact=True).fill(ALL)
    main(page).get_by_test_id("stButton").get_by_role("button", name="Run").click()
    expect(status(page)).to_contain_text("Finished")
    main(page).get_by_text("Show changes").click()
    page.wait_for_timeout(500)
    check_inert(page)
    check_shown(page)


def test_errors_that_quote_a_model(hostile_app: App, open_page: OpenPage) -> None:
    page = open_page(f"{hostile_app.url}playground")
    place = "".join(text for text in HOSTILE if "\n" not in text)
    use_model(page, f"http://127.0.0.1:9#{place.replace(' ', '')}")
    main(page).get_by_test_id("stButton").get_by_role("button", name="Run").click()
    expect(status(page)).to_contain_text("Failed")
    check_inert(page)


def test_addresses(hostile_app: App, open_page: OpenPage) -> None:
    for n, text in enumerate(HOSTILE[::4]):
        name = ("constitution", "principle", "run", "model", "text", "chain", "after")[n % 7]
        page = open_page(hostile_app.url + "critiques?" + urlencode({name: text}))
        expect(main(page).get_by_role("heading", name="Critiques")).to_be_visible()
        check_inert(page)
        page.context.close()
