"""Every action refuses a role that does not reach, before anything is written."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import cai_core.actions
from cai_core.actions import chains, runs, settings
from cai_core.errors import CaiError, NotAllowedError
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.journal import verify_chain
from cai_core.workspace.settings import load_settings

VIEWER = Actor(name="vera", role=AccessRole.VIEWER)
REVIEWER = Actor(name="rob", role=AccessRole.REVIEWER)
# What a viewer may do.
FOR_ALL = {"set_setting"}


def list_actions() -> list[Callable[..., Any]]:
    """Every public function of cai_core.actions; `check` holds what they share, and no action."""
    found = []
    for module in pkgutil.iter_modules(cai_core.actions.__path__):
        if module.name == "check":
            continue
        loaded = import_module(f"cai_core.actions.{module.name}")
        for name, function in inspect.getmembers(loaded, inspect.isfunction):
            own = function.__module__ == loaded.__name__ and not name.startswith("_")
            if own:
                found.append(function)
    return found


@pytest.mark.parametrize("action", list_actions(), ids=lambda a: a.__name__)
def test_every_action_takes_an_actor_first_and_refuses_a_viewer(
    action: Callable[..., Any], tmp_path: Path
) -> None:
    names = list(inspect.signature(action).parameters)
    assert names[:2] == ["actor", "workspace"]
    if action.__name__ in FOR_ALL:
        return
    # Everything else is None: the role is checked before any argument is looked at.
    arguments = {name: None for name in names[2:] if name not in ("note",)}
    with pytest.raises(NotAllowedError, match="vera is a viewer"):
        action(VIEWER, tmp_path, **arguments, **({"note": "n"} if "note" in names else {}))
    assert list(tmp_path.iterdir()) == []


def test_roles_include_the_ones_before_them() -> None:
    roles = list(AccessRole)
    for i, role in enumerate(roles):
        assert [role.includes(other) for other in roles] == [j <= i for j in range(len(roles))]


def test_a_mark_is_journalled_with_its_actor(tmp_path: Path) -> None:
    chains.mark_chain(REVIEWER, tmp_path, chain="c", run="r", flagged=True, note=" why? ")
    (event,) = read_events(tmp_path, Topic.REVIEWS)
    assert (event["actor"], event["action"]) == ("rob", "mark chain")
    assert (event["chain"], event["flagged"], event["note"]) == ("c", True, "why?")
    assert "saved" not in event
    assert verify_chain(tmp_path / "journal" / "reviews.jsonl") == []


def test_nothing_to_mark_and_a_note_too_long_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CaiError, match="nothing to mark"):
        chains.mark_chain(REVIEWER, tmp_path, chain="c", run="r", note="  ")
    with pytest.raises(CaiError, match="Shorten it to 4000"):
        chains.mark_chain(REVIEWER, tmp_path, chain="c", run="r", note="x" * 4001)
    assert read_events(tmp_path, Topic.REVIEWS) == []


def test_settings_are_each_actors_own_and_the_last_one_holds(tmp_path: Path) -> None:
    assert load_settings(tmp_path, "vera") == {"show_harmful": False}
    for value in (True, False, True):
        settings.set_setting(VIEWER, tmp_path, "show_harmful", value)
    assert load_settings(tmp_path, "vera") == {"show_harmful": True}
    assert load_settings(tmp_path, "rob") == {"show_harmful": False}


@pytest.mark.parametrize(("name", "value"), [("show_harmfull", True), ("show_harmful", 1)])
def test_unknown_settings_and_other_types_are_refused(
    tmp_path: Path, name: str, value: Any
) -> None:
    with pytest.raises(CaiError, match="known are show_harmful"):
        settings.set_setting(VIEWER, tmp_path, name, value)


def test_a_launch_says_whether_the_run_goes_on(tmp_path: Path) -> None:
    for _ in range(2):
        runs.start_run(LOCAL_ACTOR, tmp_path, tmp_path / "r", kind="revise", recipe={"a": 1})
    first, second = read_events(tmp_path, Topic.LAUNCHES)
    assert (first["action"], second["action"]) == ("start run", "go on with run")
    assert first["recipe_hash"] == second["recipe_hash"]
