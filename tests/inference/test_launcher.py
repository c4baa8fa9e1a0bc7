"""One server a workspace and model, whoever asks, whatever died."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cai_core.errors import ServerUnavailableError, UnknownModelError
from cai_core.inference import serve_cli
from cai_core.inference.launcher import ensure_server, find_server, stop_server
from cai_core.inference.server_record import (
    ServerFiles,
    ServerRecord,
    load_record,
    read_process_start,
    save_record,
)

ENSURE = """
import sys
from pathlib import Path
from cai_core.inference.launcher import ensure_server
assert "torch" not in sys.modules, "the launcher must not import torch"
print(ensure_server(sys.argv[1], Path(sys.argv[2]), timeout=120).base_url)
"""


@pytest.fixture
def workspace(tmp_path: Path, llama: Path) -> Iterator[Path]:
    yield tmp_path
    stop_server(str(llama), tmp_path)


def current_record(model: Path, workspace: Path) -> ServerRecord:
    record = load_record(ServerFiles.of(workspace, str(model)).record)
    assert record is not None
    return record


def test_one_server_through_races_kills_and_strangers(llama: Path, workspace: Path) -> None:
    model = str(llama)
    assert find_server(model, workspace) is None

    # Two processes at once start one server, which outlives them both.
    command = [sys.executable, "-c", ENSURE, model, str(workspace)]
    callers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    urls = [caller.communicate(timeout=120)[0].strip() for caller in callers]
    assert urls[0] == urls[1] != ""
    first = current_record(llama, workspace)
    files = ServerFiles.of(workspace, model)
    assert files.record.stat().st_mode & 0o777 == 0o600
    assert first.api_key not in repr(first) + files.log.read_text()
    found = find_server(model, workspace)
    assert found is not None
    assert found.base_url == urls[0]
    assert ensure_server(model, workspace) == found

    # Killed: the next caller gets a new one, though a stranger now has the old port.
    os.kill(first.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while first.is_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    seen: list[str] = []
    with stranger(first.port, seen) as sleeper:
        # Even a record that looks alive does not make the stranger ours.
        started = read_process_start(sleeper.pid)
        save_record(files.record, replace(first, pid=sleeper.pid, process_start=started or ""))
        assert find_server(model, workspace) is None
        again = ensure_server(model, workspace)
        assert sleeper.poll() is None, "a process that is not ours was stopped"
    second = current_record(llama, workspace)
    assert again.base_url != urls[0]
    assert seen, "the stranger was never asked: the test proves nothing"
    assert not any(first.api_key in request for request in seen)

    # New weights under the same name: a server of the old ones will not do.
    (weights,) = llama.glob("*.safetensors")
    os.utime(weights)
    assert ensure_server(model, workspace).base_url != again.base_url
    assert not second.is_alive()

    third = current_record(llama, workspace)
    assert stop_server(model, workspace)
    assert not third.is_alive()
    assert not stop_server(model, workspace)


class stranger:  # noqa: N801 - reads as a verb of the test
    """Somebody else's web server, which says 200 to everything, and a process that lives."""

    def __init__(self, port: int, seen: list[str]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(f"{self.path} {self.headers}")
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"proof": "mine"}).encode())

            def log_message(self, *_: object) -> None:
                pass

        # A killed process's threads may hold the port for a moment longer.
        deadline = time.monotonic() + 10
        while True:
            try:
                self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def __enter__(self) -> subprocess.Popen[bytes]:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.sleeper = subprocess.Popen(["sleep", "600"])
        return self.sleeper

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.sleeper.kill()
        self.sleeper.wait()


def test_a_server_that_nobody_asks_leaves(llama: Path, workspace: Path) -> None:
    ensure_server(str(llama), workspace, idle_seconds=1.0)
    record = current_record(llama, workspace)
    deadline = time.monotonic() + 15
    while record.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not record.is_alive()
    assert "leaving" in ServerFiles.of(workspace, str(llama)).log.read_text()


def test_a_server_that_dies_shows_its_log(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "no-such-thing"}')
    (broken / "model.safetensors").write_bytes(b"")
    with pytest.raises(ServerUnavailableError, match="no-such-thing"):
        ensure_server(str(broken), tmp_path)


def test_a_workspace_that_cannot_be_written_is_told(llama: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServerUnavailableError, match="CAI_WORKSPACE"):
        ensure_server(str(llama), tmp_path / "file")


@pytest.mark.parametrize(
    "name", ["no such model", "nowhere", "/nowhere/at/all", "~nobody-here/x", "x" * 5000]
)
def test_an_unknown_model_starts_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match="`demo`"):
        ensure_server(name, tmp_path)
    assert not (tmp_path / "servers").exists()


def test_pickles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UnknownModelError, match="pickles"):
        ensure_server(str(tmp_path), tmp_path)


def test_urls_start_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAI_API_KEY", "secret")
    endpoint = ensure_server("http://host:8000/v1#owner/name", tmp_path)
    assert (endpoint.base_url, endpoint.model_id) == ("http://host:8000", "owner/name")
    assert endpoint.api_key == "secret"
    assert "secret" not in repr(endpoint)
    assert not list(tmp_path.iterdir())


def test_serve_refuses_a_taken_port_and_the_open_network(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert serve_cli.main(["serve", "--model", "demo", "--port", port]) == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
    assert serve_cli.main(["serve", "--model", "demo", "--host", "0.0.0.0"]) == 2
    assert "--allow-remote" in capsys.readouterr().err
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    assert serve_cli.main(["serve", "--model", "demo", "--api-key-env", "NO_SUCH_KEY"]) == 2
    assert "NO_SUCH_KEY" in capsys.readouterr().err
    assert serve_cli.main(["serve", "--model", "demo", "--port", "99999"]) == 2
    assert "Cannot listen on 127.0.0.1:99999" in capsys.readouterr().err
