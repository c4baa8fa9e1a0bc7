"""The two sides of every ratio: the workbench's own runner, and a bare loop over httpx.

Both run in this process, in turns, against one server; the bare loop sends the very bodies that
the runner sent. Its CPU seconds are this process's, so the server must be another one.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from cai_core.inference.engine import Endpoint
from cai_core.inference.pool import EnginePool
from cai_core.inference.transport import Transport
from cai_core.pipeline.connect import SPARE_CHAINS
from cai_core.pipeline.critique_revision import prepare
from cai_core.pipeline.recipe import ChainRecipe, ReviseRecipe
from cai_core.pipeline.revise import KIND, run_revise
from cai_core.pipeline.steps import FewShot
from cai_core.records import Constitution, Prompt
from cai_core.workspace.runs import create_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One side's turn.

    Attributes:
        tokens: completion tokens that came.
        cpu_seconds: of this process.
    """

    requests: int
    tokens: int
    seconds: float
    cpu_seconds: float

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds

    @property
    def cpu_per_thousand(self) -> float:
        """CPU seconds of the client for 1,000 requests."""
        return 1000 * self.cpu_seconds / self.requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it went over the wire."""

    path: str
    body: dict[str, Any]


class Clock:
    """Wall and CPU seconds from its making on."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu()

    def stop(self, requests: int, tokens: int) -> Turn:
        return Turn(
            requests=requests,
            tokens=tokens,
            seconds=time.perf_counter() - self._wall,
            cpu_seconds=_cpu() - self._cpu,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the runner is to do."""

    prompts: Sequence[Prompt]
    constitution: Constitution
    recipe: ChainRecipe
    few_shot: FewShot = ()


async def run_pipeline(
    endpoint: Endpoint, work: Work, concurrency: int, folder: Path, name: str
) -> Turn:
    """The whole of `revise`: a run folder, durable rows, chains.jsonl at its end."""
    recipe = ReviseRecipe(
        model=endpoint.model_id,
        constitution=work.constitution.name,
        constitution_hash=work.constitution.hash,
        prompts=name,
        prompts_hash=name,
        chain=work.recipe,
    )
    run = create_run(folder / name, kind=KIND, recipe=recipe.as_dict())
    tokens = 0

    def count(progress: Any) -> None:
        nonlocal tokens
        tokens = progress.tokens

    async with EnginePool([endpoint], concurrency=concurrency, first_limit=concurrency) as pool:
        setup = await prepare(
            work.recipe, work.constitution, pool, few_shot=work.few_shot, run_id="bench"
        )
        clock = Clock()
        # As `revise` does it: never more than `concurrency` requests at once, and some chains
        # more than that open, so that a slot need not wait for the disk.
        chains = concurrency + concurrency // SPARE_CHAINS
        batch = await run_revise(run, work.prompts, setup, concurrency=chains, on_progress=count)
        turn = clock.stop(batch.generated, tokens)
    if batch.failed:
        raise RuntimeError(f"{batch.failed} chains failed: {batch.first_error}")
    return turn


async def run_bare(endpoint: Endpoint, requests: Sequence[Request], concurrency: int) -> Turn:
    """As many workers as slots, each taking the next request; answers are read and counted."""
    headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
    limits = httpx.Limits(
        max_connections=concurrency, max_keepalive_connections=concurrency, keepalive_expiry=4.0
    )
    tokens = 0
    waiting = iter(requests)
    async with httpx.AsyncClient(
        base_url=endpoint.base_url, headers=headers, limits=limits, timeout=600, trust_env=False
    ) as http:
        clock = Clock()

        async def work() -> None:
            nonlocal tokens
            for request in waiting:
                answer = await _post(http, request)
                tokens += int(answer["usage"]["completion_tokens"])

        await asyncio.gather(*(work() for _ in range(concurrency)))
        return clock.stop(len(requests), tokens)


async def _post(http: httpx.AsyncClient, request: Request) -> dict[str, Any]:
    for _ in range(3):  # a kept connection that the server closes this moment
        try:
            response = await http.post(request.path, json=request.body)
        except httpx.TransportError:
            continue
        answer: dict[str, Any] = response.raise_for_status().json()
        return answer
    raise RuntimeError(f"{request.path}: the connection broke three times")


async def record(work: Callable[[], Awaitable[object]]) -> list[Request]:
    """The requests that `work` sends, in order."""
    sent: list[Request] = []
    original = Transport.post

    async def post(self: Transport, path: str, body: dict[str, Any], **kwargs: Any) -> Any:
        sent.append(Request(path=path, body=json.loads(json.dumps(body))))
        return await original(self, path, body, **kwargs)

    Transport.post = post  # type: ignore[method-assign]
    try:
        await work()
    finally:
        Transport.post = original  # type: ignore[method-assign]
    return sent


def compare(
    ours: Callable[[int], Awaitable[Turn]],
    bare: Callable[[int], Awaitable[Turn]],
    repeats: int,
    rate: Callable[[Turn], float],
) -> dict[str, Any]:
    """Both sides `repeats` times, in turns, and in turns first; one round before does not count.

    Returns:
        `ratio` (median of ours ÷ bare, pair by pair), `cpu_ratio` (the same of the client's CPU
        seconds), and the medians and the spread of both sides.
    """
    pairs: list[tuple[Turn, Turn]] = []
    for number in range(repeats + 1):
        if number % 2:
            second = asyncio.run(bare(number))
            first = asyncio.run(ours(number))
        else:
            first = asyncio.run(ours(number))
            second = asyncio.run(bare(number))
        pairs.append((first, second))
    counted = pairs[1:] or pairs
    ratios = sorted(rate(one) / rate(two) for one, two in counted)
    return {
        "ratio": round(statistics.median(ratios), 3),
        "ratio_spread": [round(ratios[0], 3), round(ratios[-1], 3)],
        "cpu_ratio": round(
            statistics.median(one.cpu_per_thousand / two.cpu_per_thousand for one, two in counted),
            3,
        ),
        "ours": _median(one for one, _ in counted),
        "bare": _median(two for _, two in counted),
        "requests": counted[0][0].requests,
        "repeats": len(counted),
    }


def _median(turns: Any) -> dict[str, float]:
    held = list(turns)
    return {
        "requests_per_second": round(statistics.median(t.requests_per_second for t in held), 1),
        "tokens_per_second": round(statistics.median(t.tokens_per_second for t in held), 1),
        "cpu_per_1000": round(statistics.median(t.cpu_per_thousand for t in held), 3),
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
