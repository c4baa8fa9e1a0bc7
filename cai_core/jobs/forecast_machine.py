"""The machine that runs would run on: what it has, and what of that is free."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from cai_core.errors import ServerUnavailableError
from cai_core.inference.vllm_preflight import Gpu, find_gpus
from cai_core.jobs.process import load_process
from cai_core.jobs.run_files import WORKER_RECORD
from cai_core.machine import count_cores, read_free_memory, read_memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine at one moment; bytes.

    Attributes:
        name: cores, processor and GPUs: what measured rates hold for.
        memory: of the machine, or the container's limit where that is lower.
        memory_free: what programs can still take; None where the system does not tell.
        disk_free: on the workspace's disk.
        busy: a background run is at work, whose memory will be free again.
    """

    name: str
    memory: int
    memory_free: int | None
    disk_free: int
    gpus: tuple[Gpu, ...] = ()
    busy: bool = False


def read_machine(workspace: Path) -> Machine:
    """Look at this machine. Asks nvidia-smi, which may take a second where there are GPUs."""
    absolute = workspace.absolute()
    there = next(folder for folder in (absolute, *absolute.parents) if folder.exists())
    gpus = list_gpus()
    return Machine(
        name=describe_machine(gpus),
        memory=read_memory(),
        memory_free=read_free_memory(),
        disk_free=shutil.disk_usage(there).free,
        gpus=gpus,
        busy=_is_busy(workspace),
    )


def describe_machine(gpus: tuple[Gpu, ...]) -> str:
    """Cores, processor, GPUs; no name and no address."""
    told = [f"{count_cores()} cores", _read_processor(), *(gpu.name for gpu in gpus)]
    return ", ".join(part for part in told if part)


def list_gpus() -> tuple[Gpu, ...]:
    """NVIDIA GPUs that may be used; empty where there are none."""
    try:
        return tuple(find_gpus() or ())
    except ServerUnavailableError:
        return ()


def _is_busy(workspace: Path) -> bool:
    records = (workspace / "runs").glob(f"*/{WORKER_RECORD}")
    return any((found := load_process(path)) and found.is_alive() for path in records)


def _read_processor() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return ""
    found = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    return found[1].strip() if found else ""
