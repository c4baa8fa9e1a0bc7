"""Indexes that lie elsewhere: the workspace is only read, whoever owns it."""

from __future__ import annotations

from pathlib import Path

from cai_core.workspace.index.owner import WorkspaceIndex
from tests.workspace.index.makers import make_workspace


def test_indexes_elsewhere_say_the_same_and_leave_the_workspace_alone(tmp_path: Path) -> None:
    workspace, home = tmp_path / "workspace", tmp_path / "home"
    home.mkdir()
    make_workspace(workspace)
    files = sorted(workspace.rglob("*"))
    elsewhere = WorkspaceIndex.open(workspace, home=home)
    elsewhere.ingest()
    assert sorted(workspace.rglob("*")) == files
    own = WorkspaceIndex.open(workspace)
    own.ingest()
    told = [
        (found.rows, found.chains, found.runs, found.events)
        for found in (elsewhere.report(), own.report())
    ]
    assert told[0] == told[1]
    assert told[0][0] > 0
    own.close()
    elsewhere.close()


def test_a_workspace_that_is_not_there_is_empty_and_not_made(tmp_path: Path) -> None:
    index = WorkspaceIndex.open(tmp_path / "none", home=tmp_path)
    index.ingest()
    assert index.report().rows == 0
    assert not (tmp_path / "none").exists()
    index.close()
