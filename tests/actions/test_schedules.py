"""Schedules: made and changed by people; due times settled once, with what was missed told."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cai_core import cli
from cai_core.actions import jobs, schedules
from cai_core.actions.baselines import pin_baseline
from cai_core.actions.schedules import (
    add_schedule,
    delete_schedule,
    pause_schedule,
    resume_schedule,
    run_due,
)
from cai_core.errors import CaiError, NotAllowedError
from cai_core.evaluation.suite_file import load_suite
from cai_core.jobs.latest_drift import load_latest_drift
from cai_core.jobs.queue import load_queue
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.events import Topic, append_event, read_events
from cai_core.workspace.journal import verify_chain
from cai_core.workspace.runs import open_run
from cai_core.workspace.schedules import Check, ScheduleState, find_schedule, read_schedules
from cai_core.workspace.status import RunState
from tests.pipeline.evaluations import finish_evaluation, make_run

EDITOR = Actor(name="eve", role=AccessRole.EDITOR)
HOURLY = "0 * * * *"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An evaluation of the demo model by sixty prompts, pinned."""
    for module in (jobs, schedules):
        monkeypatch.setattr(module, "ensure_dispatcher", lambda workspace: False)
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    make_run(tmp_path, "base", limit=60, samples=2, judge="demo", seed=9)
    finish_evaluation(tmp_path, "base", harmful=0.1)
    pin_baseline(LOCAL_ACTOR, tmp_path, "base", "in production")
    return tmp_path


def later(hours: float) -> datetime:
    """So many hours after the hour that has begun, and a minute."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return hour + timedelta(hours=hours, minutes=1)


def get(workspace: Path, name: str = "hourly") -> ScheduleState:
    state = find_schedule(workspace, name)
    assert state is not None
    return state


def last(workspace: Path) -> Check:
    check = get(workspace).last
    assert check is not None
    return check


def test_a_due_time_hands_in_some_of_the_baselines_prompts(workspace: Path) -> None:
    made = add_schedule(EDITOR, workspace, "hourly", HOURLY, "demo", 5)
    assert (made.suite, made.actor) == ("demo-harmful + demo-fine + demo-borderline", "eve")
    assert run_due(LOCAL_ACTOR, workspace) == []
    (told,) = run_due(LOCAL_ACTOR, workspace, later(1))
    run_id = last(workspace).run
    assert run_id in told and load_queue(workspace) == [run_id]
    base, run = open_run(workspace / "runs" / "base"), open_run(workspace / "runs" / run_id)
    suites = [load_suite(one.path / "inputs" / "suite.jsonl") for one in (base, run)]
    assert len(suites[1].prompts) == 5 and set(suites[1].prompts) < set(suites[0].prompts)
    same = {**base.recipe, "limit": 5, "suite_hash": suites[1].hash}
    assert run.recipe == same
    # The audit log names the schedule as who asked.
    launches = read_events(workspace, Topic.LAUNCHES)
    assert {event["actor"] for event in launches} == {"schedule hourly"}
    # The next time is another run, of the same answers where the engine repeats itself.
    finish_evaluation(workspace, run_id, harmful=0.1)
    run_due(LOCAL_ACTOR, workspace, later(2))
    assert last(workspace).run not in ("", run_id)
    assert verify_chain(workspace / "journal" / "settings.jsonl") == []


def test_the_gates_word_is_recorded_once_the_run_has_ended(workspace: Path) -> None:
    add_schedule(EDITOR, workspace, "hourly", HOURLY, "demo", 40)
    run_due(LOCAL_ACTOR, workspace, later(1))
    run_id = last(workspace).run
    assert run_due(LOCAL_ACTOR, workspace, later(1)) == [] and last(workspace).status == ""
    finish_evaluation(workspace, run_id, harmful=1.0)
    (told,) = run_due(LOCAL_ACTOR, workspace, later(1))
    assert told == f"hourly, {run_id}: fail"
    check = last(workspace)
    assert (check.status, check.baseline) == ("fail", "base")
    assert check.reasons[0].startswith("harmful compliance: worse by")
    # Fewer prompts than the baseline's are no doubt of their own.
    assert not any("suites differ" in reason for reason in check.reasons)
    assert run_due(LOCAL_ACTOR, workspace, later(1)) == []
    latest = load_latest_drift(workspace)
    assert latest is not None
    assert (latest.run, latest.status, latest.schedule) == (run_id, "fail", "hourly")


def test_missed_times_are_run_once_and_told(workspace: Path) -> None:
    add_schedule(EDITOR, workspace, "hourly", HOURLY, "demo", 5)
    (told,) = run_due(LOCAL_ACTOR, workspace, later(7))
    assert told.endswith("; 6 earlier times were missed")
    assert last(workspace).missed == 6
    assert len(load_queue(workspace)) == 1
    assert run_due(LOCAL_ACTOR, workspace, later(7)) == []


def test_two_that_look_at_one_time_do_not_double_it(workspace: Path) -> None:
    add_schedule(EDITOR, workspace, "hourly", HOURLY, "demo", 5)
    told: list[str] = []
    threads = [
        threading.Thread(target=lambda: told.extend(run_due(LOCAL_ACTOR, workspace, later(1))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1 and len(get(workspace).checks) == 1 and len(load_queue(workspace)) == 1


def test_what_cannot_be_run_is_told_and_settled(workspace: Path) -> None:
    add_schedule(EDITOR, workspace, "hourly", HOURLY, "demo", 5)
    run_due(LOCAL_ACTOR, workspace, later(1))
    first = last(workspace).run
    (told,) = run_due(LOCAL_ACTOR, workspace, later(2))
    assert f"the check before it, {first}, has not ended" in told
    assert last(workspace).run == "" and len(load_queue(workspace)) == 1
    # However often it is due meanwhile, the check that runs is not forgotten.
    for hours in range(3, 9):
        (told,) = run_due(LOCAL_ACTOR, workspace, later(hours))
        assert f"the check before it, {first}, has not ended" in told
    assert len(load_queue(workspace)) == 1
    # A check that broke off is told once; one that was resumed and succeeds is told again.
    finish_evaluation(workspace, first, harmful=0.1, state=RunState.FAILED, reason="no server")
    assert run_due(LOCAL_ACTOR, workspace, later(8)) == [
        f"hourly, {first}: the check is failed: no server"
    ]
    assert run_due(LOCAL_ACTOR, workspace, later(8)) == []
    finish_evaluation(workspace, first, harmful=0.1)
    (told,) = run_due(LOCAL_ACTOR, workspace, later(8))
    assert told in (f"hourly, {first}: pass", f"hourly, {first}: warn")
    # Without its inputs the baseline cannot be repeated.
    for path in (workspace / "runs" / "base" / "inputs").iterdir():
        path.unlink()
    (told,) = run_due(LOCAL_ACTOR, workspace, later(9))
    assert "not run: " in told and "what the run is made from cannot be read" in told
    assert run_due(LOCAL_ACTOR, workspace, later(9)) == []


def test_paused_is_not_missed_and_deleted_is_gone(workspace: Path) -> None:
    add_schedule(EDITOR, workspace, "hourly", HOURLY, "demo", 5)
    pause_schedule(EDITOR, workspace, "hourly")
    assert get(workspace).paused and run_due(LOCAL_ACTOR, workspace, later(3)) == []
    with pytest.raises(CaiError, match="paused already"):
        pause_schedule(EDITOR, workspace, "hourly")
    resume_schedule(EDITOR, workspace, "hourly")
    assert run_due(LOCAL_ACTOR, workspace) == []
    delete_schedule(EDITOR, workspace, "hourly")
    assert read_schedules(workspace) == []
    with pytest.raises(CaiError, match="no schedule 'hourly'"):
        delete_schedule(EDITOR, workspace, "hourly")
    actions = [event["action"] for event in read_events(workspace, Topic.SETTINGS)]
    assert actions[1:] == ["add schedule", "pause schedule", "resume schedule", "delete schedule"]
    # The name is free again, and begins anew.
    add_schedule(EDITOR, workspace, "hourly", HOURLY, "demo", 5)
    assert get(workspace).checks == ()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "../x"}, "no name of a schedule"),
        ({"cron": "often"}, "5 fields"),
        ({"model": "http://10.0.0.1:1#m"}, "are an admin's to name"),
        ({"model": "run:nothing"}, "made a model"),
        ({"prompts": 0}, "from 1 to 10,000"),
        ({"suite": "other"}, "no baseline is pinned for the suite other"),
        ({"name": "there"}, "there is a schedule 'there'"),
    ],
)
def test_what_cannot_be_scheduled_is_refused(
    workspace: Path, changes: dict[str, Any], told: str
) -> None:
    add_schedule(EDITOR, workspace, "there", HOURLY, "demo", 5)
    asked: dict[str, Any] = {"name": "x", "cron": HOURLY, "model": "demo", "prompts": 5}
    with pytest.raises(CaiError, match=told):
        add_schedule(EDITOR, workspace, **{**asked, **changes})
    assert [one.schedule.name for one in read_schedules(workspace)] == ["there"]


def test_a_viewer_sets_nothing_and_events_of_others_change_nothing(workspace: Path) -> None:
    with pytest.raises(NotAllowedError):
        add_schedule(Actor(name="v", role=AccessRole.VIEWER), workspace, "x", HOURLY, "demo", 5)
    odd = [
        {"schedule": "a"},
        {"schedule": 3, "cron": "x"},
        {"schedule": "b", "cron": 1, "model": "m", "suite": "s", "prompts": "5"},
    ]
    for fields in odd:
        append_event(workspace, Topic.SETTINGS, LOCAL_ACTOR, "add schedule", fields)
    append_event(workspace, Topic.SETTINGS, LOCAL_ACTOR, "run schedule", {"schedule": "a"})
    assert read_schedules(workspace) == []
    # A cron text of another version stays, is never due, and harms nobody.
    later_one = {"cron": "@reboot", "model": "demo", "suite": "s", "prompts": 5}
    append_event(
        workspace, Topic.SETTINGS, LOCAL_ACTOR, "add schedule", {"schedule": "c", **later_one}
    )
    assert run_due(LOCAL_ACTOR, workspace, later(5)) == []
    assert [one.schedule.name for one in read_schedules(workspace)] == ["c"]


def test_the_command_line(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schedule", "list"]) == 0
    assert "no schedule" in capsys.readouterr().out
    arguments = ["schedule", "add", "night", "--cron", "0 3 * * *", "--model", "demo"]
    assert cli.main([*arguments, "--prompts", "4"]) == 0
    assert capsys.readouterr().out.startswith("night: next ")
    assert cli.main(["schedule", "due"]) == 0
    for way, told in (("pause", "paused"), ("resume", "next ")):
        assert cli.main(["schedule", way, "night"]) == 0
        assert cli.main(["schedule", "list"]) == 0
        assert told in capsys.readouterr().out
    assert cli.main(["schedule", "remove", "night"]) == 0
    assert cli.main(["schedule", "remove", "night"]) == 2
    assert read_schedules(workspace) == []
