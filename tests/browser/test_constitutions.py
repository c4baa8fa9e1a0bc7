"""The constitutions page in a real browser: drafts that survive, saves that collide, inert text."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from cai_core.constitution import find_constitution
from cai_core.workspace.drafts import list_drafts
from cai_core.workspace.versions import find_head, load_version
from tests.browser.conftest import App, OpenPage, serve_app

HOSTILE = (
    '<img src="http://evil.example/a.png"> ![b](http://evil.example/b.png) <b>bold</b> '
    "<script>document.title='owned'</script> <style>*{display:none}</style> **c** $d$ :red[e]"
)
TEXTS = ("Principle", "Critique request", "Revision request", "Comparison request")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app of this module's own: other pages list what is saved here."""
    with serve_app(tmp_path_factory.mktemp("constitutions")) as app:
        yield app


def main(page: Page) -> Locator:
    return page.get_by_test_id("stMain")


def button(page: Page, name: str) -> Locator:
    return main(page).get_by_role("button", name=name, exact=True)


def field(page: Page, name: str) -> Locator:
    return main(page).get_by_role("textbox", name=name, exact=True)


def write(page: Page, name: str, text: str) -> None:
    field(page, name).fill(text)
    field(page, name).blur()


def kept(page: Page) -> Locator:
    return main(page).get_by_role("status")


def begin_edit(page: Page) -> None:
    button(page, "Edit").click()
    page.wait_for_url("**draft=*")
    expect(field(page, "Principle")).not_to_have_value("")


def write_note(page: Page, text: str) -> None:
    main(page).get_by_role("textbox", name="Note").fill(text)


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than its window."""
    return page.evaluate(
        "Math.max(...[document.documentElement, document.querySelector('[data-testid=stMain]')]"
        ".map(e => e.scrollWidth - e.clientWidth))"
    )


def test_a_draft_survives_a_reload_and_becomes_a_version_with_its_diff(
    app: App, open_page: OpenPage
) -> None:
    page = open_page(f"{app.url}constitutions?constitution=healthcare")
    begin_edit(page)
    before = field(page, "Principle").input_value()
    expect(kept(page)).to_contain_text("no changes yet")
    write(page, "Principle", f"{before} And never guess.")
    expect(kept(page)).to_contain_text("unsaved changes")
    page.reload()
    expect(field(page, "Principle")).to_have_value(f"{before} And never guess.")
    second = open_page(page.url)
    expect(field(second, "Principle")).to_have_value(f"{before} And never guess.")
    expect(field(second, "Revision request")).not_to_have_value("")
    button(page, "Review and save").click()
    expect(main(page).locator("ins")).to_have_text(["And never guess."])
    button(page, "Save as a new version").click()
    expect(main(page).get_by_text("There is no note.")).to_be_visible()
    write_note(page, "Guessing is worse than asking.")
    button(page, "Save as a new version").click()
    page.wait_for_url("**constitution=healthcare&version=1")
    said = main(page).locator("p.cai-wrap", has_text="Guessing is worse than asking.")
    expect(said).to_be_visible()
    expect(main(page).locator("ins")).to_have_text(["And never guess."])
    head = find_head(app.workspace, "healthcare")
    assert head is not None and head.number == 1
    saved = load_version(app.workspace, "healthcare", head.hash)
    first, *rest = find_constitution("healthcare").principles
    assert saved.principles[0].text == f"{before} And never guess."
    assert saved.principles[0].critique_request == first.critique_request
    assert list(saved.principles[1:]) == rest
    # The other tab still shows the draft, which is no more.
    write(second, "Principle", "Too late.")
    expect(main(second).get_by_text("This draft cannot be opened")).to_be_visible()
    expect(main(second).get_by_text("Too late.").first).to_be_visible()


def test_who_saves_second_sees_the_difference_and_decides(app: App, open_page: OpenPage) -> None:
    url = f"{app.url}constitutions?constitution=helpful-honest-harmless"
    mine, theirs = open_page(url), open_page(url)
    for page in (mine, theirs):  # before there is a draft to continue
        expect(button(page, "Edit")).to_be_visible()
    for page, words in ((mine, "Mine."), (theirs, "Theirs.")):
        begin_edit(page)
        write(page, "Principle", words)
        expect(kept(page)).to_contain_text("unsaved changes")
        button(page, "Review and save").click()
        write_note(page, f"Note: {words}")
    button(theirs, "Save as a new version").click()
    theirs.wait_for_url("**version=1")
    button(mine, "Save as a new version").click()
    expect(main(mine).get_by_text("What yours would change in theirs")).to_be_visible()
    expect(main(mine).locator("del").first).to_have_text("Theirs.")
    expect(main(mine).locator("ins").first).to_have_text("Mine.")
    head = find_head(app.workspace, "helpful-honest-harmless")
    assert head is not None and head.number == 1
    button(mine, "Keep editing").click()
    expect(main(mine).get_by_text("Somebody saved meanwhile")).to_be_visible()
    button(mine, "Review and save").click()
    expect(main(mine).get_by_role("textbox", name="Note")).to_have_value("Note: Mine.")
    button(mine, "Save mine on top of theirs").click()
    mine.wait_for_url("**version=2")
    now = find_head(app.workspace, "helpful-honest-harmless")
    assert now is not None and now.parent == head.hash
    texts = [load_version(app.workspace, v.name, v.hash).principles[0].text for v in (head, now)]
    assert texts == ["Theirs.", "Mine."]


def test_quick_clicks_empty_no_field(app: App, open_page: OpenPage) -> None:
    page = open_page(f"{app.url}constitutions?constitution=harmlessness")
    button(page, "Edit").click()
    for number in (3, 1, 2, 4, 1, 2, 3, 1):  # each as soon as its button is there
        main(page).get_by_role("button", name=re.compile(rf"^{number}\. ")).click()
    # Streamlit joins clicks that come during one run, and forgets their order: choose once more.
    page.wait_for_timeout(1500)
    main(page).get_by_role("button", name=re.compile(r"^1\. ")).click()
    first = find_constitution("harmlessness").principles[0]
    expect(field(page, "Id")).to_have_value(first.id)
    button(page, "Move down").click()
    button(page, "Move up").click()
    page.wait_for_timeout(500)
    expect(kept(page)).to_contain_text("no changes yet")
    expect(field(page, "Revision request")).to_have_value(first.revision_request)
    main(page).get_by_role("button", name="Discard").click()
    page.get_by_role("button", name="Discard the draft").click()
    expect(main(page).get_by_text("Draft discarded")).to_be_visible()


def test_hostile_text_in_every_field_stays_text(app: App, open_page: OpenPage) -> None:
    page = open_page(f"{app.url}constitutions")
    button(page, "New constitution").click()
    write(page, "Name", HOSTILE)
    expect(kept(page)).to_contain_text("Draft kept")
    write(page, "Description", HOSTILE)
    main(page).get_by_role("button", name=re.compile(r"^1\. ")).click()
    for name in ("Id", *TEXTS):
        write(page, name, HOSTILE)
        expect(field(page, name)).to_have_value(HOSTILE)
    tags = main(page).get_by_role("combobox", name=re.compile("Tags"))
    tags.fill(HOSTILE)
    tags.press("Enter")
    page.keyboard.press("Escape")  # the open list hides the page from screen readers
    expect(kept(page)).to_contain_text("2 problems to mend")
    button(page, "Review and save").click()
    expect(main(page).get_by_role("alert")).to_contain_text("<script>document.title=")
    expect(main(page).locator("ins").first).to_contain_text("<img src=")
    assert_inert(page)
    button(page, "Keep editing").click()
    write(page, "Name", "hostile")
    expect(kept(page)).to_contain_text("1 problem to mend")
    main(page).get_by_role("button", name=re.compile(r"^1\. ")).click()
    write(page, "Id", "one")
    expect(kept(page)).not_to_contain_text("to mend")
    assert_inert(page)
    button(page, "Review and save").click()
    write_note(page, HOSTILE)
    button(page, "Save as a new version").click()
    page.wait_for_url("**version=1")
    expect(main(page).get_by_text("<script>document.title='owned'</script>").first).to_be_visible()
    assert_inert(page)
    for view in ("Principles", "History"):
        main(page).get_by_text(view, exact=True).click()
        page.wait_for_timeout(500)
        assert_inert(page)


def assert_inert(page: Page) -> None:
    """Nothing of a text became an element. (`open_page` checks that nothing was asked for.)"""
    blocks = main(page).locator("[data-testid=stHtml]")
    assert blocks.locator("img, script, style, iframe, a").count() == 0
    assert main(page).get_by_role("button").locator("img, em, strong").count() == 0
    assert page.title() == "CAI Workbench"


def test_the_page_works_from_the_keyboard(app: App, open_page: OpenPage) -> None:
    page = open_page(f"{app.url}constitutions?constitution=harmlessness")
    expect(button(page, "Edit")).to_be_visible()
    press_by_keyboard(page, button(page, "Edit"))
    page.wait_for_url("**draft=*")
    expect(field(page, "Principle")).not_to_have_value("")
    tab_to(page, field(page, "Principle"))
    page.keyboard.press("Control+a")
    page.keyboard.type("Typed by hand.")
    page.keyboard.press("Tab")
    expect(kept(page)).to_contain_text("unsaved changes")
    page.reload()
    expect(field(page, "Principle")).to_have_value("Typed by hand.")
    press_by_keyboard(page, button(page, "Review and save"))
    tab_to(page, main(page).get_by_role("textbox", name="Note"))
    page.keyboard.type("By hand.")
    press_by_keyboard(page, button(page, "Save as a new version"))
    page.wait_for_url("**version=1")


def press_by_keyboard(page: Page, target: Locator) -> None:
    tab_to(page, target)
    page.keyboard.press("Enter")


def tab_to(page: Page, target: Locator) -> None:
    expect(target).to_be_visible()
    for _ in range(60):  # as far as Tab has to go, and no farther
        if target.evaluate("e => e === document.activeElement"):
            return
        page.keyboard.press("Tab")
    expect(target).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800, 400])
def test_nothing_runs_over_the_edge(app: App, open_page: OpenPage, scheme: str, width: int) -> None:
    page = open_page(f"{app.url}constitutions", width=width, scheme=scheme)
    expect(main(page).locator(".cai-principle").first).to_be_visible()
    assert overflow(page) <= 0
    button(page, "Fork").click()
    write(page, "Description", "x" * 300)
    expect(field(page, "Description")).to_have_value("x" * 300)
    main(page).get_by_role("button", name=re.compile(r"^1\. ")).click()
    tags = main(page).get_by_role("combobox", name=re.compile("Tags"))
    tags.fill("z" * 200)
    tags.press("Enter")
    page.keyboard.press("Escape")
    write(page, "Id", "y" * 200)
    expect(main(page).get_by_text("It must start with a letter").first).to_be_visible()
    assert overflow(page) <= 0
    button(page, "Review and save").click()
    expect(main(page).locator("ins").first).to_be_visible()
    assert overflow(page) <= 0
    for text in main(page).locator(".cai-text").all():
        assert text.evaluate("e => e.scrollWidth - e.clientWidth") <= 0
    drafts, _ = list_drafts(app.workspace)
    assert any(d.description == "x" * 300 for d in drafts)
