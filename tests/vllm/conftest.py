"""Tests against a real vLLM: `make test-vllm`. Elsewhere they are skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.vllm import managed

HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    if _is_asked(config) and managed.find_python() is not None:
        config.pluginmanager.register(managed, "managed-vllm")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not _is_asked(config):
        reason = "takes minutes and a real vLLM: run `make test-vllm`"
    elif managed.find_python() is None:
        reason = "no vLLM: run scripts/vllm_env.sh, or set CAI_VLLM_PYTHON"
        if os.environ.get("CAI_REQUIRE_VLLM") == "1":
            raise pytest.UsageError(reason)
    else:
        return
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


def _is_asked(config: pytest.Config) -> bool:
    """Whether these tests were named, not just found among all."""
    named = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    return any(path == HERE or HERE in path.parents for path in named)
