"""The dispatcher keeps schedules: it stays for them, hands in what is due, and tells the result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cai_core.actions.baselines import pin_baseline
from cai_core.actions.schedules import add_schedule, delete_schedule
from cai_core.jobs.launch import LOG, ensure_dispatcher, find_dispatcher
from cai_core.jobs.schedules import describe_next
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.events import Topic, get_journal_path, read_events
from cai_core.workspace.schedules import Check, find_schedule, read_schedules
from tests.jobs.background import Background
from tests.pipeline.evaluations import finish_evaluation, make_run


@pytest.fixture
def background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Background]:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("CAI_DISPATCHER_IDLE", "0.5")
    make_run(tmp_path, "base", limit=6, samples=1)
    finish_evaluation(tmp_path, "base", harmful=0.0)
    pin_baseline(LOCAL_ACTOR, tmp_path, "base", "in production")
    held = Background(tmp_path)
    yield held
    held.end()


def set_back(workspace: Path, minutes: int) -> None:
    """Have every schedule made so long ago: nobody was there since."""
    path = get_journal_path(workspace, Topic.SETTINGS)
    past = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for record in records:
        if record.get("action") == "add schedule":
            record["at"] = past
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")


def test_the_dispatcher_makes_up_for_what_was_missed_once_and_tells_the_result(
    background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = background.workspace
    monkeypatch.setattr("cai_core.actions.schedules.ensure_dispatcher", lambda workspace: False)
    # Due once an hour, at a minute that is not near: one time, and 29 that were missed.
    minute = (datetime.now(UTC) - timedelta(minutes=20)).minute
    add_schedule(LOCAL_ACTOR, workspace, "often", f"{minute} * * * *", "demo", 3)
    set_back(workspace, 30 * 60 - 15)
    assert ensure_dispatcher(workspace)

    def check() -> Check | None:
        state = find_schedule(workspace, "often")
        return state.last if state is not None else None

    background.wait(lambda: (found := check()) is not None and found.status, "a result", 90)
    found = check()
    assert found is not None and found.missed == 29
    assert found.status in ("pass", "warn", "fail") and found.baseline == "base"
    events = read_events(workspace, Topic.SETTINGS)
    told = [event for event in events if event["action"] in ("run schedule", "schedule result")]
    assert [event["action"] for event in told] == ["run schedule", "schedule result"]
    assert {event["actor"] for event in told} == {"dispatcher"}
    assert "29 earlier times were missed" in (workspace / "servers" / LOG).read_text("utf-8")
    # It stays while there is a schedule, and leaves when there is none.
    assert find_dispatcher(workspace) is not None
    delete_schedule(LOCAL_ACTOR, workspace, "often")
    background.wait(lambda: find_dispatcher(workspace) is None, "leaves")
    assert read_schedules(workspace) == []


def test_the_next_time_is_told_in_words() -> None:
    now = datetime(2026, 11, 28, 5, 59, 30, tzinfo=UTC)
    told = [
        describe_next(now + timedelta(**after), now)
        for after in ({"seconds": 30}, {"minutes": 90}, {"hours": 30}, {"days": 9})
    ]
    assert told == [
        "28 Nov 06:00 UTC, in less than a minute",
        "28 Nov 07:29 UTC, in 90 min",
        "29 Nov 11:59 UTC, in 30 h",
        "7 Dec 05:59 UTC, in 9 days",
    ]
