"""The drift page over 20 models × 1,000 prompts, in the real app. Ends in one JSON line.

    python -m benchmarks.drift_page [--models 20] [--prompts 1000] [--samples 4] [--visits 7]

Sessions speak Streamlit's own protocol without a browser (`_sessions.py`); a figure is from asking
for the page to its script's end, in milliseconds.

    first      the first look at these evaluations ever: every file is read, progress is shown
    warm       median of later looks
    restarted  the first look after the app was started again: the figures are on disk
    another    warm, another measure of the timeline and another reader chosen in turn
    cpu        the processor's time of a warm and of a restarted look, in this process: what a
               busy machine does not change

Before each first look another suite of two small evaluations is opened, which loads the page's
modules, and the app has had `--settle` seconds in which it starts the demo model's server.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from streamlit.testing.v1 import AppTest

from benchmarks._sessions import Session
from cai_core.jobs import drift_matrix
from tests.browser.conftest import serve_app
from tests.drift_workspace import RATES, write_evaluation
from tests.evaluation.drift_makers import make_lines

SMALL = {"name": "small", "hash": "6" * 64, "prompts": 8, "held_out": True}


def main() -> None:
    """Write the evaluations, look at them, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--visits", type=int, default=7)
    parser.add_argument("--settle", type=float, default=15, help="seconds after the app's start")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        workspace = Path(name)
        fill(workspace, args.models, args.prompts, args.samples)
        print(json.dumps(measure(workspace, args)))


def fill(workspace: Path, models: int, prompts: int, samples: int) -> None:
    """Evaluations of one suite, half of whose prompts are harmful, and of a small one."""
    for number in range(models + 1):
        rates = {"harmful compliance": 0.02 * number, "over-refusal": 0.01 * (models - number)}
        lines = make_lines({**RATES, **rates}, seed=number, prompts=prompts // 2, samples=samples)
        write_evaluation(workspace, f"model-{number:02}", lines)
    for number in range(2):
        write_evaluation(workspace, f"small-{number}", prompts=4, seed=number, suite=SMALL)


def measure(workspace: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Look before and after a restart."""
    with serve_app(workspace) as app:
        session = Session(app.url, "drift")
        _look(session, suite="small")
        time.sleep(args.settle)
        first = _look(session, suite="made")
        warm = [_look(session, suite="made") for _ in range(args.visits)]
        chosen = [{"line": "leak"}, {"by": "judge"}, {"line": "evasive", "by": "judge"}]
        for one in chosen:
            _look(session, suite="made", **one)
        another = [_look(session, suite="made", **one) for one in chosen * 2]
    with serve_app(workspace) as app:
        session = Session(app.url, "drift")
        _look(session, suite="small")
        time.sleep(args.settle)
        restarted = _look(session, suite="made")
    warm_cpu, restarted_cpu = measure_cpu(workspace, args.visits)
    return {
        "cpu_warm_ms": round(warm_cpu),
        "cpu_restarted_ms": round(restarted_cpu),
        "models": args.models,
        "prompts": args.prompts,
        "samples": args.samples,
        "first_ms": round(first),
        "warm_ms": round(statistics.median(warm)),
        "warm_worst_ms": round(max(warm)),
        "another_ms": round(statistics.median(another)),
        "restarted_ms": round(restarted),
    }


def script() -> None:
    """The page alone; AppTest takes this function's text."""
    import streamlit as st

    from ui.explorer_links import PLAYGROUND

    st.navigation([st.Page(PLAYGROUND.with_name("drift.py"), default=True)]).run()


def measure_cpu(workspace: Path, visits: int) -> tuple[float, float]:
    """Milliseconds of the processor for a warm look, and for one that finds figures on disk."""
    os.environ["CAI_WORKSPACE"] = str(workspace)
    app = AppTest.from_function(script, default_timeout=120)
    app.query_params["suite"] = "made"
    app.run()
    warm = [_time(app) for _ in range(visits)]
    restarted = []
    for _ in range(visits):
        drift_matrix._rows.clear()
        drift_matrix._matrices.clear()
        restarted.append(_time(app))
    return statistics.median(warm), statistics.median(restarted)


def _time(app: AppTest) -> float:
    started = time.process_time()
    app.run()
    return 1000 * (time.process_time() - started)


def _look(session: Session, **query: str) -> float:
    seconds, errors = session.rerun(urlencode(query))
    if errors:
        raise SystemExit(f"the page shows an error: {errors[0]}")
    return 1000 * seconds


if __name__ == "__main__":
    main()
