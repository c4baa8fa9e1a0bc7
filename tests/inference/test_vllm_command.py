"""`python -m cai_core vllm` and the records that it reads, with a vLLM that is a fake."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cai_core import cli
from cai_core.errors import EndpointError, ServerUnavailableError
from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.vllm_guard import list_group
from cai_core.inference.vllm_record import files_of
from cai_core.inference.vllm_server import (
    ensure_vllm,
    find_vllm,
    keep_vllm,
    list_vllm,
)
from tests.inference.vllm_workplace import QUICK, Install, record_of, wait_for, workplace

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    with workplace(tmp_path, monkeypatch) as make:
        yield make


def test_one_in_a_terminal_is_not_taken_away(install: Install, tmp_path: Path) -> None:
    config, _ = install()
    environment = {**os.environ, "CAI_WORKSPACE": str(tmp_path)}
    command = [sys.executable, "-m", "cai_core", "vllm", config.model, "--name", "local"]
    terminal = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    try:
        wait_for(config, tmp_path, "ready")
        assert ensure_vllm(config, tmp_path).base_url == find_vllm(config, tmp_path).url
        changed = EndpointConfig(
            name="local", kind="vllm", model=config.model, options=("--seed", "1")
        )
        with pytest.raises(ServerUnavailableError, match="in a terminal"):
            ensure_vllm(changed, tmp_path)
        with pytest.raises(ServerUnavailableError, match="runs already"):
            keep_vllm(config, tmp_path)
        group = record_of(tmp_path).engine_pid
    finally:
        terminal.send_signal(signal.SIGINT)
        said = terminal.communicate(timeout=20)[0]
    assert terminal.returncode == 0, said
    assert f"#{config.model}" in said
    assert "local: stopping" in said
    assert not list_group(group)
    assert find_vllm(config, tmp_path).state == "absent"


def test_the_command_starts_tells_and_stops(
    install: Install,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config, _ = install()
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))

    def run(*arguments: str) -> tuple[int, str]:
        status = cli.main(["vllm", *arguments])
        told = capsys.readouterr()
        return status, told.out + told.err

    assert "no vLLM" in run("--list")[1]
    started = run(config.model, "--name", "local", "--detach", "--seed", "7")
    assert started[0] == 0, started
    wait_for(config, tmp_path, "ready")
    key = record_of(tmp_path).api_key
    assert record_of(tmp_path).options == ("--seed", "7")
    listed, status = run("--list")[1], run("--status", "local")
    assert "local" in listed and "ready" in listed
    assert status[0] == 0 and str(find_vllm(config, tmp_path).url) in status[1]
    assert key not in started[1] + listed + status[1]
    assert run("--key", "local") == (0, key + "\n")
    assert "stopped" in run("--stop", config.model)[1]
    assert run("--stop", "local")[0] == 2  # no record is left of it
    assert run("--key", "local")[0] == 2


def test_a_record_of_another_version_is_ignored(install: Install, tmp_path: Path) -> None:
    config, _ = install()
    files = files_of(tmp_path, "local")
    files.record.parent.mkdir(parents=True)
    for text in ("{", "[]", '{"format": 99, "state": "ready"}', '{"format": 1, "state": "ready"}'):
        files.record.write_text(text)
        assert find_vllm(config, tmp_path).state == "absent"
        assert list_vllm(tmp_path) == []
    ensure_vllm(config, tmp_path, times=QUICK)


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b"])
def test_names_lead_nowhere_else(name: str, tmp_path: Path) -> None:
    with pytest.raises(EndpointError):
        files_of(tmp_path, name)
