"""Asking a feedback model about many comparisons, some at a time. No files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cai_core.errors import (
    CaiError,
    RequestFailedError,
    RequestRejectedError,
    RunMismatchError,
    ScoringUnavailableError,
    TemplateError,
)
from cai_core.inference.pool import EnginePool
from cai_core.pipeline.comparison_records import FormedComparison
from cai_core.pipeline.generate import is_about_run
from cai_core.pipeline.label_answers import (
    Answer,
    Scorer,
    ask,
    build_question,
    build_scoring,
)
from cai_core.pipeline.label_building import PlannedAsk, plan_asks, read_rows
from cai_core.pipeline.label_few_shot import NO_FEW_SHOT, LabelFewShot
from cai_core.pipeline.label_recipe import LabelRecipe
from cai_core.pipeline.progress import ProgressMeter
from cai_core.prompts import chat, paper_labels
from cai_core.records import (
    Completion,
    Constitution,
    Conversation,
    ModelInfo,
    SamplingParams,
    StepKind,
    content_hash,
)
from cai_core.workspace.rows import Row, build_model_fields

T = TypeVar("T")
# So many answers before their unreadable share says anything: ours.
LEAST_ANSWERS = 50
_TELL_SECONDS = 1.0
_ERRORS_OF_ROW = (
    RequestRejectedError,
    RequestFailedError,
    TemplateError,
    ScoringUnavailableError,
    UnicodeEncodeError,
)


class PastLimitError(CaiError):
    """More answers were unreadable than the recipe allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSetup:
    """Everything that comparisons share."""

    run_id: str
    recipe: LabelRecipe
    constitution: Constitution
    model: EnginePool
    info: ModelInfo
    scorer: Scorer
    few_shot: LabelFewShot = NO_FEW_SHOT


class Prioritised:
    """A pool whose every request waits at one place in the line; implements `FeedbackModel`."""

    def __init__(self, pool: EnginePool, priority: int) -> None:
        self._pool, self._priority = pool, priority

    async def info(self) -> ModelInfo:
        """Who answers."""
        return await self._pool.info()

    async def get(self, path: str, *, optional: bool = False) -> dict[str, Any]:
        """A route's JSON object; see `EnginePool.get`."""
        return await self._pool.get(path, optional=optional)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a body as it is; see `EnginePool.post`."""
        return await self._pool.post(path, body, priority=self._priority)

    async def generate(
        self,
        prompt: Conversation | str,
        params: SamplingParams,
        *,
        seed: int,
        stop: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
        priority: int = 0,
    ) -> Completion:
        """Answer one prompt; see `engine.Engine.generate`."""
        return await self._pool.generate(
            prompt, params, seed=seed, stop=stop, on_text=on_text, priority=self._priority
        )


Numbered = tuple[int, FormedComparison]
Write = Callable[[Row], Awaitable[None]]


@dataclass(slots=True)
class AskTally:
    """What asking came to.

    Attributes:
        rows: durable now, those of an earlier attempt included; `generated` of this one.
        unreadable: answers that say nothing. failed: questions that met an error.
        cut_short: chains of thought that ended at the token limit.
        first_error: of the comparison that comes first, None when none failed.
    """

    comparisons: int = 0
    rows: int = 0
    generated: int = 0
    unreadable: int = 0
    failed: int = 0
    cut_short: int = 0
    first_error: str | None = None
    first_place: int = -1

    def add(self, place: int, rows: Sequence[Row], recipe: LabelRecipe) -> None:
        """Count a comparison's rows.

        Raises:
            PastLimitError: with these, too many answers are unreadable.
        """
        told = read_rows(rows, recipe)
        self.comparisons += 1
        self.rows += len(rows)
        self.unreadable += told.unreadable
        self.failed += told.failed
        self.cut_short += sum(row.finish_reason == "length" for row in rows)
        broken = next((row for row in rows if row.error is not None), None)
        if broken is not None and (self.first_error is None or place < self.first_place):
            self.first_place = place
            self.first_error = f"{broken.prompt_id}: {broken.error}"
        if self.rows - self.failed >= LEAST_ANSWERS:
            self.check_limit(recipe)

    def check_limit(self, recipe: LabelRecipe) -> None:
        """Raise PastLimitError where too many of all answers are unreadable."""
        answers = self.rows - self.failed
        if answers and self.unreadable > recipe.max_unparsed * answers:
            raise PastLimitError(
                f"{self.unreadable} of {answers} answers are unreadable, more than max_unparsed "
                f"{recipe.max_unparsed:g} allows. Read some of them, then choose another template "
                "or feedback model, or raise the limit in a new run."
            )


async def ask_all(
    comparisons: Sequence[Numbered],
    setup: LabelSetup,
    meter: ProgressMeter,
    *,
    concurrency: int,
    durable: Mapping[str, Row],
    write: Write,
) -> AskTally:
    """Ask about every comparison, whole ones first, at most `concurrency` of them at a time.

    Raises:
        PastLimitError: too many answers are unreadable.
        ServerUnavailableError, RequestRejectedError, RunMismatchError: as `run_batch`. What was
            written is kept.
    """
    tally = AskTally()
    waiting = iter(comparisons)

    async def write_counted(row: Row) -> None:
        await write(row)
        tally.generated += 1
        meter.row_generated(row)

    async def work() -> None:
        for place, comparison in waiting:
            before = tally.generated
            rows = await ask_comparison(place, comparison, setup, durable, write_counted)
            meter.chain_finished(rows)
            tally.add(place, rows, setup.recipe)
            if tally.generated == before:
                await asyncio.sleep(0)  # a long resume must not block the loop

    async def tell() -> None:
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            meter.tell()

    telling = asyncio.ensure_future(tell())
    try:
        await _gather([work() for _ in range(max(1, concurrency))])
    finally:
        telling.cancel()
    tally.check_limit(setup.recipe)
    return tally


async def ask_comparison(
    place: int,
    comparison: FormedComparison,
    setup: LabelSetup,
    durable: Mapping[str, Row],
    write: Write,
) -> list[Row]:
    """The rows of one comparison: durable ones are taken, the others asked for and written.

    The two orders of a question are asked at once, one question after the other.
    """
    plan = plan_asks(setup.recipe, setup.constitution, comparison, place=place, run_id=setup.run_id)
    model = Prioritised(setup.model, place)

    async def ask_one(planned: PlannedAsk) -> Row:
        row = durable.get(planned.row_id)
        if row is None:
            row = await _ask_row(place, comparison, planned, setup, model)
            await write(row)
        else:
            _check_same_origin(row, comparison, setup)
        return row

    width = 2 if setup.recipe.orders == "both" else 1
    rows: list[Row] = []
    for at in range(0, len(plan), width):
        rows += await _gather([ask_one(planned) for planned in plan[at : at + width]])
    return rows


async def _ask_row(
    place: int,
    comparison: FormedComparison,
    planned: PlannedAsk,
    setup: LabelSetup,
    model: Prioritised,
) -> Row:
    recipe = setup.recipe
    shown = comparison.texts.swapped() if planned.order else comparison.texts
    started = asyncio.get_running_loop().time()
    answer, error = None, None
    try:
        question = build_question(shown, planned.principle, recipe, setup.few_shot)
        answer = await ask(model, question, recipe, setup.scorer, seed=planned.seed)
    except _ERRORS_OF_ROW as caught:
        if is_about_run(caught):
            raise
        error = caught
    seconds = asyncio.get_running_loop().time() - started
    return _build_row(place, comparison, planned, setup, answer, error, seconds)


def _build_row(
    place: int,
    comparison: FormedComparison,
    planned: PlannedAsk,
    setup: LabelSetup,
    answer: Answer | None,
    error: Exception | None,
    seconds: float,
) -> Row:
    recipe = setup.recipe
    written = answer.completion if answer else None
    sampling = recipe.thought_sampling.as_dict() if recipe.reasoned else {}
    return Row(
        run_id=setup.run_id,
        row_id=planned.row_id,
        prompt_id=comparison.prompt_id,
        prompt_hash=content_hash([turn.as_dict() for turn in comparison.conversation]),
        constitution_hash=setup.constitution.hash,
        template_version=get_template_version(recipe),
        kind=StepKind.LABEL,
        step=planned.step,
        index=planned.index,
        round=0,
        sample=place,
        order=planned.order,
        cot=planned.cot,
        role="feedback",
        principle_id=planned.principle.id,
        sampling=sampling,
        seed=planned.seed,
        text=written.text if written else None,
        prompt_tokens=written.prompt_tokens if written else None,
        completion_tokens=written.completion_tokens if written else None,
        finish_reason=written.finish_reason if written else None,
        reasoning=written.reasoning if written else None,
        seconds=round(seconds, 4) if answer else None,
        error=None if error is None else str(error),
        error_kind=None if error is None else type(error).__name__,
        comparison_id=comparison.comparison_id,
        verdict=answer.verdict if answer else None,
        scoring=build_scoring(answer) if answer else None,
        **build_model_fields(setup.info),
    )


def get_template_version(recipe: LabelRecipe) -> str:
    """The version that rows carry."""
    if recipe.template == "paper":
        return paper_labels.TEMPLATE_VERSION
    return chat.TEMPLATE_VERSION


def _check_same_origin(row: Row, comparison: FormedComparison, setup: LabelSetup) -> None:
    info = setup.info
    if (row.model_id, row.weights_hash) != (info.model_id, info.weights_hash):
        raise RunMismatchError(
            f"run {row.run_id}: its labels were made by model {row.model_id!r} (weights "
            f"{row.weights_hash}); now {info.model_id!r} (weights {info.weights_hash}) answers. "
            "Bring the old weights back, or start a new run."
        )
    version = get_template_version(setup.recipe)
    if row.template_version != version or row.comparison_id != comparison.comparison_id:
        raise RunMismatchError(
            f"run {row.run_id}: a label is about comparison {row.comparison_id} with template "
            f"{row.template_version!r}; {comparison.comparison_id} with {version!r} is to be "
            "labelled. Start a new run."
        )


async def _gather(work: Sequence[Coroutine[None, None, T]]) -> list[T]:
    """All results; when one fails the others are stopped before its error goes on."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
