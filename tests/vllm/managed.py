"""One real vLLM for the whole session, started through the keeper, by two processes at once.

A plugin of its own (tests/vllm/conftest.py registers it), so that tests/contract is run against
this server when both are asked for.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.engine import Endpoint
from cai_core.inference.vllm_options import build_environment
from cai_core.inference.vllm_server import ensure_vllm, stop_vllm
from tests.inference import tiny_models
from tests.vllm.processes import wait_until

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ("--enforce-eager", "--dtype", "float32", "--kv-cache-memory-bytes", str(2**28))
# Adapters are loaded into it too (tests/vllm/test_adapters.py).
OPTIONS += ("--enable-lora", "--max-loras", "4", "--max-lora-rank", "16")
REWARD_OPTIONS = ("--runner", "pooling", "--dtype", "float32", "--max-model-len", "512")
REWARD_OPTIONS += ("--enforce-eager", "--kv-cache-memory-bytes", str(2**28))
START_SECONDS = 240.0
_ENSURE = """
import sys
from pathlib import Path
from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.vllm_server import ensure_vllm
assert not {"torch", "vllm"} & set(sys.modules), "pages must not import these"
config = EndpointConfig(name="shared", kind="vllm", model=sys.argv[1], options=tuple(sys.argv[4:]))
endpoint = ensure_vllm(
    config, Path(sys.argv[2]), timeout=float(sys.argv[3]),
    on_state=lambda told: print(told, file=sys.stderr, flush=True),
)
print(endpoint.base_url)
"""


@dataclass(frozen=True)
class Managed:
    """The shared server.

    Attributes:
        told: by each of the two that asked at once: the URL, and the states it was told.
        seconds: from asking to an answer.
    """

    config: EndpointConfig
    workspace: Path
    folder: Path
    endpoint: Endpoint
    told: list[tuple[str, list[str]]]
    seconds: float


def find_python() -> str | None:
    """A python whose environment has vLLM."""
    own = ROOT / ".venv-vllm" / "bin" / "python"
    return os.environ.get("CAI_VLLM_PYTHON") or (str(own) if own.exists() else None)


@pytest.fixture(scope="session", autouse=True)
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Managed]:
    folder = tiny_models.save_llama(tmp_path_factory.mktemp("models") / "llama")
    workspace = tmp_path_factory.mktemp("workspace")
    config = EndpointConfig(name="shared", kind="vllm", model=str(folder), options=OPTIONS)
    python = find_python()
    assert python is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAI_VLLM_PYTHON", python)
        started = time.monotonic()
        told = _ensure_twice(folder, workspace)
        endpoint = ensure_vllm(config, workspace)
        seconds = time.monotonic() - started
        print(f"vLLM was up after {seconds:.0f} s")
        patch.setenv("CAI_VLLM_URL", endpoint.base_url)
        patch.setenv("CAI_VLLM_MODEL", endpoint.model_id)
        patch.setenv("CAI_VLLM_FOLDER", str(folder))
        patch.setenv("CAI_API_KEY", endpoint.api_key or "")
        yield Managed(config, workspace, folder, endpoint, told, seconds)
        stop_vllm(config, workspace)


@pytest.fixture(scope="session")
def reward_server(managed: Managed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A second vLLM, with a reward model, for tests/contract alone; ended with the session.

    A keeper asks its server to write, which this one cannot.
    """
    folder = tiny_models.save_reward_llama(tmp_path_factory.mktemp("models") / "reward")
    log, port, key = folder.with_suffix(".log"), _find_port(), secrets.token_urlsafe(24)
    python = find_python()
    assert python is not None
    command = [python, "-m", "vllm.entrypoints.cli.main", "serve", str(folder), *REWARD_OPTIONS]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    environment = build_environment(os.environ, api_key=key, options=REWARD_OPTIONS, cpu=True)
    with log.open("wb") as told, pytest.MonkeyPatch.context() as patch:
        process = subprocess.Popen(
            command, stdout=told, stderr=told, env=environment, start_new_session=True
        )
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: _is_up(url, process, log), START_SECONDS, "the reward model's vLLM")
            patch.setenv("CAI_VLLM_REWARD_URL", url)
            patch.setenv("CAI_VLLM_REWARD_FOLDER", str(folder))
            patch.setenv("CAI_VLLM_REWARD_KEY", key)
            yield
        finally:
            # Its own group: the engine goes with it.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _is_up(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text(errors="replace")[-2000:]
    try:
        return httpx.get(f"{url}/health", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="session")
def vllm_endpoint(managed: Managed) -> Endpoint:
    """The shared server, with adapters."""
    return managed.endpoint


def _ensure_twice(folder: Path, workspace: Path) -> list[tuple[str, list[str]]]:
    command = [sys.executable, "-c", _ENSURE, str(folder), str(workspace), str(START_SECONDS)]
    callers = [
        subprocess.Popen(
            [*command, *OPTIONS],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(2)
    ]
    told = []
    for caller in callers:
        url, states = caller.communicate(timeout=START_SECONDS + 60)
        assert caller.returncode == 0, states
        told.append((url.strip(), states.splitlines()))
    return told
