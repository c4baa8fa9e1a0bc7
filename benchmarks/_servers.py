"""The servers that benchmarks ask: an instant stub, the bundled one, and a managed real vLLM."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.engine import Endpoint
from cai_core.inference.launcher import ensure_server, stop_server
from cai_core.inference.model_folder import resolve_model
from cai_core.inference.vllm_server import ensure_vllm, stop_vllm

REPOSITORY = Path(__file__).resolve().parents[1]
_VLLM_PYTHON = REPOSITORY / ".venv-vllm" / "bin" / "python"


@contextmanager
def serve_stub(folder: Path) -> Iterator[Endpoint]:
    """A server that answers at once."""
    port_file = folder / "stub.port"
    command = [sys.executable, "-m", "benchmarks._stub", str(port_file)]
    process = subprocess.Popen(command, cwd=REPOSITORY)
    try:
        while not (port_file.is_file() and port_file.read_text()):
            time.sleep(0.02)
        url = f"http://127.0.0.1:{port_file.read_text()}"
        yield Endpoint(base_url=url, model_id="stub")
    finally:
        process.terminate()
        process.wait()


@contextmanager
def serve_bundled(folder: Path, model: str) -> Iterator[Endpoint]:
    """The bundled server; it leaves by itself should this process be killed."""
    try:
        yield ensure_server(model, folder / "workspace")
    finally:
        stop_server(model, folder / "workspace")


def has_vllm() -> bool:
    """Whether a vLLM can be started: an own one, or that of `make test-vllm`."""
    if not os.environ.get("CAI_VLLM_PYTHON") and _VLLM_PYTHON.exists():
        os.environ["CAI_VLLM_PYTHON"] = str(_VLLM_PYTHON)
    return bool(os.environ.get("CAI_VLLM_PYTHON"))


@contextmanager
def serve_vllm(folder: Path, model: str, *options: str) -> Iterator[Endpoint]:
    """A managed vLLM, compiled."""
    served = model if resolve_model(model) is None else str(resolve_model(model))
    config = EndpointConfig(name="bench", kind="vllm", model=served, options=options)
    try:
        yield ensure_vllm(config, folder / "workspace", on_state=_say)
    finally:
        stop_vllm(config, folder / "workspace")


def _say(state: str) -> None:
    print(state, file=sys.stderr, flush=True)
