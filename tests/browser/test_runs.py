"""The runs page in a real browser: launch, close the tab, come back, stop, resume."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from cai_core.jobs.launch import find_dispatcher
from cai_core.jobs.listing import JobView, list_jobs
from cai_core.jobs.run_files import load_worker
from cai_core.workspace.status import RunState
from tests.browser.conftest import OpenPage, serve_app
from tests.browser.test_hostile import check_inert
from tests.browser.test_playground import main, overflow, prompt_field, run_button, status
from tests.fake_model import wait_until
from tests.hostile import HOSTILE

PLAN = """format: 1
name: small
runs:
  - name: chains
    kind: revise
    prompts: redteam
    where: {tags: ["split:train"], limit: 24}
    constitution: harmlessness
    model: demo
    chain: {revisions: 1, policy_sampling: {max_tokens: 96}}
  - name: tuned
    kind: sft
    base: demo
    sources: [{run: chains, use: final}]
    method: full
    learning_rate: 3.0e-4
    batch_size: 4
    micro_batch: 4
    epochs: 24
    max_length: 384
    precision: fp32
    save_steps: 20
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """A workspace whose workers and dispatcher are ended with the test."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    yield folder
    records = [load_worker(path.parent) for path in folder.glob("runs/*/recipe.yaml")]
    for record in [find_dispatcher(folder), *records]:
        if record is not None and record.is_alive():
            with suppress(ProcessLookupError):
                os.kill(record.pid, signal.SIGKILL)


def find(workspace: Path, name: str) -> JobView | None:
    return next((view for view in list_jobs(workspace) if f"-{name}-" in view.run), None)


def state(workspace: Path, name: str) -> RunState | None:
    view = find(workspace, name)
    return view.state if view is not None else None


def steps_done(workspace: Path) -> int:
    view = find(workspace, "tuned")
    return (view.done or 0) if view is not None else 0


def card(page: Page, workspace: Path, name: str) -> Locator:
    view = find(workspace, name)
    assert view is not None
    return main(page).locator(f".st-key-run_{view.run}")


def press(scope: Locator, name: str) -> None:
    scope.get_by_role("button", name=name).locator("visible=true").first.click()


def write_plan(page: Page, text: str) -> None:
    press(main(page), "New run")
    field = main(page).get_by_label("Plan", exact=True)
    expect(field).to_be_visible()
    field.fill(text)
    field.press("Control+Enter")


def test_launched_left_alone_stopped_resumed_and_opened(
    workspace: Path, open_page: OpenPage
) -> None:
    with serve_app(workspace) as app:
        page = open_page(f"{app.url}runs")
        expect(main(page).get_by_text("Nothing has run here yet")).to_be_visible()
        write_plan(page, PLAN)
        expect(main(page).get_by_text("small-tuned-").first).to_be_visible()
        limit = main(page).get_by_label("Number of prompts", exact=True)
        limit.fill("20")
        limit.press("Enter")
        expect(main(page).get_by_label("Plan", exact=True)).to_have_value(re.compile("limit: 20}"))
        assert overflow(page) <= 0
        press(main(page), "Launch")
        expect(main(page).get_by_text("2 runs are handed in")).to_be_visible()
        page.close()
        wait_until(lambda: steps_done(workspace) > 3, 120)
        before = steps_done(workspace)
        page = open_page(f"{app.url}runs")
        tuned = card(page, workspace, "tuned")
        expect(tuned.get_by_text("running", exact=True)).to_be_visible()
        wait_until(lambda: steps_done(workspace) > before, 60)
        press(tuned, "Stop and save")
        expect(tuned.get_by_text("cancelled", exact=True)).to_be_visible()
        stopped = steps_done(workspace)
        assert stopped < 120
        press(tuned, "Open")
        expect(main(page).get_by_text("loss now")).to_be_visible()
        main(page).get_by_role("tab", name="Checkpoints").click()
        expect(main(page).get_by_text("whole", exact=True).first).to_be_visible()
        press(main(page), "Resume")
        wait_until(lambda: state(workspace, "tuned") is RunState.SUCCEEDED, 180)
        expect(main(page).get_by_text("succeeded", exact=True)).to_be_visible()
        main(page).get_by_role("tab", name="Samples").click()
        expect(main(page).get_by_text("before", exact=True).first).to_be_visible()
        expect(main(page).get_by_text("after 120 steps", exact=True).first).to_be_visible()
        main(page).get_by_role("tab", name="Lineage").click()
        expect(main(page).locator("svg .node")).to_have_count(2)
        assert overflow(page) <= 0
        press(main(page), "Try it in the Playground")
        expect(main(page).get_by_role("heading", name="Playground")).to_be_visible()
        prompt_field(page).fill("Tell me how to kill my hamster.")
        run_button(page).click()
        expect(status(page)).to_contain_text("Finished", timeout=90_000)
        made = find(workspace, "tuned")
        assert made is not None
        rows = workspace.glob("runs/interactive-*/rows/*.jsonl")
        assert any(made.run in path.read_text("utf-8") for path in rows)


def test_faults_of_a_plan_are_said_while_it_is_written(
    workspace: Path, open_page: OpenPage
) -> None:
    with serve_app(workspace) as app:
        page = open_page(f"{app.url}runs")
        write_plan(page, PLAN.replace("learning_rate", "learing_rate").replace("redteam", "nosuch"))
        expect(main(page).get_by_text("The plan cannot be run yet")).to_be_visible()
        expect(main(page).get_by_text("learing_rate").last).to_be_visible()
        expect(main(page).get_by_role("button", name="Launch")).to_have_count(0)
        write = main(page).get_by_label("Plan", exact=True)
        write.fill("\n".join(HOSTILE))
        write.press("Control+Enter")
        expect(main(page).get_by_text("The plan cannot be run yet")).to_be_visible()
        check_inert(page)
