"""Pinning a baseline: the newest pin holds, it is journalled, and what cannot be one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cai_core.actions.baselines import pin_baseline
from cai_core.errors import CaiError, NotAllowedError, WorkspaceError
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.baselines import find_baseline, list_baselines
from cai_core.workspace.events import Topic, append_event, get_journal_path, read_events
from cai_core.workspace.journal import verify_chain
from cai_core.workspace.runs import create_run
from tests.drift_workspace import write_evaluation


def test_the_newest_pin_holds_and_all_are_journalled(tmp_path: Path) -> None:
    write_evaluation(tmp_path, "one", prompts=2)
    write_evaluation(tmp_path, "two", prompts=2)
    assert find_baseline(tmp_path) is None
    pin_baseline(LOCAL_ACTOR, tmp_path, "one", "  the first  ")
    pinned = pin_baseline(LOCAL_ACTOR, tmp_path, "two", "better")
    assert (pinned.run, pinned.suite, pinned.note, pinned.actor) == (
        "two",
        "made",
        "better",
        "local",
    )
    # Foreign events of the same journal are no pins.
    append_event(tmp_path, Topic.SETTINGS, LOCAL_ACTOR, "pin baseline", {"run": 5})
    append_event(tmp_path, Topic.SETTINGS, LOCAL_ACTOR, "change setting", {"name": "x"})
    assert [(pin.run, pin.note) for pin in list_baselines(tmp_path)] == [
        ("two", "better"),
        ("one", "the first"),
    ]
    assert find_baseline(tmp_path) == pinned
    one = find_baseline(tmp_path, {"one", "three"})
    assert one is not None and one.run == "one"
    assert find_baseline(tmp_path, {"three"}) is None
    event = read_events(tmp_path, Topic.SETTINGS)[0]
    assert (event["action"], event["suite_hash"]) == ("pin baseline", "5" * 64)
    assert not verify_chain(get_journal_path(tmp_path, Topic.SETTINGS))


def test_what_cannot_be_a_baseline_is_refused(tmp_path: Path) -> None:
    write_evaluation(tmp_path, "one", prompts=2)
    create_run(tmp_path / "runs" / "waiting", kind="evaluate", recipe={"model": "demo"})
    reviewer = Actor(name="rob", role=AccessRole.REVIEWER)
    with pytest.raises(NotAllowedError, match="pin baseline: rob is a reviewer"):
        pin_baseline(reviewer, tmp_path, "one", "n")
    with pytest.raises(CaiError, match="no note"):
        pin_baseline(LOCAL_ACTOR, tmp_path, "one", " ")
    with pytest.raises(WorkspaceError, match="is queued, not succeeded"):
        pin_baseline(LOCAL_ACTOR, tmp_path, "waiting", "n")
    with pytest.raises(WorkspaceError):
        pin_baseline(LOCAL_ACTOR, tmp_path, "nothing", "n")
    assert list_baselines(tmp_path) == []
