"""The queue keeps its order through restarts, whoever changes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.errors import WorkspaceError
from cai_core.jobs.queue import FILE, Queue, hold_queue, load_queue

ROOT = Path(__file__).resolve().parents[2]
IDS = ("a", "b", "c", "d")


def fill(workspace: Path, *runs: str) -> None:
    with hold_queue(workspace) as queue:
        for run in runs:
            queue.enqueue(run)


def test_runs_keep_their_order_and_none_is_there_twice(tmp_path: Path) -> None:
    assert load_queue(tmp_path) == []
    fill(tmp_path, *IDS)
    fill(tmp_path, "b")
    assert load_queue(tmp_path) == list(IDS)


@pytest.mark.parametrize(
    ("run", "place", "order"),
    [("c", 1, "cabd"), ("a", 2, "bacd"), ("a", 4, "bcda"), ("a", 99, "bcda"), ("b", 2, "abcd")],
)
def test_a_run_moves_to_its_place(tmp_path: Path, run: str, place: int, order: str) -> None:
    fill(tmp_path, *IDS)
    with hold_queue(tmp_path) as queue:
        queue.move(run, place)
    assert load_queue(tmp_path) == list(order)


@pytest.mark.parametrize(("run", "place", "told"), [("x", 1, "not in the queue"), ("a", 0, "is 1")])
def test_a_move_that_cannot_be_is_refused(tmp_path: Path, run: str, place: int, told: str) -> None:
    fill(tmp_path, *IDS)
    with hold_queue(tmp_path) as queue, pytest.raises(WorkspaceError, match=told):
        queue.move(run, place)
    assert load_queue(tmp_path) == list(IDS)


@given(st.lists(st.tuples(st.sampled_from("emr"), st.sampled_from(IDS), st.integers(1, 5))))
def test_any_changes_keep_each_run_once(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, str, int]]
) -> None:
    workspace = tmp_path_factory.mktemp("queue")
    queue, wanted = Queue(workspace), list[str]()
    for what, run, place in changes:
        if what == "e" and run not in wanted:
            wanted.append(run)
        elif what == "r" and run in wanted:
            wanted.remove(run)
        elif what == "m" and run in wanted:
            wanted.remove(run)
            wanted.insert(place - 1, run)
        if what == "e":
            queue.enqueue(run)
        elif what == "r":
            queue.remove(run)
        elif run in queue.runs:
            queue.move(run, place)
        assert list(queue.runs) == load_queue(workspace) == wanted


def test_processes_that_enqueue_at_once_lose_none(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from cai_core.jobs.queue import hold_queue\n"
        "for n in range(20):\n"
        "    with hold_queue(Path(sys.argv[1])) as queue: queue.enqueue(f'{sys.argv[2]}{n}')\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name], cwd=ROOT)
        for name in ("a", "b", "c")
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    found = load_queue(tmp_path)
    assert len(found) == 60
    for name in ("a", "b", "c"):
        mine = [run for run in found if run[0] == name]
        assert mine == [f"{name}{n}" for n in range(20)]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 9, "runs": []}', '{"format": 1}'])
def test_a_broken_queue_is_told_and_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(WorkspaceError, match="Move it away"), hold_queue(tmp_path):
        pass
    assert (tmp_path / FILE).read_text() == text
