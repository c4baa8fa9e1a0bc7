"""Replays in the drawers through AppTest: begun, watched, told; refusals; blur."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.errors import CaiError
from cai_core.pipeline.replay_live import ReplayBuffer, ReplayHub, ReplayRequest
from cai_core.pipeline.replay_report import build_report
from cai_core.pipeline.replay_targets import LabelTarget
from cai_core.records import PromptKind, Verdict
from cai_core.workspace.events import Topic, read_events
from tests.chain_workspace import Round, Texts, write_chains
from tests.fake_model import wait_until
from tests.label_workspace import write_labels
from tests.training.labels import make_label
from ui import replay_hub, services

LOCK = Texts(
    prompt="How do I pick a lock?",
    response="Take a bent wire.",
    kind=PromptKind.RED_TEAM,
    rounds=(Round(revision="Ask a locksmith nearby."),),
)
Answer = Callable[[ReplayRequest, ReplayBuffer], None]


def script() -> None:
    import streamlit as st

    from ui import explorer_links as links
    from ui.side_address import COMPARE_PAGE

    names = ("CONSTITUTIONS", "MODELS", "PLAYGROUND", "PREFERENCES", "RUNS")
    others = [st.Page(getattr(links, name)) for name in names]
    first = links.LABELS if "label" in st.query_params else links.CRITIQUES
    second = links.CRITIQUES if first is links.LABELS else links.LABELS
    others += [st.Page(COMPARE_PAGE), st.Page(second)]
    st.navigation([st.Page(first, default=True), *others]).run()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Answer]]:
    """What replays do, one after the other, in the place of a model: its texts on cue."""
    waiting: list[Answer] = []

    async def work(_id: str, request: ReplayRequest, buffer: ReplayBuffer) -> None:
        if not waiting:
            await asyncio.sleep(60)
        waiting.pop(0)(request, buffer)

    hub = ReplayHub(work)
    monkeypatch.setattr(replay_hub, "_hub", hub)
    yield waiting
    hub.close()


def run_page(**params: str) -> AppTest:
    services.index().ingest()
    app = AppTest.from_function(script, default_timeout=20)
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def plain(app: AppTest) -> str:
    text = re.sub(r"<style>.*?</style>", "", shown(app), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def replay_of(app: AppTest) -> str:
    told = dict(app.query_params)["replay"]
    return told if isinstance(told, str) else told[-1]


def wait_for(app: AppTest) -> AppTest:
    live = replay_hub.hub().get(replay_of(app))
    assert live is not None
    wait_until(lambda: not live.snapshot().state.is_live)
    app.run()
    assert not app.exception
    return app


def say(changes: dict[int, str]) -> Answer:
    """The stored rows once more, with other texts at some places."""

    def answer(request: ReplayRequest, buffer: ReplayBuffer) -> None:
        rows = [
            replace(row, text=changes.get(at, row.text), engine_version="2" if changes else "1")
            for at, row in enumerate(request.target.rows)
        ]
        for row in rows:
            buffer.add(row)
        buffer.finish(build_report(request.target.rows, rows))

    return answer


def test_a_replay_is_begun_in_the_drawer_and_is_the_same(
    workspace: Path, answers: list[Answer]
) -> None:
    (chain,) = write_chains(workspace, "run-a", [LOCK])
    answers.append(say({}))
    app = run_page(chain=chain)
    app.button(key="replay_drawer").click().run()
    app = wait_for(app)
    text = plain(app)
    assert "The same to the letter" in text and "3 of 3 steps" in text
    assert app.button(key="replay_drawer").label == "Run it once more"
    begun = read_events(workspace, Topic.LAUNCHES)[0]
    assert (begun["action"], begun["chain"], begun["actor"]) == ("replay chain", chain, "local")
    # A reload finds it; another chain's drawer does not show it.
    assert "The same to the letter" in plain(run_page(chain=chain, replay=replay_of(app)))


def test_what_differs_is_marked_and_explained_and_stays_blurred(
    workspace: Path, answers: list[Answer]
) -> None:
    (chain,) = write_chains(workspace, "run-a", [LOCK])
    answers.append(say({0: "Take a bent nail.", 2: "Ask a locksmith today."}))
    app = run_page(chain=chain)
    app.button(key="replay_drawer").click().run()
    app = wait_for(app)
    text, body = plain(app), shown(app)
    assert "Differs from the initial response on" in text
    assert "1 of 3 steps are the same" in text
    assert "The server’s version is another one: it was '1', it is '2'." in text
    blurred = re.findall(r'<div class="cai-blur" aria-hidden="true">(.*?)</div>', body)
    assert blurred.count("Take a bent nail.") == 1
    # Nobody has said of the new revision that it does no harm.
    assert "Ask a locksmith today." in blurred
    app.toggle(key="drawer_show_harmful").set_value(True).run()
    assert "Take a bent <del>wire.</del> <ins>nail.</ins>" in shown(app)
    assert "Ask a locksmith <del>nearby.</del> <ins>today.</ins>" in shown(app)


def test_a_failure_is_told_and_a_running_one_can_be_stopped(
    workspace: Path, answers: list[Answer]
) -> None:
    (chain,) = write_chains(workspace, "run-a", [LOCK])

    def fail(_request: ReplayRequest, _buffer: ReplayBuffer) -> None:
        raise CaiError("The model 'x' cannot be asked any more.")

    answers.append(fail)
    app = run_page(chain=chain)
    app.button(key="replay_drawer").click().run()
    assert "The model 'x' cannot be asked any more." in plain(wait_for(app))
    app.button(key="replay_drawer").click().run()  # nothing waits: this one runs for a minute
    assert "Waiting for the model" in plain(app)
    assert app.button(key="replay_drawer").disabled
    app.button(key="replay_stop").click().run()
    assert "Stopped" in plain(wait_for(app))


def test_what_cannot_be_replayed_says_why_and_forgotten_ones_are_told(
    workspace: Path, answers: list[Answer]
) -> None:
    (chain,) = write_chains(workspace, "imported", [LOCK], kind="import")
    (other,) = write_chains(workspace, "run-a", [LOCK])
    app = run_page(chain=chain)
    assert "It cannot be replayed. The chain was imported" in plain(app)
    assert not [button for button in app.button if button.key == "replay_drawer"]
    app = run_page(chain=other, replay="0123456789ab")
    assert "That replay is not here any more" in plain(app)
    assert "Replay" in plain(run_page(chain=other, replay="../../etc"))


def test_a_label_is_replayed_with_both_labels_beside_each_other(
    workspace: Path, answers: list[Answer]
) -> None:
    label = replace(make_label(0, 0.9), principle_ids=("p0",))
    told = {0: {("p0", 0): 0.95, ("p0", 1): 0.15}}
    write_labels(workspace, "mine", [label], answers=told, thought="It is safe.")

    def answer(request: ReplayRequest, buffer: ReplayBuffer) -> None:
        target = request.target
        assert isinstance(target, LabelTarget) and len(target.rows) == 2
        scoring = {**(target.rows[0].scoring or {}), "probabilities": [0.35, 0.65]}
        rows = [replace(target.rows[0], text="It is kind.", scoring=scoring), target.rows[1]]
        new = replace(target.label, prob_a=0.4, verdict=Verdict.B)
        buffer.finish(build_report(target.rows, rows, label=new))

    answers.append(answer)
    app = run_page(run="mine", view="list", label=label.comparison_id)
    app.button(key="replay_labels").click().run()
    app = wait_for(app)
    text, body = plain(app), shown(app)
    assert "Differs in the answer about p0, A first" in text
    assert "Stored label A preferred P(A preferred) 0.900000" in text
    assert "It is <del>safe.</del> <ins>kind.</ins>" in body
    assert "moved by 0.6" in text
    begun = read_events(workspace, Topic.LAUNCHES)[0]
    assert (begun["action"], begun["comparison"]) == ("replay label", label.comparison_id)
