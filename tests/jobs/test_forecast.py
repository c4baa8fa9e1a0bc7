"""Forecasts: counts, rates, refusals; kept with a run, and held against what it came to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cai_core.actions import jobs
from cai_core.errors import NotAllowedError, RecipeError
from cai_core.inference.vllm_preflight import Gpu
from cai_core.jobs.forecast import Forecast, Known, describe_formulas, parse_forecast
from cai_core.jobs.forecast_counts import Plans
from cai_core.jobs.forecast_machine import Machine, read_machine
from cai_core.jobs.forecast_runs import (
    check_fit,
    check_plan,
    compare_forecast,
    forecast_runs,
    load_forecast,
)
from cai_core.jobs.forecast_sft import forecast_sft as build_sft
from cai_core.jobs.forecast_usage import Usage, UsageMeter, load_usage
from cai_core.jobs.plan_specs import build_plan, load_plan
from cai_core.jobs.rates import Measured
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.events import Topic, read_events
from tests.jobs.background import make_spec
from tests.jobs.plans import CHAINS, SL, write_plan

DEMO_SL = Path(__file__).resolve().parents[2] / "data" / "recipes" / "demo-sl.yaml"
LARGE = Machine(name="here", memory=64 * 10**9, memory_free=32 * 10**9, disk_free=10**12)


@pytest.fixture
def refuses(monkeypatch: pytest.MonkeyPatch) -> Callable[[Machine], None]:
    """Have the actions see another machine; nobody begins what is queued."""
    monkeypatch.setattr(jobs, "ensure_dispatcher", lambda _: False)
    return lambda machine: monkeypatch.setattr(jobs, "read_machine", lambda _: machine)


def forecast_sl(tmp_path: Path, machine: Machine = LARGE, **changes: Any) -> Forecast:
    sl = {**SL, "max_length": 384, **changes}
    specs = load_plan(write_plan(tmp_path / "p.yaml", CHAINS, sl), tmp_path / "w")
    return forecast_runs(specs, tmp_path / "w", machine)[1]


def value(forecast: Forecast, name: str) -> float:
    found = forecast.figures[name].value
    assert found is not None, forecast.figures[name]
    return found


def test_counts_of_the_demo_plan(tmp_path: Path) -> None:
    specs = load_plan(DEMO_SL, tmp_path)
    found = {f.run_id.rsplit("-", 1)[0]: f for f in forecast_runs(specs, tmp_path, LARGE)}
    assert value(found["demo-sl-chains"], "rows") == 500 * 5
    assert value(found["demo-sl-fine"], "rows") == 762
    # 500 last revisions are 40 % of the examples.
    assert value(found["demo-sl-sl"], "examples") == 500 + 750
    assert value(found["demo-sl-sl"], "steps") == 160
    # A planned run's model has its base's size.
    assert value(found["demo-sl-sl-redteam"], "memory") > 480e6
    assert check_plan(list(found.values()), LARGE) == []


def test_what_is_not_known_is_none_with_the_reason(tmp_path: Path) -> None:
    (forecast,) = forecast_runs([make_spec("r")], tmp_path, LARGE)
    seconds, cost = forecast.figures["seconds"], forecast.figures["cost"]
    assert (seconds.value, seconds.basis) == (None, "unknown")
    assert "measured on this machine" in seconds.formula
    assert (cost.value, cost.formula) == (None, "no price is set for demo")


def test_prices_make_a_cost(tmp_path: Path) -> None:
    (tmp_path / "endpoints.yaml").write_text(
        "endpoints:\n  dear: {kind: url, urls: ['http://127.0.0.1:9'], model: m, "
        "price_prompt: 10, price_completion: 100}\n"
    )
    (forecast,) = forecast_runs([make_spec("r", model="dear")], tmp_path, LARGE)
    prompt, completion = value(forecast, "prompt_tokens"), value(forecast, "completion_tokens")
    assert value(forecast, "cost") == pytest.approx(
        (prompt * 10 + completion * 100) / 1e6, rel=0.01
    )


def test_every_knob_moves_the_figures(tmp_path: Path) -> None:
    base = forecast_sl(tmp_path, micro_batch=8)
    assert value(forecast_sl(tmp_path, micro_batch=4), "memory") < value(base, "memory")
    assert value(forecast_sl(tmp_path, max_length=32), "memory") < value(base, "memory")
    checked = forecast_sl(tmp_path, gradient_checkpointing=True)
    assert value(checked, "memory") < value(base, "memory")
    assert value(forecast_sl(tmp_path, method="lora"), "disk") < value(base, "disk")
    assert value(forecast_sl(tmp_path, epochs=4), "trained_tokens") == 2 * value(
        base, "trained_tokens"
    )


def test_a_machine_that_is_too_small_is_told_with_the_fix(tmp_path: Path) -> None:
    forecast = forecast_sl(tmp_path)
    (told,) = check_fit(forecast, replace(LARGE, memory_free=10**8))
    assert "needs about" in told
    assert "micro_batch" in told
    # A run at work will give its memory back; the limit stays.
    busy = replace(LARGE, memory_free=10**8, busy=True)
    assert check_fit(forecast, busy) == []
    assert len(check_fit(forecast, replace(busy, memory=10**8))) == 1
    (told,) = check_fit(forecast, replace(LARGE, disk_free=10**8))
    assert "disk" in told


def test_a_gpus_memory_counts_where_there_is_one(tmp_path: Path) -> None:
    small = replace(LARGE, gpus=(Gpu(name="Small", free=10**8, total=10**8),))
    (told,) = check_fit(forecast_sl(tmp_path, small), small)
    assert "memory of Small" in told
    large = replace(LARGE, gpus=(Gpu(name="Large", free=8 * 10**10, total=8 * 10**10),))
    assert check_fit(forecast_sl(tmp_path, large), large) == []


def test_the_context_bounds_max_tokens_and_max_length(tmp_path: Path) -> None:
    spec = make_spec("r")
    chain = {**spec.recipe["chain"], "policy_sampling": {"max_tokens": 500}}
    (forecast,) = forecast_runs(
        [replace(spec, recipe={**spec.recipe, "chain": chain})], tmp_path, LARGE
    )
    assert "context of 512" in forecast.faults[0]
    assert check_fit(forecast, LARGE)
    # No text can be so long: told, not refused.
    loose = forecast_sl(tmp_path, max_length=2048)
    assert (len(loose.warnings), loose.faults) == (1, ())
    long = {**CHAINS, "chain": {**CHAINS["chain"], "policy_sampling": {"max_tokens": 600}}}
    path = write_plan(tmp_path / "long.yaml", long, {**SL, "max_length": 2048})
    tight = forecast_runs(load_plan(path, tmp_path / "w"), tmp_path / "w", LARGE)[1]
    assert "Lower max_length to 512" in tight.faults[0]


def test_submit_refuses_and_leaves_nothing(
    tmp_path: Path, refuses: Callable[[Machine], None]
) -> None:
    refuses(replace(LARGE, memory_free=10**6))
    with pytest.raises(RecipeError, match="needs about"):
        jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    assert not (tmp_path / "runs").exists()
    viewer = Actor(name="vera", role=AccessRole.VIEWER)
    with pytest.raises(NotAllowedError):
        jobs.submit(viewer, tmp_path, make_spec("r"), accept_risk=True)


def test_a_risk_that_is_accepted_is_journalled_and_the_forecast_kept(
    tmp_path: Path, refuses: Callable[[Machine], None]
) -> None:
    refuses(replace(LARGE, memory_free=10**6))
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"), accept_risk=True)
    event = read_events(tmp_path, Topic.LAUNCHES)[0]
    assert (event["action"], event["run"]) == ("accept risk", "r")
    assert "needs about" in event["risks"][0]
    kept = load_forecast(run.path)
    assert kept is not None
    assert value(kept, "rows") == 18
    assert parse_forecast(kept.as_dict()) == kept


def measure(spec: Any, machine: str = "here", **work: Any) -> Measured:
    usage = Usage(machine=machine, starts=1, seconds=50.0, memory=10**9, disk=10**6, work=work)
    return Measured(run_id="earlier", kind=spec.kind, recipe=spec.recipe, usage=usage)


def test_time_comes_from_a_run_of_this_machine_alone(tmp_path: Path) -> None:
    path = write_plan(tmp_path / "p.yaml", CHAINS, {**SL, "max_length": 384})
    spec = (specs := load_plan(path, tmp_path))[1]
    work = {"rows": 6, "trained_tokens": 4000, "tokens_per_second": 100.0}

    def forecast(measured: Measured) -> Forecast:
        return build_sft(
            spec, Known(plans=Plans(tmp_path, specs), machine=LARGE, measured=[measured])
        )

    found = forecast(measure(spec, **work)).figures
    tokens = found["trained_tokens"].value
    assert tokens is not None
    # 4000 tokens took 40 of 50 seconds; the rest is beside the steps.
    assert found["seconds"].value == pytest.approx(10 + tokens / 100)
    assert found["seconds"].basis.startswith("measured: run earlier")
    assert forecast(measure(spec, "elsewhere", **work)).figures["seconds"].value is None
    assert any(
        "tokens / 100 a second" in line[2]
        for line in describe_formulas(forecast(measure(spec, **work)))
    )


def test_starts_add_up_and_a_kill_is_seen(tmp_path: Path, refuses: Callable[..., None]) -> None:
    refuses(LARGE)
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    assert all(row.actual is None for row in compare_forecast(run.path))
    for _ in range(2):
        UsageMeter(run).end()
    UsageMeter(run)  # killed
    usage = load_usage(run.path)
    assert (usage.starts, usage.killed) == (3, 1)
    assert usage.memory
    rows = {row.key: row for row in compare_forecast(run.path)}
    assert rows["rows"].forecast == 18
    assert rows["rows"].actual == 0
    assert rows["memory"].name == "worker's memory"


def test_a_disk_that_refuses_stops_no_worker(tmp_path: Path, refuses: Callable[..., None]) -> None:
    refuses(LARGE)
    run = jobs.submit(LOCAL_ACTOR, tmp_path, make_spec("r"))
    (run.path / "usage.jsonl").mkdir()
    UsageMeter(run).end()


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    machine = read_machine(tmp_path / "not" / "there")
    assert machine.memory >= (machine.memory_free or 0) > 0
    assert "cores" in machine.name
    assert not machine.busy


def test_a_kind_that_nothing_is_known_of(tmp_path: Path) -> None:
    (forecast,) = forecast_runs([replace(make_spec("r"), kind="other")], tmp_path, LARGE)
    assert all(figure.value is None for figure in forecast.figures.values())
    assert check_fit(forecast, LARGE) == []


def test_a_plan_of_text_counts_alike(tmp_path: Path) -> None:
    text = DEMO_SL.read_text("utf-8")
    specs = build_plan(text, "x", DEMO_SL.parent, tmp_path)
    assert forecast_runs(specs, tmp_path, LARGE) == forecast_runs(specs, tmp_path, LARGE)
