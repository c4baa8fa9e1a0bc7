"""From an `evaluate` run in a plan to its recipe: names looked up, hashes filled in."""

from __future__ import annotations

from dataclasses import replace

from cai_core.errors import RecipeError
from cai_core.evaluation.suites import Suite
from cai_core.jobs.evaluate_suites import is_of_demo_world
from cai_core.jobs.plan_evaluate import LATER, EvaluatePlan
from cai_core.jobs.plan_lookup import Lookup
from cai_core.jobs.plan_rlaif_specs import Made
from cai_core.pipeline.evaluate_inputs import EvaluateInputs, build_evaluate_inputs
from cai_core.pipeline.evaluate_plan import choose_suite
from cai_core.pipeline.evaluate_recipe import EvaluateRecipe
from cai_core.pipeline.judge_rubric import Rubric, find_rubric
from cai_core.records import Constitution

# The demo world's texts are short, and so is its models' context: its longest ones, and some room.
_WORLD_RUBRIC, _WORLD_TOKENS, _WORLD_JUDGE_TOKENS = "demo-world", 128, 96
_RUBRIC = "general"


def build_evaluate(run: EvaluatePlan, lookup: Lookup) -> Made | None:
    """Look up what the run names; None where that has a fault, which is noted."""
    faults, before = lookup.faults, len(lookup.faults)
    recipe, parents = run.recipe, list[str]()
    suite: Suite | None = None
    rubric: Rubric | None = None
    model, judge = recipe.model, recipe.judge
    with faults.catch(run.name, "suite"):
        suite = choose_suite(lookup.find_suite(run.suites), recipe.limit)
    with faults.catch(run.name, "model"):
        model = lookup.find_role("policy") if model == LATER else model
        model = lookup.find_model(run.name, model, parents)
    with faults.catch(run.name, "judge"):
        judge = judge and lookup.find_model(run.name, judge, parents)
    in_world = suite is not None and is_of_demo_world(suite)
    with faults.catch(run.name, "rubric"):
        if recipe.rubric is not None:
            own = recipe.rubric != LATER
            shipped = _WORLD_RUBRIC if in_world and lookup.is_served_here(judge) else _RUBRIC
            rubric = lookup.find_rubric(recipe.rubric) if own else find_rubric(shipped)
            if recipe.ratings and not rubric.ratings:
                raise RecipeError(
                    f"{rubric.name} rates nothing. Leave `ratings` out, or name another rubric."
                )
    feedback = recipe.feedback_model
    with faults.catch(run.name, "feedback_model"):
        feedback = feedback and lookup.find_model(run.name, feedback, parents)
    with faults.catch(run.name, "best_of"):
        if recipe.best_of > 1 and suite is not None:
            _check_turns(suite)
    rules = _find_constitution(run, "feedback_constitution", lookup)
    constitution = _find_constitution(run, "constitution", lookup)
    system = _find_constitution(run, "system_constitution", lookup)
    if len(faults) > before or suite is None:
        return None
    with faults.catch(run.name, ""):
        recipe = replace(
            _shorten(run, rubric) if in_world else recipe,
            model=model,
            judge=judge,
            suite=suite.name,
            suite_hash=suite.hash,
            rubric=rubric.name if rubric else None,
            rubric_hash=rubric.hash if rubric else None,
            constitution=constitution.name if constitution else None,
            constitution_hash=constitution.hash if constitution else None,
            system_constitution=system.name if system else None,
            system_constitution_hash=system.hash if system else None,
            feedback_model=feedback,
            feedback_constitution=rules.name if rules else None,
            feedback_constitution_hash=rules.hash if rules else None,
        )
    inputs = EvaluateInputs(
        suite=suite, rubric=rubric, constitution=constitution, system=system, feedback=rules
    )
    return Made(recipe.as_dict(), tuple(dict.fromkeys(parents)), build_evaluate_inputs(inputs))


def _check_turns(suite: Suite) -> None:
    longer = sum(len(prompt.turns) > 1 for prompt in suite.prompts)
    if longer:
        raise RecipeError(
            f"{longer} prompts of {suite.name} have several turns, and the best of several answers "
            "is chosen for one. Leave best_of out, or choose another suite."
        )


def _find_constitution(run: EvaluatePlan, key: str, lookup: Lookup) -> Constitution | None:
    found: Constitution | None = None
    with lookup.faults.catch(run.name, key):
        if (name := getattr(run.recipe, key)) is not None:
            found = lookup.find_constitution(name)
    return found


def _shorten(run: EvaluatePlan, rubric: Rubric | None) -> EvaluateRecipe:
    """The recipe with the demo world's lengths where the entry gives none."""
    recipe = run.recipe
    if "sampling" not in run.given:
        recipe = replace(recipe, sampling=replace(recipe.sampling, max_tokens=_WORLD_TOKENS))
    if "judge_tokens" not in run.given and rubric is not None and rubric.name == _WORLD_RUBRIC:
        recipe = replace(recipe, judge_tokens=_WORLD_JUDGE_TOKENS)
    return recipe
