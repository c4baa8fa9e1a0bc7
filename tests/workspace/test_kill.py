"""kill -9 of a real writer, again and again: no acknowledged row lost, none doubled."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import create_run
from cai_core.workspace.status import RunState

KILLS = 20
WRITER = """
import sys
from itertools import count
from pathlib import Path
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import open_run
from cai_core.workspace.writer import RunWriter
from tests.workspace.rows_of import make_row

run = open_run(Path(sys.argv[1]))
with RunWriter(run) as writer:
    durable = RowIndex(run, "chain")
    for n in count():
        row = make_row(prompt_id=f"p#{n}", text="long text 👩 " * 400)
        if row.row_id not in durable:
            writer.append_rows("chain", [row.as_dict()])
            print(row.row_id, flush=True)
"""


def test_killed_many_times_nothing_acknowledged_is_lost_and_nothing_doubled(
    tmp_path: Path,
) -> None:
    run = create_run(tmp_path / "run", kind="test", recipe={"n": 1})
    delays = random.Random(5)
    acknowledged: list[str] = []
    for _ in range(KILLS):
        command = [sys.executable, "-c", WRITER, str(run.path)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(delays.uniform(0, 0.03))
        writer.kill()
        lines = [first, *writer.stdout.readlines()]
        writer.wait()
        writer.stdout.close()
        acknowledged += [line.strip() for line in lines if line.endswith("\n")]
        assert run.status().state is RunState.INTERRUPTED
    index = RowIndex(run, "chain")
    assert len(acknowledged) == len(set(acknowledged)) >= KILLS
    assert set(acknowledged) <= set(index)
    assert index.doubled == 0
    # What is there is a gapless sequence: what was in flight was generated again, only that.
    numbers = sorted(int(row.prompt_id[2:]) for row in index.values())
    assert numbers == list(range(len(numbers)))
    assert len(run.row_files("chain")) == KILLS
