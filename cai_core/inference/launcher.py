"""Starting, finding and stopping the bundled server: one a workspace and model.

Whoever needs a server calls `ensure_server`; it outlives its starter and leaves by itself when
nobody asks for ten minutes. Nothing here imports torch.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx

from cai_core.errors import ServerUnavailableError
from cai_core.inference.engine import Endpoint
from cai_core.inference.handshake import compute_proof
from cai_core.inference.model_folder import DEMO, compute_fingerprint, resolve_model
from cai_core.inference.model_url import is_url, read_key, resolve_url
from cai_core.inference.server_record import (
    ServerFiles,
    ServerRecord,
    load_record,
    locked,
    make_folder,
    read_boot_id,
    read_process_start,
    save_record,
)
from cai_core.workspace.read_only import refuse_in_demo

# Loading a few GB from a slow disk; a small model is up in about five seconds.
START_SECONDS = 120.0
STOP_SECONDS = 10.0
_POLL_SECONDS = 0.1
_KEY_VARIABLE = "CAI_SERVER_KEY"
_REPOSITORY = Path(__file__).resolve().parents[2]
# Kept so that those of our own that died are reaped, not left as zombies.
_started: list[subprocess.Popen[bytes]] = []


def ensure_server(
    model: str,
    workspace: Path,
    *,
    timeout: float = START_SECONDS,
    idle_seconds: float | None = None,
) -> Endpoint:
    """Where the model answers; its server is started when there is none.

    Args:
        model: `demo`, a model folder, a hub id, or the URL of a server that runs already
            (`http://host:port#model-id`; its key from CAI_API_KEY), which starts nothing.
        timeout: seconds to wait for a start, one's own or another process's.
        idle_seconds: passed on to a server that is started; None keeps its own default.

    Raises:
        UnknownModelError: no such model.
        ServerUnavailableError: it did not come up; the message ends with its log. Or the
            workspace cannot be written.
        NotAllowedError: in a read-only demo, which starts nothing.
    """
    if is_url(model):
        return resolve_url(model, key=read_key())
    refuse_in_demo("start a model server")
    name, fingerprint = _identify(model)
    files = ServerFiles.of(workspace, name)
    make_folder(files.lock.parent)
    deadline = time.monotonic() + timeout
    with locked(files.lock, deadline):
        record = load_record(files.record)
        if record is not None and record.is_alive():
            if record.fingerprint != fingerprint:
                _stop(record)  # the folder's weights were written anew since
            elif _await_answer(record, files, deadline):
                return record.endpoint
        record = _start(name, fingerprint, files, idle_seconds)
        if _await_answer(record, files, deadline):
            return record.endpoint
        raise ServerUnavailableError(f"{files.log}: another server answers on its port. Try again.")


def find_server(model: str, workspace: Path) -> Endpoint | None:
    """Where this workspace's server for the model answers, or None; starts nothing."""
    files = ServerFiles.of(workspace, _identify(model)[0])
    record = load_record(files.record)
    if record is None or not record.is_alive() or _ask(record) is not True:
        return None
    return record.endpoint


def stop_server(model: str, workspace: Path) -> bool:
    """Stop this workspace's server for the model; False when none ran."""
    files = ServerFiles.of(workspace, _identify(model)[0])
    if not files.record.exists():
        return False
    with locked(files.lock, time.monotonic() + START_SECONDS):
        record = load_record(files.record)
        stopped = record is not None and _stop(record)
        files.record.unlink(missing_ok=True)
    return stopped


def _identify(model: str) -> tuple[str, str]:
    """The one name that all ways to name a model share, and the fingerprint of its weights."""
    folder = resolve_model(model)
    if folder is None:
        return model, ""
    return (model if model == DEMO else str(folder)), compute_fingerprint(folder)


def _start(
    name: str, fingerprint: str, files: ServerFiles, idle_seconds: float | None
) -> ServerRecord:
    """Start a detached server and write its record."""
    key = secrets.token_urlsafe(32)
    command = [sys.executable, "-m", "cai_core.inference.serve_cli", "serve", "--model", name]
    command += ["--api-key-env", _KEY_VARIABLE]
    if idle_seconds is not None:
        command += ["--idle-seconds", str(idle_seconds)]
    # We listen, the server inherits: nobody can take the port in between, and who connects
    # while the model loads waits instead of being refused.
    with socket.create_server(("127.0.0.1", 0)) as listener, files.log.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--socket-fd", str(listener.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[listener.fileno()],
            cwd=_REPOSITORY,
            env={**os.environ, _KEY_VARIABLE: key},
        )
        port = int(listener.getsockname()[1])
    _started.append(process)
    record = ServerRecord(
        pid=process.pid,
        process_start=read_process_start(process.pid) or "",
        boot_id=read_boot_id(),
        port=port,
        api_key=key,
        model=name,
        fingerprint=fingerprint,
    )
    save_record(files.record, record)
    return record


def _await_answer(record: ServerRecord, files: ServerFiles, deadline: float) -> bool:
    """Wait for our server's word: True when it answers, False when a stranger does.

    Raises:
        ServerUnavailableError: it died, or is silent past the deadline (and is then stopped).
    """
    while (answer := _ask(record)) is None:
        _reap()
        if not record.is_alive():
            raise ServerUnavailableError(
                f"The server for {record.model!r} died while starting. Its log, {files.log}, "
                f"ends:\n{files.log_tail()}"
            )
        if time.monotonic() > deadline:
            _stop(record)
            raise ServerUnavailableError(
                f"The server for {record.model!r} did not answer in time and was stopped. Its "
                f"log, {files.log}, ends:\n{files.log_tail()}"
            )
        time.sleep(_POLL_SECONDS)
    return answer


def _ask(record: ServerRecord) -> bool | None:
    """Whether our server answers at the recorded port; None when nobody does (yet).

    The key itself is not sent: whoever listens there now need not be who listened then.
    """
    base = record.endpoint.base_url
    nonce = secrets.token_urlsafe(16)
    try:
        with httpx.Client(trust_env=False, timeout=2.0) as http:
            if http.get(f"{base}/health").status_code != 200:
                return None
            told = http.get(f"{base}/handshake", params={"nonce": nonce})
            proof = told.json().get("proof") if told.is_success else None
    except httpx.TransportError:
        return None
    except (ValueError, AttributeError):
        return False
    return secrets.compare_digest(str(proof), compute_proof(record.api_key, nonce))


def _stop(record: ServerRecord) -> bool:
    """End the recorded process and wait for it; False when it did not run."""
    if not record.is_alive():
        return False
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(record.pid, sign)
        deadline = time.monotonic() + STOP_SECONDS
        while record.is_alive() and time.monotonic() < deadline:
            _reap()
            time.sleep(0.05)
    return True


def _reap() -> None:
    _started[:] = [process for process in _started if process.poll() is None]
