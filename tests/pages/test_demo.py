"""The read-only demo through AppTest: every page walked, every button pressed, nothing changed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions import check
from cai_core.actions.baselines import pin_baseline
from cai_core.actions.chains import mark_chain
from cai_core.errors import NotAllowedError
from cai_core.jobs.queue import load_queue
from cai_core.records import LOCAL_ACTOR, PromptKind
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.locks import lock_pid
from cai_core.workspace.status import RunState
from tests.chain_workspace import Round, Texts, write_chains
from tests.drift_workspace import write_evaluation
from tests.pages.constitution_page import begin
from tests.review_makers import RUN, make_workspace, queue_up
from tests.story_workspace import write_story
from ui import services
from ui.services import READ_ONLY

PAGES = Path(__file__).resolve().parents[2] / "pages"
NAMES = sorted(path.stem for path in PAGES.glob("*.py"))
# Downloads of what anybody may read; they are no exports, and nothing is journalled.
READING = ("Data card", "Download as JSONL")
# What tells buttons of one kind apart in their keys: ids, hashes, numbers, marked names.
_OWN = re.compile(r"_(?=[^_]*[0-9])[^_]*.*$")


def script() -> None:
    import os

    import streamlit as st

    from ui.explorer_links import PLAYGROUND

    names = sorted(path.stem for path in PLAYGROUND.parent.glob("*.py"))
    first = os.environ["PAGE"]
    st.navigation(
        [st.Page(PLAYGROUND.with_name(f"{one}.py"), default=one == first) for one in names]
    ).run()


def open_page(page: str, **params: str) -> AppTest:
    os.environ["PAGE"] = page
    app = AppTest.from_function(script, default_timeout=30)
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, (page, params)
    return app


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def snapshot(folder: Path) -> dict[str, str]:
    """Every file of a folder with a hash of what it holds."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def chains(workspace: Path) -> list[str]:
    """Something of everything that a page shows or could change."""
    texts = [
        Texts(prompt="How?", kind=PromptKind.RED_TEAM, rounds=(Round(revision="No."),)),
        Texts(prompt="Why?", rounds=(Round(revision="So."),)),
    ]
    made = write_chains(workspace, "run-a", texts)
    write_chains(workspace, "run-b", texts, state=RunState.INTERRUPTED)
    mark_chain(LOCAL_ACTOR, workspace, chain=made[0], run="run-a", flagged=True, note="Look.")
    make_workspace(workspace)
    queue_up(workspace)
    write_evaluation(workspace, "sl-cai", seed=1)
    write_evaluation(workspace, "rl-cai", seed=2, rates={"harmful compliance": 0.6})
    pin_baseline(LOCAL_ACTOR, workspace, "sl-cai", "in production")
    write_story(workspace)
    return made


@pytest.fixture
def demo(
    chains: list[str], workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    """The demo of that workspace; what its actions refused."""
    refused: list[str] = []

    def refuse(what: str) -> None:
        refused.append(what)
        raise NotAllowedError(what)

    draft = begin(workspace)
    monkeypatch.setenv("CAI_DEMO", "1")
    monkeypatch.setenv("DRAFT", draft.draft_id)
    monkeypatch.setattr(check, "refuse_in_demo", refuse)
    before = snapshot(workspace)
    yield refused
    services.close()
    assert refused == []
    assert snapshot(workspace) == before


def list_addresses(chain: str) -> list[tuple[str, dict[str, str]]]:
    """Pages, and what opens in them; forms too, whose address anybody can type."""
    deep: dict[str, list[dict[str, str]]] = {
        "constitutions": [
            {"constitution": "harmlessness"},
            {"draft": os.environ["DRAFT"]},
            {"draft": os.environ["DRAFT"], "step": "review"},
            {"step": "import"},
        ],
        "critiques": [{"chain": chain}, {"import": "new"}],
        "drift": [{"run": "rl-cai", "measure": "harmful compliance"}, {"evaluate": "1"}],
        "labels": [{"view": "list"}, {"run": RUN, "view": "list", "label": "c0"}],
        "models": [{"show": "made"}, {"add": "1"}, {"edit": "demo"}],
        "playground": [{"mode": "ways"}],
        "preferences": [{"of": RUN, "comparison": "c0"}],
        "prompts": [{"set": "redteam"}, {"add": "1"}],
        "review": [{"queue": find_queue()}, {"new": "1"}],
        "runs": [{"run": "run-b"}, {"run": "run-b", "delete": "1"}, {"new": "preset"}],
        "story": [{"screen": str(number)} for number in range(2, 6)],
    }
    return [(name, params) for name in NAMES for params in [{}, *deep.get(name, [])]]


def find_queue() -> str:
    (path,) = (services.workspace() / "queues").glob("*[0-9a-f].json")
    return path.stem


def test_every_page_is_read_every_button_pressed_and_nothing_changes(
    demo: list[str], chains: list[str]
) -> None:
    services.index().ingest(patience=30)
    pressed: set[tuple[str, str]] = set()
    wrong: list[object] = []
    for page, params in list_addresses(chains[0]):
        app = open_page(page, **params)
        if "cai-card cai-error" in shown(app):
            wrong.append((page, params, "an error"))
        ways = [one.proto for kind in ("file_uploader", "download_button") for one in app.get(kind)]
        open_ways = [proto.label for proto in ways if not proto.disabled]
        wrong += [(page, params, one) for one in open_ways if not one.startswith(READING)]
        enabled = [one for one in [*app.button, *app.toggle] if not one.disabled and one.key]
        # One of each kind: the rows of a list are alike.
        kinds = {(page, _OWN.sub("", one.key)): one.key for one in enabled}
        fresh = [(place, key) for place, key in kinds.items() if place not in pressed]
        for number, (place, key) in enumerate(fresh):
            pressed.add(place)
            app = open_page(page, **params) if number else app
            one = next(one for one in [*app.button, *app.toggle] if one.key == key)
            (one.click() if one in list(app.button) else one.set_value(not one.value)).run()
            assert not app.exception, (place, params)
            wrong += [(place, params, what) for what in demo]
            demo.clear()
    assert wrong == []
    assert pressed > {("story", "story_next"), ("critiques", "show_harmful")}


def test_the_demo_reads_beside_who_owns_the_workspace(
    chains: list[str], workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_owner = WorkspaceIndex.open(workspace)
    try:
        monkeypatch.setenv("CAI_DEMO", "1")
        index = services.index()
        index.ingest(patience=30)
        assert index.report().chains == 4
        assert lock_pid(workspace / "index.lock") == os.getpid()
        with_owner.ingest()  # the owner's indexes are its own
        assert with_owner.report().chains == 4
    finally:
        with_owner.close()


def test_a_workspace_that_is_not_there_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAI_DEMO", "1")
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path / "none"))
    for page in NAMES:
        open_page(page)
    assert not (tmp_path / "none").exists()


def test_nothing_begins_by_itself(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace / "queue.json").write_text('{"format": 1, "runs": ["waits"]}')
    monkeypatch.setenv("CAI_DEMO", "1")
    before = snapshot(workspace)
    services.go_on_with_queue()
    services.warm_up()
    assert load_queue(workspace) == ["waits"]
    assert snapshot(workspace) == before


def test_who_sits_before_the_page_is_told_why(
    chains: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAI_DEMO", "1")
    run = next(one for one in open_page("playground").button if one.key == "run_chain")
    assert run.disabled
    assert run.help == READ_ONLY
