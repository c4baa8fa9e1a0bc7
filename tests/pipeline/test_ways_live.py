"""Live comparisons: bounded, stopped at once, and found again as far as they came."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cai_core.constitution import find_constitution
from cai_core.errors import CaiError
from cai_core.pipeline.live_task import ChainState
from cai_core.pipeline.prompt_file import prompts_hash
from cai_core.pipeline.ways_interactive import load_live_ways, run_live_ways
from cai_core.pipeline.ways_live import WaysBuffer, WaysHub, WaysRequest
from cai_core.pipeline.ways_recipe import Way, WaysRecipe
from cai_core.records import Message, Prompt, SamplingParams
from cai_core.workspace.runs import open_run
from cai_core.workspace.status import RunState
from tests.fake_model import TOO_LONG, serve_fake_model, wait_until
from tests.workspace.rows_of import make_row

CONSTITUTION = find_constitution("harmlessness")


def make_request(model: str, text: str = "How?", **changes: object) -> WaysRequest:
    prompt = Prompt(prompt_id="p#0", conversation=(Message("user", text),))
    fields: dict[str, object] = {
        "ways": (Way.PLAIN,),
        "model": model,
        "constitution": CONSTITUTION.name,
        "constitution_hash": CONSTITUTION.hash,
        "prompts": "test",
        "prompts_hash": prompts_hash([prompt]),
        "sampling": SamplingParams(max_tokens=20),
    }
    recipe = WaysRecipe(**{**fields, **changes})
    return WaysRequest(prompt=prompt, constitution=CONSTITUTION, recipe=recipe)


def test_a_stopped_comparison_is_kept_as_far_as_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    hub = WaysHub(run_live_ways, load_live_ways)
    both = {"ways": (Way.PLAIN, Way.OTHER_MODEL)}
    with serve_fake_model() as first, serve_fake_model() as second:
        second.hold_at = 1
        ways = hub.start(make_request(first.url, other_model=second.url, **both))
        wait_until(lambda: Way.PLAIN in ways.snapshot().ended)
        wait_until(lambda: ways.snapshot().partial.get(("response-other", 0)))
        ways.stop()
        ways.join(5)
        wait_until(lambda: second.closed_early == 1, 2)
    snapshot = ways.snapshot()
    assert snapshot.state is ChainState.STOPPED
    assert snapshot.list_partial(ways.request.recipe, Way.OTHER_MODEL) == {0: "Response 1: word0"}
    assert open_run(tmp_path / "runs" / ways.run_id).status().state is RunState.CANCELLED
    kept = load_live_ways(ways.id)
    assert kept is not None and kept.snapshot().state is ChainState.STOPPED
    plain, other = (
        kept.snapshot().read(kept.request, kept.run_id, way) for way in kept.request.recipe.ways
    )
    assert plain.text == "Response 1: word0 word1 word2 word3 word4"
    assert (other.text, other.samples) == (None, {})


def test_when_no_way_brings_an_answer_it_has_failed_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    hub = WaysHub(run_live_ways, load_live_ways)
    with serve_fake_model() as fake:
        ways = hub.start(make_request(fake.url, TOO_LONG))
        ways.join(20)
    assert ways.snapshot().state is ChainState.FAILED
    assert "maximum context length" in ways.snapshot().faults[Way.PLAIN]
    kept = load_live_ways(ways.id)
    assert kept is not None and kept.snapshot().state is ChainState.FAILED
    assert "maximum context length" in kept.snapshot().faults[Way.PLAIN]


def test_a_broken_folder_is_no_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    folder = tmp_path / "runs" / "interactive-ways-0123456789ab"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text("format: [")
    assert load_live_ways("0123456789ab") is None
    assert load_live_ways("ba9876543210") is None


def test_the_hub_is_bounded_and_takes_no_path_for_an_id() -> None:
    asked: list[str] = []

    async def wait(ways_id: str, request: WaysRequest, buffer: WaysBuffer) -> None:
        buffer.started("response", 0)
        await asyncio.sleep(60)

    hub = WaysHub(wait, lambda ways_id: asked.append(ways_id), max_live=1)
    ways = hub.start(make_request("m"))
    with pytest.raises(CaiError, match="1 comparisons are running"):
        hub.start(make_request("m"))
    assert hub.get(ways.id) is ways
    assert hub.get("../../etc/passwd") is None and asked == []
    hub.close()
    assert ways.snapshot().state is ChainState.STOPPED
    hub.start(make_request("m")).stop()


def test_what_comes_after_the_end_changes_nothing() -> None:
    buffer = WaysBuffer()
    buffer.started("response", 0)
    buffer.text("response", 0, "Hel")
    buffer.text("response", 0, "lo")
    assert buffer.snapshot().partial == {("response", 0): "Hello"}
    buffer.row(make_row())
    assert buffer.snapshot().partial == {}
    buffer.end(ChainState.STOPPED)
    before = buffer.snapshot()
    buffer.text("response", 0, "late")
    buffer.row(make_row(row_id="late"))
    buffer.way_ended(Way.PLAIN, "late")
    buffer.end(ChainState.FAILED, "late")
    assert buffer.snapshot() == before
