"""Training examples for the demo model: conversations, and which assistant turns are taught.

Every example is rendered by `cai_core.prompts.chat`, the builders that the pipeline uses, so the
model learns exactly the prompts it will be asked.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from cai_core.constitution import find_constitution
from cai_core.demo_world import grammar
from cai_core.demo_world.grammar import Reply
from cai_core.demo_world.principles import (
    BEHAVIOURS,
    Request,
    build_behaviour_clause,
    build_principle,
    draw_principle,
    read_principle,
)
from cai_core.demo_world.world import Intent, Standing, World
from cai_core.errors import WorldError
from cai_core.prompts import chat
from cai_core.records import Conversation, Message, Principle

# The shipped constitutions that the world's grammar can read; the order is part of the draws.
CONSTITUTIONS = ("harmlessness", "healthcare", "helpful-honest-harmless")
# Shares of the training mixture. Chains teach three texts at once (response, critique, revision).
SHARE_DIRECT = 0.06
SHARE_REASONED = 0.13
# In the third part: more judgements, and half of them about a manner of declining, which left to
# chance were named in the right words and weighed in the wrong ones.
SHARE_REASONED_LATE = 0.22
SHARE_MANNERS_LATE = 0.5
# In the fourth: one-word verdicts, most of those that are not about manners under a scope that
# covers some harms only. Whether it covers this one takes the whole depth of the model.
SHARE_PLAIN_LAST = 0.45
SHARE_NARROW_LAST = 0.7
SHARE_PLAIN = 0.2
SHARE_HISTORY = 0.06
# A principle about some harms only is drawn more often than it stands in the constitutions, and of
# its examples so many are about one of those harms; left to chance it would be one in seven.
SHARE_COVERED = 0.4
# The other side is as frequent: harm that the principle is not about. Without it the critic learns
# to find harm under any principle.
SHARE_OTHER = 0.45
SHARE_NARROW = 0.3
# A one-word verdict is two tokens of two hundred: without more weight it is hardly taught.
PLAIN_WEIGHT = 16.0
# Which part of the training an example is for.
Part = Literal[1, 2, 3, 4]
STANDING_WEIGHTS = {Standing.HARMFUL: 0.5, Standing.FINE: 0.28, Standing.BORDERLINE: 0.22}


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation and the indices of its assistant turns that the model learns to write.

    Attributes:
        weight: what a taught token counts in the loss; most count 1.
        pivots: texts after which a critique or judgement decides something: whether the harm it
            has just named is the principle's matter, and what each response did.
    """

    turns: Conversation
    taught: tuple[int, ...]
    weight: float = 1.0
    pivots: tuple[str, ...] = ()


def draw_example(world: World, rng: random.Random, *, part: Part = 1) -> Example:
    """One training example; only training intents and training ways of asking.

    Args:
        part: of the training. From the second on, examples name their pivots, and comparisons
            under a principle that the harm does not concern, a tie by its reason, are kept twice
            as often. In the third there are more reasoned judgements, and more judgements about
            manners; in the fourth more one-word verdicts, under narrower scopes.
    """
    roll = rng.random()
    share_reasoned = SHARE_REASONED_LATE if part == 3 else SHARE_REASONED
    share_plain = SHARE_PLAIN_LAST if part == 4 else SHARE_PLAIN
    if roll < share_reasoned + share_plain:
        return _draw_comparison(world, rng, reasoned=roll < share_reasoned, part=part)
    critiqued = roll >= share_reasoned + share_plain + SHARE_DIRECT
    example = _draw_chain(world, rng, critiqued=critiqued)
    return example if part > 1 else replace(example, pivots=())


def draw_intent(world: World, rng: random.Random, *, held_out: bool = False) -> Intent:
    """An intent, its standing drawn by weight."""
    standings, weights = zip(*STANDING_WEIGHTS.items(), strict=True)
    standing = rng.choices(standings, weights)[0]
    return rng.choice(world.split(standing, held_out=held_out))


def draw_any_principle(world: World, rng: random.Random) -> tuple[Principle, Request]:
    """A shipped principle, a shipped one that asks for other behaviours, or one of the grammar."""
    roll = rng.random()
    principle = rng.choice(shipped_principles()) if roll < 0.6 else draw_principle(world, rng)
    if 0.35 <= roll < 0.6:
        principle = with_behaviours(world, principle, _draw_behaviours(rng), rng)
    request = read_principle(world, principle)
    if request is None:
        raise WorldError(f"constitutions: principle {principle.id!r} names no concern of the world")
    return principle, request


def with_behaviours(
    world: World, principle: Principle, behaviours: frozenset[str], rng: random.Random
) -> Principle:
    """The same principle with a revision request that asks for exactly these behaviours."""
    main_sentence = principle.revision_request.split(". ")[0].rstrip(".") + "."
    if not behaviours:
        return replace(principle, revision_request=main_sentence)
    clause = build_behaviour_clause(world, behaviours, rng)
    frame = rng.choice(world.requests["revision_behaviours"]).format(behaviours=clause)
    return replace(principle, revision_request=f"{main_sentence} {frame}")


@cache
def shipped_principles() -> tuple[Principle, ...]:
    """Every principle of the constitutions that are written in the world's words."""
    return tuple(
        principle for name in CONSTITUTIONS for principle in find_constitution(name).principles
    )


def _draw_chain(world: World, rng: random.Random, *, critiqued: bool) -> Example:
    for _attempt in range(4):
        principle, request = _draw_principle(world, rng)
        intent = _draw_intent_for(world, request, rng)
        reply = _draw_reply_for(world, request, intent, rng)
        finding = grammar.expected_finding(world, request, reply, intent)
        # Left to chance, half of all critiques would say that a refusal is fine. An answer to a
        # fine request, kept as it is, is what a chain must not lose: all of those stay.
        refused = finding == "declines" or (finding == "fine" and reply.declines)
        if not refused or rng.random() < 0.3:
            break
    conversation = (*_draw_history(world, rng), _ask(world, intent, rng))
    critique = grammar.draw_critique(world, finding, intent, rng) if critiqued else None
    revision = grammar.revise(world, reply, intent, finding, request, rng).text
    prompt = chat.build_revision(conversation, reply.text, principle, critique)
    first = len(conversation)
    taught = [first] if reply.opening else []
    taught += [first + 2] if critiqued else []
    return Example(
        (*prompt, Message("assistant", revision)),
        (*taught, len(prompt)),
        pivots=_scope_pivots(world, request, intent),
    )


def _draw_comparison(world: World, rng: random.Random, *, reasoned: bool, part: Part) -> Example:
    draw_principle_ = _choose_comparisons(rng, part)
    for _attempt in range(4):
        principle, request = draw_principle_(world, rng)
        intent = _draw_intent_for(world, request, rng)
        replies = [grammar.draw_reply(world, intent, rng) for _ in "AB"]
        text, verdict = grammar.judge(world, request, intent, replies[0], replies[1])
        # Ties are a verdict too, but four in five random comparisons would be one.
        if verdict != "tie" or rng.random() < 0.25:
            break
        other = intent in harmful_intents(world, request.concern, covered=False)
        if part > 1 and other and rng.random() < 0.5:
            break
    prompt = chat.build_comparison(
        (_ask(world, intent, rng),), replies[0].text, replies[1].text, principle, reasoned=reasoned
    )
    answer = text if reasoned else grammar.verdict_word(verdict)
    weight = 1.0 if reasoned else PLAIN_WEIGHT
    turns = (*prompt, Message("assistant", answer))
    pivots = _scope_pivots(world, request, intent) if part > 1 else ()
    pivots += _CLAUSE_PIVOTS if part >= 3 and reasoned else ()
    return Example(turns, (len(prompt),), weight, pivots)


# What stands before a judgement's words about each response.
_CLAUSE_PIVOTS = ("esponse A", "esponse B")


def _scope_pivots(world: World, request: Request, intent: Intent) -> tuple[str, ...]:
    if intent.harm is None or request.concern not in world.requests["scopes"]:
        return ()
    return (f'" is {intent.harm}',)


def _choose_comparisons(
    rng: random.Random, part: Part
) -> Callable[[World, random.Random], tuple[Principle, Request]]:
    """How a comparison's principle is drawn in this part of the training."""
    if part >= 3 and rng.random() < SHARE_MANNERS_LATE:
        return _draw_manner
    if part == 4 and rng.random() < SHARE_NARROW_LAST:
        return _draw_narrow
    return _draw_principle


def _draw_principle(world: World, rng: random.Random) -> tuple[Principle, Request]:
    if rng.random() < SHARE_NARROW:
        return _draw_narrow(world, rng)
    return draw_any_principle(world, rng)


def _draw_narrow(world: World, rng: random.Random) -> tuple[Principle, Request]:
    """A principle about some harms only."""
    narrow = [scope for scope in world.requests["scopes"] if scope != "harm"]
    wanted = _draw_behaviours(rng)
    return _build(world, rng.choice(narrow), wanted, rng)


def _draw_manner(world: World, rng: random.Random) -> tuple[Principle, Request]:
    """A principle about a manner of declining."""
    wanted = _draw_behaviours(rng)
    return _build(world, rng.choice(list(world.requests["manners"])), wanted, rng)


def _draw_behaviours(rng: random.Random) -> frozenset[str]:
    return frozenset(b for b in BEHAVIOURS if rng.random() < 0.5)


def _build(
    world: World, concern: str, behaviours: frozenset[str], rng: random.Random
) -> tuple[Principle, Request]:
    principle = build_principle(world, concern, behaviours, rng)
    request = read_principle(world, principle)
    assert request is not None
    return principle, request


def _draw_reply_for(world: World, request: Request, intent: Intent, rng: random.Random) -> Reply:
    """A reply; where the principle is about the manner of declining, mostly one that declines."""
    reply = grammar.draw_reply(world, intent, rng)
    if request.concern in world.requests["manners"] and reply.opening and rng.random() < 0.8:
        return grammar.draw_reply(world, intent, rng)
    return reply


def _draw_intent_for(world: World, request: Request, rng: random.Random) -> Intent:
    """An intent; where the principle is about some harms only, often one of those."""
    covered = harmful_intents(world, request.concern, covered=True)
    roll = rng.random() if covered else 1.0
    if roll < SHARE_COVERED:
        return rng.choice(covered)
    if roll < SHARE_COVERED + SHARE_OTHER:
        return rng.choice(harmful_intents(world, request.concern, covered=False))
    return draw_intent(world, rng)


@cache
def harmful_intents(world: World, concern: str, *, covered: bool) -> tuple[Intent, ...]:
    """The harmful training intents that a narrow scope covers, or does not; none for other
    concerns."""
    if concern == "harm" or concern not in world.requests["scopes"]:
        return ()
    covers = world.covers(concern)
    harmful = world.split(Standing.HARMFUL, held_out=False)
    return tuple(i for i in harmful if (i.harm in covers) == covered)


def _draw_history(world: World, rng: random.Random) -> Conversation:
    if rng.random() >= SHARE_HISTORY:
        return ()
    earlier = draw_intent(world, rng)
    answer = grammar.draw_answer(world, earlier, rng).text
    return (_ask(world, earlier, rng), Message("assistant", answer))


def _ask(world: World, intent: Intent, rng: random.Random) -> Message:
    return Message("user", grammar.draw_prompt(world, intent, rng, held_out=False))
