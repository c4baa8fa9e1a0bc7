"""How well rewards agree with labels, by hand."""

from __future__ import annotations

import math

import pytest

from cai_core.evaluation.reward_metrics import JudgedPair, compute_reward_quality


def make(margin: float, prob: float = 0.9, cluster: str = "p", **own: object) -> JudgedPair:
    return JudgedPair(cluster=cluster, kind="red-team", margin=margin, prob=prob, **own)  # type: ignore[arg-type]


def test_nothing_is_none_and_not_zero() -> None:
    quality = compute_reward_quality([])
    assert (quality.n, quality.accuracy, quality.loss, quality.calibration_error) == (
        0,
        None,
        None,
        None,
    )
    assert quality.margins == {"edges": [], "counts": []}


def test_ties_are_in_the_loss_and_not_in_the_accuracy() -> None:
    pairs = [make(2.0, cluster="a"), make(-1.0, cluster="b"), make(0.0, 0.5, tie=True)]
    quality = compute_reward_quality(pairs)
    assert (quality.n, quality.ties) == (3, 1)
    assert quality.accuracy is not None and quality.accuracy.rate == 0.5
    assert quality.accuracy.n == quality.accuracy.clusters == 2

    def by_hand(margin: float, p: float) -> float:
        chance = 1 / (1 + math.exp(-margin))
        return -(p * math.log(chance) + (1 - p) * math.log(1 - chance))

    expected = (by_hand(2, 0.9) + by_hand(-1, 0.9) + by_hand(0, 0.5)) / 3
    assert quality.loss == pytest.approx(expected)


def test_equal_rewards_prefer_nobody() -> None:
    quality = compute_reward_quality([make(0.0)])
    assert quality.accuracy is not None and quality.accuracy.rate == 0.0


def test_the_interval_is_clustered_by_prompt() -> None:
    same = compute_reward_quality(
        [make(1.0 if n < 20 else -1.0, cluster=str(n // 10)) for n in range(40)]
    )
    apart = compute_reward_quality(
        [make(1.0 if n < 20 else -1.0, cluster=str(n)) for n in range(40)]
    )
    assert same.accuracy is not None and apart.accuracy is not None
    assert same.accuracy.high - same.accuracy.low > apart.accuracy.high - apart.accuracy.low


def test_a_calibrated_model_has_no_error_and_an_overconfident_one_has() -> None:
    margin = math.log(9)  # sigma = .9
    right = compute_reward_quality([make(margin, 0.9)] * 5)
    assert right.calibration_error == pytest.approx(0.0)
    sure = compute_reward_quality([make(margin, 0.6)] * 5)
    assert sure.calibration_error == pytest.approx(0.3)
    (only,) = sure.calibration
    assert (only.n, only.agreed) == (5, 1.0)
    assert only.low <= only.predicted <= only.high
    wrong = compute_reward_quality([make(-margin, 0.9)])
    assert wrong.calibration[0].labelled == pytest.approx(0.1)
    assert wrong.calibration[0].agreed == 0.0


def test_every_margin_is_in_the_histogram_and_none_overflows() -> None:
    quality = compute_reward_quality([make(margin) for margin in (-800.0, 0.0, 3.0, 800.0)])
    assert sum(quality.margins["counts"]) == 4
    assert len(quality.margins["edges"]) == len(quality.margins["counts"]) + 1
    assert quality.loss is not None and math.isfinite(quality.loss)
