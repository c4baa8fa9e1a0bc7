"""kill -9 in the middle of a run: every row once, and only what was under way is asked again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cai_core.inference.launcher import stop_server
from cai_core.inference.server_record import ServerFiles, load_record
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import open_run
from cai_core.workspace.status import RunState
from tests.faults.faulty_server import FaultyServer, compute_answer, serving

REPOSITORY = Path(__file__).resolve().parents[2]
CHAINS = 2000
ROWS = 3 * CHAINS
CONCURRENCY = 32


@pytest.fixture
def server() -> Iterator[tuple[FaultyServer, int]]:
    """A true server on a thread of its own."""
    faultless = FaultyServer(lambda body, before: None)
    ready, stop = threading.Event(), asyncio.Event()
    held: dict[str, int] = {}
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with serving(faultless) as held["port"]:
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    yield faultless, held["port"]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


def start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cai_core", "revise", str(folder / "prompts.jsonl")]
    command += ["--constitution", "harmlessness", "--revisions", "1", "--seed", "3"]
    command += ["--model", f"http://127.0.0.1:{port}#m", "--out", str(folder / "run")]
    command += ["--concurrency", str(CONCURRENCY)]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdout=log,
            stderr=log,
            env={**os.environ, "CAI_WORKSPACE": str(folder / "workspace")},
        )


def count_rows(folder: Path) -> int:
    """Lines in the row files, their headers left out."""
    files = list((folder / "run" / "rows").glob("*.jsonl"))
    return sum(max(0, file.read_bytes().count(b"\n") - 1) for file in files)


@pytest.mark.timeout(600)
def test_a_run_killed_three_times(tmp_path: Path, server: tuple[FaultyServer, int]) -> None:
    faultless, port = server
    lines = [json.dumps({"prompt": f"How do I do thing {n}?"}) for n in range(CHAINS)]
    (tmp_path / "prompts.jsonl").write_text("\n".join(lines) + "\n")
    for part in (1, 2, 3):
        process = start(tmp_path, port)
        deadline = time.monotonic() + 120
        while count_rows(tmp_path) < part * ROWS // 4:
            assert process.poll() is None, (tmp_path / "log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        run = open_run(tmp_path / "run")
        assert run.status().state is RunState.INTERRUPTED
    assert start(tmp_path, port).wait(240) == 0, (tmp_path / "log").read_text()[-2000:]

    run = open_run(tmp_path / "run")
    index = RowIndex(run, "chain")
    assert run.status().state is RunState.SUCCEEDED
    assert (len(index), index.doubled, index.late_bytes) == (ROWS, 0, 0)
    texts = {json.loads(key)["seed"]: compute_answer(json.loads(key)) for key in faultless.asked}
    assert all(row.text == texts[row.seed] for row in index.values())
    # Each kill costs what was asked, or written in half, at that moment: at most one request a
    # slot, and one row more that was answered while the disk was waited for.
    again = faultless.asked.total() - ROWS
    assert 0 <= again <= 3 * 2 * CONCURRENCY, again
    chains = (tmp_path / "run" / "outputs" / "chains.jsonl").read_text().splitlines()
    assert len({json.loads(line)["prompt_id"] for line in chains}) == CHAINS


def test_a_run_outlives_the_bundled_server(tmp_path: Path) -> None:
    """The server is killed twice; it is started again, on another port and with another key."""
    workspace = tmp_path / "workspace"
    record = ServerFiles.of(workspace, "demo").record
    command = [sys.executable, "-m", "cai_core", "revise", "data/prompts/redteam.jsonl"]
    command += ["--constitution", "harmlessness", "--revisions", "1", "--seed", "3"]
    command += ["--model", "demo", "--limit", "120"]
    environment = {**os.environ, "CAI_WORKSPACE": str(workspace)}

    def run(out: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*command, "--out", str(tmp_path / out)],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    try:
        process = run("run")
        for rows in (60, 180):
            deadline = time.monotonic() + 120
            while count_rows(tmp_path) < rows:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.02)
            held = load_record(record)
            assert held is not None
            os.kill(held.pid, signal.SIGKILL)
        assert process.wait(200) == 0
        index = RowIndex(open_run(tmp_path / "run"), "chain")
        assert (len(index), index.doubled) == (360, 0)
        assert not any(row.error for row in index.values())
        # The same bytes as a run that nobody disturbed.
        assert run("calm").wait(200) == 0
        chains = [tmp_path / out / "outputs" / "chains.jsonl" for out in ("run", "calm")]
        assert chains[0].read_bytes() == chains[1].read_bytes()
    finally:
        stop_server("demo", workspace)
