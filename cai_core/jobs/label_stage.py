"""The `label` stage as a worker does it: from source runs and a launched model to labels."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cai_core.inference.probe import probe
from cai_core.pipeline.compared_answers import read_compared
from cai_core.pipeline.comparison_records import FormedComparison
from cai_core.pipeline.comparisons import FormingCounts, form_comparisons
from cai_core.pipeline.connect import Launched, launch
from cai_core.pipeline.label import freeze_comparisons, run_labelling
from cai_core.pipeline.label_answers import choose_scorer
from cai_core.pipeline.label_asking import LabelSetup
from cai_core.pipeline.label_counts import LabelCounts
from cai_core.pipeline.label_few_shot import build_label_few_shot
from cai_core.pipeline.label_inputs import LabelInputs, load_label_inputs
from cai_core.pipeline.label_recipe import (
    LabelRecipe,
    parse_label_recipe,
    resolve_label_principles,
)
from cai_core.pipeline.progress import Progress
from cai_core.workspace.runs import Run

log = logging.getLogger(__name__)

_TELL_SECONDS = 10.0


def run_label(run: Run, workspace: Path) -> None:
    """Form the comparisons and label them, or go on with it; the status tells how it ended.

    Raises:
        CaiError: a source run made no chains, no comparison can be formed, or as `launch` and
            `run_labelling`.
    """
    recipe = parse_label_recipe(run.recipe)
    inputs = load_label_inputs(run, recipe)
    resolve_label_principles(recipe, inputs.constitution)
    comparisons = freeze_comparisons(run, lambda: _form(recipe, workspace))
    model = launch(recipe.feedback_model, workspace)
    counts = asyncio.run(_label(run, recipe, inputs, comparisons, model))
    if counts is not None:
        log.info("%d labels, %d unparsed", counts.comparisons, counts.unparsed)


def _form(recipe: LabelRecipe, workspace: Path) -> tuple[Sequence[FormedComparison], FormingCounts]:
    runs = workspace / "runs"
    return form_comparisons(
        [
            (
                source,
                read_compared(runs / source.run),
                read_compared(runs / source.against) if source.against else (),
            )
            for source in recipe.sources
        ],
        seed=recipe.seed,
        similarity=recipe.similarity,
    )


async def _label(
    run: Run,
    recipe: LabelRecipe,
    inputs: LabelInputs,
    comparisons: Sequence[FormedComparison],
    launched: Launched,
) -> LabelCounts | None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with launched.open() as pool:
        scorer = choose_scorer(await probe(pool), recipe.template, reasoned=recipe.reasoned)
        if scorer.way is None:
            log.warning("this server tells no log-probabilities: labels are hard, read from text")
        few_shot = build_label_few_shot(
            inputs.few_shot,
            resolve_label_principles(recipe, inputs.constitution),
            template=recipe.template,
            reasoned=recipe.reasoned,
            seed=recipe.seed,
        )
        setup = LabelSetup(
            run_id=run.run_id,
            recipe=recipe,
            constitution=inputs.constitution,
            model=pool,
            info=await pool.info(),
            scorer=scorer,
            few_shot=few_shot,
        )
        orders = 2 if recipe.orders == "both" else 1
        return await run_labelling(
            run,
            comparisons,
            setup,
            human=inputs.human,
            # Each comparison asks its orders at once.
            concurrency=-(-launched.count_chains() // orders),
            on_progress=_tell_progress(),
            prices={"feedback": launched.price},
            trouble=lambda: pool.load.down,
        )


def _tell_progress() -> Callable[[Progress], None]:
    told = -_TELL_SECONDS

    def tell(progress: Progress) -> None:
        nonlocal told
        if (now := time.monotonic()) - told >= _TELL_SECONDS:
            told = now
            log.info("%d of %d answers", progress.rows_done, progress.rows_total)
            for server in progress.waiting_for:
                log.warning("waiting for a server: %s", server)

    return tell
