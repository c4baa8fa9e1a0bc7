"""Which of a run's settings a form offers, by kind, and what each may hold. Pure.

The recipes are the truth: types, choices and defaults are read off them, and whether a value is
right is theirs to say.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from cai_core.jobs.plan import RevisePlan, Where
from cai_core.pipeline.label_recipe import ComparisonSource, LabelRecipe
from cai_core.records import PromptKind
from cai_core.training.alarm_limits import NAMES as ALARMS
from cai_core.training.dpo_recipe import DpoRecipe
from cai_core.training.preference_recipe import PreferenceSource
from cai_core.training.recipe import ChainSource, SftRecipe
from cai_core.training.reward_recipe import RewardRecipe
from cai_core.training.rl_recipe import LengthReward, ModelReward, RlRecipe

Holds = Literal[
    "name", "names", "choice", "several", "switch", "whole", "number", "principles", "bounds"
]
# In the place of `sources` and `rewards` stand the fields of each of their entries.
SOURCES, REWARDS = "sources", "rewards"
_TRAINING = ("learning_rate", "epochs", "batch_size", "micro_batch", "max_length")
_TRAINING_MORE = (
    "lora_rank",
    "lora_alpha",
    "precision",
    "gradient_checkpointing",
    "warmup",
    "weight_decay",
    "max_grad_norm",
    "log_steps",
    "save_steps",
)
_SAMPLES = ("sample_steps", "sample_prompts")
_PEOPLE = ("human", "use_human", "drop_disputed")
# What an entry names and its recipe does not: files, whose hashes the recipe holds.
_FILES = frozenset({"human", "few_shot"})
# What somebody new to it needs, and then the rest.
FIRST: Mapping[str, tuple[str, ...]] = {
    "revise": (
        "prompts",
        "constitution",
        "model",
        "where.limit",
        "chain.revisions",
        "chain.seed",
    ),
    "sft": ("base", "method", SOURCES, *_TRAINING, "seed"),
    "label": ("feedback_model", "constitution", SOURCES, "principles", "reasoned", "seed"),
    "reward": ("base", "method", SOURCES, *_TRAINING, "seed"),
    "dpo": ("base", "method", SOURCES, "beta", *_TRAINING, "seed"),
    "rl": (
        "base",
        "prompts",
        REWARDS,
        "algorithm",
        "steps",
        "prompts_per_step",
        "generations",
        "red_team_share",
        "beta",
        "method",
        "learning_rate",
        "seed",
    ),
}
MORE: Mapping[str, tuple[str, ...]] = {
    "revise": (
        "where.kinds",
        "critic_model",
        "chain.samples",
        "chain.principles",
        "chain.critique",
        "chain.template",
        "chain.policy_sampling.temperature",
        "chain.policy_sampling.max_tokens",
        "chain.critic_sampling.temperature",
        "chain.critic_sampling.max_tokens",
        "few_shot",
    ),
    "sft": ("packing", *_TRAINING_MORE, *_SAMPLES),
    "label": (
        "orders",
        "principles_per_comparison",
        "thoughts",
        "clamp",
        "sampling.temperature",
        "sampling.max_tokens",
        "template",
        "tie_margin",
        "least_mass",
        "max_unparsed",
        "similarity",
        "few_shot",
        "human",
    ),
    "reward": (*_PEOPLE, "soft", "eval_share", "center", *_TRAINING_MORE, "shuffled"),
    "dpo": (*_PEOPLE, "soft", "eval_share", *_TRAINING_MORE, *_SAMPLES, "shuffled"),
    "rl": (
        "where.limit",
        "where.kinds",
        "constitution",
        "max_tokens",
        "temperature",
        "micro_batch",
        "iterations",
        "epsilon",
        "rollouts",
        "lora_rank",
        "lora_alpha",
        "precision",
        "gradient_checkpointing",
        "warmup",
        "max_grad_norm",
        "log_steps",
        "save_steps",
        *_SAMPLES,
        "probe_steps",
        "probe_prompts",
        "alarms.over_refusal",
        "alarms.compliance",
        "alarms.evasive",
        "alarms.goodhart",
        "alarms.longer",
        "alarms.shorter",
        "alarms.repetition",
        "alarms.kl",
        "alarms.warn_only",
    ),
}
# Of an entry of `sources`, among the rest.
_SOURCE_MORE: Mapping[str, tuple[str, ...]] = {"reward": ("kinds",), "dpo": ("kinds",)}
# Of an entry of `sources`; `run` and `against` say which it is and are changed in the text.
_SOURCE_KEYS: Mapping[str, tuple[str, ...]] = {
    "sft": ("run", "use", "share"),
    "label": ("run", "against", "pairs", "share"),
    "reward": ("run", "use", "share"),
    "dpo": ("run", "use", "share"),
}
_REWARD_KEYS: Mapping[str, tuple[str, ...]] = {
    "reward-model": ("kind", "model", "weight"),
    "judge": ("kind", "model", "weight"),
    "length": ("kind", "per_tokens", "weight"),
}
_TELLING = ("run", "against", "kind")
_RECIPES: Mapping[str, type] = {
    "revise": RevisePlan,
    "sft": SftRecipe,
    "label": LabelRecipe,
    "reward": RewardRecipe,
    "dpo": DpoRecipe,
    "rl": RlRecipe,
}
_SOURCES: Mapping[str, type] = {
    "sft": ChainSource,
    "label": ComparisonSource,
    "reward": PreferenceSource,
    "dpo": PreferenceSource,
}
_SEVERAL: Mapping[str, tuple[str, ...]] = {
    "kinds": tuple(kind.value for kind in PromptKind),
    "warn_only": ALARMS,
}
# Whole numbers begin at 1, but for these.
_LEAST = {
    **dict.fromkeys(("seed", "revisions", "sample_steps", "sample_prompts", "probe_prompts"), 0),
    "generations": 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a field holds.

    Attributes:
        holds: `name` of a thing in the workspace, `names` of several; `several` of the choices;
            `principles` is `random`, `in-order` or a list of ids; `bounds` a pair [low, 1 - low].
        choices: of a `choice` or `several`, else empty.
        default: what a plan that leaves it out gets; None where there is none.
        least: of a `whole` number.
    """

    holds: Holds
    choices: tuple[str, ...] = ()
    default: Any = None
    least: int = 1


def list_fields(kind: str, run: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Dotted keys that a form offers of a run: first, and more; both empty for another kind.

    Args:
        run: its entry in the plan, for its `sources` and `rewards`.
    """
    first: list[str] = []
    more: list[str] = []
    for key in FIRST.get(kind, ()):
        if key not in (SOURCES, REWARDS):
            first.append(key)
            continue
        entries = run.get(key)
        for number, entry in enumerate(entries if isinstance(entries, list) else ()):
            first += [f"{key}.{number}.{name}" for name in _list_entry_keys(kind, key, entry)]
            if key == SOURCES and isinstance(entry, Mapping):
                more += [f"{key}.{number}.{name}" for name in _SOURCE_MORE.get(kind, ())]
    return tuple(first), (*more, *MORE.get(kind, ()))


def is_shown(key: str) -> bool:
    """Whether it is a field of its own, or only tells which entry is meant."""
    return not (key.startswith((f"{SOURCES}.", f"{REWARDS}.")) and key.endswith(_ENDS))


_ENDS = tuple(f".{name}" for name in _TELLING)


@lru_cache(maxsize=512)
def get_shape(kind: str, key: str) -> Shape:
    """What the field of that dotted key holds.

    Raises:
        KeyError: the kind's recipe has no such key.
    """
    steps = [step for step in key.split(".") if not step.isdecimal()]
    record: Any = _RECIPES[kind]
    match steps[0]:
        case "where":
            record, steps = Where, steps[1:]
        case "sources":
            record, steps = _SOURCES[kind], steps[1:]
        case "rewards":
            record = LengthReward if steps[-1] == "per_tokens" else ModelReward
            steps = steps[1:]
    for step in steps[:-1]:
        record = get_type_hints(record)[step]
    name = steps[-1]
    if name in _FILES:
        return Shape(holds="name")
    hint, default = get_type_hints(record)[name], _find_default(record, name)
    if (kind, key) == ("rl", "prompts"):
        return Shape(holds="names")
    if name in _SEVERAL:
        return Shape(holds="several", choices=_SEVERAL[name], default=default)
    return _build_shape(hint, default, _LEAST.get(name, 1))


def _list_entry_keys(kind: str, key: str, entry: object) -> tuple[str, ...]:
    if not isinstance(entry, Mapping):
        return ()
    if key == REWARDS:
        told = entry.get("kind")
        return _REWARD_KEYS.get(told, ()) if isinstance(told, str) else ()
    keys = _SOURCE_KEYS[kind]
    # Two runs are compared sample by sample: there is nothing to choose.
    return tuple(name for name in keys if name != "pairs" or not entry.get("against"))


def _find_default(record: Any, name: str) -> Any:
    found = next(item for item in fields(record) if item.name == name)
    return None if found.default is MISSING else found.default


def _build_shape(hint: Any, default: Any, least: int) -> Shape:
    if get_origin(hint) in (Union, types.UnionType):
        kinds = [one for one in get_args(hint) if one is not type(None)]
        if any(get_origin(one) is Literal for one in kinds):
            return Shape(holds="principles", default=default)
        hint = kinds[0]
    if get_origin(hint) is Literal:
        return Shape(holds="choice", choices=get_args(hint), default=default)
    if get_origin(hint) is tuple:
        return Shape(holds="bounds", default=default)
    holds: Mapping[Any, Holds] = {bool: "switch", int: "whole", float: "number", str: "name"}
    return Shape(holds=holds[hint], default=default, least=least)
