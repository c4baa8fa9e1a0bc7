"""A `revise` run: a batch of chains in a run folder, resumable, with chains.jsonl at its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from cai_core.constitution import dump_constitution
from cai_core.errors import CaiError, Cancelled
from cai_core.pipeline.critique_revision import BatchResult, Chain, ChainSetup, run_batch
from cai_core.pipeline.progress import Prices, Progress
from cai_core.pipeline.prompt_file import RejectedLine
from cai_core.pipeline.recipe import ChainRecipe
from cai_core.pipeline.row_sink import RowSink
from cai_core.pipeline.steps import parse_step_text, plan_chain
from cai_core.records import Constitution, Prompt
from cai_core.workspace.files import check_disk, replace_file
from cai_core.workspace.journal import encode_record
from cai_core.workspace.rows import Row, RowIndex
from cai_core.workspace.runs import Run
from cai_core.workspace.status import RunState
from cai_core.workspace.stops import explain_stop
from cai_core.workspace.writer import RunWriter

KIND = "revise"
STEP = "chain"
CHAINS = "chains.jsonl"
# A token is seldom longer; a row's other fields take about two kilobytes.
_BYTES_PER_TOKEN, _BYTES_PER_ROW = 6, 2048
_STATUS_SECONDS = 1.0


async def run_revise(
    run: Run,
    prompts: Sequence[Prompt],
    setup: ChainSetup,
    *,
    concurrency: int,
    on_progress: Callable[[Progress], None] | None = None,
    prices: Prices | None = None,
    trouble: Callable[[], tuple[str, ...]] = tuple,
) -> BatchResult:
    """Generate what is not durable yet, then write outputs/chains.jsonl and the status.

    The run ends `succeeded`; `failed` when every chain ended in an error row; `cancelled` when
    the task is cancelled; `interrupted` when the server or the disk gives up. All but the first
    can be gone on with by calling this again, and lose nothing that was durable.

    Raises:
        WorkspaceError: another process writes the run, or the disk is full.
        ServerUnavailableError, RequestRejectedError, RunMismatchError: as `run_batch`.
    """
    # Counted and let go of: two indexes at once would be the most memory that a run takes.
    durable = len(RowIndex(run, STEP))
    missing = len(prompts) * setup.recipe.samples * setup.recipe.rows_per_chain - durable
    check_disk(run.path, max(0, missing) * _row_bytes(setup.recipe))
    with RunWriter(run) as writer:
        try:
            async with RowSink(partial(writer.append_rows, STEP)) as sink:
                batch = await run_batch(
                    prompts,
                    setup,
                    concurrency=concurrency,
                    # Read again under the lock: another worker may have ended in between.
                    durable=RowIndex(run, STEP),
                    write=sink.put,
                    on_progress=_status_progress(writer, on_progress),
                    prices=prices,
                    trouble=trouble,
                )
            save_chains(run, prompts, setup.recipe, setup.constitution)
        except (asyncio.CancelledError, Cancelled):
            state, reason = explain_stop(run.path)
            writer.set_status(state, reason=reason)
            raise
        except CaiError as error:
            writer.set_status(RunState.INTERRUPTED, reason=str(error))
            raise
        _save_end(writer, batch)
    return batch


def _save_end(writer: RunWriter, batch: BatchResult) -> None:
    all_failed = batch.chains > 0 and batch.failed == batch.chains
    writer.set_status(
        RunState.FAILED if all_failed else RunState.SUCCEEDED,
        reason=batch.first_error,
        counts={
            "chains": batch.chains,
            "chains_failed": batch.failed,
            "rows_done": batch.rows,
            "rows_total": batch.rows,
            "unparsed_critiques": batch.unparsed,
            "cut_short": batch.cut_short,
        },
    )


def save_chains(
    run: Run, prompts: Sequence[Prompt], recipe: ChainRecipe, constitution: Constitution
) -> None:
    """Write outputs/chains.jsonl, in prompt order, and the constitution beside it.

    A line holds nothing that depends on time, place or concurrency: two runs of one recipe on
    an exact engine give the same bytes.
    """
    index = RowIndex(run, STEP)
    lines = (
        encode_record(build_chain_record(chain, recipe))
        for chain in _read_chains(run, index, prompts, recipe, constitution)
    )
    replace_file(run.outputs / CHAINS, lines)
    replace_file(run.outputs / "constitution.yaml", [dump_constitution(constitution).encode()])


def save_rejected(run: Run, rejected: Sequence[RejectedLine]) -> None:
    """Write outputs/rejected.jsonl, the lines of the prompt file that are no prompts; if any."""
    if rejected:
        lines = [encode_record(line.as_dict()) for line in rejected]
        replace_file(run.outputs / "rejected.jsonl", lines)


def build_chain_record(chain: Chain, recipe: ChainRecipe) -> dict[str, Any]:
    """One chain as a plain line: the conversation, each step's text, and the final response.

    `final` is the last revision (or the initial response without revisions), None when the
    chain ended in an error.
    """
    steps = [_step_record(row, recipe) for row in chain.rows]
    complete = chain.error is None and len(chain.rows) == recipe.rows_per_chain
    first = chain.rows[0] if chain.rows else None
    return {
        "prompt_id": chain.prompt.prompt_id,
        "prompt_hash": chain.prompt.hash,
        "kind": chain.prompt.kind.value,
        "tags": list(chain.prompt.tags),
        "sample": chain.sample,
        "conversation": [turn.as_dict() for turn in chain.prompt.conversation],
        "constitution_hash": first.constitution_hash if first else None,
        "template_version": first.template_version if first else None,
        "steps": steps,
        "final": steps[-1]["text"] if complete else None,
        "error": chain.error,
    }


def _step_record(row: Row, recipe: ChainRecipe) -> dict[str, Any]:
    raw = row.text
    return {
        "kind": row.kind.value,
        "index": row.index,
        "round": row.round,
        "principle_id": row.principle_id,
        "model_id": row.model_id,
        "weights_hash": row.weights_hash,
        "seed": row.seed,
        "text": None if raw is None else parse_step_text(raw, template=recipe.template),
        "finding": row.finding.value if row.finding else None,
        "finish_reason": row.finish_reason,
        "error": row.error,
    }


def _read_chains(
    run: Run,
    index: RowIndex,
    prompts: Sequence[Prompt],
    recipe: ChainRecipe,
    constitution: Constitution,
) -> Iterator[Chain]:
    for prompt in prompts:
        for sample in range(recipe.samples):
            plan = plan_chain(recipe, constitution, prompt, sample=sample, run_id=run.run_id)
            rows = tuple(row for step in plan if (row := index.get(step.row_id)) is not None)
            yield Chain(prompt=prompt, sample=sample, rows=rows)


def _row_bytes(recipe: ChainRecipe) -> int:
    tokens = max(recipe.policy_sampling.max_tokens, recipe.critic_sampling.max_tokens)
    return tokens * _BYTES_PER_TOKEN + _BYTES_PER_ROW


def _status_progress(
    writer: RunWriter, on_progress: Callable[[Progress], None] | None
) -> Callable[[Progress], None]:
    last = -_STATUS_SECONDS

    def tell(progress: Progress) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _STATUS_SECONDS:
            last = now
            counts = {
                "chains": progress.chains_done,
                "chains_failed": progress.failed,
                "rows_done": progress.rows_done,
                "rows_total": progress.rows_total,
            }
            waiting = "; ".join(progress.waiting_for)
            reason = f"waiting for a server: {waiting}" if waiting else None
            writer.set_status(RunState.RUNNING, reason=reason, counts=counts)
        if on_progress is not None:
            on_progress(progress)

    return tell
