"""Turns: who goes first, how many at once, and what the watch reads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cai_core.errors import RequestFailedError, ServerUnavailableError
from cai_core.inference.engine import Endpoint
from cai_core.inference.metrics import sum_metrics
from cai_core.inference.pool import EnginePool
from cai_core.records import Message, SamplingParams
from tests.faults.faulty_server import FaultyServer, serving

PARAMS = SamplingParams(max_tokens=5)


def true_server(latency: float = 0.0) -> FaultyServer:
    server = FaultyServer(lambda body, before: None)
    server.latency = latency
    return server


async def ask(pool: EnginePool, seed: int, **fields: Any) -> None:
    await pool.generate((Message("user", f"q{seed}"),), PARAMS, seed=seed, **fields)


def open_pool(port: int, concurrency: int) -> EnginePool:
    endpoint = Endpoint(base_url=f"http://127.0.0.1:{port}", model_id="m")
    return EnginePool([endpoint], concurrency=concurrency, first_wait=0.01)


def test_never_more_at_once_than_the_ceiling() -> None:
    async def check() -> None:
        server = true_server(0.005)
        async with serving(server) as port, open_pool(port, 5) as pool:
            await asyncio.gather(*(ask(pool, n) for n in range(40)))
            assert server.most_running == 5
            assert pool.load.in_flight == pool.load.waiting == 0

    asyncio.run(check())


def test_the_lowest_number_goes_first_and_equals_in_their_order() -> None:
    async def check() -> None:
        server = true_server(0.002)
        async with serving(server) as port, open_pool(port, 1) as pool:
            await pool.info()
            first = asyncio.create_task(ask(pool, 0))
            await asyncio.sleep(0)
            numbers = [3, 1, 2, 1, 0]
            waiting = [
                asyncio.create_task(ask(pool, 10 + place, priority=number))
                for place, number in enumerate(numbers)
            ]
            await asyncio.gather(first, *waiting)
            assert list(server.answered) == [0, 14, 11, 13, 12, 10]

    asyncio.run(check())


def test_a_cancelled_turn_leaves_its_slot_to_others() -> None:
    async def check() -> None:
        server = true_server(0.02)
        async with serving(server) as port, open_pool(port, 2) as pool:
            tasks = [asyncio.create_task(ask(pool, n)) for n in range(12)]
            await asyncio.sleep(0.01)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert pool.load.in_flight == pool.load.waiting == 0
            await ask(pool, 99)

    asyncio.run(check())


@pytest.mark.parametrize(
    ("fault", "told", "times", "kind"),
    [
        ("half-stream", [], 5, RequestFailedError),
        ("cut-stream", ["I answer"], 1, ServerUnavailableError),
    ],
)
def test_what_was_told_is_not_asked_again(
    fault: str, told: list[str], times: int, kind: type[Exception]
) -> None:
    async def check() -> None:
        server = FaultyServer(lambda body, before: fault)
        async with serving(server) as port, open_pool(port, 2) as pool:
            heard: list[str] = []
            with pytest.raises(kind, match="broke the connection off"):
                await asyncio.wait_for(ask(pool, 1, on_text=heard.append), 20)
            assert heard == told
            assert server.asked.total() == times

    asyncio.run(check())


def test_metrics_are_read_and_summed_over_engines() -> None:
    text = """# HELP vllm:num_requests_running Number
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 9.0
vllm:generation_tokens_total{engine="0",model_name="m"} 1.234e+06
python_info{x="y"} 1.0
"""
    assert sum_metrics(text) == {
        "num_requests_running": 7.0,
        "num_requests_waiting": 1.0,
        # Another name that begins alike is another number.
        "num_requests_waiting_by_reason": 9.0,
        "generation_tokens_total": 1.234e6,
    }
    assert sum_metrics("<html>") == {}
