"""The keeper: starts one `vllm serve`, watches it, starts it again when it dies or hangs, stops it.

In the foreground it is `python -m cai_core vllm MODEL`; in the background a process of its own,
`python -m cai_core.inference.vllm_keeper`, which reads its plan from standard input.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from cai_core.inference.server_record import read_boot_id, read_process_start
from cai_core.inference.vllm_guard import become_subreaper
from cai_core.inference.vllm_life import Ended, live
from cai_core.inference.vllm_log import explain_log
from cai_core.inference.vllm_options import HOST, build_command, build_environment
from cai_core.inference.vllm_plan import KeeperPlan, KeeperTimes
from cai_core.inference.vllm_preflight import has_bfloat16
from cai_core.inference.vllm_process import VllmProcess
from cai_core.inference.vllm_record import (
    VllmRecord,
    VllmStateName,
    files_of,
    save_vllm_record,
)
from cai_core.machine import count_cores

# More deaths than that in ten minutes, and something is wrong that a start does not mend.
RESTARTS = 5
RESTART_WINDOW = 600.0
_LONGEST_BACKOFF = 30.0
# Other ports to try where one that was free a moment ago is taken.
_PORT_TRIES = 3
# An engine's death and the server's after it fill some two hundred lines of log.
_LAST_LINES = 300


class Keeper:
    """Keeps one vLLM. `announce`, then `run`."""

    def __init__(
        self, plan: KeeperPlan, workspace: Path, on_state: Callable[[VllmRecord], None]
    ) -> None:
        self._plan = plan
        self._files = files_of(workspace, plan.name)
        self._on_state = on_state
        self._deaths: list[float] = []
        self._was_ready = self._is_ready = False
        self._handed_out = 0
        pid = os.getpid()
        self._record = VllmRecord(
            name=plan.name,
            model=plan.model,
            model_id=plan.model_id,
            fingerprint=plan.fingerprint,
            options=plan.options,
            version=plan.version,
            keeper_pid=pid,
            keeper_start=read_process_start(pid) or "",
            boot_id=read_boot_id(),
            port=plan.port or _free_port(),
            api_key=secrets.token_urlsafe(32),
            state="starting",
            reason="",
            since=time.time(),
            detached=plan.detached,
        )

    def announce(self) -> None:
        """Write the record, and begin a new log. Whoever calls holds the lock.

        Raises:
            OSError: they cannot be written.
        """
        self._files.log.write_bytes(b"")
        save_vllm_record(self._files.record, self._record)
        self._tell("starting", f"vLLM {self._plan.version} starts.")

    async def run(self) -> int:
        """Keep it until it is stopped, idle or beyond help; the exit status."""
        become_subreaper()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(sign, stop.set)
        keeping = asyncio.create_task(self._keep())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({keeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not keeping.done():
            self._tell("stopping", "")
            keeping.cancel()
        try:
            ended = await keeping
        except asyncio.CancelledError:
            ended = Ended("idle", "stopped")
        stopping.cancel()
        failed = ended.kind != "idle"
        self._finish("failed" if failed else "absent", ended.reason)
        return 1 if failed else 0

    async def _keep(self) -> Ended:
        """One life after another, until there is no use in another one."""
        tries = _PORT_TRIES
        while True:
            ended = await self._live_once()
            if ended.kind == "idle":
                return ended
            if ended.kind == "port" and not self._was_ready and not self._plan.port and tries:
                tries -= 1
                self._record = replace(self._record, port=_free_port())
                self._tell("starting", "The port was taken meanwhile; another one.")
                continue
            now = time.monotonic()
            self._deaths = [when for when in self._deaths if now - when < RESTART_WINDOW]
            if not self._was_ready or ended.kind == "final":
                return ended
            if len(self._deaths) >= RESTARTS:
                told = f"It died {RESTARTS + 1} times in {RESTART_WINDOW / 60:.0f} minutes"
                return Ended("final", f"{told}; the last time: {ended.reason}")
            self._deaths.append(now)
            self._record = replace(self._record, restarts=self._record.restarts + 1)
            self._tell("restarting", ended.reason)
            backoff = self._plan.times.backoff_seconds * 2 ** (len(self._deaths) - 1)
            await asyncio.sleep(min(backoff, _LONGEST_BACKOFF))

    async def _live_once(self) -> Ended:
        """Start vLLM, watch it to its end, leave nothing of it."""
        self._is_ready = False
        process = self._start()
        at_once = True
        try:
            ended = await live(process, self._record.endpoint, self._plan.times, self)
            at_once = ended.kind == "hung"
        except asyncio.CancelledError:
            at_once = False
            raise
        finally:
            await process.stop(at_once=at_once)
            self._record = replace(self._record, engine_pid=0, engine_start="")
        return ended if ended.kind != "died" else self._explain(ended, process.read_log())

    def _explain(self, ended: Ended, log: str) -> Ended:
        """The cause of a death, as the log tells it."""
        if self._is_ready:
            # What it wrote hours ago is not what it died of, and it could start once.
            cause = explain_log("\n".join(log.splitlines()[-_LAST_LINES:]))
            reason = ended.reason if cause.kind == "unknown" and ended.reason else cause.sentence
            return Ended("died", reason)
        cause = explain_log(log)
        return Ended(cause.kind if cause.kind in ("port", "final") else "died", cause.sentence)

    def _start(self) -> VllmProcess:
        plan, record = self._plan, self._record
        cpu = "+cpu" in plan.version
        command = build_command(
            plan.python,
            plan.source,
            port=record.port,
            model_id=plan.model_id,
            options=plan.options,
            cpu=cpu,
            bf16=has_bfloat16(),
        )
        process = VllmProcess(
            command,
            build_environment(
                os.environ,
                api_key=record.api_key,
                options=plan.options,
                cpu=cpu,
                cores=count_cores(),
            ),
            folder=Path(plan.folder),
            log=self._files.log,
            grace=plan.times.stop_seconds,
            niceness=10 if cpu else 0,
        )
        self._record = replace(record, engine_pid=process.pid, engine_start=process.start)
        self._save()
        return process

    def became_ready(self) -> None:
        """It answers (for `vllm_life.live`, as the next two)."""
        self._was_ready = self._is_ready = True
        self._tell("ready", "")

    def was_handed_out(self) -> bool:
        """Whoever is given this server touches the lock file."""
        before, self._handed_out = self._handed_out, self._files.lock.stat().st_mtime_ns
        return before != self._handed_out

    def may_leave(self) -> bool:
        """Tells others that it stops, unless one of them is about to be given it."""
        with self._files.lock.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if self.was_handed_out():
                return False
            self._tell("stopping", "Nobody asked for long.")
        return True

    def _tell(self, state: VllmStateName, reason: str) -> None:
        self._record = replace(self._record, state=state, reason=reason, since=time.time())
        self._save()
        with suppress(OSError), self._files.log.open("a", encoding="utf-8") as log:
            log.write(f"[keeper] {state}: {reason}\n" if reason else f"[keeper] {state}\n")
        self._on_state(self._record)

    def _save(self) -> None:
        # A full disk is no reason to end a vLLM that answers; the next change may get through.
        with suppress(OSError):
            save_vllm_record(self._files.record, self._record)

    def _finish(self, state: VllmStateName, reason: str) -> None:
        self._record = replace(self._record, api_key="", port=0)
        self._tell(state, reason)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])


def dump_plan(plan: KeeperPlan, workspace: Path) -> bytes:
    """What `main` reads."""
    return json.dumps({"workspace": str(workspace), "plan": asdict(plan)}).encode()


def main() -> int:
    """Keep the vLLM whose plan comes by standard input."""
    told = json.load(sys.stdin)
    plan = dict(told["plan"])
    times = KeeperTimes(**plan.pop("times"))
    options = tuple(plan.pop("options"))
    keeper = Keeper(
        KeeperPlan(**plan, times=times, options=options), Path(told["workspace"]), lambda _: None
    )
    keeper.announce()
    return asyncio.run(keeper.run())


if __name__ == "__main__":
    sys.exit(main())
