"""What this process may use of the machine."""

from __future__ import annotations

import os
from pathlib import Path


def count_cores() -> int:
    """Cores this process may run on, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def read_memory() -> int:
    """Bytes of memory, or of the container's limit where that is lower."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        return memory
