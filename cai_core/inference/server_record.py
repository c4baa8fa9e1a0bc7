"""What the launcher writes down about a server it started, and whether that process lives."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cai_core.errors import ServerUnavailableError
from cai_core.inference.engine import Endpoint

_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRecord:
    """One started server.

    Attributes:
        process_start, boot_id: a process id is used again some day; these tell it apart.
        api_key: kept in a file that only its owner may read; out of repr.
        fingerprint: of the weights served, "" for a hub id.
    """

    pid: int
    process_start: str
    boot_id: str
    port: int
    api_key: str
    model: str
    fingerprint: str

    def __repr__(self) -> str:
        return f"ServerRecord({self.model!r}, pid {self.pid}, port {self.port})"

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers."""
        url = f"http://127.0.0.1:{self.port}"
        return Endpoint(base_url=url, model_id=self.model, api_key=self.api_key)

    def is_alive(self) -> bool:
        """Whether this very process runs (a zombie does not)."""
        return is_running(self.pid, self.process_start, self.boot_id)


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """The files of one workspace's server for one model."""

    record: Path
    lock: Path
    log: Path

    @classmethod
    def of(cls, workspace: Path, model: str) -> ServerFiles:
        """Paths under `workspace/servers`; the model's name survives in readable form."""
        words = re.sub(r"[^A-Za-z0-9]+", "-", model).strip("-")[-40:].strip("-")
        name = f"{words}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"
        folder = workspace / "servers"
        return cls(folder / f"{name}.json", folder / f"{name}.lock", folder / f"{name}.log")

    def log_tail(self, lines: int = 15) -> str:
        """The log's last lines."""
        if not self.log.is_file():
            return "(no log)"
        text = self.log.read_text(encoding="utf-8", errors="replace").strip()
        return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"


def load_record(path: Path) -> ServerRecord | None:
    """The record, or None when there is none that can be used."""
    try:
        return ServerRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        # Half-written or of another version: whoever it told of idles out by itself.
        return None


def save_record(path: Path, record: ServerRecord) -> None:
    """Write aside and rename, readable by the owner only."""
    save_private(path, asdict(record))


def save_private(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON object aside and rename it, readable by the owner only."""
    aside = path.with_suffix(f".{os.getpid()}.tmp")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file)
    aside.replace(path)


def make_folder(folder: Path) -> None:
    """Make the folder of servers' records.

    Raises:
        ServerUnavailableError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServerUnavailableError(
            f"{folder}: cannot be made: {error.strerror}. Set CAI_WORKSPACE to a folder that "
            "can be written."
        ) from error


@contextmanager
def locked(path: Path, deadline: float) -> Iterator[None]:
    """Hold the lock file; the system lets go of it if we die.

    Args:
        deadline: of `time.monotonic()`.

    Raises:
        ServerUnavailableError: another process held it until the deadline.
    """
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ServerUnavailableError(
                        f"{path} is held by another process that starts this server. "
                        "Try again when it is done."
                    ) from None
                time.sleep(_POLL_SECONDS)
        yield


def is_running(pid: int, process_start: str, boot_id: str) -> bool:
    """Whether the very process that was written down runs (a zombie does not)."""
    return boot_id == read_boot_id() and read_process_start(pid) == process_start


def read_process_start(pid: int) -> str | None:
    """When the process started, in the system's own form; None when it does not run."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        try:
            # The name in parentheses may hold anything; state and start time come after it.
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    told = subprocess.run(
        ["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    state, _, started = told.partition(" ")
    return started.strip() if told and not state.startswith("Z") else None


def read_boot_id() -> str:
    """Changes when the machine starts anew; "" where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
