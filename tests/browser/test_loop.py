"""The whole loop in a real browser: built, launched, its labels looked at and exported."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from cai_core.jobs.listing import list_jobs
from cai_core.jobs.plan_yaml import dump_yaml, parse_yaml
from cai_core.pipeline.label_records import LABELS, LabelRecord
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.status import RunState
from tests.browser.conftest import OpenPage, serve_app
from tests.browser.test_playground import main, overflow
from tests.browser.test_runs import press, workspace
from tests.fake_model import wait_until

__all__ = ["workspace"]

# A quiet machine takes a minute and a half; a busy one is slow to start a process a run.
SECONDS = 600
RUNS = 10


def shrink(text: str) -> str:
    """The plan with fewer prompts, and answers of the last model alone."""
    document = parse_yaml(text, "loop.yaml")
    document["runs"] = [
        run for run in document["runs"] if not re.match(r"(base|sl)-|dpo-fine", run["name"])
    ]
    for run in document["runs"]:
        if "limit" in run.get("where", {}):
            run["where"]["limit"] = min(run["where"]["limit"], 16)
    return dump_yaml(document)


def plan(page: Page) -> Locator:
    return main(page).get_by_label("Plan", exact=True)


def card(page: Page, run: str) -> Locator:
    return main(page).locator(f".st-key-run_{run}")


def count_ended(folder: Path) -> int:
    views = list_jobs(folder)
    bad = [
        (view.run, view.reason)
        for view in views
        if view.state in (RunState.FAILED, RunState.INTERRUPTED, RunState.CANCELLED)
    ]
    assert not bad
    return sum(view.state is RunState.SUCCEEDED for view in views)


def build_small_loop(page: Page) -> None:
    """From the list of runs to a small plan in the editor."""
    press(main(page), "The whole loop")
    main(page).get_by_role("radio", name="DPO", exact=True).click()
    main(page).get_by_text("Small", exact=True).click()
    press(main(page), "Build the plan")
    expect(plan(page)).to_have_value(re.compile("limit: 40}"))
    expect(main(page).get_by_text("loop-labels-helpful-").first).to_be_visible()
    # A field writes into the text, and the text can be anything else.
    limit = main(page).get_by_label("Number of prompts", exact=True)
    limit.fill("14")
    limit.press("Enter")
    expect(plan(page)).to_have_value(re.compile("limit: 14}"))
    plan(page).fill(shrink(plan(page).input_value()))
    plan(page).press("Control+Enter")
    expect(main(page).get_by_text("loop-base-fine-")).to_have_count(0)


def qualify_demo(page: Page) -> None:
    expect(main(page).get_by_text("demo is not qualified")).to_be_visible()
    press(main(page), "Qualify demo")
    expect(main(page).get_by_text("demo is being asked")).to_be_visible()
    expect(main(page).get_by_text("qualified", exact=True)).to_be_visible(timeout=240_000)
    expect(main(page).get_by_text("planted violations found")).to_be_visible()
    expect(main(page).get_by_text("demo is not qualified")).to_have_count(0)


def test_the_loop_from_the_page_to_an_export_of_its_labels(
    workspace: Path,
    open_page: OpenPage,
) -> None:
    with serve_app(workspace) as app:
        page = open_page(f"{app.url}runs")
        build_small_loop(page)
        qualify_demo(page)
        assert overflow(page) <= 0
        press(main(page), "Launch")
        expect(main(page).get_by_text(f"{RUNS} runs are handed in")).to_be_visible()
        wait_until(lambda: count_ended(workspace) == RUNS, SECONDS)
        for view in list_jobs(workspace):
            expect(card(page, view.run).get_by_text("succeeded", exact=True)).to_be_visible()
        (made,) = (workspace / "runs").glob("loop-labels-????????")
        press(card(page, made.name), "Open")
        press(main(page), "Open Labels")
        look_at_labels(page, made)
    journal = read_events(workspace, Topic.LAUNCHES)
    actions = [event["action"] for event in journal]
    assert actions.count("submit run") == RUNS
    # Both label runs asked a model that had shown that it can judge.
    assert actions.count("label by a qualified model") == 2
    assert "go on unqualified" not in actions
    assert {event["actor"] for event in journal} == {LOCAL_ACTOR.name}
    assert actions[-1] == "download labels"


def look_at_labels(page: Page, run_folder: Path) -> None:
    """A filter set, an example opened, an export read back: each says what the file holds."""
    lines = (run_folder / "outputs" / LABELS).read_text("utf-8").splitlines()
    held = [LabelRecord.parse(json.loads(line)) for line in lines]
    status = main(page).locator(".cai-total")
    main(page).get_by_text("Comparisons", exact=True).click()
    expect(status).to_have_text(re.compile(f"(^|of ){len(held)} labels$"))
    main(page).get_by_role("combobox", name="Principle", exact=True).click()
    option = page.get_by_role("option").first
    named = re.fullmatch(r"(.+) \((\d+)\)", option.inner_text().strip())
    assert named is not None
    principle, count = named[1], int(named[2])
    option.click()
    page.wait_for_url(f"**principle={principle}*")
    expect(status).to_have_text(re.compile(f"(^|of ){count} labels?$"))
    main(page).get_by_role("button", name="Open label", exact=True).first.click()
    drawer = page.get_by_role("dialog")
    shown = [label for label in held if principle in label.principle_ids]
    expect(drawer).to_contain_text("A shown first")
    expect(drawer).to_contain_text(shown[0].conversation[-1].content[:30])
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    main(page).get_by_role("button", name="Export").click()
    popover = page.get_by_test_id("stPopoverBody")
    expect(popover).to_contain_text(f"{count} label")
    with page.expect_download() as download:
        popover.get_by_role("button", name="JSONL", exact=True).click()
    rows = [json.loads(line) for line in download.value.path().read_text().splitlines()]
    assert len(rows) == count
    assert [LabelRecord.parse(row) for row in rows] == shown
