"""Background processes: told apart by pid and start time, alive as long as a lock is held.

Whoever starts one takes its lock first and lets the process inherit it. So the lock is held from
before the process begins until it is gone, however it ends, and nobody starts a second one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from cai_core.errors import WorkspaceError
from cai_core.inference.server_record import (
    is_running,
    read_boot_id,
    read_process_start,
    save_private,
)

_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """A process as it was written down; its id is used again some day, its start time is not."""

    pid: int
    process_start: str
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has this id now."""
        return cls(pid=pid, process_start=read_process_start(pid) or "", boot_id=read_boot_id())

    def is_alive(self) -> bool:
        """Whether this very process runs (a zombie does not)."""
        return is_running(self.pid, self.process_start, self.boot_id)

    def terminate(self) -> bool:
        """Ask it to stop; False when it does not run."""
        if not self.is_alive():
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        return True

    def kill_group(self) -> bool:
        """End it and its children at once; False when it does not run."""
        if not self.is_alive():
            return False
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return True

    def kill_orphans(self) -> None:
        """When it is gone itself, end what is left of its group, which keeps the id in use."""
        if self.boot_id == read_boot_id() and read_process_start(self.pid) is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


def load_process(path: Path) -> ProcessRecord | None:
    """The record, or None when there is none that can be used."""
    try:
        return ProcessRecord(**json.loads(path.read_text("utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def save_process(path: Path, record: ProcessRecord) -> None:
    """Write aside and rename."""
    save_private(path, asdict(record))


def spawn(
    module: str, arguments: Sequence[str], *, lock: int, log: Path, workspace: Path
) -> subprocess.Popen[bytes]:
    """Start `python -m module` in a session of its own; it holds `lock` from now on.

    Args:
        lock: of `try_lock`; the caller still closes its own descriptor.
        log: gets its output, at the end. No pipe: it must outlive whoever starts it.

    Raises:
        WorkspaceError: the log cannot be opened, or the system starts no process.
    """
    try:
        with log.open("ab") as file:
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments, "--lock-fd", str(lock)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[lock],
                cwd=_REPOSITORY,
                env={**os.environ, "CAI_WORKSPACE": str(workspace)},
            )
    except OSError as error:
        raise WorkspaceError(f"{log}: {module} cannot be started: {error.strerror}.") from error


def reap_later(process: subprocess.Popen[bytes]) -> None:
    """Have a thread wait for it, so that it leaves no zombie while this process runs."""
    threading.Thread(target=process.wait, daemon=True).start()
