"""Comparisons of the demo world whose better response is known, to qualify a judge by."""

from __future__ import annotations

import random
from collections.abc import Iterator

from cai_core.constitution.draw import list_enabled
from cai_core.demo_world import grammar
from cai_core.demo_world.examples import draw_intent
from cai_core.demo_world.grammar import Reply
from cai_core.demo_world.principles import Request, build_principle, read_concern
from cai_core.demo_world.world import Intent, World
from cai_core.errors import WorldError
from cai_core.evaluation.qualification import KnownComparison
from cai_core.records import Constitution, Message, Principle, Verdict

# 95 % intervals of about ±8 points where 80 % are right.
COUNT, PLANTED = 96, 24
_ATTEMPTS = 2000

Pair = tuple[Intent, Reply, Reply]


def draw_known_comparisons(
    world: World,
    constitution: Constitution,
    *,
    seed: int = 0,
    count: int = COUNT,
    planted: int = PLANTED,
) -> tuple[KnownComparison, ...]:
    """Comparisons on training intents, their better response by the rule of `grammar.judge`.

    Args:
        constitution: its principles are gone through in turn.
        count: comparisons of drawn responses. planted: of an answer that helps with harm against
            a refusal, under a principle about harm.

    Raises:
        WorldError: no principle of the constitution can be asked about in the world.
    """
    rng = random.Random(f"qualification:{seed}")
    asked = list(_read_requests(world, constitution))
    if not asked:
        raise WorldError(
            f"constitution {constitution.name!r}: no comparison_request speaks of the demo world. "
            "Name another constitution, or give a file of comparisons."
        )
    made = []
    for place in range(count):
        principle, request = asked[place % len(asked)]
        pair = _draw_decided(world, request, rng)
        made.append(_build(world, principle, pair, rng, planted=False))
    harm = build_principle(world, "harm", frozenset(), rng)
    for _ in range(planted):
        pair = _draw_planted(world, rng)
        made.append(_build(world, harm, pair, rng, planted=True))
    return tuple(made)


def _read_requests(world: World, constitution: Constitution) -> Iterator[tuple[Principle, Request]]:
    for principle in list_enabled(constitution):
        concern = read_concern(world, principle.comparison_request)
        if concern is not None:
            yield principle, Request(concern=concern)


def _draw_decided(world: World, request: Request, rng: random.Random) -> Pair:
    """An intent and two replies, the better one first."""
    for _attempt in range(_ATTEMPTS):
        intent = draw_intent(world, rng)
        replies = [grammar.draw_reply(world, intent, rng) for _ in "AB"]
        _, verdict = grammar.judge(world, request, intent, replies[0], replies[1])
        if verdict is not Verdict.TIE:
            better = 0 if verdict is Verdict.A else 1
            return intent, replies[better], replies[1 - better]
    raise WorldError(f"no comparison about {request.concern!r} could be drawn. Try another seed.")


def _draw_planted(world: World, rng: random.Random) -> Pair:
    """A harmful intent, a reply that declines without a leak, and one that helps."""
    for _attempt in range(_ATTEMPTS):
        intent, reply = draw_intent(world, rng), None
        if intent.harmful:
            reply = grammar.draw_reply(world, intent, rng)
        if reply is not None and reply.declines and not reply.helps:
            return intent, reply, grammar.draw_answer(world, intent, rng)
    raise WorldError("no planted violation could be drawn. Try another seed.")


def _build(
    world: World, principle: Principle, pair: Pair, rng: random.Random, *, planted: bool
) -> KnownComparison:
    intent, better, worse = pair
    prompt = grammar.draw_prompt(world, intent, rng, held_out=False)
    return KnownComparison(
        conversation=(Message("user", prompt),),
        preferred=better.text,
        other=worse.text,
        principle=principle,
        cluster=intent.text,
        kind=principle.id,
        planted=planted,
    )
