"""A spot check: a few of a baseline's prompts, asked of a model just as the baseline was asked."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from cai_core.errors import RecipeError, WorkspaceError
from cai_core.jobs.clone import build_clone
from cai_core.jobs.forecast_machine import Machine
from cai_core.jobs.forecast_runs import forecast_runs
from cai_core.jobs.plan_names import RUN
from cai_core.jobs.run_ids import build_run_id
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.evaluate import KIND
from cai_core.pipeline.evaluate_inputs import build_evaluate_inputs, load_evaluate_inputs
from cai_core.pipeline.evaluate_plan import choose_suite
from cai_core.pipeline.evaluate_recipe import parse_evaluate_recipe
from cai_core.workspace.runs import Run, open_run

# What somebody waits for, and the fewest prompts that are worth it: ours.
SECONDS = 120.0
FEWEST, DEFAULT = 20, 50
_NO_NAME = re.compile(r"[^a-z0-9]+")


def build_spot_check(
    workspace: Path,
    baseline: str,
    model: str,
    prompts: int,
    *,
    stem: str = "spot",
    endpoints: Collection[str] | None = None,
) -> RunSpec:
    """The run to hand in: the baseline's suite, judge, rubric, sampling and seed; fewer prompts.

    The prompts are the baseline's own, as it froze them, so that each answer has its partner.

    Args:
        baseline: id of the evaluation.
        model: an endpoint, `demo`, `run:ID`, …
        prompts: from 1; all of the baseline's where it has fewer.
        stem: of the run's id, which makes two checks of one model two runs.
        endpoints: as in `build_clone`: names that may be given; None takes any model.

    Raises:
        RecipeError: no such number of prompts, or a model that may not be named.
        WorkspaceError: the baseline is no evaluation, or its inputs are gone.
    """
    if prompts < 1:
        raise RecipeError(f"prompts is {prompts}. Give a whole number from 1.")
    run = open_run(workspace / "runs" / baseline)
    if run.kind != KIND:
        raise WorkspaceError(f"{baseline} is a run of kind {run.kind}. Name an evaluation.")
    held = parse_evaluate_recipe(run.recipe)
    inputs = load_evaluate_inputs(run, held)
    recipe, parents = held, run.parents
    if not _is_asked(run, model):
        clone = build_clone(run, {"model": model}, endpoints=endpoints)
        recipe, parents = parse_evaluate_recipe(clone.recipe), clone.parents
    suite = choose_suite(inputs.suite, prompts)
    recipe = replace(recipe, suite_hash=suite.hash, limit=len(suite.prompts))
    name = _NO_NAME.sub("-", model.removeprefix(RUN).lower()).strip("-")[:40] or "model"
    plain = recipe.as_dict()
    return RunSpec(
        run_id=build_run_id(f"{stem}-{name}", KIND, plain, parents, workspace),
        kind=KIND,
        recipe=plain,
        parents=parents,
        inputs=build_evaluate_inputs(replace(inputs, suite=suite)),
    )


def choose_count(workspace: Path, baseline: str, model: str, machine: Machine) -> tuple[int, bool]:
    """How many prompts take about `SECONDS`, and whether that was reckoned from a measured run.

    Raises:
        CaiError: as `build_spot_check`.
    """
    spec = build_spot_check(workspace, baseline, model, DEFAULT)
    count = int(spec.recipe["limit"])
    (forecast,) = forecast_runs([spec], workspace, machine)
    seconds = forecast.figures["seconds"].value
    if not seconds:
        return count, False
    whole = len(_load_suite(workspace, baseline))
    return max(min(FEWEST, whole), min(whole, int(count * SECONDS / seconds))), True


def _is_asked(run: Run, model: str) -> bool:
    """Whether the baseline asked just this model."""
    if model.startswith(RUN):
        made = run.path.parent / model.removeprefix(RUN) / "outputs" / "model"
        model = str(made.absolute())
    return bool(run.recipe["model"] == model)


def _load_suite(workspace: Path, baseline: str) -> tuple[object, ...]:
    run = open_run(workspace / "runs" / baseline)
    return load_evaluate_inputs(run, parse_evaluate_recipe(run.recipe)).suite.prompts
