"""What a queued run waits for, and which slot it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cai_core.inference.endpoints import EndpointBook, EndpointConfig
from cai_core.jobs.schedule import explain_wait, find_slot
from cai_core.workspace.endpoints import write_endpoints
from cai_core.workspace.runs import create_run
from cai_core.workspace.status import RunState, RunStatus

URL = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("state", "reason", "told"),
    [
        (RunState.SUCCEEDED, None, None),
        (RunState.RUNNING, None, "waits for p (running)"),
        (RunState.QUEUED, None, "waits for p (queued)"),
        (RunState.FAILED, "no disk", "waits for p, which has failed (no disk); resume that one"),
        (RunState.CANCELLED, None, "waits for p, which was cancelled; resume that one"),
        (RunState.INTERRUPTED, None, "waits for p, which was interrupted; resume that one"),
        (RunState.DELETED, "by x", "waits for p, which was deleted"),
    ],
)
def test_a_run_says_which_parent_it_waits_for(
    state: RunState, reason: str | None, told: str | None
) -> None:
    assert explain_wait({"p": RunStatus(state=state, reason=reason)}) == told


def test_every_state_is_thought_of() -> None:
    waits = {state: explain_wait({"p": RunStatus(state=state)}) for state in RunState}
    assert [state for state, told in waits.items() if told is None] == [RunState.SUCCEEDED]


def test_a_missing_parent_and_several_are_told() -> None:
    done, running = RunStatus(state=RunState.SUCCEEDED), RunStatus(state=RunState.RUNNING)
    assert explain_wait({}) is None
    told = explain_wait({"a": None, "b": done, "c": running})
    assert told == "waits for a, which is not there; waits for c (running)"


@pytest.mark.parametrize(
    ("kind", "recipe", "slot"),
    [
        ("revise", {"model": "demo"}, "accelerator"),
        ("revise", {"model": f"{URL}#m", "critic_model": None}, "remote"),
        ("revise", {"model": "far", "critic_model": "far"}, "remote"),
        ("revise", {"model": "far", "critic_model": "demo"}, "accelerator"),
        ("revise", {"model": "near"}, "accelerator"),
        ("revise", {"model": ""}, "accelerator"),
        ("sft", {"base": f"{URL}#m"}, "accelerator"),
    ],
)
def test_only_what_asks_servers_elsewhere_leaves_the_accelerator(
    tmp_path: Path, kind: str, recipe: dict[str, object], slot: str
) -> None:
    far = EndpointConfig(name="far", kind="url", urls=(URL,))
    near = EndpointConfig(name="near", kind="vllm", model="some/model")
    write_endpoints(tmp_path, EndpointBook(endpoints={"far": far, "near": near}))
    run = create_run(tmp_path / "runs" / "r", kind=kind, recipe=recipe)
    assert find_slot(run, tmp_path) == slot
