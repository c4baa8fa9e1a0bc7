"""What this process may use of the machine."""

from __future__ import annotations

import os
import re
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


def read_free_memory() -> int | None:
    """Bytes that programs can still take, within the container's limit; None where not told."""
    try:
        told = Path("/proc/meminfo").read_text()
        found = re.search(r"^MemAvailable:\s+(\d+) kB", told, re.MULTILINE)
    except OSError:
        return None
    if found is None:
        return None
    free = int(found[1]) * 1024
    try:
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        # The page cache of files counts as used there, and goes when somebody needs the room.
        cache = re.search(r"^inactive_file (\d+)$", (group / "memory.stat").read_text(), re.M)
        return max(0, min(free, limit - used + (int(cache[1]) if cache else 0)))
    except (OSError, ValueError):
        return free


def read_peak_memory() -> int | None:
    """Bytes of memory that this process held at its most; None where the system does not tell.

    Not `ru_maxrss`, which begins at the size of whoever started the process.
    """
    try:
        told = Path("/proc/self/status").read_text()
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB", told, re.MULTILINE)
    return int(found[1]) * 1024 if found else None
