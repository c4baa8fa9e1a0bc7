"""Managed vLLMs make room for a training run and come back. The vLLM is a fake one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cai_core.inference.endpoints import EndpointBook
from cai_core.inference.vllm_server import ensure_vllm, find_vllm
from cai_core.jobs import dispatcher as dispatching
from cai_core.jobs.dispatcher import Dispatcher
from cai_core.jobs.gpu_room import GpuRoom
from cai_core.jobs.limits import Limits
from cai_core.jobs.queue import hold_queue
from cai_core.workspace.endpoints import write_endpoints
from cai_core.workspace.runs import create_run
from tests.inference.vllm_workplace import QUICK, Install, wait_for, workplace


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    with workplace(tmp_path, monkeypatch) as make:
        yield make


def test_what_is_put_away_comes_back_even_after_a_kill(install: Install, tmp_path: Path) -> None:
    config, _ = install()
    write_endpoints(tmp_path, EndpointBook(endpoints={"local": config}))
    GpuRoom(tmp_path).give_back()  # nothing is away
    assert find_vllm(config, tmp_path).state == "absent"
    ensure_vllm(config, tmp_path, times=QUICK)
    room = GpuRoom(tmp_path, times=QUICK)
    room.make()
    room.make()
    assert find_vllm(config, tmp_path).state == "absent"
    # The next dispatcher's: it knows from the file.
    GpuRoom(tmp_path, times=QUICK).give_back()
    wait_for(config, tmp_path, "ready")


def test_one_that_was_started_by_hand_stays(install: Install, tmp_path: Path) -> None:
    config, _ = install()
    ensure_vllm(config, tmp_path, times=QUICK)
    GpuRoom(tmp_path, times=QUICK).make()
    assert find_vllm(config, tmp_path).state == "ready"


class Room:
    """Writes down what it is asked, in the place of a GPU that this machine has not."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def make(self) -> None:
        self.told.append("make")

    def give_back(self) -> None:
        self.told.append("give back")


class NoWorkers:
    """Workers that are begun and end when the test says so."""

    def __init__(self, *_: object) -> None:
        self.kinds: list[str] = []

    def __len__(self) -> int:
        return len(self.kinds)

    def __contains__(self, _: object) -> bool:
        return False

    def count(self, _: str) -> int:
        return len(self.kinds)

    @property
    def training(self) -> bool:
        return "sft" in self.kinds

    def look(self) -> None:
        pass

    def begin(self, queue, candidate) -> None:
        self.kinds.append(candidate.run.kind)
        queue.remove(candidate.run.run_id)


def test_room_is_made_before_training_and_given_back_when_none_is_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching, "Workers", NoWorkers)
    room = Room()
    made = Dispatcher(tmp_path, Limits(), room)  # type: ignore[arg-type]
    workers = made._workers
    for number, kind in enumerate(("sft", "sft", "revise")):
        run = create_run(tmp_path / "runs" / f"r{number}", kind=kind, recipe={"model": "demo"})
        with hold_queue(tmp_path) as queue:
            queue.enqueue(run.run_id)
    made.tick()  # the first begins
    made.tick()  # and is at work
    assert (room.told, workers.kinds) == (["make"], ["sft"])
    workers.kinds.clear()
    made.tick()  # the second follows: nothing is brought back in between
    assert (room.told, workers.kinds) == (["make", "make"], ["sft"])
    workers.kinds.clear()
    made.tick()
    assert (room.told, workers.kinds) == (["make", "make", "give back"], ["revise"])


def test_training_waits_for_those_that_may_use_what_is_put_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching, "Workers", NoWorkers)
    room = Room()
    limits = Limits(slots={"accelerator": 2, "remote": 4})
    made = Dispatcher(tmp_path, limits, room)  # type: ignore[arg-type]
    workers = made._workers
    for number, kind in enumerate(("revise", "sft", "revise")):
        run = create_run(tmp_path / "runs" / f"r{number}", kind=kind, recipe={"model": "demo"})
        with hold_queue(tmp_path) as queue:
            queue.enqueue(run.run_id)
    for _ in range(3):
        made.tick()
    assert workers.kinds == ["revise"]  # and nobody gets ahead of the training run
    assert "make" not in room.told
    workers.kinds.clear()
    made.tick()
    assert (room.told[-1], workers.kinds) == ("make", ["sft"])
