"""Chains and batches run to their end, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from cai_core.pipeline.critique_revision import BatchResult, Chain, Write, run_batch, run_chain
from cai_core.records import Prompt
from cai_core.workspace.rows import Row
from tests.pipeline.engines import HashEngine
from tests.pipeline.makers import make_prompts, make_setup

PROMPT = make_prompts(1)[0]


def chain_of(engine: HashEngine, prompt: Prompt = PROMPT, **changes: Any) -> Chain:
    """One chain, run to its end."""
    sample = changes.pop("sample", 0)
    critic = changes.pop("critic", None)

    async def run() -> Chain:
        return await run_chain(prompt, await make_setup(engine, critic, **changes), sample=sample)

    return asyncio.run(run())


def keep_in(kept: list[Row] | dict[str, Row]) -> Write:
    """Keeps rows as a sink would: it lets others run before a row counts."""

    async def keep(row: Row) -> None:
        await asyncio.sleep(0)
        if isinstance(kept, dict):
            assert row.row_id not in kept, "written twice"
            kept[row.row_id] = row
        else:
            kept.append(row)

    return keep


def batch_of(
    engine: HashEngine, prompts: Sequence[Prompt], durable: Any = None, **changes: Any
) -> tuple[BatchResult, dict[str, Row]]:
    """A batch, and its rows by id."""
    rows: dict[str, Row] = {}
    concurrency = changes.pop("concurrency", 3)

    async def run() -> BatchResult:
        setup = await make_setup(engine, **changes)
        return await run_batch(
            prompts,
            setup,
            concurrency=concurrency,
            durable=durable,
            write=keep_in(rows),
        )

    return asyncio.run(run()), rows


def untimed(rows: dict[str, Row]) -> dict[str, str | None]:
    return {row_id: row.text for row_id, row in rows.items()}
