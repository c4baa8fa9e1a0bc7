"""The `revise` stage from launched models to outputs: what the command line and workers share."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from cai_core.pipeline.connect import Launched
from cai_core.pipeline.critique_revision import BatchResult, ChainSetup, prepare
from cai_core.pipeline.progress import Progress
from cai_core.pipeline.recipe import ChainRecipe
from cai_core.pipeline.revise import run_revise
from cai_core.pipeline.steps import FewShot
from cai_core.records import Constitution, Prompt
from cai_core.workspace.runs import Run


def list_models(model: str, critic_model: str | None) -> list[str]:
    """The models to launch: the policy, and the critic where it is another one."""
    return list(dict.fromkeys([model, critic_model or model]))


async def run_revise_stage(
    models: Sequence[Launched],
    recipe: ChainRecipe,
    prompts: Sequence[Prompt],
    constitution: Constitution,
    few_shot: FewShot,
    *,
    begin: Callable[[ChainSetup], tuple[Run, ChainSetup]],
    concurrency: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> BatchResult:
    """Open the models' pools, begin the run, generate. SIGTERM cancels, and keeps what is durable.

    Args:
        models: as `list_models` orders them.
        begin: called with models that answer; gives the run, and the setup where it changes it.
        concurrency: the most requests at once at each server; None leaves it to the endpoints.

    Raises:
        CaiError: as `prepare`, `begin` and `run_revise`.
    """
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with AsyncExitStack() as stack:
        pools = [await stack.enter_async_context(model.open(concurrency)) for model in models]
        policy, *others = pools
        critic = others[0] if others else None
        run, setup = begin(await prepare(recipe, constitution, policy, critic, few_shot=few_shot))
        return await run_revise(
            run,
            prompts,
            replace(setup, run_id=run.run_id),
            concurrency=models[0].count_chains(concurrency),
            on_progress=on_progress,
            prices={"policy": models[0].price, "critic": models[-1].price},
            trouble=lambda: tuple(fault for pool in pools for fault in pool.load.down),
        )
