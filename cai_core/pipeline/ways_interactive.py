"""One comparison of the playground from end to end: find the models, ask in each way, keep rows.

A way whose model cannot be had says so and holds up no other: what a person waits for is the
answers that there are.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cai_core.errors import CaiError
from cai_core.inference.capabilities import Capabilities
from cai_core.inference.pool import EnginePool
from cai_core.inference.probe import probe
from cai_core.pipeline.connect import launch
from cai_core.pipeline.generate import ChainSetup
from cai_core.pipeline.interactive import LIVE_PATIENCE
from cai_core.pipeline.label_asking import LabelSetup
from cai_core.pipeline.live_task import ChainState
from cai_core.pipeline.row_sink import RowSink
from cai_core.pipeline.ways import Asking, WaysSetup, prepare_feedback, prepare_model
from cai_core.pipeline.ways_live import (
    RUN_PREFIX,
    LiveWays,
    WaysBuffer,
    WaysRequest,
    WaysSnapshot,
)
from cai_core.pipeline.ways_output import STEP, save_answers
from cai_core.pipeline.ways_recipe import Way, check_constitution, parse_ways_recipe
from cai_core.pipeline.ways_run import KIND, load_ways_inputs, save_ways_inputs
from cai_core.workspace.files import get_workspace, replace_file
from cai_core.workspace.rows import Row, RowIndex
from cai_core.workspace.runs import Run, create_run, open_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter

log = logging.getLogger(__name__)

# How each way ended, of which its rows say nothing: {way: {"seconds": …, "fault": …}}.
ENDS = "ends.json"
_MOST_KEPT = 20
_capabilities: dict[tuple[str, str | None, str, str], Capabilities] = {}
_STATES = {RunState.SUCCEEDED: ChainState.FINISHED, RunState.FAILED: ChainState.FAILED}


async def run_live_ways(ways_id: str, request: WaysRequest, buffer: WaysBuffer) -> None:
    """Ask in every way, into the buffer and into the run folder.

    Raises:
        CaiError: the constitution or the workspace cannot be used, or no way brought an answer.
    """
    workspace = get_workspace()
    check_constitution(request.recipe, request.constitution)
    run = create_run(
        workspace / "runs" / f"{RUN_PREFIX}{ways_id}", kind=KIND, recipe=request.recipe.as_dict()
    )
    save_ways_inputs(run, [request.prompt], request.constitution)
    with RunWriter(run) as writer:
        try:
            async with RowSink(partial(writer.append_rows, STEP)) as sink:
                await _ask(run, request, buffer, sink, workspace)
        except asyncio.CancelledError:
            writer.set_status(RunState.CANCELLED, reason="stopped by the person")
            raise
        except CaiError as error:
            writer.set_status(RunState.FAILED, reason=str(error))
            raise
        counts = save_answers(run, [request.prompt], request.recipe, request.constitution)
        snapshot = buffer.snapshot()
        ends = {
            way.value: {"seconds": seconds, "fault": snapshot.faults.get(way)}
            for way, seconds in snapshot.ended.items()
        }
        replace_file(run.outputs / ENDS, [json.dumps(ends).encode("utf-8")])
        answered = any(told["answered"] for told in counts["ways"].values())
        fault = next(iter(snapshot.faults.values()), None)
        state = RunState.SUCCEEDED if answered else RunState.FAILED
        writer.set_status(state, reason=fault, counts={"rows_done": counts["rows"]})
    if not answered:
        raise CaiError("No way brought an answer. Each one says below why.")


def load_live_ways(ways_id: str) -> LiveWays | None:
    """An ended comparison from its run folder; None when there is none, or nothing readable."""
    path = get_workspace() / "runs" / f"{RUN_PREFIX}{ways_id}"
    if not (path / "recipe.yaml").is_file():
        return None
    try:
        run = open_run(path, kind=KIND)
        prompts, constitution = load_ways_inputs(run)
        recipe = parse_ways_recipe(run.recipe)
        request = WaysRequest(prompt=prompts[0], constitution=constitution, recipe=recipe)
        snapshot = _restore(run)
    except (CaiError, OSError, ValueError, KeyError, TypeError, IndexError) as error:
        log.warning("%s: cannot be shown: %s", path, error)
        return None
    return LiveWays.of_ended(ways_id, request, snapshot)


async def find_capabilities(pool: EnginePool) -> Capabilities:
    """What a server can, asked once a process for each weights: a probe takes longer than answers.

    Where a server does not tell its weights, it is asked each time: another may have come.
    """
    info = await pool.info()
    key = (info.model_id, info.weights_hash, info.engine, info.engine_version)
    if info.weights_hash is None:
        return await probe(pool)
    if key not in _capabilities:
        _capabilities[key] = await probe(pool)
        for oldest in list(_capabilities)[:-_MOST_KEPT]:
            _capabilities.pop(oldest, None)
    return _capabilities[key]


@dataclass(slots=True)
class _Pools:
    """Each model's pool, opened once however many ways need it."""

    workspace: Path
    stack: AsyncExitStack
    opening: dict[str, asyncio.Task[EnginePool]] = field(default_factory=dict)

    async def get(self, model: str) -> EnginePool:
        if model not in self.opening:
            self.opening[model] = asyncio.ensure_future(self._open(model))
        return await asyncio.shield(self.opening[model])

    async def _open(self, model: str) -> EnginePool:
        launched = await asyncio.to_thread(launch, model, self.workspace)
        # A person waits: who does not answer soon is told of.
        return await self.stack.enter_async_context(launched.open(patience=LIVE_PATIENCE))


async def _ask(
    run: Run, request: WaysRequest, buffer: WaysBuffer, sink: RowSink, workspace: Path
) -> None:
    """Ask in all ways at once; the buffer is told how each of them ended."""

    async def write(row: Row) -> None:
        await sink.put(row)
        buffer.row(row)

    async with AsyncExitStack() as stack:
        setup = _begin(run, request, _Pools(workspace, stack))
        asking = Asking(request.prompt, setup, durable={}, write=write, observer=buffer)

        async def follow(way: Way) -> None:
            try:
                answer = await asking.answer(way)
            except CaiError as error:
                buffer.way_ended(way, str(error))
            else:
                buffer.way_ended(way, answer.error)

        tasks = [asyncio.ensure_future(follow(way)) for way in request.recipe.ways]
        parts = [part for part in (setup.model, setup.other, setup.feedback) if part is not None]
        try:
            await asyncio.gather(*tasks)
        finally:
            await asking.aclose()
            for task in (*tasks, *parts):
                task.cancel()
            await asyncio.gather(*tasks, *parts, return_exceptions=True)


def _begin(run: Run, request: WaysRequest, pools: _Pools) -> WaysSetup:
    recipe, constitution, run_id = request.recipe, request.constitution, run.run_id

    async def model(name: str) -> ChainSetup:
        return await prepare_model(recipe, constitution, await pools.get(name), run_id)

    async def feedback(name: str) -> LabelSetup:
        pool = await pools.get(name)
        return await prepare_feedback(recipe, constitution, pool, run_id, find_capabilities)

    other = asyncio.ensure_future(model(recipe.other_model)) if recipe.other_model else None
    # With one sample nobody is asked, so nobody need be up.
    judged = recipe.feedback_model if recipe.n > 1 else None
    return WaysSetup(
        run_id=run_id,
        recipe=recipe,
        constitution=constitution,
        model=asyncio.ensure_future(model(recipe.model)),
        other=other,
        feedback=asyncio.ensure_future(feedback(judged)) if judged else None,
    )


def _restore(run: Run) -> WaysSnapshot:
    status = run.status()
    state = _STATES.get(status.state, ChainState.STOPPED)
    rows = dict(RowIndex(run, STEP).items())
    ends = json.loads((run.outputs / ENDS).read_bytes()) if _has_ended(run) else {}
    seconds = {Way(way): float(told["seconds"]) for way, told in ends.items()}
    return WaysSnapshot(
        state=state,
        rows=rows,
        ended=seconds,
        faults={Way(way): str(told["fault"]) for way, told in ends.items() if told["fault"]},
        error=status.reason if state is ChainState.FAILED else None,
        # Of one that was stopped nobody wrote it down.
        seconds=max(seconds.values(), default=0.0),
    )


def _has_ended(run: Run) -> bool:
    return (run.outputs / ENDS).is_file()
