"""The `evaluate` stage as a worker does it: from launched models to judgements and metrics."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from cai_core.errors import CaiError
from cai_core.inference.pool import EnginePool
from cai_core.inference.probe import probe
from cai_core.jobs.drift_matrix import list_evaluated, load_matrix
from cai_core.jobs.evaluate_cautions import list_cautions
from cai_core.jobs.evaluate_truth import build_oracle
from cai_core.pipeline.connect import Launched, launch
from cai_core.pipeline.evaluate import run_evaluation
from cai_core.pipeline.evaluate_best import build_choosing_recipe
from cai_core.pipeline.evaluate_inputs import EvaluateInputs, load_evaluate_inputs
from cai_core.pipeline.evaluate_recipe import EvaluateRecipe, parse_evaluate_recipe
from cai_core.pipeline.evaluate_rows import EvaluateSetup, Judge
from cai_core.pipeline.label_answers import choose_scorer
from cai_core.pipeline.label_asking import LabelSetup
from cai_core.pipeline.progress import Progress
from cai_core.workspace.baselines import find_baseline
from cai_core.workspace.runs import Run

log = logging.getLogger(__name__)

_TELL_SECONDS = 10.0


def run_evaluate(run: Run, workspace: Path) -> None:
    """Ask and judge, or go on with it; the status tells how it ended.

    Raises:
        CaiError: as `load_evaluate_inputs`, `launch` and `run_evaluation`.
    """
    recipe = parse_evaluate_recipe(run.recipe)
    inputs = load_evaluate_inputs(run, recipe)
    model = launch(recipe.model, workspace)
    # One pool for one server: two would each think that they have it to themselves.
    judge = None
    if recipe.judge is not None:
        judge = model if recipe.judge == recipe.model else launch(recipe.judge, workspace)
    feedback = None
    if recipe.feedback_model is not None:
        held = {recipe.model: model} | ({recipe.judge: judge} if recipe.judge and judge else {})
        feedback = held.get(recipe.feedback_model) or launch(recipe.feedback_model, workspace)
    metrics = asyncio.run(_evaluate(run, recipe, inputs, model, judge, feedback, workspace))
    if metrics is not None:
        log.info("%d responses judged", metrics["responses"])
        for caution in metrics["cautions"]:
            log.warning("%s", caution["text"])
        _warm_drift(run, workspace, str(metrics["suite"]["name"]))


def _warm_drift(run: Run, workspace: Path, suite: str) -> None:
    """Compare it now with what the page holds it against, so that the page need not."""
    try:
        same = [one.run for one in list_evaluated(workspace) if one.suite == suite]
        pinned = find_baseline(workspace, same)
        baseline = pinned.run if pinned is not None else same[0]
        if baseline != run.run_id:
            load_matrix(workspace, baseline, [run.run_id], None)
    except (CaiError, OSError, IndexError) as error:
        log.warning("not compared with the baseline: %s", error)


async def _evaluate(
    run: Run,
    recipe: EvaluateRecipe,
    inputs: EvaluateInputs,
    model: Launched,
    judge: Launched | None,
    feedback: Launched | None,
    workspace: Path,
) -> dict[str, Any] | None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(model.open())
        judging = pool
        if judge is not None and judge is not model:
            judging = await stack.enter_async_context(judge.open())
        asked = None if judge is None else await _prepare_judge(judging, recipe, inputs)
        choosing = None
        if feedback is not None:
            chooser = pool
            if feedback is not model:
                same = feedback is judge
                chooser = judging if same else await stack.enter_async_context(feedback.open())
            choosing = await _prepare_choosing(chooser, recipe, inputs, run.run_id)
        info = await pool.info()
        return await run_evaluation(
            run,
            EvaluateSetup(
                run_id=run.run_id,
                recipe=recipe,
                inputs=inputs,
                model=pool,
                info=info,
                judge=asked,
                choosing=choosing,
            ),
            build_oracle(inputs.suite),
            concurrency=model.count_chains(),
            cautions=list_cautions(
                workspace, recipe, inputs.suite, info, asked.info if asked else None
            ),
            on_progress=_tell_progress(),
            prices={"policy": model.price, "feedback": (judge or model).price},
            trouble=lambda: tuple(dict.fromkeys((*pool.load.down, *judging.load.down))),
        )


async def _prepare_judge(pool: EnginePool, recipe: EvaluateRecipe, inputs: EvaluateInputs) -> Judge:
    assert inputs.rubric is not None, "a recipe with a judge has a rubric"
    scorer = choose_scorer(await probe(pool), "chat", reasoned=False)
    if recipe.ratings and inputs.rubric.ratings and scorer.way is None:
        log.warning("this server tells no log-probabilities: ratings are read from text")
    return Judge(model=pool, info=await pool.info(), rubric=inputs.rubric, scorer=scorer)


async def _prepare_choosing(
    pool: EnginePool, recipe: EvaluateRecipe, inputs: EvaluateInputs, run_id: str
) -> LabelSetup:
    assert inputs.feedback is not None, "a recipe with best_of has a constitution to choose by"
    return LabelSetup(
        run_id=run_id,
        recipe=build_choosing_recipe(recipe),
        constitution=inputs.feedback,
        model=pool,
        info=await pool.info(),
        scorer=choose_scorer(await probe(pool), "chat", reasoned=False),
    )


def _tell_progress() -> Callable[[Progress], None]:
    told = -_TELL_SECONDS

    def tell(progress: Progress) -> None:
        nonlocal told
        if (now := time.monotonic()) - told >= _TELL_SECONDS:
            told = now
            log.info("%d of %d rows", progress.rows_done, progress.rows_total)
            for server in progress.waiting_for:
                log.warning("waiting for a server: %s", server)

    return tell
