"""Pairs of principles that a model says cannot both be followed: suggestions, never verdicts.

Which pairs are asked about is bounded: a constitution of n principles has n(n−1)/2 of them. The
ones whose rules are most alike go first, for principles contradict each other where they are
about the same thing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cai_core.constitution.draw import list_enabled
from cai_core.constitution.findings import Finding
from cai_core.constitution.lint_rules import build_finding
from cai_core.constitution.lint_whole import compute_likeness
from cai_core.records import Constitution, Conversation, Message, Principle

YES, NO = OPTIONS = ("Yes", "No")
# The same asked in two ways: small models lean to a word, whatever is asked.
CAN_FOLLOW = "Can one response follow both principles?"
EXCLUDE = "Do the two principles exclude each other?"
# Ours: two requests a pair, so that a small server answers within minutes.
MOST_PAIRS = 100
LEAST_PROBABILITY = 0.7
# A conversation and its options → probability of each, None where nothing could be read.
PairScorer = Callable[[Conversation, Sequence[str]], Awaitable[Sequence[float] | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAnswer:
    """What a model said of one pair.

    Attributes:
        first, second: texts of the two principles, the earlier one first.
        forward, backward: probability, in [0, 1], that no response can follow both: "No" where
            one was asked, in this order, whether one can, and "Yes" where one was asked, in the
            other order, whether they exclude each other. None where no answer could be read.
    """

    first: str
    second: str
    forward: float | None
    backward: float | None

    @property
    def probability(self) -> float | None:
        """Mean of both, so that a leaning to a word or a place cancels; None where one is."""
        if self.forward is None or self.backward is None:
            return None
        return (self.forward + self.backward) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradictions:
    """What a model said of a constitution's pairs.

    Attributes:
        pairs: how many there are.
        answers: one for each pair that was asked about, in both orders.
    """

    pairs: int
    answers: tuple[PairAnswer, ...]

    @property
    def unreadable(self) -> int:
        """How many pairs brought no answer in one order at least."""
        return sum(answer.probability is None for answer in self.answers)


async def ask_about_pairs(
    scorer: PairScorer, constitution: Constitution, *, most_pairs: int = MOST_PAIRS
) -> Contradictions:
    """Ask about pairs of the principles that are on.

    Args:
        scorer: asks the model; what it raises is passed on.
        most_pairs: ≥ 0; the most pairs to ask about.
    """
    principles = list_enabled(constitution)
    chosen = choose_pairs(principles, most_pairs)
    answers = await asyncio.gather(*(_ask_both(scorer, *pair) for pair in chosen))
    count = len(principles)
    return Contradictions(pairs=count * (count - 1) // 2, answers=tuple(answers))


def build_pair_findings(
    answers: Sequence[PairAnswer], constitution: Constitution, *, least: float = LEAST_PROBABILITY
) -> tuple[Finding, ...]:
    """Hints for what is still in the constitution as it was asked about, the surest first.

    Args:
        least: in [0, 1]; from which mean probability on a pair is told.

    Returns:
        Each is about the later principle of its pair.
    """
    ids: dict[str, str] = {}
    for principle in list_enabled(constitution):
        ids.setdefault(principle.text, principle.id)
    told: list[tuple[float, str, str]] = []
    for answer in answers:
        first, second = ids.get(answer.first), ids.get(answer.second)
        probability = answer.probability
        if first and second and probability is not None and probability >= least:
            told.append((probability, first, second))
    return tuple(
        build_finding(
            "contradiction",
            f"It may contradict {first!r}: asked whether one response can follow both, and "
            f"whether they exclude each other, the model finds a conflict with {probability:.0%}.",
            principle_id=second,
        )
        for probability, first, second in sorted(told, key=lambda one: -one[0])
    )


def choose_pairs(principles: Sequence[Principle], most: int) -> list[tuple[Principle, Principle]]:
    """The pairs to ask about, those with the most alike rules first, then in their order."""
    if len(principles) < 2:
        return []
    likeness = compute_likeness([p.text for p in principles], least=0)
    first, second = np.triu_indices(len(principles), 1)
    order = np.argsort(-likeness[first, second].astype(np.int16), kind="stable")[:most]
    return [(principles[first[place]], principles[second[place]]) for place in order]


def build_question(first: Principle, second: Principle, asked: str) -> Conversation:
    """The question about a pair, answered by one of `OPTIONS`; `asked` is one of ours above."""
    return (
        Message(
            "user",
            "Two principles say what a response of an assistant should be like.\n\n"
            f"First principle: {first.text}\n\nSecond principle: {second.text}\n\n"
            f"{asked} Answer Yes or No.",
        ),
    )


async def _ask_both(scorer: PairScorer, first: Principle, second: Principle) -> PairAnswer:
    can, exclude = await asyncio.gather(
        scorer(build_question(first, second, CAN_FOLLOW), OPTIONS),
        scorer(build_question(second, first, EXCLUDE), OPTIONS),
    )
    return PairAnswer(
        first=first.text,
        second=second.text,
        forward=None if can is None else can[OPTIONS.index(NO)],
        backward=None if exclude is None else exclude[OPTIONS.index(YES)],
    )
