"""The same run with another seed, or other values: a new run, made from a copy of the inputs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cai_core.errors import RecipeError, WorkspaceError
from cai_core.inference.model_url import is_url
from cai_core.jobs.plan_names import RUN, check_model
from cai_core.jobs.run_ids import build_run_id
from cai_core.jobs.spec import RunSpec, check_model_url
from cai_core.pipeline.evaluate_recipe import EvaluateRecipe, parse_evaluate_recipe
from cai_core.pipeline.inputs import FOLDER as INPUTS
from cai_core.pipeline.label_recipe import LabelRecipe, parse_label_recipe
from cai_core.pipeline.recipe import ReviseRecipe, parse_revise_recipe
from cai_core.training.dpo_recipe import DpoRecipe, parse_dpo_recipe
from cai_core.training.recipe import SftRecipe, parse_sft_recipe
from cai_core.training.reward_recipe import RewardRecipe, parse_reward_recipe
from cai_core.training.rl_recipe import RlRecipe, parse_rl_recipe
from cai_core.workspace.runs import Run

Asking = ReviseRecipe | RlRecipe | EvaluateRecipe
Recipe = Asking | SftRecipe | LabelRecipe | RewardRecipe | DpoRecipe

_BLOCK = 1 << 20
_OWN_HASH = re.compile(r"-[0-9a-f]{8,12}$")
_PARSERS: Mapping[str, Callable[[Mapping[str, Any]], Recipe]] = {
    "revise": parse_revise_recipe,
    "sft": parse_sft_recipe,
    "label": parse_label_recipe,
    "reward": parse_reward_recipe,
    "dpo": parse_dpo_recipe,
    "rl": parse_rl_recipe,
    "evaluate": parse_evaluate_recipe,
}
CLONED_KINDS = frozenset(_PARSERS)
# Keys that name a model; an rl run's rewards name more.
MODELS = ("base", "model", "critic_model", "feedback_model", "judge")
_REWARD_MODEL = re.compile(r"rewards\.\d+\.model")
# What stands for the inputs, which are copied and cannot be others.
_CONSTITUTION = ("constitution", "constitution_hash")
_PROMPTS = ("prompts", "prompts_hash")
_OF_INPUTS: Mapping[str, tuple[str, ...]] = {
    "revise": (*_CONSTITUTION, *_PROMPTS, "few_shot_hash", "limit"),
    "label": (*_CONSTITUTION, "few_shot_hash", "human_hash"),
    "rl": (*_CONSTITUTION, *_PROMPTS),
    "evaluate": (
        *_CONSTITUTION,
        "system_constitution",
        "system_constitution_hash",
        "feedback_constitution",
        "feedback_constitution_hash",
        "suite",
        "suite_hash",
        "limit",
        "rubric",
        "rubric_hash",
    ),
}
# Follow from what they are hashes of.
_HASHES = ("base_hash", "model_hash", "human_hash")


def build_clone(
    run: Run, changes: Mapping[str, Any], *, endpoints: Collection[str] | None = None
) -> RunSpec:
    """The run to submit.

    Args:
        changes: dotted key of the recipe → its new value, e.g. `{"chain.seed": 2}` or
            `{"rewards.0.weight": 0.5}`; in the place of a model `run:ID` is the one that this run
            made.
        endpoints: their names, for people who may name nothing else as a new model but `demo`,
            `run:ID` and hub ids; None takes any model.

    Raises:
        RecipeError: an unknown key, an impossible value, a model that may not be named, or no
            change.
        UnknownModelError: a model's URL holds a password or a query.
        WorkspaceError: the run cannot be repeated from its folder.
    """
    _check_kind(run)
    held = _PARSERS[run.kind](run.recipe)
    recipe = held.as_dict()
    known = set(_list_models(recipe))
    for key, value in changes.items():
        _change(recipe, run.kind, key, value)
    _name_models(run, recipe, known, endpoints)
    if "base_hash" in recipe and recipe["base"] != run.recipe.get("base"):
        recipe["base_hash"] = changes.get("base_hash")  # not that of the old one
    parsed = _PARSERS[run.kind](recipe)
    if parsed == held:
        raise RecipeError(f"{run.run_id}: nothing is changed. Set another seed, or another value.")
    recipe = parsed.as_dict()
    for name in _list_models(recipe):
        if is_url(name):
            check_model_url(name)
    sources = () if isinstance(parsed, Asking) else parsed.parents
    for name in sources:
        _check_run_name(name)
    parents = tuple(dict.fromkeys([*sources, *_find_makers(run, recipe)]))
    # As a plan builds the ids of its runs, so that the same run is the same here and there.
    stem, workspace = _OWN_HASH.sub("", run.run_id), run.path.parents[1]
    return RunSpec(
        run_id=build_run_id(stem, run.kind, recipe, parents, workspace),
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
    _check_kind(run)
    leaves = _flatten(_PARSERS[run.kind](run.recipe).as_dict())
    fixed = {*_OF_INPUTS.get(run.kind, ()), *_HASHES}
    return {
        key: value
        for key, value in leaves.items()
        if key not in fixed and key.rpartition(".")[2] not in _HASHES
    }


def is_model_key(key: str) -> bool:
    """Whether that dotted key of a recipe names a model."""
    return key in MODELS or _REWARD_MODEL.fullmatch(key) is not None


def _check_kind(run: Run) -> None:
    if run.kind not in CLONED_KINDS:
        raise WorkspaceError(f"{run.run_id}: a run of kind {run.kind} cannot be cloned.")


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key → value; lists of mappings count as mappings from 0 on."""
    inner: Mapping[Any, Any] = {}
    if isinstance(value, dict):
        inner = value
    elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        inner = dict(enumerate(value))
    if not inner:
        return {prefix: value}
    leaves: dict[str, Any] = {}
    for key, one in inner.items():
        leaves |= _flatten(one, f"{prefix}.{key}" if prefix else str(key))
    return leaves


def _list_models(recipe: Mapping[str, Any]) -> Iterator[str]:
    """Every model that a recipe names, in its order."""
    for holder, key in _list_holders(recipe):
        if isinstance(holder.get(key), str):
            yield holder[key]


def _list_holders(recipe: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    """What holds a model's name, and under which key."""
    yield from ((recipe, key) for key in MODELS if key in recipe)
    rewards = recipe.get("rewards")
    for reward in rewards if isinstance(rewards, list) else ():
        if isinstance(reward, dict) and "model" in reward:
            yield reward, "model"


def _name_models(
    run: Run, recipe: dict[str, Any], known: Collection[str], endpoints: Collection[str] | None
) -> None:
    """Judge the models that are new, and put folders in the place of `run:ID`."""
    for holder, key in _list_holders(recipe):
        name = holder[key]
        if not isinstance(name, str) or name in known:
            continue
        if endpoints is not None:
            check_model(name, endpoints)
        if holder.get("kind") == "reward-model" and not name.startswith(RUN):
            raise RecipeError(
                f"rewards: model is {name!r:.80}. Name the run that made the reward model: "
                "`run:ID`."
            )
        holder[key] = _find_made(run, name)
        if "model_hash" in holder:
            holder["model_hash"] = None  # that of the old one


def _find_makers(run: Run, recipe: Mapping[str, Any]) -> Iterator[str]:
    """Ids of the runs that made the models which the recipe names."""
    runs = run.path.parent.absolute()
    for name in _list_models(recipe):
        path = Path(name)
        if path.is_relative_to(runs) and path != runs:
            yield path.relative_to(runs).parts[0]


def _find_made(run: Run, name: str) -> str:
    """The folder of the model that `run:ID` names; any other name as it is."""
    if not name.startswith(RUN):
        return name
    made = name.removeprefix(RUN)
    folder = run.path.parent / made / "outputs" / "model"
    if made != Path(made).name or made in ("", "..") or not folder.is_dir():
        raise RecipeError(f"{name!r:.80}: no run of that id made a model. Look at the page Models.")
    return str(folder.absolute())


def _check_run_name(name: str) -> None:
    if name != Path(name).name or name in ("", ".", ".."):
        raise RecipeError(f"sources: run is {name!r:.80}. Give the id of a run.")


def _change(recipe: dict[str, Any], kind: str, key: str, value: Any) -> None:
    if key.partition(".")[0] in _OF_INPUTS.get(kind, ()):
        raise RecipeError(
            f"{key}: belongs to the inputs, which a clone takes over. Start a new run for others."
        )
    *path, last = key.split(".")
    place: Any = recipe
    for name in path:
        place = _step(place, name)
    if not isinstance(place, dict) or last not in place:
        raise RecipeError(
            f"{key}: the recipe has no such key. It has: {', '.join(_flatten(recipe))}."
        )
    place[last] = value


def _step(place: Any, name: str) -> Any:
    if isinstance(place, list) and name.isdecimal() and int(name) < len(place):
        return place[int(name)]
    return place.get(name) if isinstance(place, dict) else None


def _copy_inputs(run: Run) -> dict[str, Callable[[], Iterator[bytes]]]:
    folder = run.path / INPUTS
    if not folder.is_dir():
        if run.kind not in _OF_INPUTS:
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
