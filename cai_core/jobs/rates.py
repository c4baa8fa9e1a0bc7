"""Rates that earlier runs of this machine showed, for forecasts of later ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cai_core.errors import CaiError
from cai_core.jobs.forecast_usage import USAGE, Usage, load_usage
from cai_core.workspace.runs import open_run
from cai_core.workspace.status import RunState, load_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A run that succeeded, none of whose starts was killed."""

    run_id: str
    kind: str
    recipe: Mapping[str, Any]
    usage: Usage

    @property
    def rows(self) -> int:
        """What it made: rows or completions, or the examples that it trained on."""
        return int(self.usage.work.get("rows", 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A measured run to reckon with.

    Attributes:
        scale: parameters of the model to run over those of the measured one; 1 for the same.
        basis: in words, for people.
    """

    measured: Measured
    scale: float
    basis: str


def load_measured(workspace: Path) -> list[Measured]:
    """The runs of a workspace that told what they took, in no order. Reads small files alone."""
    found = []
    for path in (workspace / "runs").glob(f"*/{USAGE}"):
        try:
            stat = path.stat()
            measured = _load(path.parent, stat.st_mtime_ns, stat.st_size)
        except (CaiError, OSError):
            continue  # `verify` tells
        if measured is not None:
            found.append(measured)
    return found


def find_rate(
    measured: Sequence[Measured],
    kind: str,
    recipe: Mapping[str, Any],
    machine: str,
    count_parameters: Callable[[str], int | None],
) -> Rate | None:
    """The best run to reckon with: of the same model, then of another, scaled by parameters.

    Of several the one with the same prompts counts first, then the one with the most rows.

    Args:
        count_parameters: of a model by its name; None where that is not known.

    Returns:
        None where nothing of that kind was measured on this machine.
    """
    alike = [
        one
        for one in measured
        if one.kind == kind and one.usage.machine == machine and _is_alike(kind, one.recipe, recipe)
    ]
    model = get_model(kind, recipe)
    own = [one for one in alike if get_model(kind, one.recipe) == model]
    if own:
        best = max(own, key=lambda one: _rank(one, recipe))
        return Rate(measured=best, scale=1.0, basis=f"measured: {_name(best)}")
    wanted = count_parameters(model)
    for best in sorted(alike, key=lambda one: _rank(one, recipe), reverse=True):
        held = count_parameters(get_model(kind, best.recipe))
        if wanted and held:
            told = f"measured on another model: {_name(best)}, × {wanted / held:.3g} by parameters"
            return Rate(measured=best, scale=wanted / held, basis=told)
    return None


def get_model(kind: str, recipe: Mapping[str, Any]) -> str:
    """The model that a run of this kind works with, as its recipe names it."""
    key = {"revise": "model", "label": "feedback_model", "evaluate": "model"}.get(kind, "base")
    return str(recipe.get(key) or "")


def _is_alike(kind: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two runs of a kind do the same for each row, but for models and sizes."""
    asked = {"label": ("reasoned", "template"), "revise": (), "evaluate": ("judge", "rubric")}
    keys: tuple[str, ...] = asked.get(kind, ("method",))
    if any(one.get(key) != other.get(key) for key in keys):
        return False
    return kind != "rl" or _list_rewards(one) == _list_rewards(other)


def _list_rewards(recipe: Mapping[str, Any]) -> list[str]:
    return sorted(str(reward.get("kind")) for reward in recipe.get("rewards") or ())


def _rank(measured: Measured, recipe: Mapping[str, Any]) -> tuple[bool, bool, int]:
    chain, other = measured.recipe.get("chain") or {}, recipe.get("chain") or {}
    same_steps = chain.get("revisions") == other.get("revisions")
    same_prompts = measured.recipe.get("prompts_hash") == recipe.get("prompts_hash")
    return same_steps, same_prompts, measured.rows


def _name(measured: Measured) -> str:
    what = {"revise": "rows", "label": "answers", "rl": "completions", "evaluate": "rows"}
    told = what.get(measured.kind, "examples")
    return f"run {measured.run_id} of this machine, {measured.rows:,} {told}"


@lru_cache(maxsize=4096)
def _load(folder: Path, changed: int, size: int) -> Measured | None:
    del changed, size  # of usage.jsonl: the key of what is remembered
    if load_status(folder / "status.json").state is not RunState.SUCCEEDED:
        return None
    usage = load_usage(folder)
    if usage.killed or not usage.work.get("rows"):
        return None
    run = open_run(folder)
    return Measured(run_id=run.run_id, kind=run.kind, recipe=run.recipe, usage=usage)
