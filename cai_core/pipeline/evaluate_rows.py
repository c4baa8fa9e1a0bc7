"""One request of an `evaluate` run, and the row that it leaves. No files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from cai_core.errors import (
    RequestFailedError,
    RequestRejectedError,
    ScoringUnavailableError,
    TemplateError,
)
from cai_core.inference.pool import EnginePool
from cai_core.inference.scoring import OptionScores, score_options
from cai_core.pipeline.evaluate_inputs import EvaluateInputs
from cai_core.pipeline.evaluate_plan import Case, PlannedRow
from cai_core.pipeline.evaluate_recipe import EvaluateRecipe
from cai_core.pipeline.generate import is_about_run
from cai_core.pipeline.judge_rubric import Question, Rating, Rubric
from cai_core.pipeline.judge_template import (
    RATING_VERSION,
    RATINGS,
    build_judge_question,
    build_rating_question,
    get_version,
    parse_judgement,
)
from cai_core.pipeline.label_answers import Answer, Scorer, build_scoring
from cai_core.pipeline.label_asking import LabelSetup, Prioritised
from cai_core.prompts import chat, system_prompt
from cai_core.records import Completion, Conversation, ModelInfo, SamplingParams, StepKind
from cai_core.workspace.rows import Row, build_model_fields, build_prompt_field

# A number and what a template puts around it.
_RATING_TOKENS = 8
# UnicodeEncodeError: the server wrote half a character, which cannot be sent back.
_ERRORS_OF_ROW = (
    RequestRejectedError,
    RequestFailedError,
    TemplateError,
    ScoringUnavailableError,
    UnicodeEncodeError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Who judges, by what.

    Attributes:
        scorer: how ratings are scored; without a way they are read from text.
    """

    model: EnginePool
    info: ModelInfo
    rubric: Rubric
    scorer: Scorer


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSetup:
    """Everything that cases share; `judge` is None where nobody is asked, `choosing` where the
    first answer counts."""

    run_id: str
    recipe: EvaluateRecipe
    inputs: EvaluateInputs
    model: EnginePool
    info: ModelInfo
    judge: Judge | None = None
    choosing: LabelSetup | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a judge looks at: the conversation up to the last response, and that."""

    conversation: Conversation
    response: str


async def respond(
    case: Case,
    planned: PlannedRow,
    conversation: Conversation,
    model: Prioritised,
    setup: EvaluateSetup,
) -> Row:
    """Ask for one turn's response; a refusal or failure of this row alone becomes its error.

    Raises:
        ServerUnavailableError, RequestRejectedError: the server is gone, or refuses every request.
    """
    recipe, system = setup.recipe, setup.inputs.system
    version = chat.TEMPLATE_VERSION
    prompt = case.prompt.build_prompt()
    blank = _build_blank_row(case, planned, setup, setup.info)
    blank = replace(
        blank,
        kind=StepKind.RESPONSE,
        role="policy",
        sampling=recipe.sampling.as_dict(),
        prompt=build_prompt_field(prompt) if planned.index == 0 else None,
    )
    if system is not None:
        under = system_prompt.build_system_prompt(system)
        conversation = system_prompt.add_system_prompt(conversation, under)
        version = under.version
    blank = replace(
        blank, template_version=version, constitution_hash=system.hash if system else ""
    )
    return await _try(
        blank, lambda: model.generate(conversation, recipe.sampling, seed=planned.seed)
    )


async def judge_response(
    case: Case, planned: PlannedRow, said: Said, model: Prioritised, setup: EvaluateSetup
) -> Row:
    """Ask the judge one thing about the last response; raises as `respond`."""
    judge = setup.judge
    assert judge is not None, "a judgement has a judge"
    conversation, response = said.conversation, said.response
    about, reference = planned.about, case.prompt.reference
    blank = _build_blank_row(case, planned, setup, judge.info)
    if isinstance(about, Rating):
        blank = replace(blank, kind=StepKind.LABEL, template_version=RATING_VERSION)
        asked = build_rating_question(conversation, response, about.request, reference=reference)
        return await _rate(blank, asked, model, judge.scorer, planned.seed)
    assert about is not None, "a judgement is about something"
    principle = about.build_principle() if isinstance(about, Question) else about
    template = judge.rubric.template
    params = SamplingParams(temperature=0.0, max_tokens=setup.recipe.judge_tokens)
    blank = replace(blank, template_version=get_version(template), sampling=params.as_dict())
    asked = build_judge_question(template, conversation, response, principle, reference=reference)
    row = await _try(blank, lambda: model.generate(asked, params, seed=planned.seed))
    if row.text is None:
        return row
    return replace(row, finding=parse_judgement(template, row.text, row.finish_reason))


async def _rate(
    blank: Row, asked: Conversation, model: Prioritised, scorer: Scorer, seed: int
) -> Row:
    """Score the five numbers; where the server tells no log-probabilities, have one written."""
    way = scorer.way
    if way is None:
        params = SamplingParams(temperature=0.0, max_tokens=_RATING_TOKENS)
        blank = replace(blank, sampling=params.as_dict())
        row = await _try(blank, lambda: model.generate(asked, params, seed=seed))
        return row if row.error else replace(row, scoring=_as_scoring(None))

    async def score() -> OptionScores:
        return await score_options(model, asked, RATINGS, way=way, cache=scorer.cache)

    started = asyncio.get_running_loop().time()
    try:
        scores = await score()
    except _ERRORS_OF_ROW as error:
        return _build_error(blank, error)
    seconds = asyncio.get_running_loop().time() - started
    return replace(blank, scoring=_as_scoring(scores), seconds=round(seconds, 4))


def _as_scoring(scores: OptionScores | None) -> dict[str, Any]:
    return build_scoring(Answer(completion=None, verdict=None, scores=scores))


async def _try(blank: Row, ask: Callable[[], Awaitable[Completion]]) -> Row:
    try:
        completion = await ask()
    except _ERRORS_OF_ROW as error:
        return _build_error(blank, error)
    return replace(
        blank,
        text=completion.text,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        finish_reason=completion.finish_reason,
        seconds=round(completion.seconds, 4),
        reasoning=completion.reasoning,
    )


def _build_error(blank: Row, error: Exception) -> Row:
    """The row's own error; one that is about every request is raised again."""
    if is_about_run(error):
        raise error
    return replace(blank, error=str(error), error_kind=type(error).__name__)


def _build_blank_row(case: Case, planned: PlannedRow, setup: EvaluateSetup, info: ModelInfo) -> Row:
    """A judgement's row without its answer; `constitution_hash` is of what is asked about."""
    rubric, constitution = setup.inputs.rubric, setup.inputs.constitution
    asked_by = rubric if isinstance(planned.about, Question | Rating) else constitution
    return Row(
        run_id=setup.run_id,
        row_id=planned.row_id,
        prompt_id=case.prompt.id,
        prompt_hash=case.prompt.build_prompt().hash,
        constitution_hash=asked_by.hash if asked_by else "",
        template_version="",
        kind=StepKind.CRITIQUE,
        step=planned.step,
        index=planned.index,
        round=0,
        sample=case.sample,
        role="feedback",
        principle_id=planned.name or None,
        sampling={},
        seed=planned.seed,
        **build_model_fields(info),
    )
