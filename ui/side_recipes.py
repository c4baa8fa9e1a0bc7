"""What two runs differ in, out of their recipes, and what makes comparing them doubtful. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cai_core.workspace.index.side_views import Side, SidePage
from ui.runs_field_words import get_words

_SHORT = 12
# What is compared first: these, in this order; everything else follows.
_FIRST = ("constitution", "model", "critic_model", "feedback_model", "chain.seed", "seed")
# What somebody compares on purpose; all else that differs may be why texts do.
_TOLD_WITH_ANOTHER = ("constitution_hash",)
_OWN_WORDS = {
    "prompts_hash": "Prompts (hash)",
    "few_shot_hash": "Examples (hash)",
    "human_hash": "People’s labels (hash)",
    "limit": "Number of prompts",
    "sources": "Comparisons of",
    "chain.policy_sampling.top_p": "Top p of responses",
    "chain.critic_sampling.top_p": "Top p of critiques",
    "sampling.top_p": "Top p of thoughts",
}
_NONE = {"critic_model": "the model itself", "limit": "all"}
_MISSING = object()
_MADE_BY = re.compile(r"/runs/([^/]+)/")


@dataclass(frozen=True, slots=True, kw_only=True)
class SideDifference:
    """One thing that the two runs were not made alike in.

    Attributes:
        key: dotted, as in the recipe; `weights …` for what answered.
    """

    key: str
    name: str
    left: str
    right: str


def list_differences(left: Side, right: Side) -> tuple[SideDifference, ...]:
    """Constitution, model, critic and seed first, then whatever else differs in the recipes."""
    held, other = _flatten(left.recipe), _flatten(right.recipe)
    keys = [*_FIRST, *sorted(held.keys() | other.keys())]
    found = []
    for key in dict.fromkeys(keys):
        if key in _TOLD_WITH_ANOTHER:
            continue
        values = [_say(key, one.get(key, _MISSING), one) for one in (held, other)]
        if values[0] != values[1]:
            short = [_shorten_model(one) for one in values] if key.endswith("model") else values
            # Two checkpoints of one run have one short name.
            values = short if short[0] != short[1] else values
            name = _name(left.run.kind, key)
            found.append(SideDifference(key=key, name=name, left=values[0], right=values[1]))
    return (*found, *_list_makers(left, right))


def list_warnings(page: SidePage) -> tuple[str, ...]:
    """Why a difference may come from something else than what is compared."""
    told = {one.key for one in list_differences(page.left, page.right)}
    found = []
    alone = page.counts["left"] + page.counts["right"]
    if "prompts_hash" in told or "limit" in told:
        found.append(
            f"The prompts differ: {page.shared:,} are on both sides. Only those can be compared."
        )
    elif alone and page.holds == "chains":
        found.append(
            f"The prompts are the same, but {alone:,} chains have no partner: a run has not ended, "
            "or takes another number of samples a prompt."
        )
    if sampled := sorted(one for one in told if "sampling" in one):
        names = ", ".join(_name(page.left.run.kind, one).lower() for one in sampled)
        found.append(f"The sampling differs ({names}): texts differ for that alone.")
    if told & {"chain.seed", "seed"}:
        found.append("The seeds differ: each text is drawn anew, and differs for that alone.")
    if told & {"chain.template", "template"}:
        found.append("The templates differ: models are asked in other words.")
    if "few_shot_hash" in told:
        found.append("The examples before the prompts differ.")
    if told & {"chain.revisions", "chain.critique"}:
        found.append("The rounds differ in number or kind: final texts come after another way.")
    if page.holds == "labels" and page.by == "prompt":
        found.append(
            "Labels are brought together by prompt, not by comparison: the responses of the two "
            "sides may be others, and A and B then mean other texts."
        )
    found += [
        f"{side.run.run} is {side.run.state}, and may not be whole."
        for side in (page.left, page.right)
        if side.run.state not in ("succeeded", "")
    ]
    return tuple(found)


def name_side(side: Side, other: Side) -> str:
    """What tells this side from the other, as short as it can be said."""
    if side.run.constitution_hash != other.run.constitution_hash:
        same = side.run.constitution == other.run.constitution
        return f"{side.run.constitution}{f'@{side.run.constitution_hash[:8]}' if same else ''}"
    for key in ("model", "critic_model", "feedback_model"):
        if side.recipe.get(key) != other.recipe.get(key):
            return _shorten_model(_say(key, side.recipe.get(key, _MISSING), {}))
    return side.run.run


def _list_makers(left: Side, right: Side) -> list[SideDifference]:
    """Where one name came to other weights or another server."""
    others = {maker.role: maker for maker in right.makers}
    found = []
    for maker in left.makers:
        other = others.get(maker.role)
        if other is None:
            continue
        pairs = {
            f"Weights of the {maker.role}": (maker.weights_hash, other.weights_hash),
            f"Server of the {maker.role}": (maker.engine, other.engine),
        }
        found += [
            SideDifference(
                key=f"weights {maker.role}",
                name=name,
                left=(one or "not told")[:_SHORT] if "Weights" in name else str(one),
                right=(two or "not told")[:_SHORT] if "Weights" in name else str(two),
            )
            for name, (one, two) in pairs.items()
            if one != two
        ]
    return found


def _say(key: str, value: Any, recipe: Mapping[str, Any]) -> str:
    if value is _MISSING:
        return "not set"
    if value is None:
        return _NONE.get(key, "none")
    if key == "constitution":
        version = str(recipe.get("constitution_hash") or "")[:_SHORT]
        return f"{value}@{version}" if version else str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key == "sources" and isinstance(value, list):
        return "; ".join(map(_say_source, value))
    if isinstance(value, list):
        texts = all(isinstance(one, str) and one and ", " not in one for one in value)
        return ", ".join(value) if value and texts else json.dumps(value, ensure_ascii=False)
    return str(value)[:_SHORT] if key.endswith("_hash") else str(value)


def _say_source(source: Mapping[str, Any]) -> str:
    """Of a label run: `run a against b`, with what else is set of it."""
    run, against = source.get("run"), source.get("against")
    told = [f"{run} against {against}" if against else str(run)]
    told += [
        f"{name} {value}"
        for name, value in source.items()
        if name not in ("run", "against") and value not in (None, "two", "feedback")
    ]
    return ", ".join(told)


def _name(kind: str, key: str) -> str:
    if key in _OWN_WORDS:
        return _OWN_WORDS[key]
    try:
        label, _ = get_words(kind, key, {})
    except KeyError:
        return key
    return label if "\\" not in label else key


def _shorten_model(model: str) -> str:
    if made := _MADE_BY.search(model):
        return made[1]  # every run's model lies in a folder of one name
    return f"…/{model.rstrip('/').rpartition('/')[2]}" if model.startswith("/") else model


def _flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, inner in value.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        leaves |= _flatten(inner, name) if isinstance(inner, dict) else {name: inner}
    return leaves
