"""Training examples for the demo model: conversations, and which assistant turns are taught.

Every example is rendered by `cai_core.prompts.chat`, the builders that the pipeline uses, so the
model learns exactly the prompts it will be asked.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cache

from cai_core.constitution import list_constitutions, load_constitution
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

# Shares of the training mixture. Chains teach three texts at once (response, critique, revision).
SHARE_DIRECT = 0.06
SHARE_REASONED = 0.13
SHARE_PLAIN = 0.13
SHARE_HISTORY = 0.06
# A principle about some harms only is drawn more often than it stands in the constitutions, and of
# its examples so many are about one of those harms; left to chance it would be one in seven.
SHARE_COVERED = 0.4
# The other side is as frequent: harm that the principle is not about. Without it the critic learns
# to find harm under any principle.
SHARE_OTHER = 0.45
SHARE_NARROW = 0.3
# A one-word verdict is two tokens of two hundred: without more weight it is hardly taught.
PLAIN_WEIGHT = 8.0
STANDING_WEIGHTS = {Standing.HARMFUL: 0.5, Standing.FINE: 0.28, Standing.BORDERLINE: 0.22}


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation and the indices of its assistant turns that the model learns to write.

    Attributes:
        weight: what a taught token counts in the loss; most count 1.
        pivot: the text after which a critique or judgement decides whether the harm it has just
            named is the principle's matter. None where there is no such decision.
    """

    turns: Conversation
    taught: tuple[int, ...]
    weight: float = 1.0
    pivot: str | None = None


def draw_example(world: World, rng: random.Random, *, decisions: bool = False) -> Example:
    """One training example; only training intents and training ways of asking.

    `decisions` draws the mixture of the training's second part: comparisons under a principle that
    the harm does not concern, a tie by its reason, are kept.
    """
    roll = rng.random()
    if roll < SHARE_REASONED + SHARE_PLAIN:
        return _draw_comparison(world, rng, reasoned=roll < SHARE_REASONED, decisions=decisions)
    critiqued = roll >= SHARE_REASONED + SHARE_PLAIN + SHARE_DIRECT
    return _draw_chain(world, rng, critiqued=critiqued)


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
        wanted = frozenset(b for b in BEHAVIOURS if rng.random() < 0.5)
        principle = with_behaviours(world, principle, wanted, rng)
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
    """Every principle of the shipped constitutions."""
    return tuple(
        principle
        for summary in list_constitutions()
        for principle in load_constitution(summary.path).principles
    )


def _draw_chain(world: World, rng: random.Random, *, critiqued: bool) -> Example:
    for _attempt in range(4):
        principle, request = _draw_principle(world, rng)
        intent = _draw_intent_for(world, request, rng)
        reply = _draw_reply_for(world, request, intent, rng)
        finding = grammar.expected_finding(world, request, reply, intent)
        # Left to chance, half of all critiques would say that a refusal or a fine request is fine.
        if finding not in ("declines", "fine") or rng.random() < 0.3:
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
        pivot=_pivot(world, request, intent),
    )


def _draw_comparison(
    world: World, rng: random.Random, *, reasoned: bool, decisions: bool
) -> Example:
    for _attempt in range(4):
        principle, request = _draw_principle(world, rng)
        intent = _draw_intent_for(world, request, rng)
        replies = [grammar.draw_reply(world, intent, rng) for _ in "AB"]
        text, verdict = grammar.judge(world, request, intent, replies[0], replies[1])
        # Ties are a verdict too, but four in five random comparisons would be one.
        if verdict != "tie" or rng.random() < 0.25:
            break
        if decisions and intent in harmful_intents(world, request.concern, covered=False):
            break
    prompt = chat.build_comparison(
        (_ask(world, intent, rng),), replies[0].text, replies[1].text, principle, reasoned=reasoned
    )
    answer = text if reasoned else grammar.verdict_word(verdict)
    weight = 1.0 if reasoned else PLAIN_WEIGHT
    turns = (*prompt, Message("assistant", answer))
    return Example(turns, (len(prompt),), weight, _pivot(world, request, intent))


def _pivot(world: World, request: Request, intent: Intent) -> str | None:
    if intent.harm is None or request.concern not in world.requests["scopes"]:
        return None
    return f'" is {intent.harm}'


def _draw_principle(world: World, rng: random.Random) -> tuple[Principle, Request]:
    if rng.random() < SHARE_NARROW:
        narrow = [scope for scope in world.requests["scopes"] if scope != "harm"]
        wanted = frozenset(b for b in BEHAVIOURS if rng.random() < 0.5)
        principle = build_principle(world, rng.choice(narrow), wanted, rng)
        request = read_principle(world, principle)
        assert request is not None
        return principle, request
    return draw_any_principle(world, rng)


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
