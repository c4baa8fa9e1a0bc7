"""How far the judge's figures lie from the oracle's, after `make demo`.

    python benchmarks/judge_oracle.py [WORKSPACE] [--least 500] [--judge demo]

Evaluates base, SL-CAI and RL-CAI of a finished workspace by the demo world's suites, at least so
many answers for each measure, and prints one JSON line: for each model and measure the judge's
rate, the oracle's, their difference in points, and n. Evaluations that are there already are not
repeated. The workspace is written to: give a copy. Without one nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cai_core.actions.jobs import submit
from cai_core.commands.follow import Follower
from cai_core.errors import CaiError
from cai_core.evaluation.gate import DEFAULT_SAMPLES
from cai_core.jobs.evidence_study import BASE, RL, SL, find_methods
from cai_core.jobs.plan_specs import build_plan
from cai_core.pipeline.evaluate import read_metrics
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.status import RunState

SUITES = ("demo-harmful", "demo-fine")
ASKED = (BASE, SL, RL)
# What the project promises, in points.
MOST = 3.0


def main() -> None:
    """Evaluate what is not there, and print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", nargs="?", type=Path)
    parser.add_argument("--least", type=int, default=500, help="answers for each measure")
    parser.add_argument("--judge", default="demo")
    args = parser.parse_args()
    if args.workspace is None:
        print(json.dumps({"skipped": "name a copy of a workspace in which `make demo` ran"}))
        return
    workspace: Path = args.workspace.absolute()
    methods = {one.label: one for one in find_methods(workspace) if one.label in ASKED}
    if missing := [label for label in ASKED if label not in methods]:
        print(json.dumps({"skipped": f"{workspace} has no {', '.join(missing)}: run `make demo`"}))
        return
    limit = -(-args.least // DEFAULT_SAMPLES)
    started = time.monotonic()
    result: dict[str, Any] = {}
    for label, method in methods.items():
        result[label] = {}
        for suite in SUITES:
            metrics = evaluate(workspace, method.model, suite, args.judge, limit)
            result[label] |= dict(read_agreement(metrics))
    worst = max(abs(told["points"]) for one in result.values() for told in one.values())
    least = min(told["n"] for one in result.values() for told in one.values())
    document = {
        "judge": args.judge,
        "models": result,
        "worst_points": worst,
        "least_n": least,
        "within_3_points": worst <= MOST and least >= args.least,
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(document))


def evaluate(workspace: Path, model: str, suite: str, judge: str, limit: int) -> dict[str, Any]:
    """The figures of one evaluation, which is made where it is not there."""
    entry = {
        "name": "".join(sign if sign.isalnum() else "-" for sign in f"{model}-{suite}")[:60],
        "kind": "evaluate",
        "model": model,
        "suite": suite,
        "judge": judge,
        "limit": limit,
        "samples": DEFAULT_SAMPLES,
        "seed": 5,
    }
    text = yaml.safe_dump({"format": 1, "name": "judge-oracle", "runs": [entry]})
    (spec,) = build_plan(text, "judge-oracle", workspace, workspace)
    run = submit(LOCAL_ACTOR, workspace, spec)
    (status,) = Follower([run], sys.stderr).follow().values()
    if status.state is not RunState.SUCCEEDED:
        raise CaiError(f"{run.run_id} is {status.state}: {status.reason}")
    return read_metrics(run.path)


def read_agreement(metrics: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Measure → both rates in per cent, their difference in points, and n."""
    found = []
    for name, told in metrics["agreement"].items():
        rates = {who: metrics["measures"][name][who]["rate"]["rate"] for who in ("judge", "oracle")}
        found.append(
            (
                name,
                {
                    **{who: round(100 * rate, 1) for who, rate in rates.items()},
                    "points": round(100 * told["bias"], 2),
                    "same": round(100 * told["agreement"]["rate"], 1),
                    "n": told["n"],
                },
            )
        )
    return found


if __name__ == "__main__":
    main()
