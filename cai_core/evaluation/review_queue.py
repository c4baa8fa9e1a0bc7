"""Which comparisons are judged, by whom, and which side is left. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cai_core.evaluation.metrics import Z_95
from cai_core.records import content_hash
from cai_core.workspace.review_votes import Vote, VoteChoice

Tab = Literal["pending", "submitted", "discarded"]
TABS: tuple[Tab, ...] = ("pending", "submitted", "discarded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a queue has come.

    Attributes:
        voted, discarded: comparison → the reviewers who did.
        held: reviewer → the comparison that they have a live claim on.
    """

    voted: Mapping[str, frozenset[str]]
    discarded: Mapping[str, frozenset[str]]
    held: Mapping[str, str]

    def count_places(self, comparison: str, reviewer: str) -> int:
        """Places that others have taken: by votes, and by claims that may become votes."""
        holding = {who for who, what in self.held.items() if what == comparison}
        return len((self.voted.get(comparison, frozenset()) | holding) - {reviewer})

    def has_judged(self, comparison: str, reviewer: str) -> bool:
        """Whether the reviewer has voted on it or discarded it."""
        return any(
            reviewer in told.get(comparison, frozenset()) for told in (self.voted, self.discarded)
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


def draw_sample(comparisons: Sequence[str], size: int, seed: int) -> tuple[str, ...]:
    """Draw without replacement, in the order drawn; the same for the same seed."""
    draw = random.Random(f"review-queue:{seed}")
    return tuple(draw.sample(list(comparisons), min(size, len(comparisons))))


def find_first_shown(queue: str, comparison: str, reviewer: str) -> Literal["A", "B"]:
    """The response on the left: a coin by queue, comparison and reviewer, the same at each look."""
    digest = content_hash(["review-side", queue, comparison, reviewer])
    return "A" if int(digest[:8], 16) % 2 == 0 else "B"


def build_standing(votes: Iterable[Vote], held: Mapping[str, str]) -> Standing:
    """Sum up a queue's votes and its live claims (reviewer → comparison)."""
    voted: dict[str, set[str]] = {}
    discarded: dict[str, set[str]] = {}
    for vote in votes:
        told = discarded if vote.choice is VoteChoice.DISCARDED else voted
        told.setdefault(vote.comparison, set()).add(vote.reviewer)
    return Standing(
        voted={name: frozenset(who) for name, who in voted.items()},
        discarded={name: frozenset(who) for name, who in discarded.items()},
        held=dict(held),
    )


def is_open(standing: Standing, comparison: str, reviewer: str, overlap: int) -> bool:
    """Whether the reviewer may be given it: not judged by them, and a place is free."""
    if standing.has_judged(comparison, reviewer):
        return False
    return standing.count_places(comparison, reviewer) < overlap


def find_next(
    comparisons: Sequence[str],
    standing: Standing,
    reviewer: str,
    overlap: int,
    *,
    after: str = "",
    backwards: bool = False,
) -> str | None:
    """The next comparison to give a reviewer.

    Args:
        after: begin behind this one, and go on from the other end; else from the first.
        backwards: go the other way.

    Returns:
        None where nothing is left for them but perhaps `after` itself.
    """
    order = list(reversed(comparisons)) if backwards else list(comparisons)
    start = order.index(after) + 1 if after in order else 0
    rest = [one for one in (*order[start:], *order[:start]) if one != after]
    return next((one for one in rest if is_open(standing, one, reviewer, overlap)), None)


def sort_into_tabs(
    comparisons: Iterable[str], standing: Standing, reviewer: str, overlap: int
) -> dict[Tab, list[str]]:
    """A reviewer's part of a queue; what others do instead of them is in no tab."""
    tabs: dict[Tab, list[str]] = {tab: [] for tab in TABS}
    for one in comparisons:
        if reviewer in standing.discarded.get(one, frozenset()):
            tabs["discarded"].append(one)
        elif reviewer in standing.voted.get(one, frozenset()):
            tabs["submitted"].append(one)
        elif is_open(standing, one, reviewer, overlap):
            tabs["pending"].append(one)
    return tabs


def count_done(comparisons: Iterable[str], standing: Standing, overlap: int) -> int:
    """Places that are filled, of `len(comparisons) · overlap`; more votes than wanted count not."""
    return sum(min(overlap, len(standing.voted.get(one, frozenset()))) for one in comparisons)
