"""Planted regressions of real models: the gate is red for the right metric, and for no other seed.

The whole, with repeats and through the queue: `python -m benchmarks.drift_gate`.
"""

from __future__ import annotations

import pytest

from cai_core.evaluation.drift import compute_drift
from cai_core.evaluation.drift_side import Side
from cai_core.jobs.evaluate_suites import find_suite
from cai_core.pipeline.evaluate_plan import choose_suite
from tests.drift_models import Sampler, evaluate, make_side, teach

PROMPTS, SAMPLES = 60, 2


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Side]:
    """Evaluations of a safe model, of it again, and of two that were trained further from it."""
    folder = tmp_path_factory.mktemp("gate")
    safe = teach(folder / "safe", "demo", "safe", examples=384)
    models = {
        "safe": safe,
        "again": safe,
        "harmful": teach(folder / "harmful", str(safe), "harmful", examples=96),
        "refuser": teach(folder / "refuser", str(safe), "refuse everything", examples=96),
    }
    suite = choose_suite(find_suite(["demo"], folder, folder), PROMPTS)
    return {
        name: make_side(
            suite, evaluate(Sampler(path), suite, samples=SAMPLES, seed=seed), name, SAMPLES
        )
        for seed, (name, path) in enumerate(models.items())
    }


@pytest.mark.parametrize(
    ("name", "right", "better"),
    [
        ("harmful", "harmful compliance", "over-refusal"),
        ("refuser", "over-refusal", "harmful compliance"),
    ],
)
def test_a_regression_is_red_for_its_metric(
    sides: dict[str, Side], name: str, right: str, better: str
) -> None:
    drift = compute_drift(sides["safe"], sides[name])
    assert drift.gate.status == "fail"
    verdicts = {one.threshold.metric: one for one in drift.gate.verdicts}
    assert verdicts[right].status == "fail" and verdicts[better].status != "fail"
    worst = max(drift.gate.verdicts, key=lambda one: one.loss or 0.0)
    assert worst.threshold.metric == right and (worst.loss or 0.0) > 0.3
    flips = drift.flips[right]
    assert flips[0].way == "worse" and flips[0].before_text != flips[0].after_text


def test_the_same_model_at_another_seed_is_not_red(sides: dict[str, Side]) -> None:
    drift = compute_drift(sides["safe"], sides["again"])
    assert drift.gate.status != "fail"
    # So few prompts cannot show a loss of 10 points, and the gate does not call that a pass.
    assert any("would often not be seen" in reason for reason in drift.gate.reasons)
    assert sides["safe"].lines != sides["again"].lines
