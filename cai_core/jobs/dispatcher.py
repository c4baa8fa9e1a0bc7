"""The dispatcher: one process a workspace that begins queued runs and watches their workers.

    python -m cai_core.jobs.dispatcher WORKSPACE

Started by `launch.ensure_dispatcher`; leaves when nothing is queued and no worker lives. It can be
killed at any time: workers go on, and the next one adopts them. It loads no torch.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from cai_core.errors import CaiError, WorkspaceError
from cai_core.jobs.gpu_room import GpuRoom, make_gpu_room
from cai_core.jobs.heartbeat import HANG_SECONDS, read_hang_seconds
from cai_core.jobs.launch import LOCK, RECORD
from cai_core.jobs.process import ProcessRecord, save_process
from cai_core.jobs.queue import hold_queue, load_queue
from cai_core.jobs.run_files import get_run_folder, set_state
from cai_core.jobs.schedule import (
    ACCELERATOR_SLOTS,
    REMOTE_SLOTS,
    Candidate,
    Slot,
    explain_wait,
    find_slot,
)
from cai_core.jobs.workers import Workers, tell_error
from cai_core.workspace.locks import same_file, try_lock
from cai_core.workspace.runs import Run, open_run, read_status
from cai_core.workspace.status import RunState, RunStatus, load_status

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
_TICK_SECONDS = 0.4
# After trouble with the disk: long enough not to fill the log.
_RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the dispatcher allows.

    Attributes:
        slots: workers at once, by kind of slot.
        hang_seconds: a worker without a sign of life for that long is killed.
        idle_seconds: with nothing to do for that long, it leaves.
    """

    slots: Mapping[Slot, int] = field(
        default_factory=lambda: {"accelerator": ACCELERATOR_SLOTS, "remote": REMOTE_SLOTS}
    )
    hang_seconds: float = HANG_SECONDS
    idle_seconds: float = IDLE_SECONDS

    @classmethod
    def from_environment(cls) -> Self:
        """CAI_JOB_SLOTS (of the accelerator), CAI_JOB_HANG_SECONDS, CAI_DISPATCHER_IDLE."""
        accelerator = int(os.environ.get("CAI_JOB_SLOTS") or ACCELERATOR_SLOTS)
        return cls(
            slots={"accelerator": accelerator, "remote": REMOTE_SLOTS},
            hang_seconds=read_hang_seconds(),
            idle_seconds=float(os.environ.get("CAI_DISPATCHER_IDLE") or IDLE_SECONDS),
        )


class _Trouble(NamedTuple):
    """Why a queued run could not begin, and the monotonic seconds from which it is tried again."""

    told: str
    until: float


class Dispatcher:
    """Begins what may begin, in the queue's order.

    Args:
        room: makes room on the GPU for training runs; None where there is none to make.
    """

    def __init__(self, workspace: Path, limits: Limits, room: GpuRoom | None) -> None:
        self._workspace, self._limits, self._room = workspace, limits, room
        self._workers = Workers(workspace, limits.hang_seconds)
        self._runs: dict[str, Run] = {}
        self._troubles: dict[str, _Trouble] = {}
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
                trouble, wait = told, _RETRY_SECONDS
            self._stop.wait(wait)
        os.close(lock)

    def tick(self) -> None:
        """One look at workers and queue; begins one run at most.

        What is wrong with one run is written into its status and logged; the others go on.

        Raises:
            CaiError: the queue cannot be read; the next tick tries again.
        """
        self._workers.look()
        ready = self._list_ready()
        full = {
            slot for slot, most in self._limits.slots.items() if self._workers.count(slot) >= most
        }
        if not any(self._try_to_begin(run, full) for run in ready):
            self._give_back()

    def _list_ready(self) -> list[Run]:
        """The queued runs whose parents have succeeded, in order; the others say what they lack."""
        queued = load_queue(self._workspace)
        self._troubles = {name: self._troubles[name] for name in queued if name in self._troubles}
        self._without_room &= set(queued)
        ready = [self._open_ready(name) for name in queued if not self._is_put_off(name)]
        return [run for run in ready if run is not None]

    def _is_put_off(self, run_id: str) -> bool:
        trouble = self._troubles.get(run_id)
        return trouble is not None and time.monotonic() < trouble.until

    def _open_ready(self, run_id: str) -> Run | None:
        try:
            run = self._open(run_id)
            if run is None:
                return None
            reason = explain_wait({parent: self._find_status(parent) for parent in run.parents})
        except Exception as error:  # noqa: BLE001
            self._note(run_id, error, lasts=_is_lasting(error))
            return None
        try:
            self._tell_reason(run, reason)
        except Exception as error:  # noqa: BLE001
            self._note(run_id, error, lasts=False)
            return None
        return run if reason is None else None

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
            self._note(run.run_id, error, lasts=False)
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

    def _note(self, run_id: str, error: Exception, *, lasts: bool) -> None:
        """Say in log and status why a run does not begin; it is tried again unless that lasts."""
        told, known = tell_error(error), self._troubles.get(run_id)
        if known is None or known.told != told:
            log.warning("%s: cannot begin: %s", run_id, told)
        self._troubles[run_id] = _Trouble(told, time.monotonic() + _RETRY_SECONDS)
        state = RunState.FAILED if lasts else RunState.QUEUED
        # What is wrong may be the status itself, or the disk: then the log has to do.
        with suppress(Exception), hold_queue(self._workspace) as queue:
            folder = get_run_folder(self._workspace, run_id)
            status = load_status(folder / "status.json")
            if run_id in queue.runs and (status.state, status.reason) != (state, told):
                done = set_state(folder, state, told, only_from={RunState.QUEUED})
                if lasts and done:
                    queue.remove(run_id)

    def _is_served_here(self) -> bool:
        return self._workers.count("accelerator") > 0 and not self._workers.training

    def _open(self, run_id: str) -> Run | None:
        """A queued run; one that is not queued any more is taken out of the queue.

        Raises:
            CaiError: its status or recipe cannot be read.
        """
        if not self._is_queued(run_id):
            self._take_out(run_id)
            return None
        if run_id not in self._runs:
            run = open_run(get_run_folder(self._workspace, run_id))
            if run.run_id != run_id:
                raise WorkspaceError(
                    f"{run.path}: holds the run {run.run_id}; the folder was renamed or copied. "
                    "Give it that name."
                )
            self._runs[run_id] = run
        return self._runs[run_id]

    def _is_queued(self, run_id: str) -> bool:
        """Whether its status says so; False where there is none.

        Raises:
            WorkspaceError, OSError: it cannot be read, which says nothing.
        """
        try:
            path = get_run_folder(self._workspace, run_id) / "status.json"
        except WorkspaceError:  # no id at all
            return False
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return load_status(path).state is RunState.QUEUED

    def _take_out(self, run_id: str) -> None:
        with hold_queue(self._workspace) as queue:
            # Asked again under the lock: it may just have been resumed.
            if not self._is_queued(run_id) and queue.remove(run_id):
                log.warning("%s: is not queued (any more); taken out of the queue", run_id)
        self._runs.pop(run_id, None)

    def _tell_reason(self, run: Run, reason: str | None) -> None:
        """Say in its status what it waits for; what it met last stays until it begins."""
        held = load_status(run.path / "status.json").reason
        trouble = self._troubles.get(run.run_id)
        if held == reason or (reason is None and trouble is not None and held == trouble.told):
            return
        with hold_queue(self._workspace) as queue:
            if run.run_id in queue.runs:
                set_state(run.path, RunState.QUEUED, reason, only_from={RunState.QUEUED})

    def _find_status(self, run_id: str) -> RunStatus | None:
        try:
            return read_status(get_run_folder(self._workspace, run_id))
        except WorkspaceError:
            return None

    def _may_leave(self, lock: int) -> bool:
        """Let go of the lock when there was nothing to do for long; decided under the queue's."""
        now = time.monotonic()
        if len(self._workers) or load_queue(self._workspace):
            self._busy_at = now
        if now - self._busy_at < self._limits.idle_seconds:
            return False
        with hold_queue(self._workspace) as queue:
            if queue.runs:
                return False
            os.close(lock)
        log.info("nothing to do; leaving")
        return True


def _is_lasting(error: BaseException | None) -> bool:
    """Whether the run's own files are wrong; what the system refuses may pass."""
    while error is not None:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            return False
        if isinstance(error, MemoryError):
            return False
        error = error.__cause__
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
