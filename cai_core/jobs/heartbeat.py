"""A worker's sign of life: `heartbeat.json` in its run folder, written every few seconds.

It carries the machine's monotonic clock, which is one for all processes of one boot.
"""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from cai_core.inference.server_record import read_boot_id, save_private

FILE = "heartbeat.json"
HEARTBEAT_SECONDS = 5.0
# A training step that holds the interpreter, or a disk that is slow, takes seconds.
HANG_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """When a worker last gave a sign.

    Attributes:
        monotonic: seconds; comparable within one boot only.
    """

    pid: int
    boot_id: str
    monotonic: float


def load_heartbeat(run_folder: Path) -> Heartbeat | None:
    """The last sign, None when there is none that can be read."""
    try:
        return Heartbeat(**json.loads((run_folder / FILE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def read_hang_seconds() -> float:
    """How long a worker may be silent: CAI_JOB_HANG_SECONDS, or HANG_SECONDS."""
    return float(os.environ.get("CAI_JOB_HANG_SECONDS") or HANG_SECONDS)


def start_heartbeat(run_folder: Path) -> None:
    """Give a sign now, and on a thread for as long as this process lives.

    It beats at least four times in the time after which a worker counts as hung.
    """
    every = min(HEARTBEAT_SECONDS, read_hang_seconds() / 4)
    boot_id = read_boot_id()

    def beat() -> None:
        mine = Heartbeat(pid=os.getpid(), boot_id=boot_id, monotonic=time.monotonic())
        # A full disk is the run's trouble, and told by the run.
        with suppress(OSError):
            save_private(run_folder / FILE, asdict(mine))

    def keep_beating() -> None:
        while True:
            time.sleep(every)
            beat()

    beat()
    threading.Thread(target=keep_beating, name="heartbeat", daemon=True).start()
