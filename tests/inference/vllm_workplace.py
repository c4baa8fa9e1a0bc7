"""A model folder, a fake vLLM with given lives, and quick times: for the keeper's tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cai_core.inference import vllm_preflight
from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.vllm_plan import KeeperTimes
from cai_core.inference.vllm_record import VllmRecord, files_of, load_vllm_record
from cai_core.inference.vllm_server import find_vllm, stop_vllm
from tests.inference import fake_vllm

QUICK = KeeperTimes(
    start_seconds=60,
    canary_seconds=0.3,
    hang_seconds=2,
    idle_seconds=0,
    stop_seconds=1,
    backoff_seconds=0.01,
)
Install = Callable[..., tuple[EndpointConfig, Path]]


@contextmanager
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Gives what makes the endpoint and the fake's python; stops its keeper at the end."""
    monkeypatch.setattr(vllm_preflight, "_installs", {})
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"")
    config = EndpointConfig(name="local", kind="vllm", model=str(model))

    def make(*lives: dict[str, Any]) -> tuple[EndpointConfig, Path]:
        python = fake_vllm.install(tmp_path / "fake", list(lives) or [{}])
        monkeypatch.setenv("CAI_VLLM_PYTHON", str(python))
        return config, python

    yield make
    stop_vllm(config, tmp_path)


def record_of(workspace: Path) -> VllmRecord:
    record = load_vllm_record(files_of(workspace, "local").record)
    assert record is not None
    return record


def wait_for(config: EndpointConfig, workspace: Path, state: str, restarts: int = 0) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        now = find_vllm(config, workspace)
        if now.state == state and now.restarts >= restarts:
            return
        time.sleep(0.02)
    pytest.fail(f"{now} is not {state}; its log:\n{now.log_tail()}")
