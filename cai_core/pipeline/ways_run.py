"""A `ways` run from end to end: its inputs, its rows, its answers. See `pipeline.ways`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from cai_core.constitution import dump_constitution, load_constitution
from cai_core.errors import CaiError, Cancelled, RunMismatchError, WorkspaceError
from cai_core.pipeline.frozen_prompts import encode_prompts, load_frozen_prompts
from cai_core.pipeline.inputs import CONSTITUTION, FOLDER, PROMPTS
from cai_core.pipeline.progress import Prices, Progress, ProgressMeter
from cai_core.pipeline.prompt_file import prompts_hash
from cai_core.pipeline.row_sink import RowSink
from cai_core.pipeline.ways import Asking, WaysSetup, gather
from cai_core.pipeline.ways_output import STEP, save_answers
from cai_core.pipeline.ways_recipe import Way, WaysRecipe, parse_ways_recipe
from cai_core.records import Constitution, Prompt
from cai_core.workspace.files import check_disk, replace_file
from cai_core.workspace.rows import Row, RowIndex
from cai_core.workspace.runs import Run
from cai_core.workspace.status import RunState
from cai_core.workspace.stops import explain_stop
from cai_core.workspace.writer import RunWriter

KIND = "ways"
_BYTES_PER_TOKEN, _BYTES_PER_ROW = 6, 2048
_STATUS_SECONDS = 1.0


def save_ways_inputs(run: Run, prompts: Sequence[Prompt], constitution: Constitution) -> None:
    """Write what the recipe names by hashes, where it is not there yet.

    Raises:
        WorkspaceError: the disk is full or refuses.
    """
    folder = run.path / FOLDER
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{folder}: cannot be made: {error.strerror}.") from error
    files: Mapping[str, Callable[[], Iterator[bytes]]] = {
        PROMPTS: lambda: encode_prompts(prompts),
        CONSTITUTION: lambda: iter([dump_constitution(constitution).encode("utf-8")]),
    }
    for name, build in files.items():
        if not (folder / name).exists():
            replace_file(folder / name, build())


def load_ways_inputs(run: Run) -> tuple[Sequence[Prompt], Constitution]:
    """Read them back, checked against the hashes of the run's recipe.

    Raises:
        RunMismatchError: a file is not the one that the recipe names.
        CaiError: one is missing or damaged.
    """
    recipe = parse_ways_recipe(run.recipe)
    prompts = load_frozen_prompts(run.path / FOLDER / PROMPTS)
    constitution = load_constitution(run.path / FOLDER / CONSTITUTION)
    held = (prompts_hash(prompts), constitution.hash)
    if held != (recipe.prompts_hash, recipe.constitution_hash):
        raise RunMismatchError(
            f"{run.path / FOLDER}: prompts or constitution are not those that recipe.yaml names: "
            "they were changed. Bring them back from a backup."
        )
    return prompts, constitution


async def run_ways(
    run: Run,
    prompts: Sequence[Prompt],
    setup: WaysSetup,
    *,
    concurrency: int,
    on_progress: Callable[[Progress], None] | None = None,
    prices: Prices | None = None,
    trouble: Callable[[], tuple[str, ...]] = tuple,
) -> dict[str, Any]:
    """Ask what is not durable yet, then write ways.jsonl, ways.json and the status.

    The run ends `succeeded`; `failed` when no way brought any answer; `cancelled` when the task is
    cancelled; `interrupted` when a server or the disk gives up. All can be gone on with.

    Args:
        concurrency: prompts at once.

    Returns:
        The counts, as ways.json holds them.

    Raises:
        WorkspaceError: another process writes the run, or the disk is full.
        ServerUnavailableError, RequestRejectedError, RunMismatchError: as `Asking.answer`.
    """
    recipe = setup.recipe
    missing = len(prompts) * count_rows(recipe) - len(RowIndex(run, STEP))
    check_disk(run.path, max(0, missing) * _count_bytes(recipe))
    with RunWriter(run) as writer:
        try:
            async with RowSink(partial(writer.append_rows, STEP)) as sink:
                await _ask_all(
                    prompts,
                    setup,
                    ProgressMeter(
                        len(prompts),
                        count_rows(recipe),
                        _tell_status(writer, on_progress),
                        prices=prices,
                        trouble=trouble,
                    ),
                    sink,
                    RowIndex(run, STEP),
                    concurrency,
                )
            counts = save_answers(run, prompts, recipe, setup.constitution)
        except (asyncio.CancelledError, Cancelled):
            state, reason = explain_stop(run.path)
            writer.set_status(state, reason=reason)
            raise
        except CaiError as error:
            writer.set_status(RunState.INTERRUPTED, reason=str(error))
            raise
        answered = any(told["answered"] for told in counts["ways"].values())
        writer.set_status(
            RunState.SUCCEEDED if answered else RunState.FAILED,
            reason=counts["first_error"],
            counts={
                "prompts": len(prompts),
                "rows_done": counts["rows"],
                "rows_total": counts["rows"],
            },
        )
    return counts


def count_rows(recipe: WaysRecipe) -> int:
    """The most rows that one prompt takes: each response once, each question once."""
    best = Way.BEST_OF_N in recipe.ways
    drawn = recipe.n if best else int(Way.PLAIN in recipe.ways)
    others = sum(way in recipe.ways for way in (Way.SYSTEM_PROMPT, Way.OTHER_MODEL))
    return drawn + others + (recipe.n * (recipe.n - 1) if best else 0)


async def _ask_all(
    prompts: Sequence[Prompt],
    setup: WaysSetup,
    meter: ProgressMeter,
    sink: RowSink,
    durable: Mapping[str, Row],
    concurrency: int,
) -> None:
    waiting = iter(enumerate(prompts))

    async def work() -> None:
        for number, prompt in waiting:
            asked = 0

            async def write(row: Row) -> None:
                nonlocal asked
                await sink.put(row)
                asked += 1
                meter.row_generated(_as_one(row))

            asking = Asking(prompt, setup, durable=durable, write=write, priority=number)
            try:
                answers = await gather([asking.answer(way) for way in setup.recipe.ways])
            finally:
                await asking.aclose()
            rows = {row.row_id: row for answer in answers for row in answer.rows}
            meter.chain_finished([_as_one(row) for row in rows.values()])
            if not asked:
                await asyncio.sleep(0)  # a long resume must not block the loop

    await gather([work() for _ in range(max(1, concurrency))])


def _as_one(row: Row) -> Row:
    """The row as the meter counts it: a prompt's samples and questions belong together."""
    return replace(row, sample=0)


def _count_bytes(recipe: WaysRecipe) -> int:
    return _BYTES_PER_ROW + recipe.sampling.max_tokens * _BYTES_PER_TOKEN


def _tell_status(
    writer: RunWriter, on_progress: Callable[[Progress], None] | None
) -> Callable[[Progress], None]:
    last = -_STATUS_SECONDS

    def tell(progress: Progress) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _STATUS_SECONDS:
            last = now
            waiting = "; ".join(progress.waiting_for)
            writer.set_status(
                RunState.RUNNING,
                reason=f"waiting for a server: {waiting}" if waiting else None,
                counts={
                    "prompts": progress.chains_total,
                    "rows_done": progress.rows_done,
                    "rows_total": progress.rows_total,
                },
            )
        if on_progress is not None:
            on_progress(progress)

    return tell
