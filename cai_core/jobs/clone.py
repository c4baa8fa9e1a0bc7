"""The same run with another seed, or other values: a new run, made from a copy of the inputs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cai_core.errors import RecipeError, WorkspaceError
from cai_core.inference.model_url import is_url
from cai_core.jobs.plan_names import RUN
from cai_core.jobs.spec import RunSpec, check_model_url
from cai_core.pipeline.inputs import FOLDER as INPUTS
from cai_core.pipeline.recipe import ReviseRecipe, parse_revise_recipe
from cai_core.records import content_hash
from cai_core.training.recipe import SftRecipe, parse_sft_recipe
from cai_core.workspace.runs import Run

_BLOCK = 1 << 20
_OWN_HASH = re.compile(r"-[0-9a-f]{8,12}$")
CLONED_KINDS = frozenset({"revise", "sft"})
# Keys that name a model.
MODELS = ("base", "model", "critic_model")
# What stands for the inputs, which are copied and cannot be others.
_OF_INPUTS = ("constitution", "prompts", "few_shot", "limit")


def build_clone(run: Run, changes: Mapping[str, Any]) -> RunSpec:
    """The run to submit.

    Args:
        changes: dotted key of the recipe → its new value, e.g. `{"chain.seed": 2}`; in the place
            of a model `run:ID` is the one that this run made.

    Raises:
        RecipeError: an unknown key, an impossible value, or no change.
        UnknownModelError: a model's URL holds a password or a query.
        WorkspaceError: the run cannot be repeated from its folder.
    """
    if run.kind not in CLONED_KINDS:
        raise WorkspaceError(f"{run.run_id}: a run of kind {run.kind} cannot be cloned.")
    held = _parse(run.kind, run.recipe)
    recipe = held.as_dict()
    for key, value in changes.items():
        _change(recipe, run.kind, key, _find_made(run, value) if key in MODELS else value)
    if "base" in changes and "base_hash" not in changes:
        recipe["base_hash"] = None  # that of the old one
    parsed = _parse(run.kind, recipe)
    if parsed == held:
        raise RecipeError(f"{run.run_id}: nothing is changed. Set another seed, or another value.")
    recipe = parsed.as_dict()
    for key in ("model", "critic_model"):
        if is_url(name := recipe.get(key) or ""):
            check_model_url(name)
    sources = parsed.parents if isinstance(parsed, SftRecipe) else ()
    parents = tuple(dict.fromkeys([*sources, *_find_makers(run, recipe)]))
    # As a plan builds the ids of its runs, so that the same run is the same here and there.
    what = {"kind": run.kind, "recipe": recipe, "parents": list(parents)}
    stem = _OWN_HASH.sub("", run.run_id)
    return RunSpec(
        run_id=f"{stem}-{content_hash(what)[:8]}",
        kind=run.kind,
        recipe=recipe,
        parents=parents,
        inputs=_copy_inputs(run),
    )


def list_changeable(run: Run) -> dict[str, Any]:
    """What a clone may change: dotted key of the recipe → its value.

    Raises:
        RecipeError: the recipe cannot be read.
        WorkspaceError: a run of that kind cannot be cloned.
    """
    if run.kind not in CLONED_KINDS:
        raise WorkspaceError(f"{run.run_id}: a run of kind {run.kind} cannot be cloned.")
    leaves = _flatten(_parse(run.kind, run.recipe).as_dict())
    fixed = _OF_INPUTS if run.kind == "revise" else ("base_hash",)
    return {key: value for key, value in leaves.items() if not key.startswith(fixed)}


def _flatten(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in recipe.items():
        inner = isinstance(value, dict)
        leaves |= _flatten(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return leaves


def _parse(kind: str, recipe: Mapping[str, Any]) -> ReviseRecipe | SftRecipe:
    return parse_sft_recipe(recipe) if kind == "sft" else parse_revise_recipe(recipe)


def _find_makers(run: Run, recipe: Mapping[str, Any]) -> Iterator[str]:
    """Ids of the runs that made the models which the recipe names."""
    runs = run.path.parent.absolute()
    for key in MODELS:
        path = Path(str(recipe.get(key) or ""))
        if path.is_relative_to(runs) and path != runs:
            yield path.relative_to(runs).parts[0]


def _find_made(run: Run, name: Any) -> Any:
    """The folder of the model that `run:ID` names; any other name as it is."""
    if not isinstance(name, str) or not name.startswith(RUN):
        return name
    made = name.removeprefix(RUN)
    folder = run.path.parent / made / "outputs" / "model"
    if made != Path(made).name or made in ("", "..") or not folder.is_dir():
        raise RecipeError(f"{name!r:.80}: no run of that id made a model. Look at the page Models.")
    return str(folder.absolute())


def _change(recipe: dict[str, Any], kind: str, key: str, value: Any) -> None:
    if kind == "revise" and key.startswith(_OF_INPUTS):
        raise RecipeError(
            f"{key}: belongs to the inputs, which a clone takes over. Start a new run for others."
        )
    *path, last = key.split(".")
    place: Any = recipe
    for name in path:
        place = place.get(name) if isinstance(place, dict) else None
    if not isinstance(place, dict) or last not in place:
        raise RecipeError(
            f"{key}: the recipe has no such key. It has: {', '.join(_flatten(recipe))}."
        )
    place[last] = value


def _copy_inputs(run: Run) -> dict[str, Callable[[], Iterator[bytes]]]:
    folder = run.path / INPUTS
    if not folder.is_dir():
        if run.kind != "revise":
            return {}
        raise WorkspaceError(
            f"{run.run_id}: its inputs are not in its folder. Start it again with other values "
            "where it was begun."
        )
    names = sorted(path for path in folder.iterdir() if path.name[0] != ".")
    return {path.name: partial(_read, path) for path in names}


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
