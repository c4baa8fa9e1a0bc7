"""Runs through servers that misbehave: no row lost, none doubled, each error readable."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cai_core.errors import RunMismatchError, ServerUnavailableError
from cai_core.inference import pool_care
from cai_core.inference.engine import Endpoint
from cai_core.inference.pool import EnginePool
from cai_core.pipeline.critique_revision import BatchResult, prepare
from cai_core.pipeline.recipe import ChainRecipe, ReviseRecipe
from cai_core.pipeline.revise import KIND, STEP, run_revise
from cai_core.pipeline.steps import plan_chain
from cai_core.workspace.rows import Row, RowIndex
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.status import RunState
from tests.faults.faulty_server import FAULTS, FaultyServer, Schedule, serving
from tests.pipeline.makers import make_constitution, make_prompts

RECIPE = ChainRecipe(revisions=2, seed=7)
# What may be read in an error row or a run's reason of each fault that does not pass.
WORDS = {
    "500": "HTTP 500: the engine is unwell",
    "reset": "broke the connection off",
    "half-body": "broke the connection off",
    "garbage": "not a JSON object",
    "shape": "shape that is not OpenAI's",
    "huge": "longer than",
}


def make_run(folder: Path) -> Run:
    recipe = ReviseRecipe(
        model="m",
        constitution="manners",
        constitution_hash=make_constitution().hash,
        prompts="p",
        prompts_hash="h",
        chain=RECIPE,
    )
    return create_run(folder / "run", kind=KIND, recipe=recipe.as_dict())


async def revise(
    run: Run, ports: Sequence[int], count: int, concurrency: int = 16, **limits: Any
) -> BatchResult:
    endpoints = [Endpoint(base_url=f"http://127.0.0.1:{port}", model_id="m") for port in ports]
    limits = {"first_wait": 0.02, "read_seconds": 5.0, "patience": 20.0, **limits}
    async with EnginePool(endpoints, concurrency=concurrency, **limits) as pool:
        setup = await prepare(RECIPE, make_constitution(), pool, run_id=run.run_id)
        return await run_revise(run, make_prompts(count), setup, concurrency=concurrency)


async def answered(server: FaultyServer, count: int) -> None:
    """Return when the server has given that many answers."""
    while server.answered.total() < count:
        await asyncio.sleep(0.005)


def planned(run: Run, count: int) -> set[str]:
    constitution = make_constitution()
    return {
        step.row_id
        for prompt in make_prompts(count)
        for step in plan_chain(RECIPE, constitution, prompt, sample=0, run_id=run.run_id)
    }


def rows_of(run: Run) -> list[Row]:
    index = RowIndex(run, STEP)
    assert index.doubled == 0, "a row was written twice"
    assert index.damaged == 0
    return list(index.values())


def reference_texts(count: int, folder: Path) -> dict[str, str | None]:
    """The texts of a run whose server never misbehaves."""

    async def check() -> None:
        async with serving(FaultyServer(lambda body, before: None)) as port:
            await revise(run, [port], count)

    run = make_run(folder)
    asyncio.run(check())
    return {row.row_id: row.text for row in rows_of(run)}


def at_random(share: float, seed: int, faults: Sequence[str] = FAULTS) -> Schedule:
    """Misbehaves in that share of all first and second tries, the same for a body each time."""

    def schedule(body: dict[str, Any], before: int) -> str | None:
        draw = random.Random(f"{seed}/{before}/{json.dumps(body, sort_keys=True)}")
        return draw.choice(faults) if before < 2 and draw.random() < share else None

    return schedule


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_through_every_fault_ends_as_one_without(tmp_path: Path, seed: int) -> None:
    count = 60
    wanted = reference_texts(count, tmp_path / "calm")
    server = FaultyServer(at_random(0.3, seed))

    async def check() -> BatchResult:
        async with serving(server) as port:
            return await revise(run, [port], count)

    run = make_run(tmp_path / "stormy")
    result = asyncio.run(check())
    assert (result.failed, result.rows) == (0, len(wanted))
    assert {row.row_id: row.text for row in rows_of(run)} == wanted
    assert set(wanted) == planned(run, count)
    # Every true answer was used: nothing that had come was asked for again.
    assert set(server.answered.values()) == {1}


@pytest.mark.parametrize("fault", sorted(WORDS))
def test_a_request_that_always_fails_costs_its_own_row_only(tmp_path: Path, fault: str) -> None:
    def schedule(body: dict[str, Any], before: int) -> str | None:
        first = body["messages"][0]["content"]
        return fault if "thing 3?" in first and len(body["messages"]) > 1 else None

    async def check() -> BatchResult:
        async with serving(FaultyServer(schedule)) as port:
            return await revise(run, [port], 12)

    run = make_run(tmp_path)
    result = asyncio.run(check())
    assert (result.failed, result.chains) == (1, 12)
    errors = [row for row in rows_of(run) if row.error]
    assert [row.error_kind for row in errors] == ["RequestFailedError"]
    assert WORDS[fault] in str(errors[0].error)
    assert run.status().state is RunState.SUCCEEDED


def test_a_refused_row_is_final_and_asked_once(tmp_path: Path) -> None:
    def schedule(body: dict[str, Any], before: int) -> str | None:
        return "400" if "thing 3?" in body["messages"][-1]["content"] else None

    server = FaultyServer(schedule)

    async def check() -> BatchResult:
        async with serving(server) as port:
            return await revise(run, [port], 6)

    run = make_run(tmp_path)
    assert asyncio.run(check()).failed == 1
    (error,) = [row.error for row in rows_of(run) if row.error]
    assert "this prompt is refused" in error
    assert set(server.asked.values()) == {1}


def test_retry_after_is_obeyed_and_the_load_falls(tmp_path: Path) -> None:
    """A server that sends away all beyond four at once is soon given no more than it takes."""
    server = FaultyServer(lambda body, before: "429" if server.running > 4 else None)
    server.latency = 0.02

    async def check() -> BatchResult:
        async with serving(server) as port:
            return await revise(run, [port], 60, concurrency=32)

    run = make_run(tmp_path)
    result = asyncio.run(check())
    assert (result.failed, result.rows) == (0, 300)
    refusals = sum(server.asked.values()) - 300
    assert 0 < refusals < 150, f"{refusals} of 300 requests were sent away"


def test_a_server_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    wanted = reference_texts(40, tmp_path / "calm")
    run = make_run(tmp_path / "run")
    server = FaultyServer(lambda body, before: None)
    server.latency = 0.01

    async def check() -> BatchResult:
        async with serving(server) as port:
            task = asyncio.create_task(revise(run, [port], 40))
            await answered(server, 20)
        assert not task.done()
        await asyncio.sleep(1.0)
        async with serving(server, port):
            return await task

    assert asyncio.run(check()).failed == 0
    assert {row.row_id: row.text for row in rows_of(run)} == wanted
    # Asked again: only what was under way when it went.
    assert sum(server.asked.values()) - len(wanted) <= 16 + 3


def test_a_server_that_stays_away_interrupts_the_run_which_goes_on_later(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    server = FaultyServer(lambda body, before: None)
    server.latency = 0.01

    async def check() -> None:
        async with serving(server) as port:
            task = asyncio.create_task(revise(run, [port], 40, patience=0.6))
            await answered(server, 20)
        started = time.monotonic()
        with pytest.raises(ServerUnavailableError, match=r"cannot be reached.*Waited"):
            await task
        assert time.monotonic() - started < 5

    asyncio.run(check())
    assert run.status().state is RunState.INTERRUPTED
    before = len(rows_of(run))
    assert 0 < before < 200

    async def go_on() -> None:
        async with serving(server) as port:
            await revise(run, [port], 40)

    asyncio.run(go_on())
    assert {row.row_id for row in rows_of(run)} == planned(run, 40)
    assert max(Counter(row.row_id for row in rows_of(run)).values()) == 1


def test_another_model_on_the_port_is_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Here the other one is there within milliseconds, and may leave no request broken.
    monkeypatch.setattr(pool_care, "TRUST_SECONDS", 0.0)
    run = make_run(tmp_path)

    async def check() -> None:
        ours, other = (FaultyServer(lambda body, before: None) for _ in range(2))
        ours.latency, other.weights = 0.01, "w2"
        async with serving(ours) as port:
            task = asyncio.create_task(revise(run, [port], 40))
            await answered(ours, 20)
        async with serving(other, port):
            with pytest.raises(RunMismatchError, match="other weights"):
                await task
        # A few may have been asked before the break was noticed; none of it was taken.
        assert len(rows_of(run)) <= sum(ours.answered.values())

    asyncio.run(check())
    assert {row.weights_hash for row in rows_of(run)} == {"w1"}


def test_a_hanging_server_is_noticed_and_its_requests_are_asked_again(tmp_path: Path) -> None:
    """Everything hangs from the 20th request on, the canary too, for two seconds."""
    state = {"hangs": False}
    server = FaultyServer(lambda body, before: "hang" if state["hangs"] else None)
    server.latency = 0.01

    async def check() -> BatchResult:
        async with serving(server) as port:
            limits = {"read_seconds": 60.0, "stall_seconds": 0.5}
            task = asyncio.create_task(revise(run, [port], 40, **limits))
            await answered(server, 20)
            state["hangs"] = True
            await asyncio.sleep(2.5)
            assert not task.done()
            state["hangs"] = False
            return await task

    run = make_run(tmp_path)
    started = time.monotonic()
    assert asyncio.run(check()).failed == 0
    assert time.monotonic() - started < 20, "the hang was waited for"
    assert {row.row_id for row in rows_of(run)} == planned(run, 40)


def test_a_slow_server_is_not_taken_for_a_hung_one(tmp_path: Path) -> None:
    server = FaultyServer(lambda body, before: None)
    server.latency = 1.0

    async def check() -> BatchResult:
        async with serving(server) as port:
            return await revise(run, [port], 4, stall_seconds=1.2)

    run = make_run(tmp_path)
    assert asyncio.run(check()).failed == 0
    assert max(server.asked[key] for key in server.asked if '"Hi"' not in key) == 1


def test_two_servers_share_the_load_and_stand_in_for_each_other(tmp_path: Path) -> None:
    wanted = reference_texts(60, tmp_path / "calm")
    run = make_run(tmp_path / "run")
    both = [FaultyServer(lambda body, before: None) for _ in range(2)]
    for server in both:
        server.latency = 0.01

    async def check() -> BatchResult:
        async with serving(both[0]) as first:
            async with serving(both[1]) as second:
                task = asyncio.create_task(revise(run, [first, second], 60))
                while not task.done() and min(s.answered.total() for s in both) < 30:
                    await asyncio.sleep(0.005)
            return await task

    assert asyncio.run(check()).failed == 0
    assert {row.row_id: row.text for row in rows_of(run)} == wanted
    shares = [sum(server.answered.values()) for server in both]
    assert min(shares) >= 30, shares


def test_servers_of_two_models_are_refused() -> None:
    async def check() -> None:
        both = [FaultyServer(lambda body, before: None) for _ in range(2)]
        both[1].weights = "w2"
        async with serving(both[0]) as first, serving(both[1]) as second:
            endpoints = [
                Endpoint(base_url=f"http://127.0.0.1:{port}", model_id="m")
                for port in (first, second)
            ]
            async with EnginePool(endpoints, concurrency=4) as pool:
                with pytest.raises(ServerUnavailableError, match="different models"):
                    await pool.info()

    asyncio.run(check())


def test_a_cancelled_run_keeps_every_answer_that_had_come(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    server = FaultyServer(lambda body, before: None)
    server.latency = 0.01

    async def check() -> None:
        async with serving(server) as port:
            task = asyncio.create_task(revise(run, [port], 200))
            await answered(server, 50)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert server.answered.total() - len(rows_of(run)) <= 16
            await revise(run, [port], 200)

    asyncio.run(check())
    assert {row.row_id for row in rows_of(run)} == planned(run, 200)
    assert max(server.answered.values()) <= 2
