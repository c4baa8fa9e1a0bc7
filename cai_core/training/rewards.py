"""Rewards of completions: what each is, and how they are combined. Pure; no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cai_core.errors import CaiError, ModelError
from cai_core.records import Conversation

SCORES = tuple(str(number) for number in range(1, 11))


class RewardUnavailableError(CaiError):
    """A reward could not be asked for: nothing is wrong with the run, which can go on later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A completion that the policy sampled in training.

    Attributes:
        text: without special tokens.
        tokens: how many it has, the end token not counted.
        ended: whether it ended by itself; False where it was cut at the token limit.
        step: the step that samples it, from 1.
    """

    prompt_id: str
    conversation: Conversation
    text: str
    tokens: int
    ended: bool
    step: int


class Reward(Protocol):
    """Gives each completion a number."""

    def compute(self, rollouts: Sequence[Rollout]) -> list[float]:
        """One reward for each, in their order.

        Raises:
            RewardUnavailableError: who is asked cannot be reached.
            ModelError: what is asked cannot give one.
        """
        ...


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens in units of `per_tokens`."""

    per_tokens: int

    def compute(self, rollouts: Sequence[Rollout]) -> list[float]:
        """See `Reward`."""
        return [rollout.tokens / self.per_tokens for rollout in rollouts]


def map_score(probabilities: Sequence[float]) -> float:
    """The expected score of 1 to 10, mapped to [-1, 1] (arXiv 2309.00267, section 2.2.2).

    Args:
        probabilities: of the scores in their order; their sum is 1.
    """
    if len(probabilities) != len(SCORES):
        raise ValueError(f"{len(probabilities)} probabilities for {len(SCORES)} scores")
    expected = math.fsum(n * p for n, p in enumerate(probabilities, start=1))
    highest = len(SCORES)
    return 2.0 * (expected - 1.0) / (highest - 1.0) - 1.0


def combine(rewards: Sequence[Sequence[float]], weights: Sequence[float]) -> list[float]:
    """The weighted sum for each completion.

    Args:
        rewards: of each source, for each completion.
    """
    return [
        math.fsum(weight * one for weight, one in zip(weights, row, strict=True))
        for row in zip(*rewards, strict=True)
    ]


def check_rewards(name: str, rewards: Sequence[float], expected: int) -> None:
    """Raise ModelError unless there are so many and each is a number: none is ever made up."""
    if len(rewards) != expected:
        raise ModelError(f"reward {name}: gave {len(rewards)} numbers for {expected} completions.")
    if bad := [value for value in rewards if not math.isfinite(value)]:
        raise ModelError(
            f"reward {name}: {len(bad)} of {expected} are not finite ({bad[0]}). Look at the "
            "model that gives it."
        )
