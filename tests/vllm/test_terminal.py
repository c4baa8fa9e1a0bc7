"""`python -m cai_core vllm` with a real vLLM: it says where it answers, and leaves when idle."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.vllm.managed import OPTIONS, ROOT, START_SECONDS, Managed
from tests.vllm.processes import list_commands


def run_vllm(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CAI_WORKSPACE": str(workspace)}
    command = [sys.executable, "-m", "cai_core", "vllm", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        cwd=ROOT,
        env=environment,
        check=False,
    )


def test_foreground_until_nobody_asks(managed: Managed, tmp_path: Path) -> None:
    own = ("--name", "mine", "--idle-seconds", "4")
    done = run_vllm(tmp_path, str(managed.folder), *own, *OPTIONS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mine: starting" in done.stdout
    found = re.search(r"http://127\.0\.0\.1:(\d+)#(\S+)", done.stdout)
    assert found is not None and found[2] == str(managed.folder)
    assert "--model mine" in done.stdout
    assert "nobody asked for 4 seconds" in done.stdout
    # By its port: another test's server may have the same model.
    assert not [line for line in list_commands() if f"--port {found[1]} " in line]
    assert "absent" in run_vllm(tmp_path, "--list").stdout
    assert run_vllm(tmp_path, "--status", "mine").returncode == 1
