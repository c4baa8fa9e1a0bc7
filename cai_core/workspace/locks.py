"""The lock of a run's one live writer: an flock on `writer.lock`, which names the pid."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cai_core.errors import LockHeldError, WorkspaceError

# A reader that asks whether a writer lives holds the lock for an instant.
_LOCK_SECONDS = 1.0


@contextmanager
def hold_lock(folder: Path, name: str) -> Iterator[None]:
    """Wait for a lock file of a folder, and hold it; nobody else does meanwhile.

    Raises:
        WorkspaceError: the lock file cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise WorkspaceError(
            f"{folder}: cannot be locked: {error.strerror}. Make it a folder that can be written."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def live_writer(path: Path) -> int | None:
    """The pid of the run's live writer (0 where it cannot be read), None when there is none."""
    try:
        descriptor = os.open(path / "writer.lock", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return lock_pid(path / "writer.lock")
    finally:
        os.close(descriptor)
    return None


def take_lock(path: Path, *, takeover: bool = False) -> int:
    """Take the lock and write this process's pid into it; the caller closes the descriptor.

    Args:
        takeover: take it from a worker that hangs.

    Raises:
        LockHeldError: another process holds it; the message names its pid.
        WorkspaceError: the file cannot be opened.
    """
    if takeover:
        # A new file under the same name: the hung worker keeps a lock nobody looks at.
        aside = path.with_name(f".writer.lock.{os.getpid()}")
        aside.touch()
        aside.replace(path)
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        if (descriptor := try_lock(path)) is None:
            if time.monotonic() > deadline:
                raise LockHeldError(
                    f"{path.parent}: another process writes this run (pid {lock_pid(path)}). "
                    "Wait for it, or stop it."
                )
            time.sleep(0.02)
            continue
        if same_file(descriptor, path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            return descriptor
        os.close(descriptor)


def try_lock(path: Path) -> int | None:
    """Take the lock and return its descriptor, which the caller closes; None when it is held.

    Raises:
        WorkspaceError: the file cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise WorkspaceError(f"{path}: cannot be opened: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def same_file(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def lock_pid(path: Path) -> int:
    """The pid written in the lock; 0 when there is none to read."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
