"""Live chains: their buffer, their end by stop and by error, and their way back from disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cai_core.constitution import find_constitution
from cai_core.errors import CaiError
from cai_core.pipeline.interactive import build_run_id, load_live, run_live
from cai_core.pipeline.live import (
    ChainBuffer,
    LiveChain,
    LiveHub,
    LiveRequest,
    LiveStep,
)
from cai_core.pipeline.live_task import ChainState
from cai_core.pipeline.prompt_file import build_prompt
from cai_core.pipeline.recipe import ChainRecipe
from cai_core.records import Finding, Message, StepKind
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import open_run
from cai_core.workspace.status import RunState
from tests.fake_model import TOO_LONG, FakeModel, serve_fake_model, wait_until

CHAIN = "0123456789ab"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    return tmp_path


@pytest.fixture
def fake() -> Iterator[FakeModel]:
    with serve_fake_model() as fake:
        yield fake


def build_request(model: str, text: str = "How do I?", **recipe: object) -> LiveRequest:
    return LiveRequest(
        prompt=build_prompt((Message("user", text),), number=0),
        constitution=find_constitution("harmlessness"),
        model=model,
        recipe=replace(ChainRecipe(revisions=2), **recipe),
    )


def run_to_end(request: LiveRequest) -> LiveChain:
    chain = LiveChain(CHAIN, request, ChainBuffer(), run_live)
    chain.start()
    chain.join(30)
    return chain


def read_run(workspace: Path) -> tuple[RunState, list[str]]:
    run = open_run(workspace / "runs" / build_run_id(CHAIN))
    return run.status().state, [row.step for row in RowIndex(run, "chain").values()]


async def wait_for_ever(chain_id: str, request: LiveRequest, buffer: ChainBuffer) -> None:
    await asyncio.sleep(60)


def test_a_finished_chain_shows_every_step_and_keeps_its_rows(
    workspace: Path, fake: FakeModel
) -> None:
    snapshot = run_to_end(build_request(fake.url)).snapshot()
    assert snapshot.state is ChainState.FINISHED
    assert [(s.kind.value, s.index, s.round, s.done) for s in snapshot.steps] == [
        ("response", 0, 0, True),
        ("critique", 1, 1, True),
        ("revision", 2, 1, True),
        ("critique", 3, 2, True),
        ("revision", 4, 2, True),
    ]
    assert [s.finding for s in snapshot.steps[:3]] == [None, Finding.FOUND, None]
    steps = ["response", "critique-1", "revision-1", "critique-2", "revision-2"]
    assert read_run(workspace) == (RunState.SUCCEEDED, steps)


def test_a_chain_comes_back_from_disk_as_it_was(workspace: Path, fake: FakeModel) -> None:
    chain = run_to_end(build_request(fake.url))
    restored = load_live(CHAIN)
    assert restored is not None
    assert restored.request == chain.request
    assert replace(restored.snapshot(), seconds=0) == replace(chain.snapshot(), seconds=0)


def test_a_chain_whose_rows_lack_a_field_is_not_shown(workspace: Path, fake: FakeModel) -> None:
    run_to_end(build_request(fake.url))
    (rows,) = (workspace / "runs" / build_run_id(CHAIN) / "rows").glob("*.jsonl")
    rows.write_text(rows.read_text().replace('"kind":"unknown",', "", 1))
    assert load_live(CHAIN) is None


def test_stop_closes_the_response_at_once_and_keeps_what_was_finished(
    workspace: Path, fake: FakeModel
) -> None:
    fake.hold_at = 2
    chain = LiveChain(CHAIN, build_request(fake.url), ChainBuffer(), run_live)
    chain.start()
    wait_until(lambda: [step.text for step in chain.snapshot().steps[1:]] == ["Critique 2: word0"])
    chain.stop()
    chain.join(2)
    snapshot = chain.snapshot()
    assert snapshot.state is ChainState.STOPPED
    assert snapshot.kept == 1
    wait_until(lambda: fake.closed_early == 1, 2)
    assert read_run(workspace) == (RunState.CANCELLED, ["response"])
    restored = load_live(CHAIN)
    assert restored is not None
    assert restored.snapshot().state is ChainState.STOPPED


@pytest.mark.parametrize(
    ("model", "text", "told"),
    [
        ("/no/such/folder", "How do I?", "No model '/no/such/folder'"),
        ("http://127.0.0.1:9#gone", "How do I?", "cannot be reached"),
        ("FAKE", TOO_LONG, "maximum context length is 512"),
    ],
)
def test_what_goes_wrong_is_told_with_where_and_what(
    workspace: Path, fake: FakeModel, model: str, text: str, told: str
) -> None:
    request = build_request(fake.url if model == "FAKE" else model, text)
    snapshot = run_to_end(request).snapshot()
    assert snapshot.state is ChainState.FAILED
    assert snapshot.error is not None
    assert told in snapshot.error
    assert snapshot.kept == 0


def test_an_unforeseen_error_ends_the_chain_without_its_details(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def break_down(chain_id: str, request: LiveRequest, buffer: ChainBuffer) -> None:
        raise ZeroDivisionError("secret of the prompt")

    chain = LiveChain(CHAIN, build_request("demo"), ChainBuffer(), break_down)
    chain.start()
    chain.join(5)
    snapshot = chain.snapshot()
    assert snapshot.state is ChainState.FAILED
    assert "ZeroDivisionError" in (snapshot.error or "")
    assert "secret" not in (snapshot.error or "")
    assert "secret" in caplog.text


def test_stop_before_the_thread_runs_and_after_its_end_are_harmless() -> None:
    chain = LiveChain(CHAIN, build_request("demo"), ChainBuffer(), wait_for_ever)
    chain.stop()
    chain.start()
    chain.join(5)
    assert chain.snapshot().state is ChainState.STOPPED
    chain.stop()


def test_nothing_is_written_into_a_buffer_that_has_ended() -> None:
    buffer = ChainBuffer()
    buffer.step_started(StepKind.RESPONSE, 0, 0, None)
    buffer.text("half")
    buffer.end(ChainState.STOPPED)
    before = buffer.snapshot()
    buffer.text("more")
    buffer.step_finished(LiveStep(kind=StepKind.RESPONSE, index=0, round=0, principle_id=None))
    buffer.step_started(StepKind.CRITIQUE, 1, 1, "p")
    buffer.end(ChainState.FAILED, "late")
    assert buffer.snapshot() == before
    assert before.steps[0].text == "half"
    assert before.kept == 0


def test_the_hub_bounds_what_runs_and_what_it_remembers() -> None:
    hub = LiveHub(wait_for_ever, lambda _id: None, max_live=2, max_kept=3)
    first, second = (hub.start(build_request("demo")) for _ in range(2))
    with pytest.raises(CaiError, match="2 chains are running"):
        hub.start(build_request("demo"))
    ended = []
    for chain in (first, second):
        chain.stop()
        chain.join(5)
        ended.append(chain.id)
    more = [hub.start(build_request("demo")) for _ in range(2)]
    assert hub.get(ended[0]) is None  # the oldest of those that ended
    assert hub.get(ended[1]) is second
    assert [hub.get(chain.id) for chain in more] == more
    hub.close()
    assert all(not chain.snapshot().state.is_live for chain in more)


@pytest.mark.parametrize("wanted", ["", "../../etc", "0123456789AB", "0123456789ab\n", CHAIN * 2])
def test_only_an_id_is_looked_for_on_disk(wanted: str) -> None:
    asked: list[str] = []
    hub = LiveHub(wait_for_ever, lambda chain_id: asked.append(chain_id))
    assert hub.get(wanted) is None
    assert asked == []
    assert hub.get(CHAIN) is None
    assert asked == [CHAIN]
