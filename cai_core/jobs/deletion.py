"""What deleting a run would take, before anybody says yes. Reads files alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cai_core.errors import CaiError
from cai_core.jobs.tombstone import find_children

# What is left of a deleted run, beside its locks; see `tombstone`.
STAYS = ("recipe.yaml", "status.json", "tombstone.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What goes.

    Attributes:
        entries: file or folder of the run → (files in it, their bytes).
        children: runs that are made from it; while there are any it cannot be deleted.
        problem: why it could not be found out, empty where it could.
    """

    entries: dict[str, tuple[int, int]]
    children: tuple[str, ...] = ()
    problem: str = ""

    @property
    def files(self) -> int:
        """In all."""
        return sum(count for count, _ in self.entries.values())

    @property
    def bytes(self) -> int:
        """In all."""
        return sum(size for _, size in self.entries.values())


def look_at_deletion(workspace: Path, run_id: str) -> Deletion:
    """What `delete_run` would delete, and what stands against it."""
    folder = workspace / "runs" / run_id
    try:
        entries = {
            entry.name: found
            for entry in sorted(folder.iterdir())
            if entry.name not in STAYS and entry.suffix != ".lock" and (found := _count(entry))[0]
        }
        return Deletion(entries=entries, children=tuple(find_children(workspace, run_id)))
    except (CaiError, OSError) as error:
        return Deletion(entries={}, problem=str(error))


def _count(entry: Path) -> tuple[int, int]:
    sizes = [path.lstat().st_size for path in _walk(entry)]
    return len(sizes), sum(sizes)


def _walk(entry: Path) -> Iterator[Path]:
    if entry.is_symlink() or not entry.is_dir():
        yield entry
        return
    for place, folders, files in os.walk(entry):
        yield from (Path(place, name) for name in files)
        yield from (path for name in folders if (path := Path(place, name)).is_symlink())
