"""Critiques: what people say as a filter, changed texts, lineage, saved views, exports."""

from __future__ import annotations

import html
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions.reviews import review_critique
from cai_core.actions.saved_views import save_view
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor, CritiqueVerdict, Finding, PromptKind
from cai_core.workspace.events import Topic, append_event, read_events
from cai_core.workspace.runs import create_run
from tests.chain_workspace import Round, Texts, write_chains
from tests.pages.test_critiques import HOSTILE, address, open_page, press, prompts, shown
from ui import background, services

ADA = Actor(name="ada", role=AccessRole.REVIEWER)
BOB = Actor(name="bob", role=AccessRole.REVIEWER)
QUIET = Round(critique="Not touched.", finding=Finding.NOT_TOUCHED, revision="Same.")


@pytest.fixture
def chains(workspace: Path) -> list[str]:
    """Four chains: changed, unchanged, without a revision, and one that nobody judged."""
    texts = [
        Texts(prompt="One?", kind=PromptKind.RED_TEAM, rounds=(Round(revision="Better."),)),
        Texts(prompt="Two?", response="Same.", rounds=(QUIET,)),
        Texts(prompt="Three?", rounds=(Round(revision=None),)),
        Texts(prompt="Four?", rounds=(Round(revision="Other."), replace(QUIET, revision="Other."))),
    ]
    made = write_chains(workspace, "run-a", texts)
    for actor, chain, verdict in (
        (ADA, made[0], CritiqueVerdict.RIGHT),
        (BOB, made[0], CritiqueVerdict.RIGHT),
        (ADA, made[1], CritiqueVerdict.NOT_NEEDED),
        (ADA, made[2], CritiqueVerdict.RIGHT),
        (BOB, made[2], CritiqueVerdict.WRONG),
    ):
        review_critique(actor, workspace, chain=chain, run="run-a", round=1, verdict=verdict)
    return made


def links(app: AppTest) -> dict[str, str]:
    found = app.get("page_link")
    return {link.proto.label.replace("\\", ""): link.proto.query_string for link in found}


def find_button(app: AppTest, label: str) -> str:
    return next(one.key for one in app.button if one.label == label)


@pytest.mark.parametrize(
    ("field", "value", "left"),
    [
        ("changed", "yes", ["Four?", "One?"]),
        ("changed", "no", ["Four?", "Two?"]),
        ("changed", "none", ["Three?"]),
        ("review", "open", ["Four?", "Four?"]),
        ("review", "right", ["One?"]),
        ("review", "not needed", ["Two?"]),
        ("review", "disputed", ["Three?"]),
        ("review", "wrong", []),
    ],
)
def test_changed_texts_and_peoples_verdicts_filter(
    chains: list[str], field: str, value: str, left: list[str]
) -> None:
    app = open_page()
    app.selectbox(key=f"filter_{field}").set_value(value).run()
    assert not app.exception
    assert sorted(prompts(app)) == left
    assert address(app) == {field: value}


def test_the_list_shows_what_people_say(chains: list[str], workspace: Path) -> None:
    app = press(open_page(finding="found"), "queue_of_these")
    assert address(app) == {"new": "critiques", "finding": "found"}
    told = html.unescape(re.sub(r"<[^>]+>", " ", shown(open_page())))
    for words in ("2 people: right", "1 person: not needed", "2 people: people differ"):
        assert words in told
    review_critique(BOB, workspace, chain=chains[3], run="run-a", round=2, verdict="wrong")  # type: ignore[arg-type]
    assert prompts(open_page(review="wrong")) == ["Four?"]


def test_the_drawer_leads_to_what_was_made_of_the_chain(chains: list[str], workspace: Path) -> None:
    status = (workspace / "runs" / "run-a" / "status.json").read_text()
    for name, kind, parents in (("l1", "label", ["run-a"]), ("m1", "dpo", ["l1"])):
        run = create_run(workspace / "runs" / name, kind=kind, recipe={"a": 1}, parents=parents)
        (run.path / "status.json").write_text(status)
    app = open_page(chain=chains[0])
    there = links(app)
    assert there["Run run-a"] == "run=run-a"
    assert there["Labels l1"] == "run=l1"
    assert there["Model m1"] == "model=m1"
    press(app, next(b.key for b in app.button if b.label.replace("\\", "") == "All of model-a"))
    assert address(app) == {"model": "model-a"}


def test_a_view_is_saved_opened_and_deleted(chains: list[str], workspace: Path) -> None:
    app = open_page(changed="yes", kind="red-team")
    name = HOSTILE[:68]
    app.text_input(key="view_name").set_value(name)
    press(app, find_button(app, "Save this view"))
    (event,) = [e for e in read_events(workspace, Topic.SETTINGS) if e["action"] == "save view"]
    assert event["query"] == {"changed": "yes", "kind": "red-team"}
    app = open_page(after="x", finding="found")
    assert html.escape("Prompt kind: Red-team".lower()) in shown(app).lower()
    (open_it,) = [b for b in app.button if (b.key or "").startswith("view_open_")]
    assert "evil.example" not in open_it.label  # every special character is escaped
    assert open_it.label.replace("\\", "") == name
    press(app, open_it.key)
    assert prompts(app) == ["One?"]
    assert address(app) == {"changed": "yes", "kind": "red-team"}
    (delete,) = [b for b in app.button if (b.key or "").startswith("view_delete_")]
    press(app, delete.key)
    assert "None is saved here yet." in shown(app)


def test_a_view_without_name_or_filter_is_not_saved_and_anothers_stays(
    chains: list[str], workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page()
    assert app.button(key=find_button(app, "Save this view")).disabled
    app = open_page(changed="yes")
    press(app, find_button(app, "Save this view"))
    assert "The view has no name." in shown(app)
    save_view(ADA, workspace, page="critiques", name="Ada’s", query={"finding": "found"})
    save_view(ADA, workspace, page="preferences", name="Elsewhere", query={"verdict": "tie"})
    monkeypatch.setattr(services, "actor", lambda: BOB)
    app = open_page()
    (delete,) = [b for b in app.button if (b.key or "").startswith("view_delete_")]
    assert delete.disabled
    assert not any("Elsewhere" in b.label for b in app.button)


def test_a_saved_query_of_another_version_asks_for_what_is_known(
    chains: list[str], workspace: Path
) -> None:
    fields = {
        "view": "v1",
        "page": "critiques",
        "name": "old",
        "query": {"finding": "found", "kind": "<img>", "chain": chains[0], "gone": "x"},
    }
    append_event(workspace, Topic.SETTINGS, LOCAL_ACTOR, "save view", fields)
    broken = {**fields, "view": "v2", "query": {"finding": 7}}
    append_event(workspace, Topic.SETTINGS, LOCAL_ACTOR, "save view", broken)
    app = open_page()
    press(app, "view_open_v1")
    assert address(app) == {"finding": "found"}
    assert not any(b.key == "view_open_v2" for b in app.button)


def test_the_rounds_that_match_are_exported(chains: list[str], workspace: Path) -> None:
    app = open_page(changed="yes")
    press(app, "export_make")
    deadline = time.monotonic() + 20
    while background._threads and time.monotonic() < deadline:
        time.sleep(0.02)
    app.run()
    assert "2 rows" in shown(app)
    (path,) = (workspace / "exports").glob("*.jsonl")
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    told = [(one["conversation"][-1]["content"], one["round"], one["revision"]) for one in lines]
    assert sorted(told) == [("Four?", 1, "Other."), ("One?", 1, "Better.")]
    assert '"changed": "yes"' in path.with_name(f"{path.name}.md").read_text("utf-8")


def test_an_export_that_cannot_be_written_says_why(chains: list[str], workspace: Path) -> None:
    (workspace / "exports").write_text("in the way")
    app = open_page()
    press(app, "export_make")
    deadline = time.monotonic() + 20
    while background._threads and time.monotonic() < deadline:
        time.sleep(0.02)
    app.run()
    assert "Not made" in shown(app)
    assert "cannot be made" in shown(app)
