"""What a model is asked of a multiple-choice question, and how its rows are read.

A judge is asked twice, with another letter before each answer, so that a leaning to one letter
cancels. Where its server tells no log-probabilities the letter that it writes counts. A reward
model reads each answer at the end of its conversation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cai_core.errors import (
    RequestFailedError,
    RequestRejectedError,
    ScoringUnavailableError,
    TemplateError,
)
from cai_core.evaluation.multiple_choice import Choice, ChoiceAnswer, score_choice
from cai_core.inference.pool import EnginePool
from cai_core.inference.scoring import score_options
from cai_core.pipeline.choices_recipe import ChoicesRecipe
from cai_core.pipeline.generate import is_about_run
from cai_core.pipeline.label_answers import TEXT, Answer, Scorer, build_scoring
from cai_core.pipeline.label_asking import Prioritised
from cai_core.records import (
    Conversation,
    Message,
    ModelInfo,
    SamplingParams,
    StepKind,
    content_hash,
)
from cai_core.workspace.rows import Row, build_model_fields, build_row_id

STEP = "choices"
CHAT_VERSION, PAPER_VERSION, REWARD_VERSION = "choices/1", "choices-paper/1", "choices-reward/1"
REWARD = "reward"
_LETTER_TOKENS = 8
_LETTER = re.compile(r"^\W*(?:option\s+)?\(?([A-Z])\)?(?![A-Za-z])", re.IGNORECASE)
_ASKS = re.compile(r"\s*The (?:best |right )?answer is:?\s*$")
_ERRORS_OF_ROW = (
    RequestRejectedError,
    RequestFailedError,
    TemplateError,
    ScoringUnavailableError,
    UnicodeEncodeError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoicesSetup:
    """What all questions share; `scorer` is None for a reward model."""

    run_id: str
    recipe: ChoicesRecipe
    model: EnginePool
    info: ModelInfo
    scorer: Scorer | None


@dataclass(frozen=True, slots=True)
class PlannedChoice:
    """One request: the question as it is shown, and its row's id."""

    row_id: str
    order: int
    shown: Choice


def list_letters(choice: Choice) -> tuple[str, ...]:
    """What stands for each option: `A` of ` (A)`."""
    return tuple(option.strip().strip("()") for option in choice.options)


def build_choice_question(choice: Choice) -> Conversation:
    """The question for an instruct model."""
    text = _ASKS.sub("", choice.prompt).strip()
    letters = list_letters(choice)
    told = f"{', '.join(letters[:-1])} or {letters[-1]}"
    return (Message("user", f"{text}\n\nAnswer with one letter: {told}."),)


def plan_choice(
    choice: Choice, number: int, recipe: ChoicesRecipe, run_id: str
) -> list[PlannedChoice]:
    """Every request that a question takes.

    Args:
        number: of the question in its file, from 0.
    """
    moved = choice.moved if recipe.scorer == "judge" else None
    shown = [choice] if moved is None else [choice, moved]
    return [
        PlannedChoice(
            build_row_id(
                run_id=run_id, prompt_id=name_question(number), sample=0, step=STEP, order=order
            ),
            order,
            one,
        )
        for order, one in enumerate(shown)
    ]


def name_question(number: int) -> str:
    """The prompt id of a question's rows."""
    return f"question-{number + 1:04}"


async def ask_choice(planned: PlannedChoice, number: int, setup: ChoicesSetup) -> Row:
    """The row of one request; an error of this row alone becomes its error.

    Raises:
        ServerUnavailableError, RequestRejectedError: the server is gone, or refuses every request.
    """
    blank = _build_blank(planned, number, setup)
    model = Prioritised(setup.model, number)
    if setup.recipe.scorer == "reward":
        return await _try(blank, lambda: _reward(planned.shown, setup.model))
    scorer = setup.scorer
    assert scorer is not None, "a judge has a scorer"
    paper = setup.recipe.template == "paper"
    asked: Conversation | str = (
        planned.shown.prompt if paper else build_choice_question(planned.shown)
    )
    options = planned.shown.options if paper else list_letters(planned.shown)
    way = scorer.way
    if way is not None:

        async def score() -> dict[str, Any]:
            scores = await score_options(model, asked, options, way=way, cache=scorer.cache)
            return {"scoring": build_scoring(Answer(completion=None, verdict=None, scores=scores))}

        return await _try(blank, score)
    params = SamplingParams(temperature=0.0, max_tokens=_LETTER_TOKENS)

    async def write() -> dict[str, Any]:
        completion = await model.generate(asked, params, seed=0)
        return {
            "text": completion.text,
            "scoring": {"way": TEXT},
            "prompt_tokens": completion.prompt_tokens,
            "completion_tokens": completion.completion_tokens,
            "finish_reason": completion.finish_reason,
        }

    return await _try(replace(blank, sampling=params.as_dict()), write)


def read_choice(
    choice: Choice, rows: Sequence[Row | None], least_mass: float
) -> tuple[ChoiceAnswer | None, tuple[float, ...] | None]:
    """What a question's rows say, and each option's number; None where a row says nothing.

    The number is a probability, the mean of both orders; of a reward model its reward.
    """
    told = [None if row is None else _read_row(row, choice, least_mass) for row in rows]
    if not told or any(one is None for one in told):
        return None, None
    first, *more = [one for one in told if one is not None]
    if rows[0] is not None and (rows[0].scoring or {}).get("way") == REWARD:
        return score_choice(choice, first), tuple(first)
    count, means = len(first), list(first)
    if more:
        means = [(first[i] + more[0][(i - 1) % count]) / 2 for i in range(count)]
    logs = [math.log(mean) if mean > 0 else -math.inf for mean in means]
    return score_choice(choice, logs), tuple(means)


def _read_row(row: Row, choice: Choice, least_mass: float) -> list[float] | None:
    """A number for each option, in the order in which this row shows them."""
    scoring: Mapping[str, Any] = row.scoring or {}
    if row.error is not None or not scoring:
        return None
    if scoring["way"] == REWARD:
        return [float(value) for value in scoring["rewards"]]
    if scoring["way"] == TEXT:
        found = _LETTER.match(row.text or "")
        letters = list_letters(choice)
        if found is None or found[1].upper() not in letters:
            return None
        chosen = letters.index(found[1].upper())
        return [float(place == chosen) for place in range(len(letters))]
    mass = scoring["mass"]
    if mass is not None and mass < least_mass:
        return None
    return [float(value) for value in scoring["probabilities"]]


async def _reward(choice: Choice, model: EnginePool) -> dict[str, Any]:
    rewards = await model.score(choice.conversations)
    return {"scoring": {"way": REWARD, "options": list(choice.options), "rewards": rewards}}


async def _try(blank: Row, ask: Callable[[], Awaitable[dict[str, Any]]]) -> Row:
    try:
        return replace(blank, **await ask())
    except _ERRORS_OF_ROW as error:
        if is_about_run(error):
            raise
        return replace(blank, error=str(error), error_kind=type(error).__name__)


def _build_blank(planned: PlannedChoice, number: int, setup: ChoicesSetup) -> Row:
    recipe = setup.recipe
    version = REWARD_VERSION
    if recipe.scorer == "judge":
        version = PAPER_VERSION if recipe.template == "paper" else CHAT_VERSION
    return Row(
        run_id=setup.run_id,
        row_id=planned.row_id,
        prompt_id=name_question(number),
        prompt_hash=content_hash(planned.shown.prompt),
        constitution_hash="",
        template_version=version,
        kind=StepKind.LABEL,
        step=STEP,
        index=number,
        round=0,
        sample=0,
        order=planned.order,
        role="feedback",
        principle_id=None,
        sampling={},
        seed=0,
        **build_model_fields(setup.info),
    )
