"""A `revise` run on a thread of its own, against a server that a test does things to meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from pathlib import Path

from cai_core.inference.engine import Endpoint
from cai_core.inference.pool import EnginePool
from cai_core.pipeline.critique_revision import BatchResult, prepare
from cai_core.pipeline.recipe import ChainRecipe, ReviseRecipe
from cai_core.pipeline.revise import KIND, STEP, run_revise
from cai_core.pipeline.steps import plan_chain
from cai_core.records import SamplingParams
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import create_run
from tests.pipeline.makers import make_constitution, make_prompts

SHORT = SamplingParams(max_tokens=12)
RECIPE = ChainRecipe(revisions=1, seed=5, policy_sampling=SHORT, critic_sampling=SHORT)
CONCURRENCY = 16


class Revising:
    """Begins at once; ends by itself."""

    def __init__(self, endpoint: Endpoint, folder: Path, chains: int) -> None:
        self._endpoint, self._chains = endpoint, chains
        recipe = ReviseRecipe(
            model=endpoint.model_id,
            constitution="manners",
            constitution_hash=make_constitution().hash,
            prompts="p",
            prompts_hash="h",
            chain=RECIPE,
        )
        self._run = create_run(folder / "run", kind=KIND, recipe=recipe.as_dict())
        self._result: BatchResult | None = None
        self._error: BaseException | None = None
        self.sent: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def count_rows(self) -> int:
        """Rows on disk by now."""
        if self._error is not None:
            raise self._error
        files = (self._run.path / "rows").glob("*.jsonl")
        return sum(max(0, file.read_bytes().count(b"\n") - 1) for file in files)

    def check_whole(self) -> None:
        """Wait for the end: every row once, none of them an error, few asked for again."""
        self._thread.join(600)
        assert not self._thread.is_alive(), "the run did not end"
        if self._error is not None:
            raise self._error
        assert self._result is not None and self._result.failed == 0, self._result
        index = RowIndex(self._run, STEP)
        planned = {
            step.row_id
            for prompt in make_prompts(self._chains)
            for step in plan_chain(
                RECIPE, make_constitution(), prompt, sample=0, run_id=self._run.run_id
            )
        }
        assert set(index) == planned
        assert (index.doubled, index.damaged) == (0, 0)
        again = self.sent.total() - len(planned)
        print(f"{len(planned)} rows, {again} requests sent again")
        # What was under way when the server went, and at most one try each while it was down.
        assert again <= 2 * CONCURRENCY, again

    def _work(self) -> None:
        try:
            self._result = asyncio.run(self._revise())
        except BaseException as error:  # noqa: BLE001  # raised where the test waits
            self._error = error

    async def _revise(self) -> BatchResult:
        async with EnginePool([self._endpoint], concurrency=CONCURRENCY) as pool:
            counting = CountingPool(pool, self.sent)
            setup = await prepare(RECIPE, make_constitution(), counting, run_id=self._run.run_id)
            prompts = make_prompts(self._chains)
            return await run_revise(self._run, prompts, setup, concurrency=CONCURRENCY)


class CountingPool:
    """Counts what the pool's clients send, tries that failed included."""

    def __init__(self, pool: EnginePool, sent: Counter[str]) -> None:
        self._pool = pool
        for server in pool._servers:
            attempt = server.client.attempt

            async def counted(*args: object, _attempt=attempt, **kwargs: object) -> object:  # type: ignore[no-untyped-def]
                if "seed" in kwargs and kwargs["seed"] != 0:  # canaries have seed 0
                    sent[str(kwargs["seed"])] += 1
                return await _attempt(*args, **kwargs)

            server.client.attempt = counted  # type: ignore[method-assign]
        self.info = pool.info
        self.generate = pool.generate
