"""From a comparison to the questions about it, and from their rows to one label. Pure.

    comparison × principles × chains of thought × orders → rows → LabelRecord

A question's two orders stand side by side: they share their prompt up to the first response, which
a server's prefix cache then reads once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cai_core.pipeline.comparison_records import FormedComparison
from cai_core.pipeline.human_labels import HumanLabel
from cai_core.pipeline.label_answers import read_prob_first
from cai_core.pipeline.label_recipe import LabelRecipe, draw_principles
from cai_core.pipeline.label_records import LabelRecord, LabelSource
from cai_core.pipeline.labels import parse_prob
from cai_core.records import Constitution, Principle, Verdict
from cai_core.workspace.rows import Row, build_row_id, build_seed

_PROBS = {Verdict.A: 1.0, Verdict.B: 0.0, Verdict.TIE: 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAsk:
    """One question before it is asked; known from recipe and comparison alone.

    Attributes:
        index: of the principle among the comparison's.
        order: 0 shows A first, 1 shows B first.
        cot: of the chain of thought.
    """

    row_id: str
    step: str
    principle: Principle
    index: int
    order: int
    cot: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What the answers about a comparison say.

    Attributes:
        first, second: probabilities that the response shown first is preferred, where that is A
            and where it is B, of the questions that were readable in each order asked.
        unreadable, failed: answers that say nothing, and questions that met an error.
    """

    first: tuple[float, ...]
    second: tuple[float, ...]
    unreadable: int
    failed: int


def plan_asks(
    recipe: LabelRecipe,
    constitution: Constitution,
    comparison: FormedComparison,
    *,
    place: int,
    run_id: str,
) -> list[PlannedAsk]:
    """Every question about a comparison, in the order in which they are asked.

    Args:
        place: of the comparison in comparisons.jsonl, from 0.

    Raises:
        RecipeError: as `draw_principles`.
    """
    principles = draw_principles(
        recipe,
        constitution,
        comparison_id=comparison.comparison_id,
        place=place,
        own=comparison.principles,
    )
    asks = []
    for index, principle in enumerate(principles):
        for cot in range(recipe.thoughts):
            for order in (0, 1) if recipe.orders == "both" else (0,):
                step = f"label-{index}"
                asks.append(
                    PlannedAsk(
                        row_id=build_row_id(
                            run_id=run_id,
                            prompt_id=comparison.prompt_id,
                            sample=place,
                            step=step,
                            order=order,
                            cot=cot,
                        ),
                        step=step,
                        principle=principle,
                        index=index,
                        order=order,
                        cot=cot,
                        # Not of the place: the same comparison is judged alike in every run.
                        seed=build_seed(
                            run_seed=recipe.seed,
                            prompt_id=comparison.comparison_id,
                            sample=cot,
                            step=f"{step}-{order}",
                        ),
                    )
                )
    return asks


def read_rows(rows: Sequence[Row], recipe: LabelRecipe) -> Readings:
    """What the rows of one comparison say; `least_mass` decides what is an answer."""
    questions: dict[tuple[int, int], dict[int, float]] = {}
    unreadable = failed = 0
    for row in rows:
        prob = None
        if row.error is None and row.scoring is not None:
            prob = read_prob_first(row.scoring, row.verdict, least_mass=recipe.least_mass)
            unreadable += prob is None
        else:
            failed += 1
        if prob is not None:
            questions.setdefault((row.index, row.cot), {})[row.order] = prob
    orders = 2 if recipe.orders == "both" else 1
    whole = [told for told in questions.values() if len(told) == orders]
    return Readings(
        first=tuple(told[0] for told in whole),
        second=tuple(told[1] for told in whole if orders == 2),
        unreadable=unreadable,
        failed=failed,
    )


def build_model_label(
    comparison: FormedComparison, rows: Sequence[Row], recipe: LabelRecipe
) -> LabelRecord:
    """The feedback model's label; `unparsed` where no question was readable in all its orders."""
    told = read_rows(rows, recipe)
    principles = tuple(dict.fromkeys(row.principle_id or "" for row in rows))
    model = rows[0].model_id if rows else None
    if not told.first:
        return _build_record(
            comparison,
            "feedback-model",
            verdict=Verdict.UNPARSED,
            principle_ids=principles,
            reasoned=recipe.reasoned,
            feedback_model=model,
        )
    prob_a = compute_mean_prob(told.first, told.second)
    bound = recipe.clamp if recipe.reasoned else None
    first = math.fsum(told.first) / len(told.first)
    second = math.fsum(told.second) / len(told.second) if told.second else None
    return _build_record(
        comparison,
        "feedback-model",
        prob_a=prob_a,
        prob_a_clamped=prob_a if bound is None else clamp_prob(prob_a, bound),
        verdict=parse_prob(prob_a, recipe.tie_margin),
        principle_ids=principles,
        reasoned=recipe.reasoned,
        prob_a_first=first,
        prob_a_second=None if second is None else 1.0 - second,
        position_bias=None if second is None else first + second - 1.0,
        feedback_model=model,
    )


def build_given_label(comparison: FormedComparison, human: HumanLabel | None) -> LabelRecord:
    """The label of a comparison that nobody is asked about: a person's, or the construction's.

    Raises:
        ValueError: it has neither.
    """
    if human is not None:
        return _build_record(
            comparison,
            "human",
            prob_a=_PROBS[human.verdict],
            prob_a_clamped=_PROBS[human.verdict],
            verdict=human.verdict,
            reviewer=human.reviewer,
        )
    if comparison.preferred is None:
        raise ValueError(f"comparison {comparison.comparison_id} has no label of its own")
    prob = _PROBS[comparison.preferred]
    return _build_record(
        comparison,
        "revision",
        prob_a=prob,
        prob_a_clamped=prob,
        verdict=comparison.preferred,
    )


def compute_mean_prob(first: Sequence[float], second: Sequence[float]) -> float:
    """Mean probability that A is preferred, in [0, 1].

    Args:
        first: probabilities that the response shown first is preferred, where that is A.
        second: the same where that is B; as many, or none.

    The larger side is computed and the other is the rest to 1, so that swapping the responses
    mirrors the label to the last bit.
    """
    count = len(first) + len(second)
    a = math.fsum([*first, *(1.0 - prob for prob in second)]) / count
    b = math.fsum([*second, *(1.0 - prob for prob in first)]) / count
    if a == b:
        return 0.5
    larger = min(1.0, max(0.5, a, b))
    return larger if a > b else 1.0 - larger


def clamp_prob(prob_a: float, bounds: tuple[float, float]) -> float:
    """The probability, no nearer to 0 and 1 than the bounds; mirrored as `compute_mean_prob`."""
    larger = min(bounds[1], max(prob_a, 1.0 - prob_a))
    return larger if prob_a > 0.5 else 1.0 - larger


def _build_record(
    comparison: FormedComparison,
    source: LabelSource,
    *,
    verdict: Verdict,
    prob_a: float | None = None,
    prob_a_clamped: float | None = None,
    principle_ids: tuple[str, ...] = (),
    reasoned: bool = False,
    prob_a_first: float | None = None,
    prob_a_second: float | None = None,
    position_bias: float | None = None,
    feedback_model: str | None = None,
    reviewer: str | None = None,
) -> LabelRecord:
    return LabelRecord(
        comparison_id=comparison.comparison_id,
        prompt_id=comparison.prompt_id,
        prompt_kind=comparison.prompt_kind,
        tags=comparison.tags,
        conversation=comparison.conversation,
        response_a=comparison.response_a,
        response_b=comparison.response_b,
        source_a=comparison.source_a,
        source_b=comparison.source_b,
        prob_a=prob_a,
        prob_a_clamped=prob_a_clamped,
        verdict=verdict,
        label_source=source,
        principle_ids=principle_ids,
        reasoned=reasoned,
        prob_a_first=prob_a_first,
        prob_a_second=prob_a_second,
        position_bias=position_bias,
        feedback_model=feedback_model,
        reviewer=reviewer,
    )
