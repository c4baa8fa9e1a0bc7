"""Tiny real models, made once a session."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before torch loads MKL: as the server sets it for itself.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

from tests.inference import tiny_models


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save_llama(tmp_path_factory.mktemp("models") / "llama")
