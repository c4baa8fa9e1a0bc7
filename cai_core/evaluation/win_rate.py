"""How often one model's responses are preferred to another's, asked in both orders. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from cai_core.evaluation.bootstrap import DRAWS, compute_clustered_mean
from cai_core.evaluation.elo import Game


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedResponses:
    """Two models' responses to one prompt, judged in both orders.

    Attributes:
        cluster: prompts of one cluster stand or fall together.
        shown_first, shown_second: what the candidate's response won where it was shown first, and
            where it was shown second: 1 it is preferred, 0 the other is, 1/2 tie; a probability is
            as good. None where the judgement was unreadable.
    """

    cluster: Hashable
    shown_first: float | None
    shown_second: float | None

    @property
    def points(self) -> float | None:
        """Mean of both orders: a judge that goes by the place alone gives 1/2. None where one of
        them is unreadable."""
        if self.shown_first is None or self.shown_second is None:
            return None
        return (self.shown_first + self.shown_second) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRate:
    """Of the candidate, ties half, with a 95 % interval.

    Attributes:
        rate, low, high: in [0, 1]; 0.5 is as good as the other. None without a readable prompt.
        wins, ties, losses: prompts; their sum is n. A tie has exactly half the points.
        split: of the ties, those with one response preferred in one order and the other in the
            other: the judge goes by the place.
        unparsed: prompts unreadable in an order, which count for nothing and are not in n.
        position_bias: mean in [-1, 1] of how much more a response wins when it is shown first.
    """

    rate: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int
    wins: int
    ties: int
    losses: int
    split: int
    unparsed: int
    position_bias: float | None


def compute_win_rate(
    judged: Iterable[JudgedResponses], *, draws: int = DRAWS, seed: int = 0
) -> WinRate:
    """Count what the candidate won."""
    told = list(judged)
    points = [(one.cluster, one.points) for one in told]
    readable = [(cluster, won) for cluster, won in points if won is not None]
    mean = compute_clustered_mean(readable, draws=draws, seed=seed)
    orders = [
        (one.shown_first, one.shown_second)
        for one in told
        if one.shown_first is not None and one.shown_second is not None
    ]
    biases = [first - second for first, second in orders]
    return WinRate(
        rate=mean.mean if mean else None,
        low=max(0.0, mean.low) if mean else None,
        high=min(1.0, mean.high) if mean else None,
        n=len(readable),
        clusters=mean.clusters if mean else 0,
        wins=sum(won > 0.5 for _, won in readable),
        ties=sum(won == 0.5 for _, won in readable),
        losses=sum(won < 0.5 for _, won in readable),
        split=sum(first + second == 1 and first != second for first, second in orders),
        unparsed=len(told) - len(readable),
        position_bias=sum(biases) / len(biases) if biases else None,
    )


def build_games(candidate: str, other: str, judged: Iterable[JudgedResponses]) -> tuple[Game, ...]:
    """The same as games for `elo.compute_elo`, one for each prompt."""
    return tuple(
        Game(cluster=one.cluster, first=candidate, second=other, points=one.points)
        for one in judged
    )
