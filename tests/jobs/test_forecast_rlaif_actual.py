"""Forecasts of labels and of training on them, held against real runs of the demo model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cai_core.actions.jobs import submit
from cai_core.inference.launcher import ensure_server, stop_server
from cai_core.jobs.forecast_runs import Compared, compare_forecast, forecast_runs
from cai_core.jobs.plan_specs import load_plan
from cai_core.jobs.spec import RunSpec
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.status import RunState
from tests.jobs.background import Background
from tests.jobs.plans import CHAINS, write_plan

TRAINED = {"base": "demo", "method": "full", "micro_batch": 8, "batch_size": 8, "precision": "fp32"}
PLAN: tuple[dict[str, Any], ...] = (
    {
        **CHAINS,
        "where": {"tags": ["split:train"], "limit": 24},
        "chain": {"revisions": 0, "samples": 2, "seed": 1, "policy_sampling": {"max_tokens": 64}},
    },
    {
        "name": "labels",
        "kind": "label",
        "sources": [{"run": "chains"}],
        "feedback_model": "demo",
        "constitution": "harmlessness",
    },
    {
        **TRAINED,
        "name": "rm",
        "kind": "reward",
        "sources": [{"run": "labels"}],
        "eval_share": 0.25,
        "epochs": 2,
        "max_length": 256,
    },
    {**TRAINED, "name": "dpo", "kind": "dpo", "sources": [{"run": "labels"}], "max_length": 256},
    {
        "name": "rl",
        "kind": "rl",
        "base": "demo",
        "prompts": ["redteam", "helpful"],
        "where": {"tags": ["split:train"], "limit": 12},
        "rewards": [{"kind": "reward-model", "model": "run:rm"}],
        "steps": 3,
        "prompts_per_step": 4,
        "generations": 4,
        "micro_batch": 8,
        "max_tokens": 48,
        "method": "full",
        "precision": "fp32",
        "probe_prompts": 2,
    },
)


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Background]:
    ensure_server("demo", tmp_path)
    found = Background(tmp_path)
    yield found
    found.end()
    stop_server("demo", tmp_path)


def do_run(background: Background, spec: RunSpec) -> dict[str, Compared]:
    submit(LOCAL_ACTOR, background.workspace, spec)
    run = background.wait_for(spec.run_id, RunState.SUCCEEDED, seconds=180)
    # The status is written first, what it took at the very end.
    background.wait(lambda: not background.is_busy(spec.run_id), "the worker's end")
    return {row.key: row for row in compare_forecast(run.path)}


def test_counts_are_exact_and_memory_is_near(background: Background) -> None:
    specs = load_plan(write_plan(background.workspace / "p.yaml", *PLAN), background.workspace)
    before = forecast_runs(specs, background.workspace)
    found = {spec.kind: do_run(background, spec) for spec in specs}
    for kind, exact in {
        "label": ("comparisons", "rows"),
        "reward": ("examples", "steps"),
        "dpo": ("examples", "steps"),
        "rl": ("completions", "steps"),
    }.items():
        assert [found[kind][name].ratio for name in exact] == [1, 1], found[kind]
        # As the plan was handed in nothing had run: at most.
        (planned,) = [one for one in before if one.kind == kind]
        for name in exact:
            actual, told = found[kind][name].actual, planned.figures[name].value
            assert told is not None and actual is not None
            assert actual <= told < 2 * actual + 2
    # It is short texts that train here, and a forecast is for rows as long as the longest.
    for kind in ("reward", "dpo", "rl"):
        memory = found[kind]["memory"]
        assert 0.6 < (memory.ratio or 0) < 1.2, (kind, memory)
        assert 0.6 < (found[kind]["disk"].ratio or 0) < 1.4, (kind, found[kind]["disk"])
    assert 0.5 < (found["label"]["memory"].ratio or 0) < 2
    for kind in ("reward", "dpo"):
        assert 0.75 < (found[kind]["trained_tokens"].ratio or 0) < 1.25, found[kind]
    assert 0 < (found["rl"]["trained_tokens"].ratio or 0) <= 1
    # A verdict is scored, and such an answer tells no tokens.
    assert found["label"]["prompt_tokens"].actual is None
    assert all(found[kind]["seconds"].forecast is None for kind in found)
    assert all((found[kind]["seconds"].actual or 0) > 0 for kind in found)
    # What has run is what the next one is reckoned from.
    again = forecast_runs(specs, background.workspace)
    assert all(one.figures["seconds"].value for one in again)
