"""The gate against planted regressions of real models. Ends in one JSON line.

    python -m benchmarks.drift_gate [--prompts 550] [--samples 4] [--pool 40] [--repeats 100]

The demo model is fine-tuned by the project's own trainer to a safe one, which is trained further
on harmful answers, and on refusing everything. Answers are the models' own, at temperature 1; the
oracle reads them. Of each prompt a pool of answers is sampled; a repeat draws two evaluations from
it without replacement, so that no answer stands on both sides.

    unchanged   of `repeats` pairs of evaluations of the safe model, how many pass, warn and fail
    planted     answers of the second evaluation are replaced by those of a regressed model at the
                rate that makes its true loss 10 points: how many of `repeats` are red for that
                metric; of harmful compliance and of over-refusal
    fewer       both for `--fewer` of the prompts, as a spot check asks them
    runs        exit status and red metrics of `drift safe MODEL --gate`, whose evaluations the
                workspace's queue does: harmful, refuser, and the safe model at another seed
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from cai_core.cli import main as run_command
from cai_core.evaluation.drift import Drift, compute_drift
from cai_core.evaluation.suites import Suite
from cai_core.jobs.evaluate_suites import find_suite
from cai_core.jobs.launch import find_dispatcher
from cai_core.pipeline.evaluate_plan import choose_suite
from tests.drift_models import Sampler, evaluate, make_side, teach

LOSS = 0.10
# Answers to each prompt in one go: memory.
_AT_ONCE = 4
Pool = Mapping[str, Sequence[Mapping[str, Any]]]


def main() -> None:
    """Train, ask, compare; print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=550)
    parser.add_argument("--fewer", type=int, default=200)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--pool", type=int, default=40, help="answers to a prompt; twice --samples")
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--examples", type=int, default=1536, help="of the safe model's lesson")
    parser.add_argument("--run-prompts", type=int, default=200, help="of the queue's; 0: none")
    args = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    with tempfile.TemporaryDirectory() as name:
        os.environ["CAI_WORKSPACE"] = name
        print(json.dumps(measure(Path(name), args)), flush=True)


def measure(workspace: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Every figure."""
    started = time.monotonic()
    runs = workspace / "runs"
    safe = teach(runs / "safe", "demo", "safe", examples=args.examples, epochs=2)
    models = {
        "safe": safe,
        "harmful": teach(runs / "harmful", str(safe), "harmful", examples=512),
        "refuser": teach(runs / "refuser", str(safe), "refuse everything", examples=512),
    }
    _tell("trained", started)
    whole = choose_suite(find_suite(["demo"], workspace, workspace), args.prompts)
    pools = {}
    for name, folder in models.items():
        each = args.pool if name == "safe" else args.samples
        pools[name] = sample_pool(Sampler(folder), whole, each)
        _tell(f"{each} answers of {name} to each prompt", started)
    result: dict[str, Any] = {}
    for key, suite in (("", whole), ("fewer", choose_suite(whole, args.fewer))):
        told = repeat(suite, pools, args.samples, args.repeats) | {"prompts": len(suite.prompts)}
        result |= {key: told} if key else told
        _tell(json.dumps(told), started)
    if args.run_prompts:
        result["runs"] = ask_the_queue(workspace, args.run_prompts)
    return result | {
        "samples": args.samples,
        "pool": args.pool,
        "repeats": args.repeats,
        "seconds": round(time.monotonic() - started),
    }


def sample_pool(sampler: Sampler, suite: Suite, each: int) -> Pool:
    """Prompt's id → so many lines, every one of another seed."""
    pool: dict[str, list[Mapping[str, Any]]] = {prompt.id: [] for prompt in suite.prompts}
    for start in range(0, each, _AT_ONCE):
        samples = min(_AT_ONCE, each - start)
        for line in evaluate(sampler, suite, samples=samples, seed=start):
            pool[line["prompt_id"]].append(line)
    return pool


def repeat(suite: Suite, pools: Mapping[str, Pool], samples: int, repeats: int) -> dict[str, Any]:
    """What the gate says of the same model, and of losses of 10 points, again and again."""
    planted = (("harmful compliance", "harmful"), ("over-refusal", "refuser"))
    shares, rates = {}, {}
    for measure, other in planted:
        rates[measure] = _mean(suite, pools["safe"], measure)
        shares[measure] = LOSS / (_mean(suite, pools[other], measure) - rates[measure])
    words: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    red: Counter[str] = Counter()
    seen: dict[str, float] = dict.fromkeys(shares, 0.0)
    for number in range(repeats):
        rng = random.Random(number)
        one, two = draw_pair(suite, pools["safe"], samples, rng)
        before = make_side(suite, one, "before", samples)
        same = compute_drift(before, make_side(suite, two, "again", samples))
        words[same.gate.status] += 1
        wrong.update(_list_failed(same))
        for measure, other in planted:
            mixed = [
                {**rng.choice(pools[other][line["prompt_id"]]), "sample": line["sample"]}
                if measure in line["verdicts"] and rng.random() < shares[measure]
                else line
                for line in two
            ]
            drift = compute_drift(before, make_side(suite, mixed, "mixed", samples))
            red[measure] += measure in _list_failed(drift)
            found = next(one for one in drift.measures if one.measure == measure)
            seen[measure] += found.change.difference / repeats
    return {
        "unchanged": dict(words),
        "unchanged_red": dict(wrong),
        "planted_red": {measure: red[measure] for measure in shares},
        "rate_before": {name: round(rate, 4) for name, rate in rates.items()},
        "replaced": {name: round(share, 4) for name, share in shares.items()},
        "mean_loss_seen": {name: round(loss, 4) for name, loss in seen.items()},
    }


def draw_pair(
    suite: Suite, pool: Pool, samples: int, rng: random.Random
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Two evaluations that share no answer."""
    sides: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for prompt in suite.prompts:
        drawn = rng.sample(pool[prompt.id], 2 * samples)
        for place, line in enumerate(drawn):
            sides[place // samples].append({**line, "sample": place % samples})
    return sides


def ask_the_queue(workspace: Path, prompts: int) -> dict[str, Any]:
    """What the command line says, its evaluations done by the dispatcher and its workers."""
    asked = ["--suite", "demo", "--limit", str(prompts)]
    told: dict[str, Any] = {}
    try:
        for name in ("harmful", "refuser"):
            path = workspace / f"{name}.json"
            status = run_command(["drift", "safe", name, *asked, "--gate", "--json", str(path)])
            told[name] = {"exit": status, "red": _list_red(json.loads(path.read_text("utf-8")))}
        run_command(["evaluate", "safe", *asked, "--seed", "1"])
        seeds = {}
        for folder in (workspace / "runs").glob("evaluate-safe-*"):
            metrics = json.loads((folder / "outputs" / "metrics.json").read_text("utf-8"))
            seeds[metrics["seed"]] = folder.name
        path = workspace / "again.json"
        status = run_command(["drift", seeds[0], seeds[1], "--gate", "--json", str(path)])
        told["again"] = {"exit": status, "red": _list_red(json.loads(path.read_text("utf-8")))}
    finally:
        if (dispatcher := find_dispatcher(workspace)) is not None:
            dispatcher.terminate()
    return told


def _mean(suite: Suite, pool: Pool, measure: str) -> float:
    told = [
        line["verdicts"][measure]["oracle"]
        for prompt in suite.prompts
        for line in pool[prompt.id]
        if measure in line["verdicts"]
    ]
    return sum(told) / len(told)


def _list_failed(drift: Drift) -> list[str]:
    return [one.threshold.metric for one in drift.gate.verdicts if one.status == "fail"]


def _list_red(document: Mapping[str, Any]) -> dict[str, float]:
    """Failed metric → loss."""
    return {
        one["threshold"]["metric"]: round(one["loss"], 3)
        for one in document["gate"]["verdicts"]
        if one["status"] == "fail"
    }


def _tell(what: str, started: float) -> None:
    print(f"{time.monotonic() - started:6.0f} s  {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
