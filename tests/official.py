"""Where the paper's official files are on this machine; they are never part of the project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]


def official_file(relative: str) -> Path:
    """A file of CAI_OFFICIAL_FILES, else of ../shared/data/anthropic-cai; skips when absent."""
    folder = os.environ.get("CAI_OFFICIAL_FILES") or _ROOT.parent / "shared/data/anthropic-cai"
    path = Path(folder) / relative
    if not path.is_file():
        pytest.skip(f"official file {relative} is absent: set CAI_OFFICIAL_FILES to its folder")
    return path
