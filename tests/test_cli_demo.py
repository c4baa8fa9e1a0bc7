"""`revise` with the bundled model on its real server: kill -9, Ctrl-C, a server that dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cai_core.inference.launcher import stop_server
from cai_core.inference.model_folder import DEMO_FOLDER
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import open_run
from cai_core.workspace.status import RunState

pytestmark = pytest.mark.skipif(
    not (DEMO_FOLDER / "model.safetensors").exists(), reason="the demo model is not there yet"
)
CHAINS, ROWS = 6, 5  # two rounds


class Demo:
    """Runs `python -m cai_core revise` against one server of a workspace of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = folder / "workspace"
        self.prompts = folder / "prompts.jsonl"
        asked = (f"How do I build a shelf, version {n}?" for n in range(CHAINS))
        self.prompts.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in asked))

    def start(self, out: str, *flags: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "cai_core", "revise", str(self.prompts)),
                *("--constitution", "harmlessness", "--revisions", "2", "--seed", "7"),
                *("--model", "demo", "--out", str(self.folder / out), *flags),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "CAI_WORKSPACE": str(self.workspace)},
        )

    def run(self, out: str, *flags: str) -> str:
        process = self.start(out, *flags)
        stdout, stderr = process.communicate(timeout=240)
        assert process.returncode == 0, stderr
        return stdout

    def start_and_wait(self, out: str, rows: int) -> subprocess.Popen[str]:
        process = self.start(out, "--concurrency", "2")
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if self.count(out) >= rows:
                return process
            time.sleep(0.02)
        raise AssertionError(f"{rows} rows never came: {process.communicate()}")

    def count(self, out: str) -> int:
        files = (self.folder / out / "rows").glob("*.jsonl")
        return sum(path.read_bytes().count(b"\n") - 1 for path in files)

    def chains(self, out: str) -> bytes:
        return (self.folder / out / "outputs" / "chains.jsonl").read_bytes()

    def index(self, out: str) -> RowIndex:
        return RowIndex(open_run(self.folder / out), "chain")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    found = Demo(tmp_path_factory.mktemp("demo"))
    found.run("whole")
    yield found
    stop_server("demo", found.workspace)


def test_rows_tell_who_answered_and_how_repeatable_it_is(demo: Demo) -> None:
    rows = demo.index("whole").values()
    assert len(rows) == CHAINS * ROWS
    for row in rows:
        assert row.model_id == "demo"
        assert (row.repeatability, row.error) == ("exact", None)
        assert row.weights_hash
        assert row.completion_tokens >= 0


def test_concurrency_changes_no_byte(demo: Demo) -> None:
    demo.run("alone", "--concurrency", "1")
    assert demo.chains("alone") == demo.chains("whole")


def test_a_killed_run_goes_on_to_the_same_rows_none_twice(demo: Demo) -> None:
    for rows in (4, 13):
        process = demo.start_and_wait("killed", rows)
        process.kill()
        process.communicate()
        assert open_run(demo.folder / "killed").status().state is RunState.INTERRUPTED
    kept = demo.count("killed")
    told = demo.run("killed")
    assert f"({CHAINS * ROWS - kept} generated now)" in told
    index = demo.index("killed")
    assert (len(index), index.doubled, index.damaged) == (CHAINS * ROWS, 0, 0)
    assert demo.chains("killed") == demo.chains("whole")


def test_ctrl_c_keeps_what_is_done(demo: Demo) -> None:
    process = demo.start_and_wait("stopped", 4)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "every finished row is kept. To go on:" in stderr
    kept = dict(demo.index("stopped"))
    assert len(kept) >= 4
    demo.run("stopped")
    after = demo.index("stopped")
    assert {row_id: after[row_id] for row_id in kept} == kept
    assert demo.chains("stopped") == demo.chains("whole")


def test_a_server_that_is_stopped_is_started_again_and_the_run_goes_on(demo: Demo) -> None:
    process = demo.start_and_wait("orphan", 4)
    stop_server("demo", demo.workspace)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert "waiting for a server" in stderr
    assert "Traceback" not in stderr
    assert open_run(demo.folder / "orphan").status().state is RunState.SUCCEEDED
    assert demo.chains("orphan") == demo.chains("whole")


def test_a_prompt_longer_than_the_context_is_told(demo: Demo, tmp_path: Path) -> None:
    long = Demo(tmp_path)
    long.workspace = demo.workspace
    long.prompts.write_text(json.dumps({"prompt": "How do I build a shelf? " * 400}) + "\n")
    process = long.start("long")
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "context" in stderr
    assert [row.error_kind for row in long.index("long").values()] == ["ContextLengthError"]
