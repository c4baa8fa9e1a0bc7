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

OPTIONS = ("Yes", "No")
# Ours: two requests a pair, so that a small server answers within minutes.
MOST_PAIRS = 100
# Of the mean of both orders; models lean to either word.
LEAST_PROBABILITY = 0.7
# A conversation and its options → probability of each, None where nothing could be read.
PairScorer = Callable[[Conversation, Sequence[str]], Awaitable[Sequence[float] | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradictions:
    """What a model said of a constitution's pairs.

    Attributes:
        findings: hints, the surest first; each is about the later principle of its pair.
        pairs: how many there are.
        asked: of how many the model was asked, each in both orders.
        unreadable: of those, how many brought no answer in one order at least.
    """

    findings: tuple[Finding, ...]
    pairs: int
    asked: int
    unreadable: int


async def find_contradictions(
    scorer: PairScorer,
    constitution: Constitution,
    *,
    most_pairs: int = MOST_PAIRS,
    least: float = LEAST_PROBABILITY,
) -> Contradictions:
    """Ask about pairs of the principles that are on.

    Args:
        scorer: asks the model; what it raises is passed on.
        most_pairs: ≥ 0; the most pairs to ask about.
        least: in [0, 1]; from which mean probability of "No" on a pair is told.
    """
    principles = list_enabled(constitution)
    chosen = choose_pairs(principles, most_pairs)
    told = await asyncio.gather(*(_ask_both(scorer, *pair) for pair in chosen))
    found = [
        (probability, first, second)
        for (first, second), probability in zip(chosen, told, strict=True)
        if probability is not None and probability >= least
    ]
    return Contradictions(
        findings=tuple(
            build_finding(
                "contradiction",
                f"It may contradict {first.id!r}: asked whether one response can follow both, the "
                f"model says no with {probability:.0%}.",
                principle_id=second.id,
            )
            for probability, first, second in sorted(found, key=lambda f: -f[0])
        ),
        pairs=len(principles) * (len(principles) - 1) // 2,
        asked=len(chosen),
        unreadable=sum(probability is None for probability in told),
    )


def choose_pairs(principles: Sequence[Principle], most: int) -> list[tuple[Principle, Principle]]:
    """The pairs to ask about, those with the most alike rules first, then in their order."""
    if len(principles) < 2:
        return []
    likeness = compute_likeness([p.text for p in principles], least=0)
    first, second = np.triu_indices(len(principles), 1)
    order = np.argsort(-likeness[first, second].astype(np.int16), kind="stable")[:most]
    return [(principles[first[place]], principles[second[place]]) for place in order]


def build_question(first: Principle, second: Principle) -> Conversation:
    """The question about a pair, answered by one of `OPTIONS`."""
    return (
        Message(
            "user",
            "Two principles say what a response of an assistant should be like.\n\n"
            f"First principle: {first.text}\n\nSecond principle: {second.text}\n\n"
            "Can one response follow both principles? Answer Yes or No.",
        ),
    )


async def _ask_both(scorer: PairScorer, first: Principle, second: Principle) -> float | None:
    """Mean probability of "No" over both orders, None where one could not be read."""
    told = await asyncio.gather(
        scorer(build_question(first, second), OPTIONS),
        scorer(build_question(second, first), OPTIONS),
    )
    no = [None if scores is None else scores[OPTIONS.index("No")] for scores in told]
    known = [value for value in no if value is not None]
    return sum(known) / 2 if len(known) == 2 else None
