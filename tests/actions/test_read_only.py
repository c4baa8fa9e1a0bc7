"""In a read-only demo every action refuses everybody, and so does what writes or starts below."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cai_core.errors import NotAllowedError
from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.launcher import ensure_server
from cai_core.inference.vllm_server import start_vllm
from cai_core.jobs.launch import ensure_dispatcher
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.files import replace_file
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.journal import append_records
from cai_core.workspace.read_only import is_read_only
from tests.actions.test_roles import list_actions


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAI_DEMO", "1")


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("action", list_actions(), ids=lambda a: a.__name__)
def test_every_action_refuses_an_admin(action: Callable[..., Any], tmp_path: Path) -> None:
    names = list(inspect.signature(action).parameters)[2:]
    arguments = {name: "n" if name == "note" else None for name in names}
    with pytest.raises(NotAllowedError, match="read-only demo"):
        action(LOCAL_ACTOR, tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("demo")
def test_what_writes_or_starts_below_the_actions_refuses_too(tmp_path: Path) -> None:
    config = EndpointConfig(name="v", kind="vllm", model="m")
    for call in (
        lambda: append_records(tmp_path / "a.jsonl", [{"a": 1}]),
        lambda: replace_file(tmp_path / "a", [b"a"]),
        lambda: ensure_dispatcher(tmp_path),
        lambda: ensure_server("demo", tmp_path),
        lambda: start_vllm(config, tmp_path),
        lambda: WorkspaceIndex.open(tmp_path),
    ):
        with pytest.raises(NotAllowedError, match="read-only demo"):
            call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("value", "on"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_the_switch(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    monkeypatch.setenv("CAI_DEMO", value)
    assert is_read_only() is on
    monkeypatch.delenv("CAI_DEMO")
    assert not is_read_only()
