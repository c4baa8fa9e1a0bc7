"""What a worker does for each kind of run. Only the kinds that train load torch."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from cai_core.errors import RecipeError
from cai_core.jobs.dpo_stage import run_dpo
from cai_core.jobs.evaluate_stage import run_evaluate
from cai_core.jobs.label_stage import run_label
from cai_core.jobs.reward_stage import run_reward
from cai_core.pipeline.chain_records import read_chain_records
from cai_core.pipeline.connect import launch
from cai_core.pipeline.inputs import load_inputs
from cai_core.pipeline.progress import Progress
from cai_core.pipeline.recipe import parse_revise_recipe
from cai_core.pipeline.revise_stage import list_models, run_revise_stage
from cai_core.training.datasets import SftDataset, build_sft_dataset
from cai_core.training.recipe import parse_sft_recipe
from cai_core.workspace.runs import Run

log = logging.getLogger(__name__)

_TELL_SECONDS = 10.0


def run_stage(run: Run, workspace: Path) -> None:
    """Do the run's work, or go on with it; its status tells how it ended.

    Raises:
        CaiError: as the stage; RecipeError for a kind that there is not.
    """
    match run.kind:
        case "revise":
            _run_revise(run, workspace)
        case "sft":
            _run_sft(run, workspace)
        case "label":
            run_label(run, workspace)
        case "evaluate":
            run_evaluate(run, workspace)
        case "reward":
            run_reward(run, workspace)
        case "dpo":
            run_dpo(run, workspace)
        case "rl":
            from cai_core.jobs.rl_stage import run_rl

            run_rl(run, workspace)
        case _:
            raise RecipeError(f"{run.path}: no worker can do a run of kind {run.kind!r}.")


def _run_revise(run: Run, workspace: Path) -> None:
    recipe = parse_revise_recipe(run.recipe)
    inputs = load_inputs(run)
    models = [launch(name, workspace) for name in list_models(recipe.model, recipe.critic_model)]
    result = asyncio.run(
        run_revise_stage(
            models,
            recipe.chain,
            inputs.prompts,
            inputs.constitution,
            inputs.few_shot,
            begin=lambda setup: (run, setup),
            on_progress=_tell_progress(),
        )
    )
    log.info("%d chains, %d rows, %d failed", result.chains, result.rows, result.failed)


def _run_sft(run: Run, workspace: Path) -> None:
    from cai_core.training.sft import run_sft

    recipe = parse_sft_recipe(run.recipe)

    def build() -> SftDataset:
        sources = [
            (source, read_chain_records(workspace / "runs" / source.run))
            for source in recipe.sources
        ]
        return build_sft_dataset(sources, recipe.seed)

    result = run_sft(run, build)
    log.info("%d steps, loss %s, %.0f s", result.steps, result.loss, result.seconds)


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
