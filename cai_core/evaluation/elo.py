"""Ratings from comparisons: Bradley–Terry by maximum likelihood, on Elo's scale. Pure.

P(a is preferred to b) = 1 / (1 + 10^((R_b − R_a) / 400)); a tie is half a win for each (Bradley and
Terry 1952; Elo 1978). Only differences are known, so one model, the anchor, has a fixed rating.
Where the comparisons do not tell a rating, none is made up: the model is listed with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cai_core.evaluation.bootstrap import Floats, draw_weights, number_clusters

ANCHOR_RATING = 1000.0
_SCALE = 400 / math.log(10)
# A thousand fits; each takes a fraction of a millisecond.
DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Game:
    """Two models' responses to one prompt, compared.

    Attributes:
        cluster: games of one cluster stand or fall together: those of one prompt or intent.
        points: of the first: 1 it is preferred, 0 the second is, 1/2 tie (or anything between);
            None where the judgement was unreadable.
    """

    cluster: Hashable
    first: str
    second: str
    points: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """One model's rating.

    Attributes:
        rating, low, high: on Elo's scale, with a 95 % interval over drawn clusters of prompts; a
            bound is infinite where the model won, or lost, all there is in too many of the draws.
            The anchor's three are the same.
        games: readable comparisons. points: won in them, ties half.
    """

    model: str
    rating: float
    low: float
    high: float
    games: int
    points: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrated:
    """A model that the comparisons give no rating, and why."""

    model: str
    reason: str
    games: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EloTable:
    """Ratings, best first.

    Attributes:
        games: readable comparisons. unparsed: the others, which count for nothing.
    """

    anchor: str
    ratings: tuple[Rating, ...]
    unrated: tuple[Unrated, ...]
    games: int
    unparsed: int


def compute_elo(
    games: Iterable[Game],
    anchor: str,
    *,
    anchor_rating: float = ANCHOR_RATING,
    draws: int = DRAWS,
    seed: int = 0,
) -> EloTable:
    """Rate every model that is compared, directly or over others, with the anchor.

    Args:
        anchor: the model whose rating is `anchor_rating`.

    Raises:
        ValueError: the anchor is in no game, a model meets itself, or points are not in [0, 1].
    """
    told = list(games)
    _check(told, anchor)
    models = sorted({one for game in told for one in (game.first, game.second)})
    readable = [game for game in told if game.points is not None]
    wins = _count_wins(readable, models)
    total = wins.sum(axis=0)
    at = models.index(anchor)
    relative = _rate(total, at)
    ratings = relative + anchor_rating
    low, high = ratings, ratings
    if len(wins):
        weights = draw_weights(len(wins), draws, seed).astype(np.float64)
        drawn = np.tensordot(weights, wins, axes=1)
        found = np.array([_rate(one, at, relative) for one in drawn]) + anchor_rating
        low, high = _bound(found)
    played = (total + total.T).sum(axis=1)
    rated, unrated = [], []
    for number, model in enumerate(models):
        count = round(float(played[number]))
        if math.isfinite(ratings[number]):
            rated.append(
                Rating(
                    model=model,
                    rating=float(ratings[number]),
                    low=float(low[number]),
                    high=float(high[number]),
                    games=count,
                    points=float(total[number].sum()),
                )
            )
        else:
            reason = _explain(ratings[number], total, number, at, anchor)
            unrated.append(Unrated(model=model, reason=reason, games=count))
    return EloTable(
        anchor=anchor,
        ratings=tuple(sorted(rated, key=lambda one: -one.rating)),
        unrated=tuple(unrated),
        games=len(readable),
        unparsed=len(told) - len(readable),
    )


def compute_expected(rating: float, other: float) -> float:
    """Probability that a model of the first rating is preferred to one of the other."""
    return 1 / (1 + 10 ** ((other - rating) / 400))


def fit_bradley_terry(wins: Floats, start: Floats | None = None) -> Floats:
    """Strengths (natural logarithms) that make the wins most probable; their mean is 0.

    Newton's method, with steps halved while the likelihood falls (Hunter 2004 has the likelihood).

    Args:
        wins: points of each model against each other one, shape (models, models). Every model
            must have won against every other one, over others at least: else there is no maximum.
        start: strengths to begin at; the result does not depend on them.
    """
    models = len(wins)
    met, points = wins + wins.T, wins.sum(axis=1)
    strengths = np.zeros(models) if start is None else start
    likelihood = _likelihood(strengths, wins)
    for _ in range(100):
        expected = met / (1 + np.exp(strengths[None, :] - strengths[:, None]))
        slope = points - expected.sum(axis=1)
        if np.abs(slope).max(initial=0.0) < 1e-9 * max(1.0, points.sum()):
            break
        bend = expected * expected.T / np.where(met > 0, met, 1)
        curve = np.diag(bend.sum(axis=1)) - bend
        # Strengths are known up to a constant: fixing their mean makes the curve regular.
        step = np.linalg.solve(curve + 1 / models, slope)
        share = 1.0
        while (found := _likelihood(strengths + share * step, wins)) < likelihood and share > 1e-8:
            share /= 2
        strengths, likelihood = strengths + share * step, found
    centred: Floats = strengths - strengths.mean()
    return centred


def _likelihood(strengths: Floats, wins: Floats) -> float:
    return float(-(wins * np.logaddexp(0, strengths[None, :] - strengths[:, None])).sum())


def _check(games: Sequence[Game], anchor: str) -> None:
    for game in games:
        if game.first == game.second:
            raise ValueError(f"{game.first!r} is compared with itself. Leave such games out.")
        if game.points is not None and not 0 <= game.points <= 1:
            raise ValueError(f"points are {game.points}, not in [0, 1].")
    if not any(anchor in (game.first, game.second) for game in games):
        raise ValueError(f"the anchor {anchor!r} is in no game. Choose a model that was compared.")


def _count_wins(games: Sequence[Game], models: Sequence[str]) -> Floats:
    """Points of each model against each other one: shape (clusters, models, models)."""
    places = {model: number for number, model in enumerate(models)}
    codes, clusters = number_clusters([game.cluster for game in games])
    wins = np.zeros((clusters, len(models), len(models)))
    for code, game in zip(codes, games, strict=True):
        first, second, points = places[game.first], places[game.second], game.points or 0.0
        wins[code, first, second] += points
        wins[code, second, first] += 1 - points
    return wins


def _rate(wins: Floats, anchor: int, start: Floats | None = None) -> Floats:
    """Ratings less the anchor's; ±inf where there is no bound, nan where there is no path.

    Args:
        start: ratings of nearly the same games, to begin at.
    """
    beats = _reach(wins > 0)
    ratings = np.full(len(wins), np.nan)
    ratings[beats[:, anchor] & ~beats[anchor]] = np.inf
    ratings[~beats[:, anchor] & beats[anchor]] = -np.inf
    # Those that won against each other over others have finite ratings (Ford 1957); games with
    # the rest are certain in the limit, and tell nothing about them.
    together = np.flatnonzero(beats[:, anchor] & beats[anchor])
    near = None if start is None else np.nan_to_num(start[together] / _SCALE, posinf=0, neginf=0)
    strengths = fit_bradley_terry(wins[np.ix_(together, together)], near)
    ratings[together] = _SCALE * (strengths - strengths[together.tolist().index(anchor)])
    return ratings


def _reach(beats: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Who won against whom over any number of others; each model reaches itself."""
    reach = (beats | np.eye(len(beats), dtype=bool)).astype(np.float32)
    for _ in range(max(1, len(beats).bit_length())):
        reach = ((reach @ reach) > 0).astype(np.float32)
    return reach > 0


def _bound(found: Floats) -> tuple[Floats, Floats]:
    """The 2.5th and 97.5th percentile of each column, infinite draws at their ends.

    A draw that leaves no path to the anchor tells nothing, and is left out.
    """
    lows, highs = [], []
    for column in found.T:
        known = np.sort(column[~np.isnan(column)])
        if not len(known):
            lows.append(-np.inf)
            highs.append(np.inf)
            continue
        lows.append(float(known[math.floor(0.025 * (len(known) - 1))]))
        highs.append(float(known[math.ceil(0.975 * (len(known) - 1))]))
    return np.array(lows), np.array(highs)


def _explain(rating: float, wins: Floats, number: int, at: int, anchor: str) -> str:
    if rating == math.inf:
        return f"never worse than {anchor!r}, directly or over others: its rating has no upper end"
    if rating == -math.inf:
        return f"never better than {anchor!r}, directly or over others: its rating has no lower end"
    if not (wins[number] + wins[:, number]).any():
        return "no readable comparison"
    if not _reach((wins + wins.T) > 0)[number, at]:
        return f"compared with nobody who was compared with {anchor!r}, directly or over others"
    return f"no chain of wins leads to {anchor!r} or back: how it stands to it cannot be told"
