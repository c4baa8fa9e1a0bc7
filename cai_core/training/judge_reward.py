"""Direct RLAIF: a judge's expected score is the reward (arXiv 2309.00267, section 2.2.2). No torch.

A score is read as the probabilities of 1 to 10 as the judge's answer, no text is generated. A
request that fails is asked again by the pool; where nobody answers any more, the run is
interrupted. No score is ever made up.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from cai_core.constitution.draw import pick_principle
from cai_core.errors import ModelError, RequestFailedError, ServerUnavailableError
from cai_core.inference.capabilities import ScoringWay
from cai_core.inference.pool import EnginePool
from cai_core.inference.probe import probe
from cai_core.inference.scoring import OptionScores, choose_way, score_options
from cai_core.inference.scoring_tokens import OptionTokens
from cai_core.prompts import chat
from cai_core.records import Principle
from cai_core.training.rewards import SCORES, RewardUnavailableError, Rollout, map_score
from cai_core.workspace.rows import build_seed

T = TypeVar("T")


class Judge:
    """Implements `rewards.Reward`; a context manager, which holds the judge's connections.

    The pool lives on an event loop of its own thread, so the trainer's steps can wait for it.

    Args:
        open_pool: called on that loop.
        principles: to draw from, at least one.
        least_mass: see `rl_recipe.JudgeReward`.
        seed: of the drawing.
    """

    def __init__(
        self,
        open_pool: Callable[[], EnginePool],
        principles: Sequence[Principle],
        *,
        least_mass: float,
        seed: int,
    ) -> None:
        if not principles:
            raise ValueError("a judge needs a principle")
        self._open_pool, self._principles = open_pool, tuple(principles)
        self._least_mass, self._seed = least_mass, seed
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._run(self._open())
        except BaseException:
            self._end_loop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._run(self._pool.aclose())
        finally:
            self._end_loop()

    def compute(self, rollouts: Sequence[Rollout]) -> list[float]:
        """The mapped expected scores, in [-1, 1]; see `Reward`.

        Raises:
            RewardUnavailableError: the judge does not answer, however often it is asked.
            ModelError: it refuses, or was about to answer something else than a score.
        """
        return self._run(self._score_all(rollouts))

    def draw_principle(self, prompt_id: str, step: int) -> Principle:
        """The principle of a prompt at a step: the same for all its completions."""
        draw = build_seed(run_seed=self._seed, prompt_id=prompt_id, sample=0, step=f"judge-{step}")
        return pick_principle(self._principles, draw)

    async def _open(self) -> None:
        self._pool = self._open_pool()
        try:
            capabilities = await probe(self._pool)
            self._way: ScoringWay = choose_way(capabilities)
        except BaseException:
            await self._pool.aclose()
            raise
        self._cache = OptionTokens.for_server(capabilities)

    async def _score_all(self, rollouts: Sequence[Rollout]) -> list[float]:
        # The first one that fails ends the others: a batch counts whole or not at all.
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._score(rollout)) for rollout in rollouts]
        return [task.result() for task in tasks]

    async def _score(self, rollout: Rollout) -> float:
        principle = self.draw_principle(rollout.prompt_id, rollout.step)
        prompt = chat.build_score(rollout.conversation, rollout.text, principle)
        scores = await score_options(self._pool, prompt, SCORES, way=self._way, cache=self._cache)
        self._check_mass(scores)
        return map_score(scores.probabilities)

    def _check_mass(self, scores: OptionScores) -> None:
        if scores.mass is not None and scores.mass < self._least_mass:
            raise ModelError(
                f"the judge gives the scores 1 to 10 only {scores.mass:.1%} of its probability, "
                f"the recipe asks for {self._least_mass:.0%}: it would answer something else. "
                "Choose a judge that follows instructions, or lower least_mass."
            )

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except BaseExceptionGroup as group:
            raise _translate(group.exceptions[0]) from group
        except (ServerUnavailableError, RequestFailedError) as error:
            raise _translate(error) from error

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _translate(error: BaseException) -> BaseException:
    if isinstance(error, ServerUnavailableError | RequestFailedError):
        return RewardUnavailableError(f"the judge did not answer: {error} Resume to go on.")
    return error
