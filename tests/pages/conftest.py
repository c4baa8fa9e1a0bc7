"""Every page test has a workspace of its own, and lets go of it at its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ui import services


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty workspace, and room for recordings; what the page opened is closed afterwards."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.setenv("CAI_WORKSPACE", str(folder))
    monkeypatch.setenv("CAI_RECORDINGS", str(tmp_path / "recordings"))
    yield folder
    services.close()
