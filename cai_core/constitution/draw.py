"""Which principles a seed draws: by weight, and never one that is off.

Where all weights are equal the draw is the one that there was before there were weights, so that
runs repeat.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import accumulate

from cai_core.records import Constitution, Principle

# Seeds are drawn from [0, 2**63): see `workspace.rows.build_seed`.
SEEDS = 2**63


def list_enabled(constitution: Constitution) -> tuple[Principle, ...]:
    """The principles that may be drawn, in order."""
    return tuple(p for p in constitution.principles if p.enabled)


def pick_principle(principles: Sequence[Principle], seed: int) -> Principle:
    """The one principle that a seed draws.

    Args:
        principles: at least one.
        seed: in [0, 2**63).
    """
    if _are_even(principles):
        return principles[seed % len(principles)]
    weights = [p.weight for p in principles]
    place = seed / SEEDS * math.fsum(weights)
    for principle, upto in zip(principles, accumulate(weights), strict=True):
        if place < upto:
            return principle
    return principles[-1]  # where rounding left the sum above the last step


def choose_principle(principles: Sequence[Principle], rng: random.Random) -> Principle:
    """One principle by a generator that others go on drawing from."""
    if _are_even(principles):
        return rng.choice(principles)
    return rng.choices(principles, [p.weight for p in principles])[0]


def sample_principles(
    principles: Sequence[Principle], count: int, rng: random.Random
) -> tuple[Principle, ...]:
    """So many different principles, in the order in which they are drawn.

    Each next one is drawn by weight from those that are left: the exponential keys of Efraimidis
    and Spirakis (2006) come in that order.

    Args:
        count: at most the number of principles.
    """
    if _are_even(principles):
        return tuple(rng.sample(principles, count))
    keyed = [(rng.expovariate(p.weight), place) for place, p in enumerate(principles)]
    return tuple(principles[place] for _, place in sorted(keyed)[:count])


def _are_even(principles: Sequence[Principle]) -> bool:
    return len({p.weight for p in principles}) == 1
