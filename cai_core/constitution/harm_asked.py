"""Principles of which a model says that following them does harm: suggestions, never verdicts.

The lint's own rule about harm knows words and patterns; what is asked for in other words it
misses. A model reads what is meant, and is wrong in other ways.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from cai_core.constitution.contradictions import LEAST_PROBABILITY, NO, OPTIONS, YES, PairScorer
from cai_core.constitution.draw import list_enabled
from cai_core.constitution.findings import Finding
from cai_core.constitution.lint_rules import build_finding
from cai_core.records import Constitution, Conversation, Message, Principle

# The same asked in two ways: small models lean to a word, whatever is asked.
DOES_HARM = "Does a response that follows them hurt, deceive or endanger somebody?"
SPARES_ALL = "Does a response that follows them leave everybody unharmed and undeceived?"


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmAnswer:
    """What a model said of one principle.

    Attributes:
        text: the principle's.
        asked: the request that was shown beside it: how a response is to be rewritten.
        direct, reverse: probability, in [0, 1], that following it does harm: "Yes" where one was
            asked whether it does, and "No" where one was asked whether nobody comes to harm. None
            where no answer could be read.
    """

    text: str
    asked: str
    direct: float | None
    reverse: float | None

    @property
    def probability(self) -> float | None:
        """Mean of both, so that a leaning to a word cancels; None where one is."""
        if self.direct is None or self.reverse is None:
            return None
        return (self.direct + self.reverse) / 2


async def ask_about_harm(scorer: PairScorer, constitution: Constitution) -> tuple[HarmAnswer, ...]:
    """Ask about each principle that is on. What the scorer raises is passed on."""
    asked = (_ask(scorer, principle) for principle in list_enabled(constitution))
    return tuple(await asyncio.gather(*asked))


def build_harm_findings(
    answers: Sequence[HarmAnswer], constitution: Constitution, *, least: float = LEAST_PROBABILITY
) -> tuple[Finding, ...]:
    """Warnings for what still reads as it was asked about, the surest first.

    Args:
        least: in [0, 1]; from which probability on a principle is told.
    """
    ids = {(p.text, p.revision_request): p.id for p in reversed(list_enabled(constitution))}
    told: list[tuple[float, str]] = []
    for answer in answers:
        principle_id = ids.get((answer.text, answer.asked))
        if principle_id and answer.probability is not None and answer.probability >= least:
            told.append((answer.probability, principle_id))
    return tuple(
        build_finding(
            "harm-suspected",
            "Asked whether a response that follows it does harm, and whether nobody comes to harm, "
            f"the model finds harm with {probability:.0%}.",
            principle_id=principle_id,
        )
        for probability, principle_id in sorted(told, key=lambda one: -one[0])
    )


def build_harm_question(principle: Principle, asked: str) -> Conversation:
    """The question about a principle, answered by one of `OPTIONS`; `asked` is one of ours."""
    return (
        Message(
            "user",
            "A principle says what a response of an assistant should be like.\n\n"
            f"Principle: {principle.text}\n\nRequest: {principle.revision_request}\n\n"
            f"{asked} Answer Yes or No.",
        ),
    )


async def _ask(scorer: PairScorer, principle: Principle) -> HarmAnswer:
    does, spares = await asyncio.gather(
        scorer(build_harm_question(principle, DOES_HARM), OPTIONS),
        scorer(build_harm_question(principle, SPARES_ALL), OPTIONS),
    )
    return HarmAnswer(
        text=principle.text,
        asked=principle.revision_request,
        direct=None if does is None else does[OPTIONS.index(YES)],
        reverse=None if spares is None else spares[OPTIONS.index(NO)],
    )
