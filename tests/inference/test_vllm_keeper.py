"""The keeper against a vLLM that fails on cue; tests/vllm has the real one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cai_core.errors import ServerUnavailableError
from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.server_record import read_process_start
from cai_core.inference.vllm_guard import list_group
from cai_core.inference.vllm_keeper import RESTARTS
from cai_core.inference.vllm_plan import KeeperTimes
from cai_core.inference.vllm_record import VllmRecord, files_of
from cai_core.inference.vllm_server import (
    ensure_vllm,
    find_vllm,
    list_vllm,
    start_vllm,
    stop_vllm,
)
from tests.inference import fake_vllm
from tests.inference.vllm_workplace import QUICK, Install, record_of, wait_for, workplace


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    with workplace(tmp_path, monkeypatch) as make:
        yield make


def test_ready_with_a_url_a_key_and_defaults(install: Install, tmp_path: Path) -> None:
    config, python = install()
    told: list[str] = []
    endpoint = ensure_vllm(config, tmp_path, times=QUICK, on_state=told.append)
    assert told[-1] == "ready"
    assert endpoint.model_id == config.model
    assert ensure_vllm(config, tmp_path, times=QUICK) == endpoint
    assert fake_vllm.count_lives(python) == 1
    life = json.loads((python.parent / "life-0").read_text())
    assert life["env"]["VLLM_API_KEY"] == endpoint.api_key
    assert endpoint.api_key not in " ".join(life["argv"])
    assert life["env"]["VLLM_NO_USAGE_STATS"] == "1"
    state = find_vllm(config, tmp_path)
    assert (state.state, state.url, state.pid) == (
        "ready",
        endpoint.base_url,
        record_of(tmp_path).keeper_pid,
    )
    assert list_vllm(tmp_path) == [state]
    assert stop_vllm(config, tmp_path)
    assert not stop_vllm(config, tmp_path)
    assert find_vllm(config, tmp_path).state == "absent"


def test_a_death_at_the_start_is_told_with_its_cause(install: Install, tmp_path: Path) -> None:
    said = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a"
    config, python = install({"say": said, "exit": 1})
    with pytest.raises(ServerUnavailableError, match=r"asked for another 2\.00 GiB") as caught:
        ensure_vllm(config, tmp_path, times=QUICK)
    assert said in str(caught.value)
    assert fake_vllm.count_lives(python) == 1
    state = find_vllm(config, tmp_path)
    assert (state.state, state.url, state.pid) == ("failed", None, None)
    assert record_of(tmp_path).api_key == ""


def test_a_model_that_completes_nothing_is_refused(install: Install, tmp_path: Path) -> None:
    config, python = install({"canary": 404})
    with pytest.raises(ServerUnavailableError, match="no completions here"):
        ensure_vllm(config, tmp_path, times=QUICK)
    assert fake_vllm.count_lives(python) == 1


def test_deaths_are_followed_by_restarts_until_there_are_too_many(
    install: Install, tmp_path: Path
) -> None:
    config, python = install({"die_after": 0.5, "say": "RuntimeError: the cable is loose"})
    endpoint = ensure_vllm(config, tmp_path, times=QUICK)
    wait_for(config, tmp_path, "ready", restarts=1)
    assert record_of(tmp_path).endpoint == endpoint  # the same port, the same key
    wait_for(config, tmp_path, "failed")
    assert fake_vllm.count_lives(python) == RESTARTS + 1
    reason = find_vllm(config, tmp_path).reason
    assert f"{RESTARTS + 1} times in 10 minutes" in reason
    assert "the cable is loose" in reason


def test_a_taken_port_is_left_to_its_owner(install: Install, tmp_path: Path) -> None:
    taken = {"say": "OSError: [Errno 98] Address already in use", "exit": 1}
    config, python = install(taken, {})
    endpoint = ensure_vllm(config, tmp_path, times=QUICK)
    first, second = (json.loads((python.parent / f"life-{n}").read_text()) for n in (0, 1))
    assert first["argv"][-3] != second["argv"][-3] == endpoint.base_url.rpartition(":")[2]


def test_a_port_that_was_asked_for_is_no_other(install: Install, tmp_path: Path) -> None:
    taken = {"say": "OSError: [Errno 98] Address already in use", "exit": 1}
    config, python = install(taken)
    start_vllm(config, tmp_path, port=18999, times=QUICK)
    wait_for(config, tmp_path, "failed")
    assert "another --port" in find_vllm(config, tmp_path).reason
    assert fake_vllm.count_lives(python) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell whose a port is")
def test_a_stranger_on_the_port_is_not_sent_the_key(install: Install, tmp_path: Path) -> None:
    config, _ = install({"say": "loading", "linger": 30})
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        program = (
            "import sys, http.server as h\n"
            "class A(h.BaseHTTPRequestHandler):\n"
            "  def do_GET(self): self.send_response(200); self.end_headers()\n"
            "  def do_POST(self): print('ASKED', flush=True)\n"
            "  def log_message(self, *_): pass\n"
            "h.HTTPServer(('127.0.0.1', int(sys.argv[1])), A).serve_forever()\n"
        )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(port)], stdout=subprocess.PIPE, text=True
    )
    try:
        while httpx_status(port) != 200:
            time.sleep(0.05)
        start_vllm(config, tmp_path, port=port, times=QUICK)
        wait_for(config, tmp_path, "failed")
        assert "Another program answers" in find_vllm(config, tmp_path).reason
    finally:
        other.kill()
    assert other.communicate()[0] == ""


def httpx_status(port: int) -> int | None:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code
    except httpx.TransportError:
        return None


def test_a_slow_canary_is_a_hang_only_without_progress(install: Install, tmp_path: Path) -> None:
    config, python = install({"slow_after": 1, "running": 3, "counting": True}, {})
    ensure_vllm(config, tmp_path, times=QUICK)
    time.sleep(5)
    assert find_vllm(config, tmp_path).restarts == 0
    stop_vllm(config, tmp_path)
    lives = python.parent / "lives.json"
    lives.write_text(json.dumps([{}, {"slow_after": 1, "running": 3}, {}]))
    ensure_vllm(config, tmp_path, times=QUICK)
    wait_for(config, tmp_path, "ready", restarts=1)
    assert "restarting: It hung" in files_of(tmp_path, "local").log.read_text()


def test_only_the_asked_for_stay(install: Install, tmp_path: Path) -> None:
    config, _ = install()
    times = KeeperTimes(**{**as_dict(QUICK), "idle_seconds": 3})
    endpoint = ensure_vllm(config, tmp_path, times=times)
    for _ in range(8):  # longer than the idle time, canaries all the while
        body = {"model": endpoint.model_id, "prompt": "x"}
        headers = {"Authorization": f"Bearer {endpoint.api_key}"}
        httpx.post(f"{endpoint.base_url}/v1/completions", json=body, headers=headers)
        time.sleep(0.5)
    assert find_vllm(config, tmp_path).state == "ready"
    for _ in range(8):  # handed out again and again, without a request
        assert ensure_vllm(config, tmp_path, times=times) == endpoint
        time.sleep(0.5)
    wait_for(config, tmp_path, "absent")
    assert "nobody asked" in find_vllm(config, tmp_path).reason
    # Whoever comes then gets a new one.
    assert ensure_vllm(config, tmp_path, times=times).api_key != endpoint.api_key


def test_stop_ends_those_who_will_not_hear(install: Install, tmp_path: Path) -> None:
    config, _ = install({"deaf": True})
    ensure_vllm(config, tmp_path, times=QUICK)
    group = record_of(tmp_path).engine_pid
    assert len(list_group(group)) >= 2
    assert stop_vllm(config, tmp_path)
    assert not list_group(group)


def test_stop_while_starting(install: Install, tmp_path: Path) -> None:
    config, _ = install({"mute": True})
    assert start_vllm(config, tmp_path, times=QUICK)
    assert not start_vllm(config, tmp_path, times=QUICK)
    with pytest.raises(ServerUnavailableError, match="still starting"):
        ensure_vllm(config, tmp_path, timeout=0.5)
    assert find_vllm(config, tmp_path).state == "starting"
    group = record_of(tmp_path).engine_pid
    assert stop_vllm(config, tmp_path)
    assert not list_group(group)


def test_a_killed_guard_takes_nobody_along_but_vllm(install: Install, tmp_path: Path) -> None:
    config, _ = install({"deaf": True}, {})
    endpoint = ensure_vllm(config, tmp_path, times=QUICK)
    record = record_of(tmp_path)
    os.kill(guard_of(record), signal.SIGKILL)
    wait_for(config, tmp_path, "ready", restarts=1)
    assert not list_group(record.engine_pid)
    assert record_of(tmp_path).endpoint == endpoint


def test_what_a_killed_keeper_and_guard_leave_is_cleared_by_the_next(
    install: Install, tmp_path: Path
) -> None:
    config, _ = install({"deaf": True}, {})
    ensure_vllm(config, tmp_path, times=QUICK)
    record = record_of(tmp_path)
    guard = guard_of(record)
    for pid in (record.keeper_pid, guard):
        os.kill(pid, signal.SIGSTOP)
    for pid in (record.keeper_pid, guard):
        os.kill(pid, signal.SIGKILL)
    while record.is_kept():
        time.sleep(0.02)
    assert list_group(record.engine_pid), "nothing is left: the test proves nothing"
    assert find_vllm(config, tmp_path).state == "failed"
    ensure_vllm(config, tmp_path, times=QUICK)
    assert not list_group(record.engine_pid)


def guard_of(record: VllmRecord) -> int:
    """The parent of vLLM."""
    told = subprocess.run(
        ["ps", "-o", "ppid=", "-p", str(record.engine_pid)], capture_output=True, text=True
    )
    return int(told.stdout)


def test_a_changed_endpoint_gets_another_server(install: Install, tmp_path: Path) -> None:
    config, python = install()
    first = ensure_vllm(config, tmp_path, times=QUICK)
    changed = EndpointConfig(
        name="local", kind="vllm", model=config.model, options=("--max-model-len", "64")
    )
    assert ensure_vllm(changed, tmp_path, times=QUICK).api_key != first.api_key
    life = json.loads((python.parent / "life-1").read_text())
    assert "--max-model-len" in life["argv"]
    (weights,) = Path(config.model).glob("*.safetensors")
    os.utime(weights, (1, 1))
    ensure_vllm(changed, tmp_path, times=QUICK)
    assert fake_vllm.count_lives(python) == 3


def test_no_zombie_of_ours_stays(install: Install, tmp_path: Path) -> None:
    config, _ = install()
    ensure_vllm(config, tmp_path, times=QUICK)
    keeper = record_of(tmp_path).keeper_pid
    stop_vllm(config, tmp_path)
    deadline = time.monotonic() + 5
    while is_there(keeper) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_there(keeper)


def is_there(pid: int) -> bool:
    """Also as a zombie."""
    assert read_process_start(pid) is None or pid
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def as_dict(times: KeeperTimes) -> dict[str, float]:
    return {name: getattr(times, name) for name in KeeperTimes.__dataclass_fields__}
