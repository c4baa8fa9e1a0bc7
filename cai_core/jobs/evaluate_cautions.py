"""What makes an evaluation doubtful from the start: who judges, and what was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cai_core.errors import CaiError
from cai_core.evaluation.near_duplicates import HeldOutCheck, check_held_out
from cai_core.evaluation.suites import Suite
from cai_core.jobs.looking import find_lineage
from cai_core.pipeline.connect import resolve_config
from cai_core.pipeline.evaluate_recipe import EvaluateRecipe
from cai_core.pipeline.evaluate_records import Caution
from cai_core.pipeline.frozen_prompts import load_frozen_prompts
from cai_core.pipeline.inputs import FOLDER, PROMPTS
from cai_core.records import ModelInfo, Prompt
from cai_core.training.datasets import HELD_OUT
from cai_core.workspace.journal import is_header, read_lines
from cai_core.workspace.rows import Row, parse_row
from cai_core.workspace.runs import Run, open_run

# Kinds of run in whose rows another model than the trained one may have had its say.
_TEACHERS = {"label": "feedback_model", "revise": "critic_model"}


def find_maker(workspace: Path, model: str) -> str | None:
    """Id of the run of this workspace that made a model; None for one that came from elsewhere."""
    try:
        config = resolve_config(model, workspace)
    except CaiError:
        return None
    runs, folder = (workspace / "runs").absolute(), Path(config.model).absolute()
    if config.kind != "bundled" or not folder.is_relative_to(runs) or folder == runs:
        return None
    return folder.relative_to(runs).parts[0]


def list_cautions(
    workspace: Path, recipe: EvaluateRecipe, suite: Suite, model: ModelInfo, judge: ModelInfo | None
) -> list[Caution]:
    """Empty where nothing is known against the evaluation."""
    maker = find_maker(workspace, recipe.model)
    runs = _list_runs(workspace, maker) if maker is not None else []
    told = []
    if judge is not None and recipe.judge is not None:
        if _is_same(recipe.judge, judge, recipe.model, model):
            told.append(
                Caution(
                    "judge is model", "the judge is the model itself: it may not see its own faults"
                )
            )
        told += [
            Caution(
                "judge taught model",
                f"the judge, {recipe.judge}, also taught this model: it is the {what} of "
                f"{run.run_id}",
            )
            for run, what in _list_lessons(runs, recipe.judge, judge)
        ]
    check = check_against_training(suite, runs)
    if check.broken:
        told.append(Caution("not held out", check.describe()))
    return told


def check_against_training(suite: Suite, runs: list[Run]) -> HeldOutCheck:
    """The suite against every prompt of these runs that was trained on."""
    return check_held_out(suite, _list_prompts(runs))


def _is_same(name: str, info: ModelInfo, other: str, of: ModelInfo) -> bool:
    """By weights where both tell them, by name where not."""
    if info.weights_hash is not None and of.weights_hash is not None:
        return info.weights_hash == of.weights_hash
    return name == other


def _list_runs(workspace: Path, run_id: str) -> list[Run]:
    """The run and all that it was made from, as far as they are there."""
    found = []
    for ancestor in find_lineage(workspace, run_id):
        try:
            found.append(open_run(workspace / "runs" / ancestor.run))
        except CaiError:
            continue  # deleted, or not here: it cannot tell
    return found


def _list_lessons(runs: list[Run], judge: str, info: ModelInfo) -> Iterator[tuple[Run, str]]:
    """Runs in which the judge labelled, criticised or rewarded, and as what."""
    for run in runs:
        if run.kind == "rl":
            rewards = run.recipe.get("rewards")
            for reward in rewards if isinstance(rewards, list) else ():
                judges = isinstance(reward, dict) and reward.get("kind") == "judge"
                if judges and reward.get("model") == judge:
                    yield run, "rewarding judge"
        elif key := _TEACHERS.get(run.kind):
            named: Any = run.recipe.get(key) or run.recipe.get("model")
            if named == judge or _has_weights(run, info):
                yield run, key.replace("_", " ").removesuffix(" model")


def _has_weights(run: Run, info: ModelInfo) -> bool:
    """Whether those weights answered in that run, by the first row in which anybody taught."""
    if info.weights_hash is None:
        return False
    row = _find_lesson(run)
    return row is not None and row.weights_hash == info.weights_hash


def _find_lesson(run: Run) -> Row | None:
    for file in run.row_files():
        for line in read_lines(file.path, limit=file.limit):
            if is_header(line, file.path) or line.record is None:
                continue
            row = parse_row(line.record)
            if row.role in ("critic", "feedback"):
                return row
    return None


def _list_prompts(runs: list[Run]) -> Iterator[Prompt]:
    for run in runs:
        path = run.path / FOLDER / PROMPTS
        if path.is_file():
            yield from (one for one in load_frozen_prompts(path) if HELD_OUT not in one.tags)
