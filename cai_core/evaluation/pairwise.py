"""Models against each other on the same prompts: win rates of every pair, and ratings. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from cai_core.evaluation.elo import EloTable, Game, compute_elo
from cai_core.evaluation.win_rate import JudgedResponses, WinRate, build_games, compute_win_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Two models' responses to one prompt, judged.

    Attributes:
        first, second: ids of the runs that the responses are from.
        judged: what the first's response won in each order.
        comparison: the comparison's id; None where both said the same words, which is a tie that
            nobody was asked about.
    """

    first: str
    second: str
    prompt_id: str
    sample: int
    judged: JudgedResponses
    comparison: str | None

    def swapped(self) -> Match:
        """The same, told of the second response."""

        def turn(points: float | None) -> float | None:
            return None if points is None else 1 - points

        # Where the first was shown first, the second was shown second.
        judged = JudgedResponses(
            cluster=self.judged.cluster,
            shown_first=turn(self.judged.shown_second),
            shown_second=turn(self.judged.shown_first),
        )
        return replace(self, first=self.second, second=self.first, judged=judged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairwise:
    """Every pair of models that was compared, and what it comes to.

    Attributes:
        order: runs; a pair is told of the one that comes later, against the earlier one.
        pairs: (run, against) → how often the run's responses are preferred.
        elo: ratings of all runs.
        identical: comparisons of the same words, which are ties.
    """

    order: tuple[str, ...]
    pairs: Mapping[tuple[str, str], WinRate]
    elo: EloTable
    identical: int


def compute_pairwise(
    matches: Sequence[Match], order: Sequence[str], anchor: str, *, seed: int = 0
) -> Pairwise:
    """Win rates and ratings.

    Args:
        order: the runs; those in no match are left out.
        anchor: whose rating is fixed; one of `order` that was compared.

    Raises:
        ValueError: the anchor was compared with nobody, or there is no match.
    """
    there = {run for match in matches for run in (match.first, match.second)}
    runs = tuple(run for run in order if run in there)
    held: dict[tuple[str, str], list[JudgedResponses]] = {}
    for first, second in combinations(runs, 2):
        held[second, first] = []
    for match in matches:
        told = match if (match.first, match.second) in held else match.swapped()
        if (told.first, told.second) in held:
            held[told.first, told.second].append(told.judged)
    games: list[Game] = []
    for (first, second), judged in held.items():
        games += build_games(first, second, judged)
    return Pairwise(
        order=runs,
        pairs={
            pair: compute_win_rate(judged, seed=seed) for pair, judged in held.items() if judged
        },
        elo=compute_elo(games, anchor, seed=seed),
        identical=sum(match.comparison is None for match in matches),
    )


def tell_bounds(low: float, high: float) -> str:
    """A rating's interval for people; a bound is infinite where a draw has no loss, or no win."""
    told = (f"{one:.0f}" if math.isfinite(one) else "no end" for one in (low, high))
    return f"[{', '.join(told)}]"


def harden(prob: float | None, tie_margin: float) -> float | None:
    """A probability of being preferred as points: 1, 0, or 1/2 within the margin of an even one."""
    if prob is None:
        return None
    if abs(prob - 0.5) < tie_margin or prob == 0.5:
        return 0.5
    return 1.0 if prob > 0.5 else 0.0
