"""Checkpoints that can be trusted: one counts once a manifest with the hash of each file is there.

The trainer writes a folder file by file, and may die or meet a full disk at any of them. The
manifest is written last, aside and renamed, so a folder without one, or with a file that is not
what it says, is broken: it is passed over for the one before.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from cai_core.errors import WorkspaceError
from cai_core.workspace.files import replace_file, sync_folder

MANIFEST = "manifest.json"
# The newest so many of a run stay.
KEPT_CHECKPOINTS = 2
_NAME = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint's folder.

    Attributes:
        step: optimizer steps done.
        damage: why it cannot be gone on with; None when it is whole.
    """

    path: Path
    step: int
    damage: str | None


def seal_checkpoint(path: Path) -> None:
    """Make its files durable and write the manifest.

    Raises:
        WorkspaceError: the disk refuses.
    """
    files = {}
    try:
        for file in _list_files(path):
            with file.open("rb") as opened:
                files[file.name] = hashlib.file_digest(opened, "sha256").hexdigest()
                os.fsync(opened.fileno())
        sync_folder(path)
    except OSError as error:
        raise WorkspaceError(f"{path}: cannot be made durable: {error.strerror}.") from error
    replace_file(path / MANIFEST, [json.dumps({"files": files}, indent=1).encode()])
    sync_folder(path.parent)


def list_checkpoints(folder: Path) -> list[Checkpoint]:
    """All of a run, the newest first, each read whole and compared with its manifest.

    Raises:
        WorkspaceError: the disk does not let one be read; that says nothing of what is in it.
    """
    found = [
        Checkpoint(path=path, step=int(match[1]), damage=_find_damage(path))
        for path in folder.glob("checkpoint-*")
        if (match := _NAME.fullmatch(path.name)) and path.is_dir()
    ]
    return sorted(found, key=lambda checkpoint: -checkpoint.step)


def find_last_good(folder: Path) -> Checkpoint | None:
    """The newest whole one; None where there is none."""
    return next((one for one in list_checkpoints(folder) if one.damage is None), None)


def list_steps(folder: Path) -> list[int]:
    """The steps of all that are there, whole or not, the newest first."""
    names = (_NAME.fullmatch(path.name) for path in folder.glob("checkpoint-*"))
    return sorted((int(match[1]) for match in names if match), reverse=True)


def clear_broken(folder: Path) -> list[Checkpoint]:
    """Delete those that cannot be gone on with; what was deleted."""
    broken = [one for one in list_checkpoints(folder) if one.damage is not None]
    for one in broken:
        shutil.rmtree(one.path)
    return broken


def _find_damage(path: Path) -> str | None:
    try:
        told = json.loads((path / MANIFEST).read_text("utf-8"))["files"]
        names = {file.name for file in _list_files(path)}
        if missing := sorted(told.keys() - names):
            return f"{', '.join(missing)} is missing"
        for name, digest in told.items():
            with (path / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    return f"{name} is not what was written"
    except FileNotFoundError:
        return "it was not written to its end"
    except OSError as error:
        raise WorkspaceError(f"{path}: cannot be read: {error.strerror}. Mend the disk.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"its manifest is broken: {error}"
    return None


def _list_files(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if file.is_file() and file.name != MANIFEST)
