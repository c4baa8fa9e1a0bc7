"""What a machine has: each `check_*` looks at one thing and says what it found."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from cai_core.errors import CaiError
from cai_core.inference.model_folder import compute_weights_hash, resolve_model
from cai_core.machine import count_cores, read_memory

# Versions below these have holes: CVE-2026-4372, CVE-2026-1839, CVE-2025-32434, CVE-2026-24779.
FLOORS = {"transformers": "5.3.0", "torch": "2.6", "vllm": "0.14.1"}
REQUIRED = ("torch", "transformers", "trl", "streamlit", "starlette", "httpx", "duckdb", "PyYAML")
OPTIONAL = ("vllm",)
PORTS = {"app": 8501, "model server": 8600}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_LEAST_DISK = 2 * 10**9
_TORCH_PROBE = """
import torch
device = "cuda" if torch.cuda.is_available() else "cpu"
ones = torch.ones(8, 8, device=device)
assert float(ones.mm(ones).sum()) == 512.0, "a matrix product came out wrong"
print(device)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        state: `ok`; `note` where something is absent that not everyone needs; `missing` where
            the workbench cannot run without it.
    """

    name: str
    state: Literal["ok", "note", "missing"]
    detail: str

    def as_dict(self) -> dict[str, str]:
        """Plain form."""
        return asdict(self)


def check_packages() -> list[Finding]:
    """Python and the packages by their metadata; none is imported."""
    python = Finding(name="python", state="ok", detail=platform.python_version())
    needed = [_check_package(name, "missing") for name in REQUIRED]
    return [python, *needed, *(_check_package(name, "note") for name in OPTIONAL)]


def check_hardware() -> Finding:
    """Cores this process may use, and memory."""
    detail = f"{count_cores()} cores, {read_memory() / 1e9:.1f} GB memory, {platform.system()}"
    return Finding(name="hardware", state="ok", detail=f"{detail} {platform.machine()}")


def check_gpu() -> Finding:
    """NVIDIA GPUs, as nvidia-smi tells them."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except FileNotFoundError:
        return Finding(name="gpu", state="note", detail="no NVIDIA GPU (no nvidia-smi)")
    except (subprocess.SubprocessError, OSError) as error:
        return Finding(name="gpu", state="note", detail=f"nvidia-smi does not answer: {error}")
    lines = [line.strip() for line in told.stdout.splitlines() if line.strip()]
    if not lines:
        return Finding(name="gpu", state="note", detail="nvidia-smi lists no GPU")
    return Finding(name="gpu", state="ok", detail="; ".join(lines))


def check_workspace(workspace: Path) -> Finding:
    """Whether the workspace can be written, and the room on its disk."""
    existing = next(
        folder for folder in (workspace, *workspace.absolute().parents) if folder.exists()
    )
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        detail = f"{workspace} cannot be written: {error.strerror}; set CAI_WORKSPACE"
        return Finding(name="workspace", state="missing", detail=detail)
    free = shutil.disk_usage(existing).free
    detail = f"{workspace}, {free / 1e9:.1f} GB free"
    if free < _LEAST_DISK:
        return Finding(name="workspace", state="note", detail=f"{detail}: little room")
    return Finding(name="workspace", state="ok", detail=detail)


def check_ports() -> list[Finding]:
    """Whether the usual ports are free; another one is taken where they are not."""
    return [_check_port(name, port) for name, port in PORTS.items()]


def check_browser() -> Finding:
    """Chromium or Chrome, which only the browser tests need."""
    names = (os.environ["CAI_BROWSER"],) if os.environ.get("CAI_BROWSER") else BROWSERS
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        return Finding(name="browser", state="note", detail="no Chromium; only tests need it")
    return Finding(name="browser", state="ok", detail=found)


def check_demo_model() -> Finding:
    """The bundled model and the hash of its weights."""
    try:
        folder = resolve_model("demo")
        assert folder is not None
        detail = f"weights {compute_weights_hash(folder)[:12]}"
    except (CaiError, OSError) as error:
        return Finding(name="demo model", state="note", detail=str(error))
    return Finding(name="demo model", state="ok", detail=detail)


def check_deep() -> Finding:
    """Whether torch can be imported and computes, in a process of its own."""
    command = [sys.executable, "-c", _TORCH_PROBE]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except (subprocess.SubprocessError, OSError) as error:
        return Finding(name="torch works", state="missing", detail=str(error))
    if told.returncode != 0:
        reason = (told.stderr.strip().splitlines() or [f"exit status {told.returncode}"])[-1]
        return Finding(name="torch works", state="missing", detail=reason)
    return Finding(name="torch works", state="ok", detail=f"computes on {told.stdout.strip()}")


def is_below(version: str, floor: str) -> bool:
    """Whether a release number is lower than another; local suffixes (+cpu) do not count."""
    return _numbers(version) < _numbers(floor)


def _check_package(name: str, absent: Literal["note", "missing"]) -> Finding:
    label = name.lower()
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        advice = "run `make install`" if absent == "missing" else "not installed"
        return Finding(name=label, state=absent, detail=advice)
    floor = FLOORS.get(name)
    if floor is not None and is_below(version, floor):
        detail = f"{version} has known holes; needs {floor} or newer: run `make install`"
        return Finding(name=label, state="missing", detail=detail)
    return Finding(name=label, state="ok", detail=version)


def _numbers(version: str) -> list[int]:
    release = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in release[0].split(".")] if release else []
    return numbers + [0] * (4 - len(numbers))


def _check_port(name: str, port: int) -> Finding:
    label = f"port {port}"
    with socket.socket() as probe:
        # As servers do: a connection that has just closed does not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            detail = f"in use ({name}): {error.strerror}; another one can be given"
            return Finding(name=label, state="note", detail=detail)
    return Finding(name=label, state="ok", detail=f"free ({name})")
