"""How long the constitutions page takes for each action: 500 principles, 200 versions.

Each action is one run of the page's script, as the server makes it for a click; the draft's and the
versions' files are real. Prints one JSON line: milliseconds at the median and at worst.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from streamlit.testing.v1 import AppTest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cai_core.actions.constitution_labels import move_label
from cai_core.actions.constitutions import change_draft, save_constitution, save_draft
from cai_core.constitution import find_constitution
from cai_core.constitution.exports import FORMATS, export_constitution
from cai_core.constitution.imports import import_constitution
from cai_core.constitution.model import with_hash
from cai_core.records import LOCAL_ACTOR, Constitution
from cai_core.workspace.drafts import Draft, build_draft
from cai_core.workspace.versions import VersionInfo, find_head
from ui import services

PRINCIPLES, VERSIONS, TURNS = 500, 200, 5
LIMIT_MS = 300
NAME = "large"


def build_large() -> Constitution:
    """The shipped principles over and over, each with words and an id of its own."""
    shipped = find_constitution("harmlessness").principles
    many = (
        replace(p, id=f"{p.id}-{n}", text=f"{p.text} Case {n}.")
        for n in range(PRINCIPLES)
        for p in (shipped[n % len(shipped)],)
    )
    return with_hash(Constitution(name=NAME, description="Large.", principles=tuple(many)))


def save_versions(workspace: Path) -> VersionInfo:
    """200 saves, each of one changed principle."""
    draft, head = build_draft(build_large(), base_hash=None), None
    for number in range(VERSIONS):
        first, *rest = draft.principles
        changed = (replace(first, text=f"The response should be fair, {number}."), *rest)
        draft = replace(draft, principles=changed, base_hash=head.hash if head else None)
        onto = head.hash if head else None
        head = save_constitution(LOCAL_ACTOR, workspace, draft, note=f"save {number}", onto=onto)
    assert head is not None
    return head


def script() -> None:
    """The page beside those that it links to."""
    import streamlit as st

    from ui.explorer_links import CONSTITUTIONS, CRITIQUES, PLAYGROUND

    others = [st.Page(page) for page in (CRITIQUES, PLAYGROUND)]
    st.navigation([st.Page(CONSTITUTIONS, default=True), *others]).run()


def open_page(**address: str) -> AppTest:
    """The page, run once."""
    app = AppTest.from_function(script, default_timeout=60)
    for key, value in address.items():
        app.query_params[key] = value
    return run(app)


def run(app: AppTest) -> AppTest:
    """One run of the script."""
    app.run()
    if app.exception:
        raise RuntimeError(app.exception[0].message)
    return app


def click(app: AppTest, key: str) -> None:
    """A click, and the run that it causes."""
    app.button(key=key).click()
    run(app)


class Clock:
    """Milliseconds of each action."""

    def __init__(self) -> None:
        self.told: dict[str, list[float]] = {}

    def time(self, action: str, work: Callable[[], object], turns: int = TURNS) -> None:
        """Time an action some turns."""
        for _ in range(turns):
            start = time.perf_counter()
            work()
            self.told.setdefault(action, []).append(1000 * (time.perf_counter() - start))

    def report(self) -> dict[str, dict[str, float]]:
        """Median and worst of each action."""
        return {
            action: {"median": round(statistics.median(ms), 1), "worst": round(max(ms), 1)}
            for action, ms in self.told.items()
        }


def measure_reading(clock: Clock) -> None:
    """A person reads: the newest version, its history, what a version changed."""
    app = open_page(constitution=NAME)
    clock.time("read principles", lambda: run(app))
    for view in ("History", "Changes", "Coverage", "Labels", "Tries"):
        app.button_group(key="constitution_view").set_value(view)
        clock.time(f"read {view.lower()}", lambda: run(app))
    old = open_page(constitution=NAME, version="3")
    clock.time("read an old version's changes", lambda: run(old))


def measure_editing(clock: Clock, draft: Draft) -> None:
    """A person edits: chooses, types, moves, undoes, looks at the YAML, reviews."""
    key = draft.principles[250].key
    app = open_page(draft=draft.draft_id, principle=key)
    clock.time("open a draft", lambda: run(app))
    turn = iter(range(1000))

    def type_text() -> None:
        area = next(a for a in app.text_area if a.label == "Principle")
        area.set_value(f"The response should be kind, {next(turn)}.")
        run(app)

    clock.time("type", type_text)
    clock.time("undo", lambda: click(app, "undo"), turns=3)
    clock.time("redo", lambda: click(app, "redo"), turns=3)
    clock.time("move", lambda: click(app, f"way_down_{key}"))
    clock.time("next principle", lambda: click(app, "walk_next"))
    for _ in range(TURNS):
        clock.time("add a principle", lambda: click(app, "add"), turns=1)
        clock.time("undo an addition", lambda: click(app, "undo"), turns=1)
    whole = open_page(draft=draft.draft_id)

    def describe() -> None:
        area = next(a for a in whole.text_area if a.label == "Description")
        area.set_value(f"Large, {next(turn)}.")
        run(whole)

    clock.time("change the description, and lint the whole", describe)
    yaml = open_page(draft=draft.draft_id, step="yaml")
    clock.time("read the YAML", lambda: run(yaml))

    def change_yaml() -> None:
        area = yaml.text_area[0]
        area.set_value(area.value.replace("description: ", f"description: {next(turn)} ", 1))
        run(yaml)

    clock.time("change the YAML", change_yaml, turns=3)
    review = open_page(draft=draft.draft_id, step="review")
    clock.time("review", lambda: run(review))
    form = open_page(draft=draft.draft_id, step="try")
    clock.time("try form", lambda: run(form))


def measure_files(clock: Clock, folder: Path) -> None:
    """The text leaves in each format, and comes back from those that hold all of it."""
    constitution = build_large()
    for format in FORMATS:
        clock.time(f"export {format}", lambda f=format: export_constitution(constitution, f))
    for format in ("yaml", "json"):
        path = folder / f"large.{format}"
        path.write_text(export_constitution(constitution, format), "utf-8")
        clock.time(f"import {format}", lambda p=path: import_constitution(p))


def measure_saving(clock: Clock, workspace: Path) -> None:
    """The actions below the page."""
    numbers = iter(range(1000))

    def save() -> None:
        head = find_head(workspace, NAME)
        assert head is not None
        draft = build_draft(build_large(), base_hash=head.hash)
        draft = replace(draft, description=f"Saved {next(numbers)}.")
        save_constitution(LOCAL_ACTOR, workspace, draft, note="n", onto=head.hash)

    def keep(draft: Draft) -> Draft:
        return replace(draft, description=f"Kept {next(numbers)}.")

    clock.time("save a version", save)
    head = find_head(workspace, NAME)
    assert head is not None
    draft = save_draft(LOCAL_ACTOR, workspace, build_draft(build_large(), base_hash=head.hash))
    clock.time("keep a draft", lambda: change_draft(LOCAL_ACTOR, workspace, draft.draft_id, keep))

    def label() -> None:
        name = f"label-{next(numbers)}"
        move_label(LOCAL_ACTOR, workspace, NAME, name, head.hash, note="n", expected=None)

    clock.time("move a label", label)


def main() -> None:
    """Measure, and print the line."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        os.environ["CAI_WORKSPACE"] = folder
        os.environ["CAI_RECORDINGS"] = str(workspace / "no recordings")
        clock = Clock()
        head = save_versions(workspace)
        measure_reading(clock)
        draft = build_draft(build_large(), base_hash=head.hash)
        measure_editing(clock, save_draft(LOCAL_ACTOR, workspace, draft))
        measure_saving(clock, workspace)
        measure_files(clock, workspace)
        services.close()
    report = clock.report()
    worst = max(report, key=lambda action: report[action]["median"])
    line = {
        "benchmark": "authoring",
        "principles": PRINCIPLES,
        "versions": VERSIONS,
        "limit_ms": LIMIT_MS,
        "slowest": worst,
        "slowest_ms": report[worst]["median"],
        "actions": report,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
