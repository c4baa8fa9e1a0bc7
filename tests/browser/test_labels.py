"""The labels page in a real browser: a filter set, an example opened, an export read back."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import expect

from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import LOCAL_ACTOR, PromptKind
from cai_core.workspace.events import Topic, read_events
from tests.browser.conftest import OpenPage, serve_app
from tests.browser.test_hostile import check_inert
from tests.browser.test_playground import main, overflow
from tests.hostile import HOSTILE
from tests.label_workspace import write_labels
from tests.training.labels import make_label


def test_from_a_number_to_an_example_and_an_export(tmp_path: Path, open_page: OpenPage) -> None:
    helpful = {"prompt_kind": PromptKind.HELPFUL, "principle_ids": ("p1",)}
    hostile = [
        make_label(n, 0.5, response_a=f"left {text}", response_b=f"right {text}", **helpful)
        for n, text in enumerate(HOSTILE)
    ]
    sure = [make_label(100 + n, 0.95, principle_ids=("p0",)) for n in range(30)]
    thought = f"{HOSTILE[0]} Because.\nVerdict: A"
    answers = {0: {("p1", 0): 0.5, ("p1", 1): 0.5}}
    write_labels(tmp_path, "made", [*hostile, *sure], answers=answers, thought=thought)
    with serve_app(tmp_path) as app:
        page = open_page(f"{app.url}labels?run=made")
        count, status = len(HOSTILE), main(page).locator(".cai-total")
        expect(main(page).get_by_text("Near-ties", exact=True)).to_be_visible()
        expect(main(page).get_by_role("heading", name="By principle")).to_be_visible()
        assert overflow(page) <= 0
        main(page).get_by_role("button", name=f"Show the {count}", exact=True).first.click()
        expect(status).to_have_text(f"1 to 25 of {count} labels")
        page.wait_for_url("**only=near-tie*")
        page.go_back()
        expect(main(page).get_by_role("heading", name="By principle")).to_be_visible()
        page.go_forward()
        # A filter of one's own, beside the one that the number set.
        field = main(page).get_by_role("combobox", name="Principle", exact=True)
        field.click()
        page.get_by_role("option", name=f"p1 ({count})").click()
        page.wait_for_url("**principle=p1*")
        expect(status).to_have_text(f"1 to 25 of {count} labels")
        main(page).get_by_role("button", name="Open label", exact=True).first.click()
        drawer = page.get_by_role("dialog")
        expect(drawer).to_contain_text("A shown first")
        expect(drawer).to_contain_text(f"left {HOSTILE[0]}"[:30])
        expect(drawer).to_contain_text("Because.")
        check_inert(page)
        assert overflow(page) <= 0
        page.keyboard.press("Escape")
        expect(drawer).to_have_count(0)
        main(page).get_by_role("button", name="Export").click()
        popover = page.get_by_test_id("stPopoverBody")
        with page.expect_download() as download:
            popover.get_by_role("button", name="JSONL", exact=True).click()
        lines = download.value.path().read_text().splitlines()
        assert [LabelRecord.parse(json.loads(line)) for line in lines] == hostile
        with page.expect_download() as download:
            popover.get_by_role("button", name="Data card of JSONL", exact=True).click()
        card = download.value.path().read_text()
        assert f"{count} of the run's {count + 30} labels" in card
        assert "principle p1; only near-tie" in card
    (event,) = read_events(tmp_path, Topic.LAUNCHES)
    assert (event["action"], event["labels"]) == ("download labels", count)
    assert event["actor"] == LOCAL_ACTOR.name
