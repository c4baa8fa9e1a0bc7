"""Rewards over HTTP: a reward model's raw number for a conversation, from `/classify`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from cai_core.errors import ModelError
from cai_core.records import Conversation, ModelInfo

CLASSIFY = "/classify"


class Classifier(Protocol):
    """An endpoint that can be asked; `client.ModelClient` and `pool.EnginePool`."""

    async def info(self) -> ModelInfo:
        """Who answers."""
        ...

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a JSON body; the answer's JSON object."""
        ...


async def compute_rewards(
    model: Classifier, conversations: Sequence[Conversation], *, finished: bool = True
) -> list[float]:
    """The raw reward, before any sigmoid, of each conversation, which ends in an answer.

    Args:
        finished: the answers end in their end token; False for answers cut at a token limit.

    Raises:
        ModelError: it is no reward model: it gives several numbers, or answers otherwise.
        ContextLengthError: a conversation is longer than the model reads.
        RequestRejectedError: it rates no texts.
        ServerUnavailableError, RequestFailedError: as `engine.Engine.generate`.
    """
    model_id = (await model.info()).model_id

    async def ask(conversation: Conversation) -> float:
        body = build_reward_body(conversation, model_id=model_id, finished=finished)
        return parse_reward(await model.post(CLASSIFY, body), model_id)

    tasks = [asyncio.ensure_future(ask(conversation)) for conversation in conversations]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def build_reward_body(
    conversation: Conversation, *, model_id: str, finished: bool
) -> dict[str, Any]:
    """The request, in fields that vLLM and the bundled server know.

    Both render it with the model's chat template; without `use_activation: false` they would give
    the sigmoid, in which large rewards cannot be told apart.
    """
    return {
        "model": model_id,
        "messages": [turn.as_dict() for turn in conversation],
        "add_generation_prompt": False,
        "continue_final_message": not finished,
        "use_activation": False,
    }


def parse_reward(answer: dict[str, Any], model_id: str) -> float:
    """The one number of an answer. Raises ModelError where there is not exactly one."""
    try:
        (rated,) = answer["data"]
        (reward,) = rated["probs"]
        return float(reward)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{model_id!r} did not answer with one number for a text: {error}. Name a reward "
            "model: a …ForSequenceClassification with one output."
        ) from error
