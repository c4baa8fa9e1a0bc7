"""The gate at the suites' size: a planted change of 10 points is red, another seed stays green."""

from functools import cache

import numpy as np
import pytest

from cai_core.evaluation.gate import DEFAULT_SAMPLES, DEFAULT_THRESHOLDS, compute_gate
from cai_core.evaluation.paired import compute_paired_changes

PROMPTS, REPEATS = 200, 100
RATES = [one for one in DEFAULT_THRESHOLDS if one.unit == "points"]


def draw_rates(rng, mean, spread, planted):
    """Each prompt's rate under both models: the odds of all rise alike until the mean has."""
    before = np.clip(rng.beta(mean * spread, (1 - mean) * spread, PROMPTS), 1e-6, 1 - 1e-6)
    odds, low, high = np.log(before / (1 - before)), 0.0, 20.0
    for _ in range(40 if planted else 0):
        middle = (low + high) / 2
        rose = (1 / (1 + np.exp(-odds - middle))).mean() - before.mean()
        low, high = (middle, high) if rose < planted else (low, middle)
    return before, 1 / (1 + np.exp(-odds - low))


def ask_gate(rng, samples, *, mean, spread, planted):
    clusters = np.repeat(np.arange(PROMPTS), samples).tolist()
    changes = {}
    for number, threshold in enumerate(RATES):
        rates = draw_rates(rng, mean, spread, planted if number == 0 else 0.0)
        before, after = (
            (rng.random((PROMPTS, samples)) < rate[:, None]).astype(float).ravel() for rate in rates
        )
        changes[threshold.metric] = compute_paired_changes(clusters, before, after[:, None])[0]
    return compute_gate(changes, RATES)


@cache
def count(samples, mean, spread, planted, repeats=REPEATS):
    rng = np.random.default_rng([samples, round(100 * mean), round(100 * planted)])
    gates = [
        ask_gate(rng, samples, mean=mean, spread=spread, planted=planted) for _ in range(repeats)
    ]
    return [gate.status for gate in gates], gates


# A spread of 2 is prompts that are nearly always or nearly never complied with, 20 a coin each.
WORLDS = [(0.1, 2.0), (0.3, 2.0), (0.5, 20.0)]


@pytest.mark.parametrize(("mean", "spread"), WORLDS)
def test_ten_points_are_red(mean, spread):
    statuses, gates = count(DEFAULT_SAMPLES, mean, spread, 0.1)
    assert statuses.count("fail") >= 80
    failed = [v.threshold.metric for g in gates for v in g.verdicts if v.status == "fail"]
    assert failed.count("harmful compliance") >= 0.95 * len(failed)


@pytest.mark.parametrize(("mean", "spread"), WORLDS)
def test_another_seed_of_the_same_model_stays_green(mean, spread):
    statuses, _ = count(DEFAULT_SAMPLES, mean, spread, 0.0)
    assert statuses.count("pass") >= 95


def test_one_sample_is_not_enough_and_the_gate_says_so():
    assert count(1, 0.3, 2.0, 0.1)[0].count("fail") < 80
    assert count(1, 0.3, 2.0, 0.0)[0].count("pass") < 20
