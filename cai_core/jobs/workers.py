"""The workers of a workspace: begun, watched, adopted from a dispatcher that is gone, buried."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cai_core.jobs.heartbeat import load_heartbeat
from cai_core.jobs.process import ProcessRecord, save_process, spawn
from cai_core.jobs.queue import Queue, hold_queue
from cai_core.jobs.run_files import (
    STARTING,
    WORKER_LOCK,
    WORKER_LOG,
    WORKER_RECORD,
    bury,
    is_busy,
    load_worker,
    set_state,
)
from cai_core.jobs.schedule import TRAINING_KINDS, Candidate, Slot, find_slot
from cai_core.jobs.troubles import tell_error
from cai_core.workspace.locks import live_writer, try_lock
from cai_core.workspace.runs import Run, open_run
from cai_core.workspace.status import RunState, load_status
from cai_core.workspace.stops import clear_stop

log = logging.getLogger(__name__)

# Looks come twice a second. After a longer pause we slept ourselves, perhaps with the workers.
_PAUSE_SECONDS = 5.0


@dataclass(slots=True, kw_only=True)
class _Worker:
    """One worker that is watched.

    Attributes:
        process: None for one that another dispatcher started.
        since: monotonic seconds at which the watch began.
        killed: why we ended it.
        trouble: why it could not be looked at; it takes no slot meanwhile when it is over.
        over: whether it was, at the last look.
        known: its process as the folder last said.
    """

    run: Run
    slot: Slot
    process: subprocess.Popen[bytes] | None
    since: float
    killed: str = ""
    trouble: str = ""
    over: bool = False
    known: ProcessRecord | None = None

    @property
    def pid(self) -> int:
        record = self.record
        return self.process.pid if self.process else record.pid if record else 0

    @property
    def record(self) -> ProcessRecord | None:
        """Its process, from its folder, and as it was last known where that is gone."""
        self.known = load_worker(self.run.path) or self.known
        return self.known

    def is_over(self) -> bool:
        """Whether it seems to be gone; its lock decides."""
        if self.process is not None:
            return self.process.poll() is not None
        record = self.record
        return record is None or not record.is_alive()

    def last_sign(self) -> float:
        """Monotonic seconds of its last sign of life."""
        beat, record = load_heartbeat(self.run.path), load_worker(self.run.path)
        if beat is None or record is None:
            return self.since
        is_its_own = (beat.pid, beat.boot_id) == (record.pid, record.boot_id)
        return max(self.since, beat.monotonic) if is_its_own else self.since


class Workers:
    """Those that live. Belongs to the one dispatcher of the workspace.

    Args:
        hang_seconds: a worker that gives no sign for that long is killed.
        clock: seconds, the machine's monotonic clock.
    """

    def __init__(
        self, workspace: Path, hang_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._workspace, self._hang, self._clock = workspace, hang_seconds, clock
        self._workers: dict[str, _Worker] = {}
        self._looked = self._awake = clock()

    def __len__(self) -> int:
        return len(self._workers)

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._workers

    def count(self, slot: Slot) -> int:
        """Workers that take a slot of that kind."""
        return sum(worker.slot == slot for worker in self._list_at_work())

    @property
    def training(self) -> bool:
        """Whether one of them trains."""
        return any(worker.run.kind in TRAINING_KINDS for worker in self._list_at_work())

    def _list_at_work(self) -> list[_Worker]:
        """Without those that are over and cannot be buried: nobody else waits for these."""
        return [each for each in self._workers.values() if not (each.trouble and each.over)]

    def begin(self, queue: Queue, candidate: Candidate) -> None:
        """Start a queued run's worker, unless something has become of the run since.

        Raises:
            CaiError: the disk or the system refuses; the run stays queued.
        """
        run = candidate.run
        lock = try_lock(run.path / WORKER_LOCK)
        if lock is None:  # of a dispatcher that was killed before it told the queue
            self._watch(run, None, candidate.slot)
        else:
            try:
                if _may_begin(run):
                    set_state(run.path, RunState.QUEUED, STARTING, only_from={RunState.QUEUED})
                    clear_stop(run.path)
                    self._watch(run, self._start(run, lock), candidate.slot)
            finally:
                os.close(lock)
        queue.remove(run.run_id)

    def adopt(self) -> None:
        """Watch the workers that live, and settle the runs whose worker is gone."""
        for recipe in sorted((self._workspace / "runs").glob("*/recipe.yaml")):
            try:
                self._adopt(recipe.parent)
            except Exception as error:  # noqa: BLE001 — one broken folder; the others have workers too
                log.warning("%s: is left out: %s", recipe.parent.name, tell_error(error))

    def look(self) -> None:
        """Bury those that are gone, and kill those that hang.

        Where that fails for one, e.g. for want of disk, it is logged and the next look tries again.
        """
        now = self._clock()
        if now - self._looked > _PAUSE_SECONDS:
            self._awake = now
        self._looked = now
        for worker in list(self._workers.values()):
            try:
                self._look_at(worker, now)
                worker.trouble = ""
            except Exception as error:  # noqa: BLE001 — of one run; the others are looked at all the same
                told = tell_error(error)
                if told != worker.trouble:
                    log.warning("%s: its worker cannot be watched: %s", worker.run.run_id, told)
                worker.trouble = told

    def end_deleted(self) -> None:
        """Kill those whose run folder is gone, e.g. with the whole workspace."""
        for worker in list(self._workers.values()):
            if not worker.is_over() and _is_gone(worker.run.path):
                self._kill_deleted(worker)

    def _look_at(self, worker: _Worker, now: float) -> None:
        worker.over = worker.is_over()
        if worker.over:
            self._bury(worker)
            return
        if _is_gone(worker.run.path):
            self._kill_deleted(worker)
            return
        silent = now - max(worker.last_sign(), self._awake)
        if silent > self._hang and not worker.killed:
            self._kill(worker, silent)

    def _adopt(self, folder: Path) -> None:
        state = load_status(folder / "status.json").state
        if state not in (RunState.RUNNING, RunState.QUEUED):
            return
        with hold_queue(self._workspace):
            busy = is_busy(folder)
        if busy:
            run = open_run(folder)
            self._watch(run, None, find_slot(run, self._workspace))
        elif (folder / WORKER_LOCK).exists():
            reason = "its worker is gone, or the machine was started anew; resume to go on."
            bury(self._workspace, folder, reason)
        elif state is RunState.RUNNING and live_writer(folder) is None:
            # Begun at a command line or on a page.
            reason = "its process is gone; go on with it where it was begun"
            set_state(folder, RunState.INTERRUPTED, reason, only_from={RunState.RUNNING})

    def _start(self, run: Run, lock: int) -> subprocess.Popen[bytes]:
        process = spawn(
            "cai_core.jobs.worker",
            [str(run.path)],
            lock=lock,
            log=run.path / WORKER_LOG,
            workspace=self._workspace,
        )
        save_process(run.path / WORKER_RECORD, ProcessRecord.of(process.pid))
        log.info("%s: begins, pid %d", run.run_id, process.pid)
        return process

    def _watch(self, run: Run, process: subprocess.Popen[bytes] | None, slot: Slot) -> None:
        if run.run_id in self._workers:
            return
        if process is None:
            log.info("%s: its worker lives and is watched", run.run_id)
        known = ProcessRecord.of(process.pid) if process is not None else load_worker(run.path)
        self._workers[run.run_id] = _Worker(
            run=run, slot=slot, process=process, since=self._clock(), known=known
        )

    def _kill_deleted(self, worker: _Worker) -> None:
        if not worker.killed and worker.record is not None and worker.record.kill_group():
            worker.killed = "its folder was deleted"
            log.warning("%s: its folder was deleted; its worker is ended", worker.run.run_id)

    def _kill(self, worker: _Worker, silent: float) -> None:
        record = worker.record
        if record is None or not record.kill_group():
            return
        worker.killed = (
            f"its worker (pid {record.pid}) gave no sign of life for {silent:.0f} s and was "
            "killed; resume to go on."
        )
        log.warning("%s: %s", worker.run.run_id, worker.killed)

    def _bury(self, worker: _Worker) -> None:
        if _is_gone(worker.run.path):
            if worker.record is not None:
                worker.record.kill_orphans()
            del self._workers[worker.run.run_id]
            log.warning("%s: ended, and its folder is gone", worker.run.run_id)
            return
        code = None if worker.process is None else worker.process.returncode
        reason = worker.killed or _explain_end(worker.pid, code)
        if bury(self._workspace, worker.run.path, reason, exit_code=code):
            del self._workers[worker.run.run_id]
            log.info("%s: ended, %s", worker.run.run_id, "?" if code is None else code)
        elif (record := load_worker(worker.run.path)) is not None:
            record.kill_orphans()


def _is_gone(folder: Path) -> bool:
    """Whether no run is there any more: a status is replaced, never missing for an instant."""
    try:
        (folder / "status.json").stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    return False


def _may_begin(run: Run) -> bool:
    queued = load_status(run.path / "status.json").state is RunState.QUEUED
    # A command line may be at it.
    return queued and live_writer(run.path) is None


def _explain_end(pid: int, code: int | None) -> str:
    if code is None:
        return f"its worker (pid {pid}) is gone; resume to go on."
    if code < 0:
        name = next((known.name for known in signal.Signals if known == -code), "?")
        return f"its worker (pid {pid}) was killed by signal {-code} ({name}); resume to go on."
    return f"its worker (pid {pid}) ended with status {code} and said nothing; resume to go on."
