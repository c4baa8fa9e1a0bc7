"""The newcomer's path in a real browser: from somebody else's constitution to one's own in use."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cai_core.jobs.launch import find_dispatcher
from cai_core.jobs.run_files import load_worker
from cai_core.workspace.tries import list_tries
from cai_core.workspace.version_labels import read_labels
from cai_core.workspace.versions import find_head, load_version, resolve_constitution
from tests.browser.conftest import App, OpenPage, serve_app
from tests.browser.test_constitutions import (
    assert_inert,
    begin_edit,
    button,
    field,
    kept,
    main,
    overflow,
    write,
    write_note,
)

OFFER = ", offer an alternative"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """An app of the test's own, whose workers and dispatcher end with it."""
    with serve_app(tmp_path) as app:
        yield app
    records = [load_worker(path.parent) for path in tmp_path.glob("runs/*/recipe.yaml")]
    for record in [find_dispatcher(tmp_path), *records]:
        if record is not None and record.is_alive():
            with suppress(ProcessLookupError):
                os.kill(record.pid, signal.SIGKILL)


def count_primary(page: Page) -> int:
    """Buttons that stand out: at most one at each step."""
    return (
        main(page)
        .locator("button[data-testid$='-primary'], button[kind='primary']")
        .locator("visible=true")
        .count()
    )


def test_fork_edit_try_save_approve_use(app: App, open_page: OpenPage) -> None:
    page = open_page(f"{app.url}constitutions?constitution=harmlessness")
    button(page, "Fork").click()
    page.wait_for_url("**draft=*")
    write(page, "Name", "mine")
    expect(kept(page)).to_contain_text("unsaved changes")
    assert count_primary(page) <= 1
    button(page, "1. no-harm").click()
    request = field(page, "Revision request")
    expect(request).to_have_value(holding(OFFER))
    write(page, "Revision request", request.input_value().replace(OFFER, ""))
    expect(button(page, "Undo")).to_be_enabled()
    write(page, "Comparison request", "")
    warned = main(page).locator(".cai-card", has_text="A request is missing")
    expect(warned).to_contain_text("missing-request")
    main(page).locator("[class*='st-key-fix_'] button").first.click()
    expect(warned).to_have_count(0)
    expect(field(page, "Comparison request")).not_to_have_value("")
    assert count_primary(page) <= 1
    button(page, "Try it").click()
    focus = main(page).get_by_role("combobox", name="Principle", exact=True)
    expect(focus).to_have_value("no-harm (changed)")
    assert count_primary(page) <= 1
    assert overflow(page) <= 0
    button(page, "Try on 20 prompts").click()
    page.wait_for_url("**after=*")
    expect(main(page).get_by_text("chains on both sides")).to_be_visible(timeout=180_000)
    assert count_primary(page) <= 1
    offered = main(page).locator("tr", has_text="offers an alternative")
    expect(offered).to_contain_text("points [")
    first = main(page).locator(".cai-card.cai-revision").first
    expect(first).to_contain_text("− offers an alternative")
    assert_inert(page)
    assert overflow(page) <= 0
    button(page, "Review and save").click()
    write_note(page, "Declines without an offer.")
    assert count_primary(page) <= 1
    button(page, "Save as a new version").click()
    page.wait_for_url("**constitution=mine&version=1")
    assert count_primary(page) <= 1
    approve(page, "Approve", "Seen what it changes.")
    expect(main(page).get_by_text("mine@approved is version 1")).to_be_visible()
    assert count_primary(page) <= 1
    approve(page, "Put into production", "In use from today.")
    expect(main(page).get_by_text("mine@production is version 1")).to_be_visible()
    main(page).get_by_text("Tries", exact=True).click()
    expect(main(page).get_by_text("20 prompts of redteam@")).to_be_visible()
    main(page).get_by_role("link", name="Use in the Playground").click()
    page.wait_for_url("**playground?constitution=*")
    chosen = main(page).get_by_role("combobox", name="Constitution", exact=True)
    expect(chosen).to_have_value("mine@production")
    head = find_head(app.workspace, "mine")
    assert head is not None and head.note == "Declines without an offer."
    assert {m.hash for m in read_labels(app.workspace, "mine").values()} == {head.hash}
    assert [t.version for t in list_tries(app.workspace, "mine", head.hash)] == [head.hash]
    text = resolve_constitution(app.workspace, "mine@production")
    assert text == load_version(app.workspace, "mine", head.hash)
    assert OFFER not in text.principle("no-harm").revision_request


def holding(part: str) -> re.Pattern[str]:
    """A field's value that holds these words."""
    return re.compile(re.escape(part))


def approve(page: Page, label: str, why: str) -> None:
    """Open the pane, say why, and press the button in it."""
    button(page, label).click()
    pane = page.get_by_test_id("stPopoverBody").locator("visible=true")
    pane.get_by_role("textbox", name="Why").fill(why)
    pane.get_by_role("button", name=label, exact=True).click()


def test_letters_are_keys_outside_of_fields_and_text_inside(app: App, open_page: OpenPage) -> None:
    page = open_page(f"{app.url}constitutions?constitution=healthcare")
    begin_edit(page)
    texts = [p.id for p in resolve_constitution(app.workspace, "healthcare").principles]
    expect(field(page, "Id")).to_have_value(texts[0])
    main(page).get_by_role("heading", name="Constitutions").click()
    page.keyboard.press("j")
    expect(field(page, "Id")).to_have_value(texts[1])
    page.keyboard.press("u")
    expect(button(page, f"1. {texts[1]}")).to_be_visible()
    page.keyboard.press("z")
    expect(button(page, f"1. {texts[0]}")).to_be_visible()
    expect(field(page, "Id")).to_have_value(texts[0])
    field(page, "Principle").click()
    page.keyboard.press("End")
    page.keyboard.type(" jkudnzys")
    page.keyboard.press("Tab")
    expect(kept(page)).to_contain_text("unsaved changes")
    page.reload()
    expect(field(page, "Principle")).to_have_value(holding("jkudnzys"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800, 400])
def test_every_pane_stays_within_its_window(
    app: App, open_page: OpenPage, scheme: str, width: int
) -> None:
    page = open_page(
        f"{app.url}constitutions?constitution=harmlessness", width=width, scheme=scheme
    )
    for view in ("Changes", "History", "Labels", "Tries"):
        main(page).get_by_text(view, exact=True).first.click()
        page.wait_for_timeout(500)
        assert overflow(page) <= 0, view
    button(page, "Fork").click()
    page.wait_for_url("**draft=*")
    button(page, "1. no-harm").click()
    expect(main(page).get_by_text("Critique: what the model is sent")).to_be_visible()
    assert overflow(page) <= 0
    main(page).get_by_text("YAML", exact=True).click()
    expect(field(page, "The constitution's file")).to_be_visible()
    assert overflow(page) <= 0
