"""A worker's `reward` run: its labels read from the runs it names, then trained on."""

from __future__ import annotations

import logging
from pathlib import Path

from cai_core.jobs.preference_sources import build_run_dataset, load_run_people
from cai_core.training.reward_recipe import parse_reward_recipe
from cai_core.workspace.runs import Run

log = logging.getLogger(__name__)


def run_reward(run: Run, workspace: Path) -> None:
    """Do the run's work, or go on with it; its status tells how it ended.

    Raises:
        CaiError: as `training.reward.run_reward`; WorkspaceError where a run has no labels;
            RunMismatchError where what people say is not what the recipe names.
    """
    from cai_core.training import reward

    recipe = parse_reward_recipe(run.recipe)
    people = load_run_people(recipe, run)
    result = reward.run_reward(run, lambda: build_run_dataset(recipe, workspace, people))
    log.info("%d steps, loss %s, %.0f s", result.steps, result.loss, result.seconds)
