"""One workspace and its open index, closed after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cai_core.workspace.index.owner import WorkspaceIndex

Opener = Callable[..., WorkspaceIndex]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
def open_index(workspace: Path) -> Iterator[Opener]:
    """Opens the workspace's index, with one look at the files done."""
    opened: list[WorkspaceIndex] = []

    def open_it(*, ingest: bool = True, **options: Any) -> WorkspaceIndex:
        index = WorkspaceIndex.open(workspace, **options)
        opened.append(index)
        if ingest:
            index.ingest()
        return index

    yield open_it
    for index in opened:
        index.close()
