"""`evaluate` runs in a plan file. Pure.

      - {name: eval, kind: evaluate, model: "run:sl", suite: [harmful, borderline], judge: big}

An entry has its recipe's own keys, except that names stand in the place of hashes, and `suite` may
be a list. A judge without a rubric is asked by `demo-world` where the suite is of that world and
the bundled server serves the judge, else by `general`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from cai_core.errors import RecipeError
from cai_core.pipeline.evaluate_recipe import EvaluateRecipe, parse_evaluate_recipe

# What is looked up later stands in for itself until then.
LATER = "?"
_NAMED = ("rubric", "constitution", "system_constitution", "feedback_constitution")
_FILLED = ("suite_hash", *(f"{name}_hash" for name in _NAMED))
KEYS = (
    "name",
    "kind",
    *(item.name for item in fields(EvaluateRecipe) if item.name not in _FILLED),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatePlan:
    """An `evaluate` run as the file names it; the recipe's hashes are looked up later.

    Attributes:
        suites: names. given: the entry's keys: what is left out may depend on the suite.
    """

    name: str
    suites: tuple[str, ...]
    recipe: EvaluateRecipe
    given: frozenset[str]
    kind: Literal["evaluate"] = "evaluate"


def parse_evaluate(name: str, entry: Mapping[str, Any]) -> EvaluatePlan:
    """Read an entry whose keys are known.

    Raises:
        RecipeError: a value is out of range or of another kind.
    """
    suites = _read_suites(entry.get("suite"))
    values = {key: value for key, value in entry.items() if key not in ("name", "kind")}
    values |= {"suite": " + ".join(suites), "suite_hash": LATER}
    values.setdefault("model", LATER)
    if values.get("judge") is not None and values.get("rubric") is None:
        values["rubric"] = LATER
    for key in _NAMED:
        if values.get(key) is not None:
            values[f"{key}_hash"] = LATER
    recipe = parse_evaluate_recipe(values)
    given = frozenset(key for key, value in entry.items() if value is not None)
    return EvaluatePlan(name=name, suites=suites, recipe=recipe, given=given)


def _read_suites(value: object) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise RecipeError(f"suite is {value!r}. Name one, or several: [harmful, borderline].")
    return tuple(names)
