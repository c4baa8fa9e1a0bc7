"""One life of a `vllm serve`, as its keeper holds it: guard, process group, log."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cai_core.inference import vllm_guard
from cai_core.inference.server_record import read_boot_id, read_process_start
from cai_core.inference.vllm_guard import end_group, list_group
from cai_core.inference.vllm_record import VllmRecord

_POLL_SECONDS = 0.05
# The guard is a bare Python: it is up in some 50 ms, on a busy machine in a second.
_GUARD_SECONDS = 20.0


class VllmProcess:
    """A guard and the vLLM below it.

    Attributes:
        pid: leader of vLLM's process group, 0 when it did not start.
        start: when it started, in the system's own form.
    """

    def __init__(
        self,
        command: list[str],
        environment: Mapping[str, str],
        *,
        folder: Path,
        log: Path,
        grace: float,
        niceness: int,
    ) -> None:
        self._grace = grace
        self._log = log
        self._log_begins = log.stat().st_size if log.exists() else 0
        self._control, theirs = socket.socketpair()
        guard = [sys.executable, "-I", vllm_guard.__file__, str(theirs.fileno())]
        with theirs, log.open("ab") as file:
            self._guard = subprocess.Popen(
                [*guard, str(grace), str(niceness), *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[theirs.fileno()],
                cwd=folder,
                env=dict(environment),
            )
        self._control.settimeout(_GUARD_SECONDS)
        try:
            self.pid = int(self._control.recv(32) or b"0")
        except (OSError, ValueError):
            self.pid = 0
        self.start = read_process_start(self.pid) or "" if self.pid else ""

    def poll(self) -> int | None:
        """The exit status once vLLM and all of its group are gone; None before."""
        code = self._guard.poll()
        if code is not None and self.pid:
            # A guard that was killed leaves the group to us.
            end_group(self.pid)
        return code

    async def stop(self, *, at_once: bool = False) -> None:
        """End it and wait for all of the group: SIGTERM first unless `at_once`."""
        with suppress(OSError):
            self._control.send(b"K" if at_once else b"T")
        deadline = time.monotonic() + self._grace + _GUARD_SECONDS
        while self._guard.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
        self._guard.kill()
        self._guard.wait()
        if self.pid:
            end_group(self.pid)
        self._control.close()

    def read_log(self) -> str:
        """What it has written to its log in this life (the last MB of it)."""
        with self._log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_begins, size - 2**20))
            return file.read().decode("utf-8", "replace")


def clear_leftovers(record: VllmRecord) -> None:
    """Kill what a keeper that is gone left behind (its guard killed too). Only what is ours."""
    if not record.engine_pid or record.boot_id != read_boot_id():
        return
    started = read_process_start(record.engine_pid)
    if started == record.engine_start:
        end_group(record.engine_pid)
    elif started is None:
        # The leader is gone, its engine may live on; whoever has the number now is another's.
        for pid in list_group(record.engine_pid):
            if _is_vllm(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _is_vllm(pid: int) -> bool:
    told = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return "vllm" in told.stdout.lower()


def owns_port(group: int, port: int) -> bool:
    """Whether it is this process group that listens on the loopback port.

    Where the system does not tell (macOS), True.
    """
    try:
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    except OSError:
        return True
    rows = [line.split() for line in lines]
    # Local address as hexadecimal HOST:PORT; state 0A is LISTEN; the tenth field is the inode.
    ours = {row[9] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}
    sockets = {f"socket:[{inode}]" for inode in ours}
    for pid in list_group(group):
        with suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if os.readlink(descriptor) in sockets:  # noqa: PTH115 - no file to resolve
                        return True
    return False
