"""The page Constitutions: what a model thinks of a draft's principles."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from cai_core.actions.constitutions import save_draft
from cai_core.constitution.contradictions import PairAnswer
from cai_core.constitution.harm_asked import HarmAnswer
from cai_core.constitution.opinions import Opinion
from cai_core.errors import ServerUnavailableError
from cai_core.inference.launcher import stop_server
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.drafts import Draft, build_draft
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.opinions import list_opinions, write_opinion
from tests.pages.constitution_page import SHIPPED, open_page, press, shown, type_into
from ui import background

FIRST, SECOND = SHIPPED.principles[:2]
OPINION = Opinion(
    constitution="mine",
    model="judge",
    model_id="a/judge",
    weights_hash=None,
    harm=(HarmAnswer(text=FIRST.text, asked=FIRST.revision_request, direct=0.96, reverse=0.9),),
    pairs=(PairAnswer(first=FIRST.text, second=SECOND.text, forward=0.9, backward=0.8),),
    pairs_there_are=45,
    asked_by="otto",
    at="2026-01-02T03:04:05+00:00",
)


@pytest.fixture
def draft(workspace: Path) -> Draft:
    draft = build_draft(SHIPPED, base_hash=None, name="mine")
    return save_draft(LOCAL_ACTOR, workspace, draft)


def test_what_a_model_said_stands_among_the_remarks_while_its_texts_do(
    workspace: Path, draft: Draft
) -> None:
    write_opinion(workspace, OPINION)
    write_opinion(workspace, replace(OPINION, constitution="another"))
    app = open_page(draft=draft.draft_id)
    assert "judge was asked about 1 principle and 1 of 45 pairs" in shown(app)
    first = open_page(draft=draft.draft_id, principle=draft.principles[0].key)
    assert ">harm-suspected<" in shown(first) and "finds harm with 93%" in shown(first)
    second = open_page(draft=draft.draft_id, principle=draft.principles[1].key)
    assert ">contradiction<" in shown(second)
    assert f"It may contradict &#x27;{FIRST.id}&#x27;" in shown(second)
    type_into(first, "Principle", "Be brief.")
    assert ">harm-suspected<" not in shown(first)
    second = open_page(draft=draft.draft_id, principle=draft.principles[1].key)
    assert ">contradiction<" not in shown(second)


def test_a_damaged_opinion_counts_as_none(workspace: Path, draft: Draft) -> None:
    path = write_opinion(workspace, OPINION)
    path.write_bytes(path.read_bytes()[:-20])
    path.with_name("other.json").write_text('{"harm": [], "pairs": 3}')
    assert list_opinions(workspace, "mine") == []
    assert "was asked about" not in shown(open_page(draft=draft.draft_id))


def test_the_demo_model_is_asked_in_the_background_and_every_answer_is_kept(
    workspace: Path, draft: Draft
) -> None:
    app = open_page(draft=draft.draft_id)
    assert "The demo model guesses here" in shown(app)
    try:
        app = press(app, "ask_opinion")
        assert "demo is being asked" in shown(app)
        deadline = time.monotonic() + 120
        key = ("opinion", workspace, "mine", "demo")
        while background.is_under_way(key) and time.monotonic() < deadline:
            time.sleep(0.2)
        app.run()
        assert "could not be asked" not in shown(app)
        count = len(SHIPPED.principles)
        (opinion,) = list_opinions(workspace, "mine")
        assert (len(opinion.harm), opinion.pairs_there_are) == (count, count * (count - 1) // 2)
        assert opinion.model == "demo" and opinion.weights_hash
        assert f"demo was asked about {count} principles" in shown(app)
        event = read_events(workspace, Topic.LAUNCHES)[0]
        assert (event["action"], event["actor"]) == ("ask about constitution", "local")
    finally:
        stop_server("demo", workspace)


def test_a_model_that_does_not_answer_is_said(
    draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ServerUnavailableError("no server <b>answers</b>")

    monkeypatch.setattr("ui.constitution_opinion.ask_about_constitution", refuse)
    app = press(open_page(draft=draft.draft_id), "ask_opinion")
    time.sleep(0.2)
    text = shown(app.run())
    assert "demo could not be asked" in text
    assert "no server &lt;b&gt;answers" in text
    assert app.button(key="ask_opinion")
