"""A worker's `rl` run: its inputs, its judges where the endpoints say, its probe and alarms."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cai_core.constitution import load_constitution
from cai_core.errors import CaiError, RunMismatchError
from cai_core.pipeline.connect import launch
from cai_core.pipeline.frozen_prompts import load_frozen_prompts
from cai_core.pipeline.inputs import CONSTITUTION, FOLDER, PROMPTS
from cai_core.pipeline.prompt_file import prompts_hash
from cai_core.records import Constitution, Prompt
from cai_core.training.probe_prompts import (
    ProbePrompt,
    choose_probe,
    freeze_probe,
    leave_out_probe,
)
from cai_core.training.rl_recipe import RlRecipe, parse_rl_recipe
from cai_core.workspace.runs import Run

log = logging.getLogger(__name__)


def run_rl(run: Run, workspace: Path) -> None:
    """Do the run's work, or go on with it; its status tells how it ended.

    Raises:
        CaiError: as `training.rl.run_rl_training` and `launch`; RunMismatchError where the inputs
            are not those of the recipe.
    """
    from cai_core.training.rl import Hooks, run_rl_training

    recipe = parse_rl_recipe(run.recipe)
    prompts, constitution = load_rl_inputs(run, recipe)
    probed = freeze_probe(
        run.path, lambda: choose_probe(prompts, recipe.probe_prompts, recipe.seed)
    )
    trained = leave_out_probe(
        prompts, probed, lambda prompt: [turn.as_dict() for turn in prompt.conversation]
    )
    judges = [launch(judge.model, workspace).open for judge in recipe.judges]

    def watch(tokenizer: Any) -> list[Any]:
        return build_alarms(run, recipe, probed, tokenizer)

    result = run_rl_training(
        run,
        trained,
        constitution=constitution,
        judges=judges,
        hooks=Hooks(build_callbacks=watch),
    )
    log.info("%d steps, %.0f s", result.steps, result.seconds)


def load_rl_inputs(run: Run, recipe: RlRecipe) -> tuple[Sequence[Prompt], Constitution | None]:
    """The prompts, and the judges' constitution where there is one, checked against the recipe.

    Raises:
        RunMismatchError: a file is missing, damaged, or not the one that the recipe names.
    """
    folder = run.path / FOLDER
    try:
        prompts = load_frozen_prompts(folder / PROMPTS)
        constitution = load_constitution(folder / CONSTITUTION) if recipe.constitution else None
        found = {PROMPTS: (prompts_hash(prompts), recipe.prompts_hash)}
    except CaiError as error:
        raise RunMismatchError(
            f"{folder}: what the run is made from cannot be read: {error} Or start a new run."
        ) from error
    if constitution is not None:
        found[CONSTITUTION] = (constitution.hash, recipe.constitution_hash or "")
    for name, (held, wanted) in found.items():
        if held != wanted:
            raise RunMismatchError(
                f"{folder / name}: its hash is {held:.12}, the recipe says {wanted:.12}. Bring the "
                "old file back from a backup, or start a new run."
            )
    return list(prompts), constitution


def build_alarms(
    run: Run,
    recipe: RlRecipe,
    probed: Sequence[ProbePrompt],
    tokenizer: Any,
) -> list[Any]:
    """The trainer's callbacks that ask the probe and look for alarms."""
    from cai_core.training.alarm_callback import AlarmCallback
    from cai_core.training.probe import Probe

    probe = None
    if probed:
        probe = Probe(
            tokenizer,
            probed,
            every=recipe.probe_steps,
            temperature=recipe.temperature,
            seed=recipe.seed,
            max_tokens=recipe.max_tokens,
        )
    return [AlarmCallback(run.path, recipe.alarms, probe)]
