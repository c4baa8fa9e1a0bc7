"""Starting, finding and stopping managed vLLMs: one a workspace and endpoint name.

A keeper (`vllm_keeper`) owns each; it outlives its starter. Nothing here imports torch or vllm.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cai_core.errors import EndpointError, ServerUnavailableError
from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.engine import Endpoint
from cai_core.inference.server_record import ServerFiles, locked, make_folder
from cai_core.inference.vllm_keeper import Keeper, dump_plan
from cai_core.inference.vllm_options import parse_options
from cai_core.inference.vllm_plan import KeeperPlan, KeeperTimes, make_plan
from cai_core.inference.vllm_preflight import identify_model
from cai_core.inference.vllm_process import clear_leftovers
from cai_core.inference.vllm_record import (
    LIVE,
    VllmRecord,
    VllmState,
    build_state,
    files_of,
    load_vllm_record,
)
from cai_core.workspace.read_only import refuse_in_demo

# Large weights from a slow disk; a small model on a CPU is up in under a minute.
START_SECONDS = 1800.0
_POLL_SECONDS = 0.1
_KEEPER_SECONDS = 60.0
_SERVING = LIVE - {"stopping"}
_REPOSITORY = Path(__file__).resolve().parents[2]


def ensure_vllm(
    config: EndpointConfig,
    workspace: Path,
    *,
    timeout: float = START_SECONDS,
    on_state: Callable[[str], None] | None = None,
    times: KeeperTimes | None = None,
) -> Endpoint:
    """Where the endpoint's vLLM answers; a keeper in the background starts it if there is none.

    Args:
        timeout: seconds to wait; a start that takes longer goes on.
        on_state: told each change in a sentence, e.g. `starting: …`.
        times: for a keeper that is started; None keeps the defaults.

    Raises:
        EndpointError: of another kind, or an option is refused.
        UnknownModelError: no such model.
        ServerUnavailableError: it cannot start here, or did not; the message says why and ends
            with its log.
    """
    start_vllm(config, workspace, timeout=timeout, times=times)
    files = files_of(workspace, config.name)
    return _await_ready(config, files, time.monotonic() + timeout, on_state or (lambda _: None))


def start_vllm(
    config: EndpointConfig,
    workspace: Path,
    *,
    port: int | None = None,
    timeout: float = START_SECONDS,
    times: KeeperTimes | None = None,
) -> bool:
    """Start a keeper in the background if there is none; does not wait for its vLLM.

    Returns:
        False when one runs already.

    Raises:
        CaiError: as `ensure_vllm`.
    """
    _check_kind(config)
    refuse_in_demo("start a vLLM")
    files = files_of(workspace, config.name)
    if _hand_out(config, files, timeout):
        return False
    plan = make_plan(config, port=port, times=times, detached=True)
    with locked(files.lock, time.monotonic() + timeout):
        if _clear_way(config, files):
            return False  # another one was quicker
        _spawn(plan, workspace, files)
    return True


def keep_vllm(
    config: EndpointConfig,
    workspace: Path,
    *,
    port: int | None = None,
    times: KeeperTimes | None = None,
    on_state: Callable[[VllmRecord], None] = lambda _: None,
) -> int:
    """Be the keeper, until stopped; the exit status. For the main thread only.

    Raises:
        CaiError: as `ensure_vllm`; or one runs already.
    """
    _check_kind(config)
    files = files_of(workspace, config.name)
    plan = make_plan(config, port=port, times=times, detached=False)
    make_folder(files.lock.parent)
    with locked(files.lock, time.monotonic() + START_SECONDS):
        record = load_vllm_record(files.record)
        if record is not None and record.state in LIVE and record.is_kept():
            raise ServerUnavailableError(
                f"{config.name!r} runs already ({record.state}, keeper {record.keeper_pid}). "
                f"Stop it with `python -m cai_core vllm --stop {config.name}`, or give this one "
                "another --name."
            )
        if record is not None:
            _stop(record)
        keeper = Keeper(plan, workspace, on_state)
        keeper.announce()
    return asyncio.run(keeper.run())


def find_vllm(config: EndpointConfig, workspace: Path) -> VllmState:
    """How the endpoint's vLLM stands; starts nothing."""
    files = files_of(workspace, config.name)
    return build_state(load_vllm_record(files.record), files, config.name)


def stop_vllm(config: EndpointConfig, workspace: Path) -> bool:
    """Stop the endpoint's keeper and vLLM, and wait for both; False when none ran."""
    return stop_named(config.name, workspace)


def stop_named(name: str, workspace: Path) -> bool:
    """As `stop_vllm`, by the endpoint's name."""
    files = files_of(workspace, name)
    if not files.record.exists():
        return False
    with locked(files.lock, time.monotonic() + _KEEPER_SECONDS):
        record = load_vllm_record(files.record)
        stopped = record is not None and _stop(record)
        files.record.unlink(missing_ok=True)
    return stopped


def list_vllm(workspace: Path) -> list[VllmState]:
    """Every managed vLLM that the workspace knows, by name; also those that failed or left."""
    folder = workspace / "servers" / "vllm"
    found = []
    for path in sorted(folder.glob("*.json")):
        record = load_vllm_record(path)
        if record is not None:
            found.append(build_state(record, files_of(workspace, path.stem), path.stem))
    return found


def read_vllm_key(name: str, workspace: Path) -> str | None:
    """The key of a vLLM that is kept now, or None."""
    record = load_vllm_record(files_of(workspace, name).record)
    return record.api_key or None if record is not None and record.is_kept() else None


def _check_kind(config: EndpointConfig) -> None:
    if config.kind != "vllm":
        raise EndpointError(
            f"endpoint {config.name!r} is of kind {config.kind}; only kind vllm is started by a "
            "keeper. Correct its kind."
        )


def _hand_out(config: EndpointConfig, files: ServerFiles, timeout: float) -> bool:
    """Whether a keeper serves just this; it is told that it is in use."""
    make_folder(files.lock.parent)
    with locked(files.lock, time.monotonic() + timeout):
        record = load_vllm_record(files.record)
        if record is None or not record.is_kept() or not _matches(record, config):
            return False
        os.utime(files.lock)
        return record.state in _SERVING


def _clear_way(config: EndpointConfig, files: ServerFiles) -> bool:
    """End what stands in the way of a new keeper; True when there is a fitting one after all."""
    record = load_vllm_record(files.record)
    if record is None:
        return False
    serving = record.state in _SERVING and record.is_kept()
    if serving and _matches(record, config):
        return True
    if serving and not record.detached:
        raise ServerUnavailableError(
            f"{config.name!r} runs in a terminal (process {record.keeper_pid}) with another "
            "model, other weights or other options. Stop it there, or use another name."
        )
    # It is gone or leaving, or the endpoint was changed, or its weights were written anew.
    _stop(record)
    return False


def _matches(record: VllmRecord, config: EndpointConfig) -> bool:
    served, options = identify_model(config.model), parse_options(config.options)
    same = (record.model_id, record.fingerprint) == (served.model_id, served.fingerprint)
    return same and record.options == options.passed and options.port in (None, record.port)


def _spawn(plan: KeeperPlan, workspace: Path, files: ServerFiles) -> None:
    """Start a detached keeper, and wait for its first record."""
    with files.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cai_core.inference.vllm_keeper"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=_REPOSITORY,
        )
    # Waits for it, so that it is reaped whenever it ends while we run.
    threading.Thread(target=process.wait, daemon=True).start()
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(dump_plan(plan, workspace.resolve()))
    deadline = time.monotonic() + _KEEPER_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        record = load_vllm_record(files.record)
        if record is not None and record.keeper_pid == process.pid:
            return
        time.sleep(_POLL_SECONDS / 2)
    record = load_vllm_record(files.record)
    if record is None or record.keeper_pid != process.pid:
        process.kill()
        raise ServerUnavailableError(
            f"The keeper of {plan.name!r} did not start. Its log, {files.log}, ends:\n"
            f"{files.log_tail()}"
        )


def _await_ready(
    config: EndpointConfig, files: ServerFiles, deadline: float, on_state: Callable[[str], None]
) -> Endpoint:
    told = ""
    while True:
        record = load_vllm_record(files.record)
        state = build_state(record, files, config.name)
        sentence = f"{state.state}: {state.reason}" if state.reason else state.state
        if sentence != told:
            on_state(sentence)
            told = sentence
        if record is not None and state.state == "ready":
            return replace(record.endpoint, extra_body=config.extra_body)
        if state.state in ("failed", "absent", "stopping"):
            raise ServerUnavailableError(_explain_end(state))
        if time.monotonic() > deadline:
            raise ServerUnavailableError(
                f"The vLLM of {config.name!r} is still {state.state}. It goes on; ask again "
                f"later, or look at its log, {files.log}, which ends:\n{files.log_tail()}"
            )
        time.sleep(_POLL_SECONDS)


def _explain_end(state: VllmState) -> str:
    if state.state != "failed":
        return f"The vLLM of {state.name!r} was stopped. {state.reason}".strip()
    return (
        f"The vLLM of {state.name!r} failed: {state.reason}\nIts log, {state.log}, ends:\n"
        f"{state.log_tail()}"
    )


def _stop(record: VllmRecord) -> bool:
    """End the keeper, which ends its vLLM; False when it did not run."""
    kept = record.is_kept()
    # The keeper gives vLLM its time to end, and then kills it.
    for sign, seconds in ((signal.SIGTERM, _KEEPER_SECONDS), (signal.SIGKILL, 10.0)):
        deadline = time.monotonic() + seconds
        if record.is_kept():
            with suppress(ProcessLookupError):
                os.kill(record.keeper_pid, sign)
        while record.is_kept() and time.monotonic() < deadline:
            time.sleep(0.05)
    clear_leftovers(record)
    return kept
