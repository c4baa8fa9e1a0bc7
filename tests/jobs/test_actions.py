"""Handing in, stopping, resuming, moving, and roles: what they write, what they refuse.

No dispatcher runs here; tests/faults/test_jobs.py has real ones.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cai_core.actions import jobs
from cai_core.errors import (
    NotAllowedError,
    RunMismatchError,
    WorkspaceError,
)
from cai_core.jobs.queue import load_queue
from cai_core.pipeline.inputs import load_inputs
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.events import Topic, get_journal_path, read_events
from cai_core.workspace.journal import verify_chain
from cai_core.workspace.runs import Run
from cai_core.workspace.status import RunState, load_status, replace_status, save_status
from cai_core.workspace.writer import RunWriter
from tests.jobs.background import make_spec

EDITOR = Actor(name="edda", role=AccessRole.EDITOR)


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Workspaces that a dispatcher was asked for."""
    asked: list[Path] = []
    monkeypatch.setattr(jobs, "ensure_dispatcher", asked.append)
    return asked


def set_state(run: Run, state: RunState) -> None:
    path = run.path / "status.json"
    save_status(path, replace_status(load_status(path), state=state))


def list_actions(workspace: Path) -> list[str]:
    return [event["action"] for event in read_events(workspace, Topic.LAUNCHES)]


def test_a_submitted_run_is_whole_queued_and_journalled(
    tmp_path: Path, started: list[Path]
) -> None:
    spec = make_spec("r", prompts=4)
    run = jobs.submit(EDITOR, tmp_path, spec)
    assert run.status().state is RunState.QUEUED
    assert load_queue(tmp_path) == ["r"]
    assert len(load_inputs(run).prompts) == 4
    (event,) = read_events(tmp_path, Topic.LAUNCHES)
    assert (event["actor"], event["action"], event["run"]) == ("edda", "submit run", "r")
    assert (event["kind"], len(event["recipe_hash"])) == ("revise", 64)
    assert verify_chain(get_journal_path(tmp_path, Topic.LAUNCHES)) == []
    assert started == [tmp_path]


@pytest.mark.parametrize(
    ("state", "queued"),
    [
        (RunState.SUCCEEDED, False),
        (RunState.INTERRUPTED, True),
        (RunState.CANCELLED, True),
        (RunState.FAILED, True),
        (RunState.RUNNING, True),  # its writer is gone
    ],
)
def test_submitting_again_resumes_what_is_not_done(
    tmp_path: Path, state: RunState, queued: bool
) -> None:
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    jobs.stop_run(LOCAL_ACTOR, tmp_path, "r")
    set_state(run, state)
    before = load_status(run.path / "status.json")
    jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    assert load_queue(tmp_path) == (["r"] if queued else [])
    assert run.status().state is (RunState.QUEUED if queued else state)
    assert (load_status(run.path / "status.json") == before) is not queued


def test_submitting_again_moves_nothing(tmp_path: Path) -> None:
    for name in ("a", "b", "a"):
        jobs.submit(LOCAL_ACTOR, tmp_path, make_spec(name))
    assert load_queue(tmp_path) == ["a", "b"]
    assert list_actions(tmp_path) == ["submit run", "submit run"]


def test_a_run_that_is_written_now_is_left_alone(tmp_path: Path) -> None:
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    jobs.stop_run(LOCAL_ACTOR, tmp_path, "r")
    with RunWriter(run):
        jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
        assert load_queue(tmp_path) == []
        with pytest.raises(WorkspaceError, match="not begun in the background"):
            jobs.stop_run(LOCAL_ACTOR, tmp_path, "r")
        with pytest.raises(WorkspaceError, match="runs or is queued"):
            jobs.delete_run(LOCAL_ACTOR, tmp_path, "r")


def test_a_half_made_run_is_mended_by_submitting_again(tmp_path: Path) -> None:
    """Killed after each step of the making: the folder, each input, the recipe, the journal."""
    whole = make_spec("r", prompts=4)

    def break_off() -> Iterator[bytes]:
        yield b"half of it"
        raise KeyboardInterrupt

    for name in whole.inputs:
        broken = replace(whole, inputs={**whole.inputs, name: break_off})
        with pytest.raises(KeyboardInterrupt):
            jobs.submit(LOCAL_ACTOR, tmp_path, broken)
        assert not (tmp_path / "runs" / "r" / "recipe.yaml").exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "append_event", lambda *_: break_off().throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            jobs.submit(LOCAL_ACTOR, tmp_path, whole)
    assert load_queue(tmp_path) == []
    run = jobs.submit(LOCAL_ACTOR, tmp_path, whole)
    assert load_queue(tmp_path) == ["r"]
    assert len(load_inputs(run).prompts) == 4


def test_lost_inputs_come_back_and_changed_ones_do_not_go(tmp_path: Path) -> None:
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    (run.path / "inputs" / "few_shot.json").unlink()
    (run.path / "inputs" / "prompts.jsonl").write_text("changed")
    jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    assert (run.path / "inputs" / "few_shot.json").exists()
    with pytest.raises(RunMismatchError, match=r"prompts\.jsonl"):
        load_inputs(run)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "fly"}, "no worker does"),
        ({"run_id": "../r"}, "no id of a run"),
        ({"run_id": ""}, "no id of a run"),
        ({"inputs": {"../x": list}}, "no name of an input"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(WorkspaceError, match=told):
        jobs.submit(LOCAL_ACTOR, tmp_path, replace(make_spec("r"), **changes))
    assert load_queue(tmp_path) == []


def test_another_recipe_under_the_same_id_is_refused(tmp_path: Path) -> None:
    jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    with pytest.raises(RunMismatchError, match=r"chain\.seed: 1 in the folder, 2 asked"):
        jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r", seed=2))


def test_stop_takes_out_of_the_queue_and_resume_puts_back(tmp_path: Path) -> None:
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    jobs.stop_run(EDITOR, tmp_path, "r")
    status = run.status()
    assert (status.state, status.reason) == (
        RunState.CANCELLED,
        "taken out of the queue by edda",
    )
    with pytest.raises(WorkspaceError, match="does not run: it is cancelled"):
        jobs.stop_run(EDITOR, tmp_path, "r")
    with pytest.raises(WorkspaceError, match="does not run"):
        jobs.kill_run(EDITOR, tmp_path, "r")
    jobs.resume_run(EDITOR, tmp_path, "r")
    jobs.resume_run(EDITOR, tmp_path, "r")
    status = run.status()
    assert (status.state, status.reason) == (RunState.QUEUED, None)
    assert load_queue(tmp_path) == ["r"]
    assert list_actions(tmp_path) == ["submit run", "stop run", "resume run"]


def test_what_no_worker_can_go_on_with_is_not_resumed(tmp_path: Path) -> None:
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    jobs.stop_run(LOCAL_ACTOR, tmp_path, "r")
    set_state(run, RunState.SUCCEEDED)
    with pytest.raises(WorkspaceError, match="has succeeded"):
        jobs.resume_run(LOCAL_ACTOR, tmp_path, "r")
    set_state(run, RunState.INTERRUPTED)
    (run.path / "inputs").rename(run.path / "gone")
    with pytest.raises(WorkspaceError, match="not begun in the background"):
        jobs.resume_run(LOCAL_ACTOR, tmp_path, "r")
    with pytest.raises(WorkspaceError, match="Is this a run"):
        jobs.resume_run(LOCAL_ACTOR, tmp_path, "nobody")


def test_a_moved_run_is_journalled_with_its_place(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        jobs.submit(LOCAL_ACTOR, tmp_path, make_spec(name))
    jobs.move_run(EDITOR, tmp_path, "c", 1)
    assert load_queue(tmp_path) == ["c", "a", "b"]
    event = read_events(tmp_path, Topic.LAUNCHES)[-1]
    assert (event["action"], event["run"], event["position"]) == ("move run", "c", 1)


@pytest.mark.parametrize(
    ("action", "arguments", "least"),
    [
        (jobs.submit, (make_spec("r"),), AccessRole.EDITOR),
        (jobs.stop_run, ("r",), AccessRole.EDITOR),
        (jobs.kill_run, ("r",), AccessRole.EDITOR),
        (jobs.resume_run, ("r",), AccessRole.EDITOR),
        (jobs.move_run, ("r", 1), AccessRole.EDITOR),
        (jobs.clone_run, ("r", {"chain.seed": 2}), AccessRole.EDITOR),
        (jobs.delete_run, ("r",), AccessRole.ADMIN),
    ],
)
def test_each_action_refuses_a_lower_role(
    tmp_path: Path, action: Any, arguments: tuple[Any, ...], least: AccessRole
) -> None:
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    before = (load_queue(tmp_path), run.status(), read_events(tmp_path, Topic.LAUNCHES))
    for role in AccessRole:
        if not role.includes(least):
            with pytest.raises(NotAllowedError, match=f"this takes the role {least}"):
                action(Actor(name="x", role=role), tmp_path, *arguments)
    assert (load_queue(tmp_path), run.status(), read_events(tmp_path, Topic.LAUNCHES)) == before


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.INTERRUPTED])
def test_what_stands_in_the_queue_of_an_earlier_time_is_queued_anew(
    tmp_path: Path, state: RunState
) -> None:
    stale = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("stale"))
    jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("other", seed=2))
    set_state(stale, state)
    jobs.resume_run(LOCAL_ACTOR, tmp_path, "stale")
    assert stale.status().state is RunState.QUEUED
    assert load_queue(tmp_path) == ["other", "stale"]


def test_a_run_at_work_is_not_resumed(tmp_path: Path) -> None:
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    with RunWriter(run), pytest.raises(WorkspaceError, match="runs already"):
        jobs.resume_run(LOCAL_ACTOR, tmp_path, "r")


def test_a_run_that_is_deleted_meanwhile_is_not_queued(tmp_path: Path) -> None:
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    jobs.stop_run(LOCAL_ACTOR, tmp_path, "r")
    jobs.delete_run(LOCAL_ACTOR, tmp_path, "r")
    with pytest.raises(WorkspaceError, match="deleted meanwhile"):
        jobs._queue_again(LOCAL_ACTOR, tmp_path, run, "resume run")
    assert load_queue(tmp_path) == []


def test_of_two_first_submits_one_writes_the_inputs(tmp_path: Path) -> None:
    """The second one comes while the first one writes: it waits, then finds a whole run."""
    spec, written = make_spec("r"), []
    inside, second_began = threading.Event(), threading.Event()

    def build(name: str) -> Iterator[bytes]:
        written.append(name)
        inside.set()
        second_began.wait(10)
        # Long enough for one that does not wait to be caught writing too.
        threading.Event().wait(0.3)
        yield from spec.inputs[name]()

    slow = replace(spec, inputs={name: (lambda name=name: build(name)) for name in spec.inputs})
    threads = [
        threading.Thread(target=jobs.submit, args=(LOCAL_ACTOR, tmp_path, slow)) for _ in range(2)
    ]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    second_began.set()
    for thread in threads:
        thread.join(30)
    assert sorted(written) == sorted(spec.inputs)
    assert load_queue(tmp_path) == ["r"]
    assert list_actions(tmp_path) == ["submit run"]
