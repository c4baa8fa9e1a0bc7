"""How well rewards agree with preference labels. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cai_core.evaluation.metrics import Rate, compute_clustered_rate

CALIBRATION_BINS = 10
MARGIN_BINS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPair:
    """A labelled pair and the difference of its rewards.

    Attributes:
        cluster: pairs of one prompt stand or fall together.
        margin: reward of the response that the label prefers, less that of the other.
        prob: probability in [0.5, 1] by the label that the first is preferred.
        tie: the label prefers neither.
    """

    cluster: str
    kind: str
    margin: float
    prob: float
    tie: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """Pairs of which the reward model is about equally sure.

    Attributes:
        low, high: bounds of its confidence σ(|margin|), in [0.5, 1].
        predicted: the mean confidence; `labelled`: mean probability by the labels that its winner
            is preferred; `agreed`: share of pairs without ties whose label has the same winner,
            None where all are ties.
    """

    low: float
    high: float
    n: int
    predicted: float
    labelled: float
    agreed: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardQuality:
    """A reward model on pairs that it was not trained on.

    Attributes:
        accuracy: share of pairs, ties left out, in which the preferred response has the higher
            reward, 95 % interval clustered by prompt; None without such pairs. By kind of prompt
            in `accuracy_by_kind`.
        loss: cross-entropy with the labels, nats a pair; None without pairs.
        calibration_error: mean over pairs of |predicted − labelled| of their bins, in [0, 0.5].
        margins: histogram: `edges` (one more than counts) and `counts`; empty without pairs.
    """

    n: int
    ties: int
    accuracy: Rate | None
    accuracy_by_kind: Mapping[str, Rate]
    loss: float | None
    calibration: tuple[CalibrationBin, ...]
    calibration_error: float | None
    margins: Mapping[str, list[float]]

    def as_dict(self) -> dict[str, Any]:
        """Plain form: evaluation.json."""
        return asdict(self)


def compute_reward_quality(pairs: Iterable[JudgedPair]) -> RewardQuality:
    """Accuracy, loss, calibration and margins."""
    held = list(pairs)
    decided = [pair for pair in held if not pair.tie]
    bins = _compute_calibration(held)
    error = sum(one.n * abs(one.predicted - one.labelled) for one in bins)
    return RewardQuality(
        n=len(held),
        ties=len(held) - len(decided),
        accuracy=_compute_accuracy(decided),
        accuracy_by_kind={
            kind: rate
            for kind in sorted({pair.kind for pair in decided})
            if (rate := _compute_accuracy([p for p in decided if p.kind == kind])) is not None
        },
        loss=sum(map(_compute_loss, held)) / len(held) if held else None,
        calibration=bins,
        calibration_error=error / len(held) if held else None,
        margins=_build_histogram([pair.margin for pair in held]),
    )


def _compute_accuracy(pairs: Sequence[JudgedPair]) -> Rate | None:
    return compute_clustered_rate((pair.cluster, pair.margin > 0) for pair in pairs)


def _compute_loss(pair: JudgedPair) -> float:
    # -log σ(Δ) + (1 - p)·Δ, and log σ without overflow.
    log_sigmoid = -math.log1p(math.exp(-abs(pair.margin))) + min(pair.margin, 0.0)
    return -log_sigmoid + (1 - pair.prob) * pair.margin


def _compute_calibration(pairs: Sequence[JudgedPair]) -> tuple[CalibrationBin, ...]:
    width = 0.5 / CALIBRATION_BINS
    by_bin: dict[int, list[tuple[float, float, JudgedPair]]] = {}
    for pair in pairs:
        confidence = 1 / (1 + math.exp(-abs(pair.margin)))
        labelled = pair.prob if pair.margin >= 0 else 1 - pair.prob
        number = min(CALIBRATION_BINS - 1, int((confidence - 0.5) / width))
        by_bin.setdefault(number, []).append((confidence, labelled, pair))
    return tuple(_build_bin(number, width, held) for number, held in sorted(by_bin.items()))


def _build_bin(
    number: int, width: float, held: Sequence[tuple[float, float, JudgedPair]]
) -> CalibrationBin:
    agreed = [pair.margin > 0 for _, _, pair in held if not pair.tie]
    return CalibrationBin(
        low=0.5 + number * width,
        high=0.5 + (number + 1) * width,
        n=len(held),
        predicted=sum(confidence for confidence, _, _ in held) / len(held),
        labelled=sum(labelled for _, labelled, _ in held) / len(held),
        agreed=sum(agreed) / len(agreed) if agreed else None,
    )


def _build_histogram(margins: Sequence[float]) -> dict[str, list[float]]:
    if not margins:
        return {"edges": [], "counts": []}
    low, high = min(margins), max(margins)
    if low == high:
        low, high = low - 0.5, high + 0.5
    width = (high - low) / MARGIN_BINS
    counts = [0.0] * MARGIN_BINS
    for margin in margins:
        counts[min(MARGIN_BINS - 1, int((margin - low) / width))] += 1
    return {"edges": [low + width * n for n in range(MARGIN_BINS + 1)], "counts": counts}
