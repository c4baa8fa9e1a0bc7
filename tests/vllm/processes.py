"""What runs on this machine, read from /proc."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path


def list_tree(root: int) -> dict[int, str]:
    """A process and all below it, zombies included: pid to command line (or name)."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for pid, fields, line in _read_all():
        parents[pid], names[pid] = int(fields[1]), line
    found = {root} & parents.keys()
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: names[pid] for pid in found}


def list_group(group: int) -> dict[int, str]:
    """Every process of a group, zombies included: pid to state and command line."""
    return {
        pid: f"{fields[0]} {line}" for pid, fields, line in _read_all() if int(fields[2]) == group
    }


def list_commands() -> list[str]:
    """Every process's command line."""
    return [line for _, _, line in _read_all()]


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait for something; the seconds that it took."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - started


def _read_all() -> Iterator[tuple[int, list[str], str]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name, _, rest = (folder / "stat").read_text(errors="replace").rpartition(")")
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            yield int(folder.name), rest.split(), line or name.partition("(")[2]
