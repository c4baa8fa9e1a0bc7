"""A worker: one process that does one run.

    python -m cai_core.jobs.worker RUN_FOLDER

The dispatcher starts it. SIGTERM stops it and keeps what is finished. Exit status: 0 done, 2 an
error, 3 stopped. The run's status is written by the stage; where the stage did not come to that,
by the worker.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from cai_core.errors import (
    CaiError,
    Cancelled,
    LockHeldError,
    RunMismatchError,
    ServerUnavailableError,
    WorkspaceError,
)
from cai_core.jobs.forecast_usage import UsageMeter
from cai_core.jobs.heartbeat import start_heartbeat
from cai_core.jobs.process import ProcessRecord, save_process
from cai_core.jobs.run_files import (
    STOPPED,
    WORKER_LOCK,
    WORKER_LOG,
    WORKER_RECORD,
    set_state,
)
from cai_core.jobs.stages import run_stage
from cai_core.workspace.locks import try_lock
from cai_core.workspace.runs import Run, open_run
from cai_core.workspace.status import RunState, load_status
from cai_core.workspace.stops import explain_stop

log = logging.getLogger(__name__)

DONE, FAILED = 0, 2
_LONGEST_REASON = 300
_STOPPED_BY_PERSON = (Cancelled, asyncio.CancelledError, KeyboardInterrupt)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do the run; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cai_core.jobs.worker")
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--lock-fd", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    # Until a stage handles it in its own way, SIGTERM stops as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Not resolved: `runs` may be a link to another disk.
    folder: Path = args.run_folder.absolute()
    if not os.environ.get("CAI_WORKSPACE"):
        # A run lies in `runs/` of its workspace.
        os.environ["CAI_WORKSPACE"] = str(folder.parents[1])
    try:
        lock = args.lock_fd if args.lock_fd is not None else try_lock(folder / WORKER_LOCK)
        if lock is None:
            log.error("%s: another worker is at it", folder)
            return FAILED
        save_process(folder / WORKER_RECORD, ProcessRecord.of(os.getpid()))
        start_heartbeat(folder)
        return _do_run(open_run(folder))
    except KeyboardInterrupt:
        return STOPPED
    except CaiError as error:
        log.error("%s", error)
        return FAILED


def _do_run(run: Run) -> int:
    if _state_of(run) is RunState.SUCCEEDED:
        log.info("%s: finished already", run.run_id)
        return DONE
    log.info("%s: begins, pid %d", run.run_id, os.getpid())
    meter = UsageMeter(run)
    try:
        return _do_stage(run)
    finally:
        meter.end()


def _do_stage(run: Run) -> int:
    try:
        run_stage(run, run.path.parents[1])
    except _STOPPED_BY_PERSON:
        log.info("%s: stopped; what is finished is kept", run.run_id)
        _say(run, *explain_stop(run.path))
        return STOPPED
    except LockHeldError as error:
        log.error("%s", error)
        return FAILED
    except CaiError as error:
        log.error("%s", error)
        _say_what_failed(run, error)
        return FAILED
    except Exception as error:
        log.exception("%s: unforeseen", run.run_id)
        told = (str(error).splitlines() or [""])[0][:_LONGEST_REASON]
        reason = f"unforeseen {type(error).__name__}: {told} See {WORKER_LOG}."
        set_state(
            run.path,
            RunState.FAILED,
            reason,
            only_from={RunState.QUEUED, RunState.RUNNING, RunState.INTERRUPTED},
        )
        return FAILED
    return DONE if _state_of(run) is RunState.SUCCEEDED else FAILED


def _say_what_failed(run: Run, error: CaiError) -> None:
    """For an error before the stage opened the run; a stage has said its own word."""
    passes = isinstance(error, ServerUnavailableError | WorkspaceError)
    if passes and not isinstance(error, RunMismatchError):
        _say(run, RunState.INTERRUPTED, str(error))
    else:
        _say(run, RunState.FAILED, str(error))


def _say(run: Run, state: RunState, reason: str) -> None:
    set_state(run.path, state, reason, only_from={RunState.QUEUED, RunState.RUNNING})


def _state_of(run: Run) -> RunState:
    return load_status(run.path / "status.json").state


if __name__ == "__main__":
    sys.exit(main())
