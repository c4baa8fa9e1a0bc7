"""Plans that bring the evidence: each method's model evaluated alike, and compared in pairs. Pure.

evaluations: one suite, one judge, one seed for all of them
comparisons: every pair of evaluations, answer by answer, in both orders
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import yaml

from cai_core.evaluation.suites import SuiteKind
from cai_core.jobs.evidence_study import Method
from cai_core.jobs.plan import FORMAT
from cai_core.pipeline.evaluate import KIND as EVALUATE
from cai_core.pipeline.label import KIND as LABEL

# Chains of thought of a feedback model from the demo world, and of any other one.
WORLD_TOKENS, TOKENS = 128, 512
# Answers of the demo world's models beside a constitution as system prompt, which takes most of
# their context of 512 tokens; their longest answers have fewer.
_WORLD_ANSWER = 104
_JOIN = " + "


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPreset:
    """What an evaluation asks, by a name.

    Attributes:
        label: for people. suites: names. limit: prompts, None for all. samples: answers to each.
        of_world: made for the demo model.
    """

    name: str
    label: str
    suites: tuple[str, ...]
    limit: int | None
    samples: int
    of_world: bool = False


# Sizes are ours: a look takes minutes on a laptop, the whole has the gate's power.
PRESETS: tuple[EvaluationPreset, ...] = (
    EvaluationPreset(
        name="demo-look",
        label="Demo world, a look: 60 prompts",
        suites=("demo",),
        limit=60,
        samples=1,
        of_world=True,
    ),
    EvaluationPreset(
        name="demo",
        label="Demo world: 252 prompts, 2 answers each",
        suites=("demo",),
        limit=252,
        samples=2,
        of_world=True,
    ),
    EvaluationPreset(
        name="look",
        label="Harmful, fine, borderline, a look: 60 prompts",
        suites=("harmful", "fine", "borderline"),
        limit=60,
        samples=1,
    ),
    EvaluationPreset(
        name="safety",
        label="Harmful, fine, borderline: all 702 prompts, 4 answers each",
        suites=("harmful", "fine", "borderline"),
        limit=None,
        samples=4,
    ),
    EvaluationPreset(
        name="pressure",
        label="Sycophancy and pressure: all 138 prompts, 4 answers each",
        suites=("sycophancy", "multi-turn"),
        limit=None,
        samples=4,
    ),
)


def get_preset(name: str) -> EvaluationPreset:
    """The preset of that name.

    Raises:
        KeyError: there is none.
    """
    return _BY_NAME[name]


def build_evaluation_plan(
    methods: Sequence[Method],
    preset: EvaluationPreset,
    *,
    judge: str | None,
    seed: int = 0,
    name: str = "evidence",
) -> str:
    """A plan file's text: an evaluation of each method, alike but for the model.

    Args:
        name: of the plan, with which the runs' ids begin.
        judge: as a plan names it; None leaves it to the oracle and to phrases.
    """
    shared: dict[str, Any] = {"suite": list(preset.suites), "samples": preset.samples, "seed": seed}
    if preset.limit is not None:
        shared["limit"] = preset.limit
    if preset.of_world:
        shared["sampling"] = {"max_tokens": _WORLD_ANSWER}
    if judge:
        shared["judge"] = judge
    return _dump(name, _build_entries(methods, shared))


def build_like(methods: Sequence[Method], recipe: Mapping[str, Any]) -> str:
    """The same as an evaluation that is there asked, of other models.

    Args:
        recipe: of that evaluation.
    """
    shared = {
        key: recipe[key]
        for key in ("limit", "samples", "sampling", "seed", "judge", "judge_tokens", "ratings")
        if recipe.get(key) is not None
    }
    shared["suite"] = str(recipe["suite"]).split(_JOIN)
    if recipe.get("judge") is None:
        for key in ("judge", "judge_tokens", "ratings"):
            shared.pop(key, None)
    return _dump("evidence", _build_entries(methods, shared))


def build_comparison_plan(
    runs: Sequence[str],
    *,
    feedback: str,
    constitution: str,
    reasoned: bool,
    max_tokens: int = TOKENS,
    principles: Sequence[str] = (),
    seed: int = 0,
) -> str:
    """A plan file's text: one label run that compares every pair of these evaluations.

    Answers of the same words are left to be ties; all others are asked about in both orders.

    Args:
        runs: ids of evaluations, the one that others are held against first.
        reasoned: whether the feedback model gives its reasons before each verdict.
        principles: ids that are gone through; empty draws one for each comparison.
    """
    entry: dict[str, Any] = {
        "name": "pairs",
        "kind": LABEL,
        "sources": [{"run": two, "against": one} for one, two in combinations(runs, 2)],
        "feedback_model": feedback,
        "constitution": constitution,
        "similarity": 1.0,
        "seed": seed,
    }
    if reasoned:
        entry |= {"reasoned": True, "sampling": {"max_tokens": max_tokens}}
    if principles:
        entry["principles"] = list(principles)
    return _dump("evidence", [entry])


_BY_NAME = {one.name: one for one in PRESETS}


def _build_entries(methods: Sequence[Method], shared: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An entry for each method; the best of several answers is chosen of one turn alone."""
    turns = SuiteKind.MULTI_TURN.value in shared["suite"]
    return [_build_entry(one, shared) for one in methods if one.best_of == 1 or not turns]


def _build_entry(method: Method, shared: Mapping[str, Any]) -> dict[str, Any]:
    entry = {"name": _slug(method.label), "kind": EVALUATE, "model": method.model, **shared}
    if method.system is not None:
        entry["system_constitution"] = method.system
    if method.best_of > 1:
        entry |= {
            "best_of": method.best_of,
            "feedback_model": method.model,
            "feedback_constitution": method.rules,
        }
    return entry


def _slug(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:40] or "model"


def _dump(name: str, runs: Sequence[Mapping[str, Any]]) -> str:
    # Deep copies: a list that two runs share would be written as an alias, which plans refuse.
    own = [deepcopy(dict(run)) for run in runs]
    return yaml.safe_dump({"format": FORMAT, "name": name, "runs": own}, sort_keys=False)
