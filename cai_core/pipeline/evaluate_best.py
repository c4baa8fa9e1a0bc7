"""Best of n in an `evaluate` run: a case's answers compared in a round robin, one of them chosen.

See `best_of_n`, which a `ways` run uses alike. Samples of all cases of a prompt are numbered on, so
that no two comparisons of a run are the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from cai_core.pipeline.best_of_n import (
    Match,
    choose_best,
    form_matches,
    list_candidates,
    read_label,
)
from cai_core.pipeline.evaluate_plan import Case, PlannedRow
from cai_core.pipeline.evaluate_recipe import EvaluateRecipe
from cai_core.pipeline.label_asking import LabelSetup, ask_comparison
from cai_core.pipeline.label_building import build_model_label, plan_asks
from cai_core.pipeline.label_recipe import ComparisonSource, LabelRecipe
from cai_core.records import Constitution
from cai_core.workspace.rows import Row


def build_choosing_recipe(recipe: EvaluateRecipe) -> LabelRecipe:
    """How the feedback model is asked: plain scored labels in both orders.

    Raises:
        RecipeError: the recipe names no feedback model.
    """
    return LabelRecipe(
        sources=(ComparisonSource(run="best-of-n"),),
        feedback_model=str(recipe.feedback_model or ""),
        constitution=str(recipe.feedback_constitution or ""),
        constitution_hash=str(recipe.feedback_constitution_hash or ""),
        seed=recipe.seed,
    )


async def ask_choice(
    case: Case,
    rows: Mapping[str, Row],
    recipe: EvaluateRecipe,
    setup: LabelSetup,
    durable: Mapping[str, Row],
    write: Callable[[Row], Awaitable[None]],
) -> list[Row]:
    """The rows of a case's comparisons; durable ones are taken. Raises as `ask_comparison`.

    Args:
        rows: of the case's answers, by id.
    """
    found: list[Row] = []
    for match in _list_matches(case, rows, recipe, setup.run_id):
        found += await ask_comparison(match.place, match.comparison, setup, durable, write)
    return found


def choose_responses(
    case: Case,
    rows: Mapping[str, Row],
    recipe: EvaluateRecipe,
    constitution: Constitution | None,
    run_id: str,
) -> tuple[PlannedRow, ...]:
    """The responses of a case that count: one for each turn, or the chosen one of several.

    Args:
        rows: of the run, by id.

    Returns:
        Empty where an answer or a comparison is not there yet, or nothing could be chosen.
    """
    if not case.candidates:
        return case.responses
    drawn = _list_drawn(case)
    if constitution is None or any(planned.row_id not in rows for planned in drawn):
        return ()
    asked, texts = build_choosing_recipe(recipe), _read_texts(case, rows, recipe)
    judged = []
    for match in _list_matches(case, rows, recipe, run_id):
        plan = plan_asks(asked, constitution, match.comparison, place=match.place, run_id=run_id)
        told = [rows[one.row_id] for one in plan if one.row_id in rows]
        if len(told) < len(plan):
            return ()
        judged.append(read_label(match, build_model_label(match.comparison, told, asked)))
    winner = choose_best(list_candidates(texts), judged).winner
    return () if winner is None else (drawn[winner - _first_number(case, recipe)],)


def _list_drawn(case: Case) -> Sequence[PlannedRow]:
    return (*case.responses, *case.candidates)


def _list_matches(
    case: Case, rows: Mapping[str, Row], recipe: EvaluateRecipe, run_id: str
) -> list[Match]:
    total = recipe.samples * recipe.best_of
    return form_matches(case.prompt.build_prompt(), _read_texts(case, rows, recipe), total, run_id)


def _read_texts(case: Case, rows: Mapping[str, Row], recipe: EvaluateRecipe) -> dict[int, str]:
    """Number of a sample among the prompt's → its text, of those that met no error."""
    first = _first_number(case, recipe)
    return {
        first + place: row.text
        for place, planned in enumerate(_list_drawn(case))
        if (row := rows.get(planned.row_id)) is not None and row.text is not None
    }


def _first_number(case: Case, recipe: EvaluateRecipe) -> int:
    return case.sample * recipe.best_of
