"""The explorer and the overview in a real browser: filters, links, the drawer, marks, blur."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from cai_core.actions.chains import mark_chain
from cai_core.constitution.model import with_hash
from cai_core.records import LOCAL_ACTOR, Finding, PromptKind
from tests.browser.conftest import App, OpenPage, serve_app
from tests.chain_workspace import Round, Texts, write_chains
from tests.pipeline.makers import make_constitution

HOSTILE = (
    '<img src="http://evil.example/a.png"> ![b](http://evil.example/b.png) <b>bold</b> '
    "<script>document.title='owned'</script> <style>*{display:none}</style> **c** $d$ :red[e]"
)
QUIET = Round(
    critique="Not touched.", finding=Finding.NOT_TOUCHED, revision="Try this.", principle="p1"
)
LOCK = Texts(
    prompt="How do I pick a lock?",
    response="Take a bent wire.",
    kind=PromptKind.RED_TEAM,
    rounds=(Round(revision="Ask a locksmith."), QUIET),
)


@pytest.fixture(scope="module")
def chains() -> list[str]:
    """Ids of the chains that `filled` serves, in the order of their writing."""
    return []


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, chains: list[str]) -> Iterator[App]:
    """An app over three runs: differing in each field, 60 chains long, and hostile."""
    workspace = tmp_path_factory.mktemp("filled")
    other = with_hash(replace(make_constitution(), name="other"))
    rules = make_constitution()
    rules = with_hash(
        replace(rules, principles=(replace(rules.principles[0], id=HOSTILE, text=HOSTILE),))
    )
    many = [Texts(prompt=f"Question {n}?", rounds=(QUIET,)) for n in range(60)]
    hostile = Texts(
        prompt=HOSTILE,
        response=f"{HOSTILE} old",
        rounds=(Round(principle=HOSTILE, critique=HOSTILE, revision=f"{HOSTILE} new"),),
    )
    write_chains(workspace, "run-many", many, constitution=other, model="model-b")
    chains += write_chains(workspace, "run-lock", [LOCK])
    chains += write_chains(workspace, "run-evil", [hostile], constitution=rules, model=HOSTILE)
    with serve_app(workspace) as app:
        yield app


def main(page: Page) -> Locator:
    return page.get_by_test_id("stMain")


def drawer(page: Page) -> Locator:
    return page.get_by_role("dialog")


def rounds(page: Page) -> Locator:
    return main(page).locator(".cai-round-texts")


def total(page: Page) -> Locator:
    return main(page).get_by_role("status").filter(has_text="round")


def choose(page: Page, label: str, option: str) -> None:
    field = main(page).get_by_role("combobox", name=label, exact=True)
    field.click()
    page.get_by_role("option", name=option).first.click()


def overflow(page: Page) -> int:
    """Pixels by which the page, or the drawer, is wider than its place."""
    return page.evaluate(
        "Math.max(...[document.documentElement, ...document.querySelectorAll("
        "'[data-testid=stMain], [role=dialog]')].map(e => e.scrollWidth - e.clientWidth))"
    )


@pytest.mark.parametrize(
    ("label", "option", "query", "left"),
    [
        ("Constitution", "other (60)", "constitution=other", "60 rounds"),
        ("Principle", "p0 (1)", "principle=p0", "1 round"),
        ("Finding", "Not touched (61)", "finding=not_touched", "61 rounds"),
        ("Prompt kind", "Red-team (2)", "kind=red-team", "2 rounds"),
        ("Model", "model-a (2)", "model=model-a", "2 rounds"),
        ("Run", "run-lock (2)", "run=run-lock", "2 rounds"),
    ],
)
def test_each_field_filters_and_its_address_does_too(
    filled: App, open_page: OpenPage, label: str, option: str, query: str, left: str
) -> None:
    page = open_page(f"{filled.url}critiques")
    expect(total(page)).to_have_text("63 rounds")
    choose(page, label, option)
    expect(total(page)).to_have_text(left)
    assert page.url.endswith(f"critiques?{query}")
    other = open_page(page.url)
    expect(total(other)).to_have_text(left)
    main(other).get_by_role("button", name="Clear filters").click()
    expect(total(other)).to_have_text("63 rounds")
    assert "?" not in other.url


def test_search_marks_and_the_back_button(filled: App, open_page: OpenPage) -> None:
    page = open_page(f"{filled.url}critiques")
    field = main(page).get_by_role("textbox", name="Search")
    field.fill("locksmith")
    field.press("Enter")
    expect(total(page)).to_have_text("1 round")
    page.go_back()
    expect(total(page)).to_have_text("63 rounds")
    expect(field).to_have_value("")


def test_a_link_shows_the_same_chain_under_the_same_filters(
    filled: App, open_page: OpenPage
) -> None:
    page = open_page(f"{filled.url}critiques?model=model-a")
    expect(total(page)).to_have_text("2 rounds")
    main(page).get_by_role("button", name="Open chain").first.click()
    expect(drawer(page)).to_contain_text("How do I pick a lock?")
    other = open_page(page.url)
    expect(drawer(other)).to_contain_text("Ask a locksmith.")
    expect(drawer(other)).to_contain_text("Be kind in way 0.")
    other.keyboard.press("Escape")
    expect(drawer(other)).to_have_count(0)
    expect(total(other)).to_have_text("2 rounds")
    other.wait_for_url("**/critiques?model=model-a")


def test_a_deep_link_is_the_first_request_of_a_fresh_server(
    tmp_path: Path, open_page: OpenPage
) -> None:
    (chain,) = write_chains(tmp_path, "run-lock", [LOCK])
    with serve_app(tmp_path) as fresh:
        page = open_page(f"{fresh.url}critiques?chain={chain}")
        expect(drawer(page)).to_contain_text("How do I pick a lock?")
        expect(page.get_by_test_id("stSidebarNav")).to_have_count(0)
        drawer(page).get_by_role("button", name="Close").click()
        expect(drawer(page)).to_have_count(0)
        expect(total(page)).to_have_text("2 rounds")
        # And the page is alive, not inert.
        main(page).get_by_role("button", name="Open chain").first.click()
        expect(drawer(page)).to_contain_text("How do I pick a lock?")
        page.go_back()
        expect(drawer(page)).to_have_count(0)


def test_an_address_of_no_chain_is_said(filled: App, open_page: OpenPage) -> None:
    page = open_page(f"{filled.url}critiques?chain=%3Cimg%20src=x%3E")
    expect(drawer(page)).to_contain_text("No such chain here")


def test_marks_and_notes_are_there_after_a_reload(
    filled: App, open_page: OpenPage, chains: list[str]
) -> None:
    page = open_page(f"{filled.url}critiques?chain={chains[1]}")
    for name in ("Saved", "Flagged"):
        drawer(page).get_by_role("switch", name=name).press("Space")
        expect(drawer(page).get_by_role("switch", name=name)).to_be_checked()
    note = drawer(page).get_by_role("textbox", name="Add a note")
    note.fill(HOSTILE)
    drawer(page).get_by_role("button", name="Add note").click()
    expect(drawer(page).locator(".cai-said")).to_contain_text("<script>document.title")
    expect(note).to_have_value("")
    page.reload()
    expect(drawer(page).locator(".cai-said")).to_contain_text("local · ")
    for name in ("Saved", "Flagged"):
        expect(drawer(page).get_by_role("switch", name=name)).to_be_checked()
    other = open_page(f"{filled.url}critiques?mark=flagged")
    expect(total(other)).to_have_text("1 round")
    expect(main(other).get_by_text("1 note", exact=True)).to_be_visible()


def test_a_mark_made_elsewhere_shows_when_the_drawer_opens(
    tmp_path: Path, open_page: OpenPage
) -> None:
    (chain,) = write_chains(tmp_path, "run-lock", [LOCK])
    with serve_app(tmp_path) as fresh:
        page = open_page(f"{fresh.url}critiques?chain={chain}")
        switch = drawer(page).get_by_role("switch", name="Saved")
        expect(switch).not_to_be_checked()
        mark_chain(LOCAL_ACTOR, tmp_path, chain=chain, run="run-lock", saved=True)
        page.wait_for_timeout(1500)
        page.reload()
        expect(switch).to_be_checked()


def test_harmful_text_is_blurred_until_asked_for_and_that_is_remembered(
    tmp_path: Path, open_page: OpenPage
) -> None:
    (chain,) = write_chains(tmp_path, "run-lock", [LOCK])
    with serve_app(tmp_path) as first:
        page = open_page(f"{first.url}critiques?chain={chain}")
        blurred = drawer(page).locator(".cai-transcript .cai-response .cai-blur")
        expect(blurred).to_have_css("filter", "blur(6.4px)")
        expect(blurred).to_have_css("user-select", "none")
        expect(drawer(page).get_by_text("Blurred: harmful text.").first).to_be_visible()
        drawer(page).get_by_role("switch", name="Show changes").press("Space")
        removed = drawer(page).locator("del").first
        expect(removed).to_have_css("filter", "blur(6.4px)")
        expect(drawer(page).locator("ins").first).to_have_css("filter", "none")
        drawer(page).get_by_role("switch", name="Show harmful text").press("Space")
        expect(blurred).to_have_count(0)
        expect(removed).to_have_css("filter", "none")
    with serve_app(tmp_path) as second:
        page = open_page(f"{second.url}critiques?chain={chain}")
        expect(drawer(page).locator(".cai-transcript .cai-response .cai-text")).to_have_text(
            "Take a bent wire."
        )
        expect(drawer(page).locator(".cai-blur")).to_have_count(0)


def test_paging_visits_everything(filled: App, open_page: OpenPage) -> None:
    page = open_page(f"{filled.url}critiques?run=run-many")
    expect(total(page)).to_have_text("60 rounds")
    seen: list[str] = []
    for number, size in enumerate((25, 25, 10)):
        if number:
            main(page).get_by_role("button", name="Older").click()
        expect(rounds(page)).to_have_count(size)
        # Rows are drawn from the top: with a new last one, all of them are new.
        expect(main(page).locator(".cai-line").last).not_to_have_text(seen[-1] if seen else "")
        seen += main(page).locator(".cai-line").all_inner_texts()
    assert sorted(seen) == sorted(f"Question {n}?" for n in range(60))
    expect(main(page).get_by_role("button", name="Older")).to_be_disabled()
    main(page).get_by_role("button", name="Newer").click()
    expect(main(page).locator(".cai-line").first).to_have_text(seen[25])
    page.go_back()
    expect(main(page).locator(".cai-line").first).to_have_text(seen[50])


def test_new_rounds_are_counted_while_the_page_stands(tmp_path: Path, open_page: OpenPage) -> None:
    write_chains(tmp_path, "run-lock", [LOCK])
    with serve_app(tmp_path) as fresh:
        page = open_page(f"{fresh.url}critiques")
        expect(total(page)).to_have_text("2 rounds")
        write_chains(tmp_path, "run-more", [LOCK])
        expect(total(page)).to_have_text("4 rounds · 2 new: reload to see them")
        other = open_page(f"{fresh.url}overview")
        box = main(other).locator("[class*=st-key-flow_2]")
        expect(box).to_contain_text("2")
        write_chains(tmp_path, "run-most", [LOCK, replace(LOCK, prompt="Again?")])
        expect(box).to_contain_text("4")


def test_hostile_text_stays_text(filled: App, open_page: OpenPage, chains: list[str]) -> None:
    page = open_page(f"{filled.url}critiques?chain={chains[1]}")
    drawer(page).get_by_role("switch", name="Show harmful text").press("Space")
    expect(drawer(page).locator(".cai-blur")).to_have_count(0)
    drawer(page).get_by_role("switch", name="Show changes").press("Space")
    expect(drawer(page).locator("ins").first).to_be_visible()
    for expander in drawer(page).get_by_test_id("stExpander").all():
        expander.locator("summary").click()
    page.wait_for_timeout(500)
    assert drawer(page).locator("img, script, .cai-card style, .cai-card b").count() == 0
    drawer(page).get_by_role("switch", name="Show harmful text").press("Space")
    expect(drawer(page).locator(".cai-blur").first).to_be_visible()
    page.keyboard.press("Escape")
    main(page).get_by_role("combobox", name="Model", exact=True).click()
    expect(page.get_by_role("option", name="<script>").first).to_be_visible()
    page.goto(f"{filled.url}overview")
    expect(main(page).get_by_role("link", name="<script>").first).to_be_visible()
    assert main(page).locator("img, script").count() == 0
    assert page.title() == "CAI Workbench"
    # That nothing was asked of evil.example is checked by `open_page`, as in every test.


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800, 400])
def test_nothing_runs_over_the_edge(
    tmp_path: Path, open_page: OpenPage, scheme: str, width: int
) -> None:
    long = "x" * 300
    texts = Texts(
        prompt=f"{long} why?",
        response=long,
        rounds=(Round(critique=long, revision=f"{long} y", principle="p" * 90),),
    )
    (chain,) = write_chains(tmp_path, "r" * 100, [texts], model="m" * 200)
    with serve_app(tmp_path) as fresh:
        page = open_page(f"{fresh.url}overview", width=width, scheme=scheme)
        expect(main(page).get_by_text("Latest chains")).to_be_visible()
        assert overflow(page) <= 0
        page.goto(f"{fresh.url}critiques")
        expect(rounds(page)).to_have_count(1)
        assert overflow(page) <= 0
        page.goto(f"{fresh.url}critiques?chain={chain}")
        expect(drawer(page)).to_contain_text("What made it")
        drawer(page).locator("summary").first.click()
        page.wait_for_timeout(500)
        assert overflow(page) <= 0
        shade = (
            drawer(page)
            .locator(".cai-prompt")
            .evaluate("e => getComputedStyle(e).backgroundColor.match(/\\d+/g)[0]")
        )
        assert (int(shade) < 100) == (scheme == "dark")


def test_the_overview_leads_to_every_page_without_a_reload(
    filled: App, open_page: OpenPage
) -> None:
    page = open_page(f"{filled.url}overview")
    page.evaluate("window.stayed = true")
    for box, heading in ((0, "Constitutions"), (1, "Playground"), (2, "Critiques")):
        place = main(page).locator(f"[class*=st-key-flow_{box}]")
        expect(place.get_by_role("link")).to_be_visible()
        place.click(position={"x": 8, "y": 8})  # anywhere in the box, not on the words alone
        expect(main(page).get_by_role("heading", name=heading, exact=True).first).to_be_visible()
        page.go_back()
        expect(main(page).get_by_role("heading", name="Overview")).to_be_visible()
    main(page).get_by_role("link", name="How do I pick a lock?").first.click()
    expect(drawer(page)).to_contain_text("Ask a locksmith.")
    assert page.evaluate("window.stayed")
