"""A small parent for one vLLM: `python -I vllm_guard.py SOCKET GRACE NICE COMMAND…`.

vLLM is a tree of processes, and its engine outlives a killed API server. The guard starts it in a
process group of its own, waits for it, and leaves no one of the group behind: not when vLLM ends
or dies, not when it is asked to stop (`T`: SIGTERM first; `K`: at once), not when the keeper at
the other end of the socket is killed, which the socket tells. It imports nothing of ours, so that
it is there at once and small.

On Linux it also takes in the group's orphans, so that they are reaped, and vLLM gets SIGTERM
should the guard itself be killed (PR_SET_PDEATHSIG). macOS has neither: there the orphans are the
system's to reap, and a killed guard is for the keeper to notice.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Nobody survives SIGKILL for long; a process in uninterruptible sleep is not waited for.
_LAST_SECONDS = 30.0
# A process whose last threads still end looks like a zombie and cannot be reaped yet. Zombies that
# are not ours (macOS, a killed guard) are not waited for longer than this.
_REAP_SECONDS = 2.0


def become_subreaper() -> None:
    """Take in orphaned descendants (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_group(group: int, codes: dict[int, int] | None = None) -> None:
    """Kill a process group, reap those of it that are ours, return when nobody of it runs.

    Args:
        codes: exit statuses of the reaped by pid, added to.
    """
    deadline = time.monotonic() + _LAST_SECONDS
    while list_group(group) and time.monotonic() < deadline:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        if not reap(-group, codes):
            time.sleep(0.02)
    deadline = time.monotonic() + _REAP_SECONDS
    while _exists(group) and time.monotonic() < deadline:
        if not reap(-group, codes):
            time.sleep(0.02)


def _exists(group: int) -> bool:
    """Whether anything has this process group, be it a zombie."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of zombies
        return True
    return True


def list_group(group: int) -> list[int]:
    """The processes of a group that run; zombies do not."""
    if Path("/proc/self/stat").exists():
        told = _read_proc()
    else:
        asked = ["ps", "-A", "-o", "pid=,pgid=,stat="]
        told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    rows = [line.split() for line in told.splitlines()]
    return [int(pid) for pid, own, state in rows if int(own) == group and state[0] not in "ZX"]


def _read_proc() -> str:
    """`pid pgid state` lines, as `ps` tells them elsewhere."""
    lines = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name in parentheses may hold anything; state, parent and group come after it.
            state, _, group = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
            lines.append(f"{stat.parent.name} {group} {state}")
    return "\n".join(lines)


def reap(which: int, codes: dict[int, int] | None = None) -> bool:
    """Reap what has ended (as `waitpid` names it); whether something had."""
    found = False
    with suppress(ChildProcessError):
        while (ended := os.waitpid(which, os.WNOHANG))[0]:
            found = True
            if codes is not None:
                codes[ended[0]] = os.waitstatus_to_exitcode(ended[1])
    return found


def _start(command: list[str], niceness: int) -> int:
    """Start it in a session of its own; its pid, which is its group's too."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    guard = os.getpid()

    def prepare() -> None:
        os.nice(niceness)
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != guard:  # killed before we could ask to be told
                os._exit(1)

    # The guard has one thread: preexec_fn is safe.
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=prepare
    )
    process.returncode = 0  # reaped here, not by subprocess
    return process.pid


def _guard(control: socket.socket, wake: socket.socket, pid: int, grace: float) -> int:
    """Wait for the end, one's own wish or the keeper's; vLLM's exit status."""
    codes: dict[int, int] = {}
    deadline = float("inf")
    listening = [control, wake]
    while pid not in codes and time.monotonic() < deadline:
        wait = min(1.0, max(0.0, deadline - time.monotonic()))
        ready, _, _ = select.select(listening, [], [], wait)
        signals = wake.recv(64) if wake in ready else b""
        asked = _hear(control) if control in ready else None
        if asked == b"" or (asked and b"K" in asked):
            break
        if asked or signal.SIGTERM in signals or signal.SIGINT in signals:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            deadline = min(deadline, time.monotonic() + grace)
        reap(-1, codes)
    end_group(pid, codes)
    reap(-1, codes)
    return codes.get(pid, -signal.SIGKILL)


def _hear(control: socket.socket) -> bytes:
    """What the keeper says; b"" when it is gone."""
    try:
        return control.recv(64)
    except ConnectionError:
        return b""


def main(arguments: list[str]) -> int:
    """Guard one command; its exit status, 128 + n for signal n."""
    control = socket.socket(fileno=int(arguments[0]))
    grace, niceness, command = float(arguments[1]), int(arguments[2]), arguments[3:]
    become_subreaper()
    wake, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(sign, lambda *_: None)
    try:
        pid = _start(command, niceness)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    with suppress(OSError):  # the keeper may be gone already: the next read tells
        control.send(f"{pid}\n".encode())
    code = _guard(control, wake, pid, grace)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
