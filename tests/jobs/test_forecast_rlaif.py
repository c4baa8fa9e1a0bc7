"""Forecasts of labels, reward models, DPO and RL: counts, knobs, refusals, rates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cai_core.inference.vllm_preflight import Gpu
from cai_core.jobs import forecast_runs as runs
from cai_core.jobs.forecast import Forecast, describe_line, parse_forecast
from cai_core.jobs.forecast_runs import check_fit, check_plan, forecast_runs
from cai_core.jobs.forecast_usage import Usage
from cai_core.jobs.plan_specs import load_plan
from cai_core.jobs.rates import Measured
from tests.jobs.plans import write_plan
from tests.jobs.test_forecast import LARGE, value
from tests.jobs.test_plan_rlaif import LABELS, RM, WHOLE

DEMO = Path(__file__).resolve().parents[2] / "data" / "recipes" / "demo.yaml"
CHAINS, SL = WHOLE[:2]


def forecast(tmp_path: Path, name: str, machine: Any = LARGE, **changes: Any) -> Forecast:
    """That run of the whole loop, with other settings."""
    plan = [{**run, **changes} if run["name"] == name else run for run in WHOLE]
    specs = load_plan(write_plan(tmp_path / "p.yaml", *plan), tmp_path / "w")
    found = forecast_runs(specs, tmp_path / "w", machine)
    return next(one for one in found if one.run_id.split("-")[1] == name)


def test_the_demos_loop_is_known_before_it_runs(tmp_path: Path) -> None:
    specs = load_plan(DEMO, tmp_path)
    found = {one.run_id.rsplit("-", 1)[0]: one for one in forecast_runs(specs, tmp_path, LARGE)}
    # 400 prompts' two samples; revisions are 40 % of all; both orders.
    labels = found["demo-labels"]
    assert value(labels, "comparisons") == 400 + 267
    assert value(labels, "rows") == 2 * 667
    assert value(found["demo-labels-helpful"], "comparisons") == 600
    assert value(found["demo-rm"], "examples") == 667 + 600
    # A tenth is held out to evaluate on.
    assert value(found["demo-rm"], "steps") == 2 * 36
    assert value(found["demo-rl"], "steps") == 60
    assert value(found["demo-rl"], "completions") == 60 * 16 * 4
    known = ("seconds", "cost")
    unknown = [
        (one.kind, name)
        for one in found.values()
        for name, figure in one.figures.items()
        if figure.value is None and name not in known
    ]
    assert unknown == []
    assert check_plan(list(found.values()), LARGE) == []
    for one in found.values():
        assert parse_forecast(one.as_dict()) == one
        assert "unknown time" in describe_line(one)


@pytest.mark.parametrize(
    ("changes", "times"),
    [
        ({"orders": "first"}, 0.5),
        ({"principles_per_comparison": 3}, 3),
        ({"reasoned": True, "thoughts": 4, "sampling": {"temperature": 1.0}}, 4),
    ],
)
def test_asks_are_comparisons_by_orders_principles_and_thoughts(
    tmp_path: Path, changes: dict[str, Any], times: float
) -> None:
    base = forecast(tmp_path, "labels")
    assert value(base, "comparisons") == 3
    assert value(base, "rows") == 6
    assert value(forecast(tmp_path, "labels", **changes), "rows") == 6 * times


def test_comparisons_that_nobody_is_asked_about_make_no_rows(tmp_path: Path) -> None:
    own = [{"run": "chains", "pairs": "revision", "by": "revision"}]
    found = forecast(tmp_path, "labels", sources=own)
    assert (value(found, "comparisons"), value(found, "rows")) == (3, 0)


def test_all_pairs_of_k_samples(tmp_path: Path) -> None:
    sampled = {**CHAINS, "chain": {**CHAINS["chain"], "revisions": 0, "samples": 4}}
    for pairs, wanted in (("two", 3), ("all", 18)):
        labels = {**LABELS, "sources": [{"run": "chains", "pairs": pairs}]}
        specs = load_plan(write_plan(tmp_path / "p.yaml", sampled, labels), tmp_path / "w")
        found = forecast_runs(specs, tmp_path / "w", LARGE)[1]
        assert value(found, "comparisons") == wanted


def test_chains_of_thought_cost_tokens_and_room(tmp_path: Path) -> None:
    plain = forecast(tmp_path, "labels")
    reasoned = forecast(tmp_path, "labels", reasoned=True, sampling={"max_tokens": 100})
    assert value(plain, "completion_tokens") == 6
    assert value(reasoned, "completion_tokens") == 600
    assert value(reasoned, "memory") > value(plain, "memory")
    long = forecast(tmp_path, "labels", reasoned=True, sampling={"max_tokens": 500})
    assert "max_tokens 500 of a chain of thought do not fit" in long.warnings[0]


def test_a_label_has_a_price(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "endpoints.yaml").write_text(
        "endpoints:\n  dear: {kind: url, urls: ['http://127.0.0.1:9'], model: m, "
        "price_prompt: 10, price_completion: 100}\n"
    )
    found = forecast(tmp_path, "labels", feedback_model="dear")
    prompt, completion = value(found, "prompt_tokens"), value(found, "completion_tokens")
    assert value(found, "cost") == pytest.approx((prompt * 10 + completion * 100) / 1e6, rel=0.01)
    # Another machine's memory is not ours: the worker alone.
    assert [part.name for part in found.parts] == ["worker"]
    judged = {"kind": "judge", "model": "dear"}
    found = forecast(tmp_path, "rl", rewards=[judged], constitution="harmlessness")
    assert value(found, "cost") > 0


@pytest.mark.parametrize("name", ["rm", "dpo"])
def test_every_knob_of_pairs_moves_the_figures(tmp_path: Path, name: str) -> None:
    base = forecast(tmp_path, name, micro_batch=8, batch_size=8, max_length=384)
    for changes in ({"micro_batch": 4}, {"max_length": 16}, {"gradient_checkpointing": True}):
        settings = {"micro_batch": 8, "batch_size": 8, "max_length": 384, **changes}
        assert value(forecast(tmp_path, name, **settings), "memory") < value(base, "memory")
    assert value(forecast(tmp_path, name, method="lora"), "disk") < value(base, "disk")
    twice = forecast(tmp_path, name, epochs=2)
    assert value(twice, "trained_tokens") == 2 * value(base, "trained_tokens")
    fewer = forecast(tmp_path, name, eval_share=0.5)
    assert value(fewer, "trained_tokens") < value(base, "trained_tokens")


def test_a_policys_words_are_what_dpo_takes_beside_a_reward_model(tmp_path: Path) -> None:
    rm, dpo = forecast(tmp_path, "rm"), forecast(tmp_path, "dpo")
    assert {part.name for part in dpo.parts} - {part.name for part in rm.parts} == {"logits"}


def test_every_knob_of_rl_moves_the_figures(tmp_path: Path) -> None:
    own = {"method": "full", "micro_batch": 16, "max_tokens": 96}
    base = forecast(tmp_path, "rl", **own)
    assert {"reference", "reward model"} <= {part.name for part in base.parts}
    for changes in (
        {"micro_batch": 8},
        {"max_tokens": 16},
        {"beta": 0.0},
        {"gradient_checkpointing": True},
        {"rewards": [{"kind": "length"}]},
    ):
        assert value(forecast(tmp_path, "rl", **{**own, **changes}), "memory") < value(
            base, "memory"
        )
    assert value(forecast(tmp_path, "rl", **own, iterations=2), "steps") == 200
    for changes in ({"steps": 200}, {"prompts_per_step": 32}, {"generations": 8}):
        found = forecast(tmp_path, "rl", **own, **changes)
        assert value(found, "completions") == 2 * value(base, "completions")
        assert value(found, "trained_tokens") == 2 * value(base, "trained_tokens")


def test_what_cannot_fit_is_refused_with_the_fix(tmp_path: Path) -> None:
    small = replace(LARGE, memory_free=10**8)
    for name, fix in (("rm", "max_length"), ("dpo", "max_length"), ("rl", "prompts_per_step")):
        (told,) = check_fit(forecast(tmp_path, name), small)
        assert "needs about" in told
        assert "Lower micro_batch" in told and fix in told
    (told,) = check_fit(forecast(tmp_path, "labels"), small)
    assert "Choose a smaller model" in told
    (told,) = check_fit(forecast(tmp_path, "rl", max_tokens=512), LARGE)
    assert "no prompt has room. Lower max_tokens" in told
    # Texts that could be as long as two contexts: the run would meet an error.
    long = {**CHAINS, "chain": {**CHAINS["chain"], "policy_sampling": {"max_tokens": 600}}}
    plan = [long, SL, LABELS, {**RM, "max_length": 2048}]
    specs = load_plan(write_plan(tmp_path / "p.yaml", *plan), tmp_path / "w")
    told = "\n".join(forecast_runs(specs, tmp_path / "w", LARGE)[3].faults)
    assert "Lower max_length to 512" in told


def test_vllm_takes_its_part_of_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = replace(LARGE, gpus=(Gpu(name="Large", free=8 * 10**10, total=8 * 10**10),))
    here = forecast(tmp_path, "rl", gpu, rollouts="transformers")
    assert "vLLM" not in {part.name for part in here.parts}
    monkeypatch.setattr("cai_core.jobs.forecast_rl.find_spec", lambda name: name)
    found = {part.name: part.size for part in forecast(tmp_path, "rl", gpu).parts}
    assert found["vLLM"] == 24 * 10**9


def test_a_source_that_cannot_be_counted_is_unknown(tmp_path: Path) -> None:
    plan = load_plan(write_plan(tmp_path / "p.yaml", *WHOLE), tmp_path / "w")
    labels, rm, dpo = plan[2:5]
    found = forecast_runs([labels, rm, dpo], tmp_path / "w", LARGE)
    assert all(figure.value is None for figure in found[0].figures.values())
    assert {one.figures["examples"].value for one in found[1:]} == {None}
    assert {one.figures["steps"].value for one in found[1:]} == {None}


def test_times_come_from_runs_of_the_same_kind_and_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = load_plan(write_plan(tmp_path / "p.yaml", *WHOLE), tmp_path / "w")
    named = {spec.run_id.split("-")[1]: spec for spec in specs}

    def measure(name: str, machine: str = "here", **work: Any) -> None:
        spec = named[name]
        usage = Usage(machine=machine, starts=1, seconds=50.0, memory=10**9, disk=10**6, work=work)
        found = Measured(run_id="earlier", kind=spec.kind, recipe=spec.recipe, usage=usage)
        monkeypatch.setattr(runs, "load_measured", lambda _: [found])

    measure("labels", rows=100)
    found = forecast(tmp_path, "labels")
    assert value(found, "seconds") == pytest.approx(3.0)  # 6 answers at 2 a second
    assert value(found, "disk") == 6 * 10**4
    assert forecast(tmp_path, "labels", reasoned=True).figures["seconds"].value is None
    training = {"rows": 10, "trained_tokens": 4000, "tokens_per_second": 100.0}
    for name in ("rm", "dpo", "rl"):
        measure(name, **training)
        found = forecast(tmp_path, name)
        # 4000 tokens took 40 of 50 seconds; the rest is beside the steps.
        wanted = 10 + value(found, "trained_tokens") / 100
        assert value(found, "seconds") == pytest.approx(wanted)
        other = {"method": "lora" if named[name].recipe["method"] == "full" else "full"}
        assert forecast(tmp_path, name, **other).figures["seconds"].value is None
        measure(name, "elsewhere", **training)
        assert forecast(tmp_path, name).figures["seconds"].value is None
    measure("rl", **training)
    assert value(forecast(tmp_path, "rl"), "trained_tokens") == 6400 * 400
    only = [{"kind": "length"}]
    assert forecast(tmp_path, "rl", rewards=only).figures["seconds"].value is None
