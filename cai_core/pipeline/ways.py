"""Asking one prompt in several ways; many prompts as a `ways` run that can be gone on with.

inputs/prompts.jsonl, constitution.yaml   what the recipe names by hashes
rows/way.<epoch>.jsonl                    a row for each response, and each question of best-of-n
outputs/ways.jsonl, ways.json             a line for each prompt with its answers, and their counts
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from cai_core.errors import RunMismatchError
from cai_core.inference.capabilities import Capabilities
from cai_core.inference.engine import Engine
from cai_core.inference.pool import EnginePool
from cai_core.inference.probe import probe
from cai_core.pipeline.critique_revision import prepare
from cai_core.pipeline.generate import (
    ChainSetup,
    Observer,
    SilentObserver,
    generate_row,
    get_info,
)
from cai_core.pipeline.label_answers import choose_scorer
from cai_core.pipeline.label_asking import LabelSetup, ask_comparison
from cai_core.pipeline.recipe import ChainRecipe
from cai_core.pipeline.steps import PlannedStep
from cai_core.pipeline.ways_answers import (
    STEPS,
    Answer,
    build_response_id,
    build_response_seed,
    list_matches,
    list_samples,
    read_answer,
)
from cai_core.pipeline.ways_recipe import Way, WaysRecipe
from cai_core.prompts.system_prompt import (
    TEMPLATE_VERSION,
    add_system_prompt,
    build_system_prompt,
)
from cai_core.records import Constitution, Prompt, StepKind
from cai_core.workspace.rows import Row

T = TypeVar("T")
Write = Callable[[Row], Awaitable[None]]


class WaysObserver(Protocol):
    """Who watches the samples of a prompt being written."""

    def started(self, step: str, sample: int) -> None:
        """A sample is asked for; its text follows."""

    def text(self, step: str, sample: int, delta: str) -> None:
        """A piece of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaysSetup:
    """Everything that prompts share.

    Attributes:
        model, other, feedback: what answers and what chooses, once it is up. Tasks, so that one
            that starts slowly, or not at all, holds up no way that does without it; None where no
            way needs it.
    """

    run_id: str
    recipe: WaysRecipe
    constitution: Constitution
    model: asyncio.Task[ChainSetup]
    other: asyncio.Task[ChainSetup] | None = None
    feedback: asyncio.Task[LabelSetup] | None = None

    async def wait(self) -> None:
        """Until everything is up; what could not be brought up is raised."""
        for task in (self.model, self.other, self.feedback):
            if task is not None:
                await task


async def prepare_model(
    recipe: WaysRecipe, constitution: Constitution, engine: Engine, run_id: str
) -> ChainSetup:
    """A model that answers; chains of a response alone.

    Raises:
        ServerUnavailableError, UnknownModelError: from the engine.
    """
    chain = ChainRecipe(revisions=0, seed=recipe.seed, policy_sampling=recipe.sampling)
    return await prepare(chain, constitution, engine, run_id=run_id)


async def prepare_feedback(
    recipe: WaysRecipe,
    constitution: Constitution,
    pool: EnginePool,
    run_id: str,
    find: Callable[[EnginePool], Awaitable[Capabilities]] = probe,
) -> LabelSetup:
    """The feedback model, with how its options are scored.

    Args:
        find: finds out what the server can; by asking it, unless somebody knows already.

    Raises:
        ServerUnavailableError, UnknownModelError: from the server.
    """
    return LabelSetup(
        run_id=run_id,
        recipe=recipe.build_label_recipe(run_id),
        constitution=constitution,
        model=pool,
        info=await pool.info(),
        scorer=choose_scorer(await find(pool), "chat", reasoned=False),
    )


class Asking:
    """One prompt in a run's ways; belongs to one event loop.

    A response that two ways share is asked for once.

    Args:
        durable: rows by id that need not be asked for again.
        write: makes a row durable.
        observer: None watches nothing, and answers come whole.
        priority: see `Engine.generate`; of several prompts the older go first.
    """

    def __init__(
        self,
        prompt: Prompt,
        setup: WaysSetup,
        *,
        durable: Mapping[str, Row],
        write: Write,
        observer: WaysObserver | None = None,
        priority: int = 0,
    ) -> None:
        self._prompt, self._setup = prompt, setup
        self._durable, self._write = durable, write
        self._observer, self._priority = observer, priority
        self._rows: dict[str, Row] = {}
        self._asked: dict[str, asyncio.Task[Row]] = {}

    async def answer(self, way: Way) -> Answer:
        """The prompt's answer in one way.

        Raises:
            ServerUnavailableError: a model is gone.
            RequestRejectedError: it refuses every request (key, model name, rate).
            RunMismatchError: a durable row comes from other weights.
        """
        setup = self._setup
        samples = list_samples(way, setup.recipe)
        found = await gather([self._respond(way, sample) for sample in samples])
        if way is Way.BEST_OF_N:
            await self._judge(dict(zip(samples, found, strict=True)))
        return read_answer(
            way, self._prompt, self._rows, setup.recipe, setup.constitution, setup.run_id
        )

    async def aclose(self) -> None:
        """Stop what is still being asked."""
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)

    async def _respond(self, way: Way, sample: int) -> Row:
        row_id = build_response_id(self._setup.run_id, self._prompt, way, sample)
        if row_id not in self._asked:
            self._asked[row_id] = asyncio.ensure_future(self._ask(row_id, way, sample))
        # A way that is stopped must not take the answer from another that waits for it, too.
        return await asyncio.shield(self._asked[row_id])

    async def _ask(self, row_id: str, way: Way, sample: int) -> Row:
        asked = self._setup.other if way is Way.OTHER_MODEL else self._setup.model
        assert asked is not None, "the recipe names another model where the way needs one"
        model = await asyncio.shield(asked)
        step = _plan(row_id, self._prompt, way, sample, self._setup.recipe)
        row = self._durable.get(row_id)
        if row is None:
            prompt = self._build_prompt(way)
            row = await generate_row(
                step, model, prompt, sample, (), self._watch(way, sample), self._priority
            )
            if way is Way.SYSTEM_PROMPT:
                row = replace(row, template_version=TEMPLATE_VERSION)
            await self._write(row)
        else:
            _check_same_weights(row, model, step)
        self._rows[row_id] = row
        return row

    def _watch(self, way: Way, sample: int) -> Observer:
        if self._observer is None:
            return SilentObserver()
        return _OneSample(self._observer, STEPS[way], sample)

    def _build_prompt(self, way: Way) -> Prompt:
        if way is not Way.SYSTEM_PROMPT:
            return self._prompt
        under = build_system_prompt(self._setup.constitution)
        return replace(
            self._prompt, conversation=add_system_prompt(self._prompt.conversation, under)
        )

    async def _judge(self, samples: Mapping[int, Row]) -> None:
        setup = self._setup
        matches = list_matches(samples, self._prompt, setup.recipe, setup.run_id)
        if not matches:
            return
        assert setup.feedback is not None, "the recipe names a feedback model"
        feedback = await asyncio.shield(setup.feedback)
        judged = await gather(
            [
                ask_comparison(match.place, match.comparison, feedback, self._durable, self._write)
                for match in matches
            ]
        )
        self._rows |= {row.row_id: row for rows in judged for row in rows}


async def gather(work: Sequence[Awaitable[T]]) -> list[T]:
    """All results; when one fails the others are stopped before its error goes on."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _OneSample:
    """Tells the observer of ways whose text it is; implements `generate.Observer`."""

    def __init__(self, observer: WaysObserver, step: str, sample: int) -> None:
        self._observer, self._step, self._sample = observer, step, sample

    def step_started(
        self, kind: StepKind, index: int, round: int, principle_id: str | None
    ) -> None:
        """The sample is asked for."""
        self._observer.started(self._step, self._sample)

    def text(self, delta: str) -> None:
        """A piece of it."""
        self._observer.text(self._step, self._sample, delta)

    def step_finished(self, row: Row) -> None:
        """Told by the row itself, once it is durable."""


def _plan(row_id: str, prompt: Prompt, way: Way, sample: int, recipe: WaysRecipe) -> PlannedStep:
    return PlannedStep(
        row_id=row_id,
        kind=StepKind.RESPONSE,
        step=STEPS[way],
        index=0,
        round=0,
        principle=None,
        seed=build_response_seed(recipe, prompt, sample),
        role="policy",
    )


def _check_same_weights(row: Row, model: ChainSetup, step: PlannedStep) -> None:
    info = get_info(model, step)
    if (row.model_id, row.weights_hash) != (info.model_id, info.weights_hash):
        raise RunMismatchError(
            f"run {row.run_id}: its answers were made by model {row.model_id!r} (weights "
            f"{row.weights_hash}); now {info.model_id!r} (weights {info.weights_hash}) answers. "
            "Bring the old weights back, or start a new run."
        )
