"""Durable writes to single files: write all, fsync, rename. Journals build on them."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

from cai_core.errors import WorkspaceError
from cai_core.workspace.read_only import refuse_in_demo

# Named here so that the fault tests can make the Nth of each fail.
_write = os.write
_fsync = os.fsync
_rename = os.replace


_DATA = Path(__file__).resolve().parents[2] / "data"
_DEFAULT_WORKSPACE, _SHIPPED_RECORDINGS = _DATA / "workspace", _DATA / "recordings"


def get_workspace() -> Path:
    """The workspace folder: CAI_WORKSPACE, or data/workspace beside the code."""
    return Path(os.environ.get("CAI_WORKSPACE") or _DEFAULT_WORKSPACE)


def get_recordings() -> Path:
    """The run folders that ship with the workbench: CAI_RECORDINGS, or data/recordings.

    Name a folder that is not there to do without them.
    """
    return Path(os.environ.get("CAI_RECORDINGS") or _SHIPPED_RECORDINGS)


def write_all(descriptor: int, payload: bytes) -> None:
    """Write every byte and fsync. Raises OSError; some bytes may then be in the file."""
    view = memoryview(payload)
    while view:
        view = view[_write(descriptor, view) :]
    _fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a created or renamed name durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write aside, fsync, rename: readers see the old file or the new one, never half of one.

    Raises:
        WorkspaceError: the disk is full or refuses; the old file is untouched.
        NotAllowedError: in a read-only demo.
    """
    refuse_in_demo(f"write {path.name}")
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    try:
        with aside.open("wb") as file:
            file.writelines(chunks)
            file.flush()
            _fsync(file.fileno())
        _rename(aside, path)
        sync_folder(path.parent)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise WorkspaceError(
            f"{path}: cannot be written: {error.strerror}. The old file is untouched."
        ) from error


def check_disk(path: Path, needed: int) -> None:
    """Refuse to start what will not fit.

    Args:
        needed: bytes.

    Raises:
        WorkspaceError: fewer bytes are free on the folder's disk.
    """
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise WorkspaceError(
            f"{path}: {free / 1e6:.0f} MB free, about {needed / 1e6:.0f} MB needed. "
            "Make room, or choose a folder on another disk."
        )
