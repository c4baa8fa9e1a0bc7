"""The runs of RLAIF in a plan file: labels, reward models, RL and DPO. Pure.

      - {name: labels, kind: label, sources: [{run: samples}], constitution: harmlessness}
      - {name: rm, kind: reward, base: "run:sl", sources: [{run: labels}]}
      - {name: rl, kind: rl, base: "run:sl", prompts: redteam,
         rewards: [{kind: reward-model, model: "run:rm"}]}
      - {name: dpo, kind: dpo, base: "run:sl", sources: [{run: labels}]}

An entry has its recipe's own keys, except that names stand in the place of hashes. `human` is a
file of people's labels, or `queue:ID` for the votes of a review queue as they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from cai_core.errors import RecipeError
from cai_core.pipeline.label_recipe import LabelRecipe, parse_label_recipe
from cai_core.training.dpo_recipe import DpoRecipe, parse_dpo_recipe
from cai_core.training.reward_recipe import RewardRecipe, parse_reward_recipe
from cai_core.training.rl_recipe import RlRecipe, parse_rl_recipe

Recipe = LabelRecipe | RewardRecipe | DpoRecipe | RlRecipe
RlaifKind = Literal["label", "reward", "dpo", "rl"]
KINDS: tuple[RlaifKind, ...] = ("label", "reward", "dpo", "rl")
# What is looked up later stands in for itself until then.
LATER = "?"

_TYPES: Mapping[str, type] = {
    "label": LabelRecipe,
    "reward": RewardRecipe,
    "dpo": DpoRecipe,
    "rl": RlRecipe,
}
_PARSERS: Mapping[str, Callable[[Mapping[str, Any]], Recipe]] = {
    "label": parse_label_recipe,
    "reward": parse_reward_recipe,
    "dpo": parse_dpo_recipe,
    "rl": parse_rl_recipe,
}
# Filled in, so an entry may not have them; and what it names in their place.
_FILLED = ("constitution_hash", "few_shot_hash", "human_hash", "prompts_hash")
_FILES: Mapping[str, tuple[str, ...]] = {
    "label": ("few_shot", "human"),
    "reward": ("human",),
    "dpo": ("human",),
    "rl": ("where",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RlaifPlan:
    """A run as the file names it: the recipe's models, sources and hashes are looked up later.

    Attributes:
        files: what the entry names beside its recipe: `few_shot`, `human`, `where`; an
            `rl` run's `prompts` as a list.
    """

    name: str
    kind: RlaifKind
    recipe: Recipe
    files: Mapping[str, Any] = field(default_factory=dict)


def list_keys(kind: RlaifKind) -> tuple[str, ...]:
    """The keys that an entry of this kind may have."""
    own = [item.name for item in fields(_TYPES[kind]) if item.name not in _FILLED]
    return ("name", "kind", *own, *_FILES[kind])


def parse_rlaif(name: str, kind: RlaifKind, entry: Mapping[str, Any]) -> RlaifPlan:
    """Read an entry whose keys are known.

    Raises:
        RecipeError: a value is out of range or of another kind.
    """
    files = {key: entry[key] for key in _FILES[kind] if entry.get(key) is not None}
    for key in ("few_shot", "human"):
        if key in files and not (isinstance(files[key], str) and files[key].isprintable()):
            raise RecipeError(f"{key} is {files[key]!r}. Give a name or path, in quotes.")
    left_out = {"name", "kind", *_FILES[kind]}
    values = {key: value for key, value in entry.items() if key not in left_out}
    known = {item.name for item in fields(_TYPES[kind])}
    if "human" in files and kind != "label":
        values["human_hash"] = LATER
    if kind == "label":
        values.setdefault("feedback_model", LATER)
    if kind == "rl":
        files["prompts"] = _read_sets(values.get("prompts"))
        values |= {"prompts": " + ".join(files["prompts"]), "prompts_hash": LATER}
    if "constitution_hash" in known and "constitution" in values:
        values["constitution_hash"] = LATER
    return RlaifPlan(name=name, kind=kind, recipe=_PARSERS[kind](values), files=files)


def _read_sets(value: object) -> list[str]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise RecipeError(f"prompts is {value!r}. Name a set, or several: [redteam, helpful].")
    return names
