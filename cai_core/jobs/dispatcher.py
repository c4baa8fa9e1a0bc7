"""The dispatcher: one process a workspace that begins queued runs and watches their workers.

    python -m cai_core.jobs.dispatcher WORKSPACE

Started by `launch.ensure_dispatcher`; leaves when nothing is queued, no worker lives and no
schedule is active. It can be killed at any time: workers go on, and the next one adopts them. It
loads no torch.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from cai_core.errors import CaiError
from cai_core.jobs.gpu_room import GpuRoom, make_gpu_room
from cai_core.jobs.launch import LOCK, RECORD
from cai_core.jobs.limits import Limits
from cai_core.jobs.process import ProcessRecord, save_process
from cai_core.jobs.queue import hold_queue, load_queue
from cai_core.jobs.readiness import Readiness
from cai_core.jobs.schedule import Candidate, Slot, find_slot
from cai_core.jobs.schedules import ScheduleWatch
from cai_core.jobs.troubles import RETRY_SECONDS, Troubles, tell_error
from cai_core.jobs.workers import Workers
from cai_core.workspace.locks import same_file, try_lock
from cai_core.workspace.runs import Run

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.4


class Dispatcher:
    """Begins what may begin, in the queue's order.

    Args:
        room: makes room on the GPU for training runs; None where there is none to make.
    """

    def __init__(self, workspace: Path, limits: Limits, room: GpuRoom | None) -> None:
        self._workspace, self._limits, self._room = workspace, limits, room
        self._workers = Workers(workspace, limits.hang_seconds)
        self._troubles = Troubles(workspace)
        self._readiness = Readiness(workspace, self._troubles)
        self._schedules = ScheduleWatch(workspace)
        # Training runs for which the GPU could not be cleared: what is away stays away for them.
        self._without_room: set[str] = set()
        self._room_trouble = ""
        self._busy_at = time.monotonic()
        self._stop = threading.Event()

    def stop(self) -> None:
        """Leave after this tick; workers go on."""
        self._stop.set()

    def run(self, lock: int) -> None:
        """Go on until there is nothing to do, or the workspace is gone.

        Args:
            lock: the dispatcher's; closed when this returns.
        """
        path, trouble = self._workspace / "servers" / LOCK, ""
        self._workers.adopt()
        # A folder that was deleted, perhaps with another in its place, is not ours any more.
        while same_file(lock, path) and not self._stop.is_set():
            wait = _TICK_SECONDS
            try:
                self.tick()
                if self._may_leave(lock):
                    return
                trouble = ""
            except Exception as error:  # whatever it is, the next tick may do
                if (told := tell_error(error)) != trouble:
                    log.warning("%s", told, exc_info=not isinstance(error, CaiError | OSError))
                trouble, wait = told, RETRY_SECONDS
            self._stop.wait(wait)
        self._workers.end_deleted()
        os.close(lock)

    def tick(self) -> None:
        """One look at workers and queue; begins one run at most.

        What is wrong with one run is written into its status and logged; the others go on.

        Raises:
            CaiError: the queue cannot be read; the next tick tries again.
        """
        self._workers.look()
        self._schedules.look()
        queued, ready = self._readiness.list_ready()
        self._without_room &= set(queued)
        full = {
            slot for slot, most in self._limits.slots.items() if self._workers.count(slot) >= most
        }
        if not any(self._try_to_begin(run, full) for run in ready):
            self._give_back()

    def _try_to_begin(self, run: Run, full: set[Slot]) -> bool:
        """Whether it was begun. Adds to `full` the slot that is kept for it."""
        try:
            if run.run_id in self._workers:
                return False  # its last worker is to be buried first
            slot = find_slot(run, self._workspace)
            if slot in full:
                return False
            candidate = Candidate(run=run, slot=slot)
            if candidate.trains and self._room is not None and self._is_served_here():
                full.add(slot)  # what is put away for it may be at work; nobody gets ahead of it
                return False
            self._begin(candidate)
        except Exception as error:  # noqa: BLE001
            self._troubles.note(run.run_id, error, lasts=False)
            return False
        return True

    def _begin(self, candidate: Candidate) -> None:
        run_id = candidate.run.run_id
        if candidate.trains:
            self._make_room(run_id)
        else:
            self._give_back()
        with hold_queue(self._workspace) as queue:
            # Somebody may have taken it out meanwhile.
            if run_id in queue.runs:
                self._workers.begin(queue, candidate)

    def _make_room(self, run_id: str) -> None:
        if self._room is None:
            return
        self._without_room.add(run_id)
        self._room.make()
        self._without_room.discard(run_id)

    def _give_back(self) -> None:
        """Unless somebody trains, or will as soon as the rest can be put away."""
        if self._room is None or self._workers.training or self._without_room:
            return
        try:
            self._room.give_back()
            self._room_trouble = ""
        except Exception as error:  # noqa: BLE001 — whoever needs a model starts it
            told = tell_error(error)
            if told != self._room_trouble:
                log.warning("what was put away is not brought back: %s", told)
            self._room_trouble = told

    def _is_served_here(self) -> bool:
        return self._workers.count("accelerator") > 0 and not self._workers.training

    def _may_leave(self, lock: int) -> bool:
        """Let go of the lock when there was nothing to do for long; decided under the queue's."""
        now = time.monotonic()
        if self._schedules.active or len(self._workers) or load_queue(self._workspace):
            self._busy_at = now
        if now - self._busy_at < self._limits.idle_seconds:
            return False
        with hold_queue(self._workspace) as queue:
            if queue.runs:
                return False
            os.close(lock)
        log.info("nothing to do; leaving")
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Be the workspace's dispatcher; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cai_core.jobs.dispatcher")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--lock-fd", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr
    )
    # Each request to a server would be a line.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    workspace: Path = args.workspace.resolve()
    os.environ["CAI_WORKSPACE"] = str(workspace)
    folder = workspace / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    lock = args.lock_fd if args.lock_fd is not None else try_lock(folder / LOCK)
    if lock is None:
        log.info("another dispatcher is there already")
        return 0
    save_process(folder / RECORD, ProcessRecord.of(os.getpid()))
    dispatcher = Dispatcher(workspace, Limits.from_environment(), make_gpu_room(workspace))
    signal.signal(signal.SIGTERM, lambda *_: dispatcher.stop())
    log.info("begins, pid %d", os.getpid())
    dispatcher.run(lock)
    return 0


if __name__ == "__main__":
    sys.exit(main())
