"""Critique and revision (arXiv 2212.08073, section 3): one chain, or many side by side.

    initial response → (critique → revision) × n

A chain knows its rows' ids and seeds before it starts, so what is durable is taken instead of
asked for again, and its texts do not depend on what else runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace

from cai_core.errors import RunMismatchError
from cai_core.pipeline.generate import (
    ChainSetup,
    Observer,
    SilentObserver,
    generate_row,
    get_info,
    prepare,
)
from cai_core.pipeline.progress import Prices, Progress, ProgressMeter
from cai_core.pipeline.recipe import ChainRecipe
from cai_core.pipeline.steps import get_template_version, plan_chain
from cai_core.records import Finding, ModelInfo, Prompt
from cai_core.workspace.rows import Row

__all__ = [
    "BatchResult",
    "Chain",
    "ChainSetup",
    "Observer",
    "SilentObserver",
    "prepare",
    "run_batch",
    "run_chain",
]


# A server that is waited for brings no row, and is to be told of all the same.
_TELL_SECONDS = 1.0
# Returns when the row is durable.
Write = Callable[[Row], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One prompt's whole sequence, as far as it came.

    Attributes:
        rows: in order; the last one is an error row where the chain failed.
    """

    prompt: Prompt
    sample: int
    rows: tuple[Row, ...]

    @property
    def error(self) -> str | None:
        """Why the chain ended early, None when it did not."""
        return self.rows[-1].error if self.rows else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """What a batch came to.

    Attributes:
        failed: chains that ended in an error row.
        first_error: of the failed chain that comes first in order, None when none failed.
        generated: rows asked for now; the others were durable.
        unparsed: critiques whose finding could not be read.
        cut_short: texts that ended at the token limit.
    """

    chains: int = 0
    failed: int = 0
    first_error: str | None = None
    rows: int = 0
    generated: int = 0
    unparsed: int = 0
    cut_short: int = 0


async def run_chain(
    prompt: Prompt,
    setup: ChainSetup,
    *,
    sample: int = 0,
    durable: Mapping[str, Row] | None = None,
    write: Write | None = None,
    observer: Observer | None = None,
    priority: int = 0,
) -> Chain:
    """Run one chain; cancelling the task keeps what `write` was given before.

    A row that the server refuses (4xx) or the template cannot render ends the chain with an
    error row.

    Args:
        durable: rows by id that need not be generated again.
        write: makes a finished row durable before the next step begins.
        priority: see `Engine.generate`.

    Raises:
        ServerUnavailableError: the server is gone.
        RequestRejectedError: it refuses every request (key, model name, rate).
        RunMismatchError: a durable row comes from another model or template version.
    """
    observer = observer or SilentObserver()
    rows: list[Row] = []
    plan = plan_chain(setup.recipe, setup.constitution, prompt, sample=sample, run_id=setup.run_id)
    for step in plan:
        row = (durable or {}).get(step.row_id)
        if row is None:
            row = await generate_row(step, setup, prompt, sample, rows, observer, priority)
            if write is not None:
                await write(row)
        else:
            _check_same_origin(row, get_info(setup, step), recipe=setup.recipe)
        rows.append(row)
        observer.step_finished(row)
        if row.error is not None:
            break
    return Chain(prompt=prompt, sample=sample, rows=tuple(rows))


async def run_batch(
    prompts: Sequence[Prompt],
    setup: ChainSetup,
    *,
    concurrency: int,
    durable: Mapping[str, Row] | None = None,
    write: Write | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    observe: Callable[[Prompt, int], Observer] | None = None,
    prices: Prices | None = None,
    trouble: Callable[[], tuple[str, ...]] = tuple,
) -> BatchResult:
    """Run every chain of every prompt, depth first, at most `concurrency` at a time.

    Where the engine gives out turns, older chains go first. Nothing of a finished chain is held;
    read the texts from where `write` put them. Progress is told with each row, and once a second.

    Raises:
        ServerUnavailableError, RequestRejectedError, RunMismatchError: as `run_chain`. The
            other chains are stopped; what was written is kept.
    """
    recipe = setup.recipe
    meter = ProgressMeter(
        len(prompts) * recipe.samples,
        recipe.rows_per_chain,
        on_progress,
        prices=prices,
        trouble=trouble,
    )
    tally = _Tally()
    chains = enumerate((prompt, sample) for prompt in prompts for sample in range(recipe.samples))

    async def write_counted(row: Row) -> None:
        if write is not None:
            await write(row)
        tally.generated += 1
        meter.row_generated(row)

    async def work() -> None:
        for number, (prompt, sample) in chains:
            observer = observe(prompt, sample) if observe else None
            before = tally.generated
            chain = await run_chain(
                prompt,
                setup,
                sample=sample,
                durable=durable,
                write=write_counted,
                observer=observer,
                priority=number,
            )
            tally.add(number, chain)
            meter.chain_finished(chain.rows)
            if tally.generated == before:
                await asyncio.sleep(0)  # a long resume must not block the loop

    async def tell() -> None:
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            meter.tell()

    telling = asyncio.ensure_future(tell())
    try:
        await _run_workers([work() for _ in range(max(1, concurrency))])
    finally:
        telling.cancel()
    return tally.result()


class _Tally:
    def __init__(self) -> None:
        self.generated = 0
        self._counts = BatchResult()
        self._first = -1

    def add(self, number: int, chain: Chain) -> None:
        counts, rows = self._counts, chain.rows
        if chain.error is not None and (self._first < 0 or number < self._first):
            self._first = number
            counts = replace(counts, first_error=f"{chain.prompt.prompt_id}: {chain.error}")
        self._counts = replace(
            counts,
            chains=counts.chains + 1,
            failed=counts.failed + (chain.error is not None),
            rows=counts.rows + len(rows),
            unparsed=counts.unparsed + sum(row.finding is Finding.UNPARSED for row in rows),
            cut_short=counts.cut_short + sum(row.finish_reason == "length" for row in rows),
        )

    def result(self) -> BatchResult:
        return replace(self._counts, generated=self.generated)


async def _run_workers(workers: Sequence[Coroutine[None, None, None]]) -> None:
    tasks = [asyncio.ensure_future(worker) for worker in workers]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _check_same_origin(row: Row, info: ModelInfo, *, recipe: ChainRecipe) -> None:
    made_by, now = (row.model_id, row.weights_hash), (info.model_id, info.weights_hash)
    if made_by != now:
        raise RunMismatchError(
            f"run {row.run_id}: its rows were made by model {made_by[0]!r} (weights "
            f"{made_by[1]}); now {now[0]!r} (weights {now[1]}) answers. "
            "Bring the old weights back, or choose another folder."
        )
    version = get_template_version(recipe.template)
    if row.template_version != version:
        raise RunMismatchError(
            f"run {row.run_id}: its rows were made with template {row.template_version!r}; this "
            f"version of the workbench renders {version!r}. Choose another folder."
        )
