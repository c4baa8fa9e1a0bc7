"""What is judged of a queue, by whom, and which side is left. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import Literal, TypeVar

from cai_core.evaluation.metrics import Z_95
from cai_core.records import content_hash
from cai_core.workspace.review_book import Tally, Word

T = TypeVar("T")
Tab = Literal["pending", "submitted", "discarded"]
TABS: tuple[Tab, ...] = ("pending", "submitted", "discarded")
_NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a queue has come.

    Attributes:
        voted, discarded: comparison or critique → the reviewers who did.
        held: reviewer → what they have a live claim on.
    """

    voted: Mapping[str, frozenset[str]]
    discarded: Mapping[str, frozenset[str]]
    held: Mapping[str, str]

    @cached_property
    def _holders(self) -> Mapping[str, frozenset[str]]:
        """Item → who has a live claim on it."""
        holders: dict[str, set[str]] = {}
        for who, item in self.held.items():
            holders.setdefault(item, set()).add(who)
        return {item: frozenset(who) for item, who in holders.items()}

    def count_places(self, item: str, reviewer: str) -> int:
        """Places that others have taken: by votes, and by claims that may become votes."""
        taken = self.voted.get(item, _NOBODY)
        if item in self._holders:
            taken |= self._holders[item]
        return len(taken) - (reviewer in taken)

    def has_judged(self, item: str, reviewer: str) -> bool:
        """Whether the reviewer has voted on it or discarded it."""
        return reviewer in self.voted.get(item, _NOBODY) or reviewer in self.discarded.get(
            item, _NOBODY
        )


def choose_sample_size(width: float, population: int) -> int:
    """How many to draw so that a rate's 95 % interval is at most `width` wide.

    For a rate of one half, the worst case, with the normal interval and the finite population
    correction: n = n₀ / (1 + (n₀ − 1) / N), n₀ = z² ¼ / (width / 2)² (Cochran 1977, Sampling
    Techniques, section 4.4).

    Args:
        width: from the interval's lower end to its upper one, in (0, 1).
        population: N ≥ 0, how many there are to draw from.

    Raises:
        ValueError: the width is out of range.
    """
    if not 0 < width < 1:
        raise ValueError(f"width is {width!r}. Give more than 0 and less than 1.")
    if population <= 0:
        return 0
    infinite = Z_95**2 * 0.25 / (width / 2) ** 2
    # Floating point may put a whole number a hair above itself.
    return min(population, math.ceil(infinite / (1 + (infinite - 1) / population) - 1e-9))


def compute_sample_width(size: int, population: int) -> float | None:
    """The width that a sample of this size gives at worst; the inverse of `choose_sample_size`.

    Returns:
        In [0, 1]; None for an empty sample.
    """
    if size < 1:
        return None
    if size >= population:
        return 0.0
    correction = (population - size) / (population - 1)
    return min(1.0, 2 * Z_95 * math.sqrt(0.25 / size * correction))


def draw_sample(population: Sequence[T], size: int, seed: int) -> tuple[T, ...]:
    """Draw without replacement, in the order drawn; the same for the same seed."""
    draw = random.Random(f"review-queue:{seed}")
    return tuple(draw.sample(list(population), min(size, len(population))))


def find_first_shown(queue: str, comparison: str, reviewer: str) -> Literal["A", "B"]:
    """The response on the left: a coin by queue, comparison and reviewer, the same at each look."""
    digest = content_hash(["review-side", queue, comparison, reviewer])
    return "A" if int(digest[:8], 16) % 2 == 0 else "B"


def build_standing(votes: Iterable[Word], held: Mapping[str, str]) -> Standing:
    """Sum up votes, one a reviewer and item, and live claims (reviewer → item)."""
    voted: dict[str, frozenset[str]] = {}
    discarded: dict[str, frozenset[str]] = {}
    for vote in votes:
        told = discarded if vote.discarded else voted
        told[vote.item] = told.get(vote.item, _NOBODY) | {vote.reviewer}
    return Standing(voted=voted, discarded=discarded, held=dict(held))


def build_tally_standing(tally: Tally, held: Mapping[str, str]) -> Standing:
    """The same from what is summed up already."""
    return Standing(voted=tally.voted, discarded=tally.discarded, held=dict(held))


def is_open(standing: Standing, item: str, reviewer: str, overlap: int) -> bool:
    """Whether the reviewer may be given it: not judged by them, and a place is free."""
    if standing.has_judged(item, reviewer):
        return False
    return standing.count_places(item, reviewer) < overlap


def find_next(
    items: Sequence[str],
    standing: Standing,
    reviewer: str,
    overlap: int,
    *,
    after: str = "",
    backwards: bool = False,
) -> str | None:
    """The next item to give a reviewer.

    Args:
        after: begin behind this one, and go on from the other end; else from the first.
        backwards: go the other way.

    Returns:
        None where nothing is left for them but perhaps `after` itself.
    """
    order = items[::-1] if backwards else items
    start = order.index(after) + 1 if after in order else 0
    rest = chain(islice(order, start, None), islice(order, start))
    return next(
        (one for one in rest if one != after and is_open(standing, one, reviewer, overlap)), None
    )


def sort_into_tabs(
    items: Iterable[str], standing: Standing, reviewer: str, overlap: int
) -> dict[Tab, list[str]]:
    """A reviewer's part of a queue; what others do instead of them is in no tab."""
    tabs: dict[Tab, list[str]] = {tab: [] for tab in TABS}
    for one in items:
        if reviewer in standing.discarded.get(one, _NOBODY):
            tabs["discarded"].append(one)
        elif reviewer in standing.voted.get(one, _NOBODY):
            tabs["submitted"].append(one)
        elif standing.count_places(one, reviewer) < overlap:
            tabs["pending"].append(one)
    return tabs


def count_done(items: Iterable[str], standing: Standing, overlap: int) -> int:
    """Places that are filled, of `len(items) · overlap`; more votes than wanted count not."""
    return sum(min(overlap, len(standing.voted.get(one, _NOBODY))) for one in items)
