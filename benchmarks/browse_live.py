"""A run writes rows while five sessions browse the real app. Prints one JSON line.

    python benchmarks/browse_live.py [--seconds 60] [--rate 500] [--sessions 5]

Sessions are Streamlit's own protocol without a browser (`_sessions.py`): each views Critiques under
other filters and pages, opens chains in the drawer, and views the Overview, with a pause of half a
second in between. `rerun` is from asking for a page to its script's end.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks._explorer_world import HALF  # noqa: E402
from benchmarks._sessions import Session  # noqa: E402
from cai_core.workspace.rows import build_row_id  # noqa: E402
from tests.browser.conftest import App, serve_app  # noqa: E402

PAUSE = 0.5


def main() -> None:
    """Start the app, the writer and the sessions; print what they saw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=500, help="rows a second")
    parser.add_argument("--sessions", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serve_app(Path(folder)) as app:
        print(json.dumps(measure(app, args)))


def measure(app: App, args: argparse.Namespace) -> dict[str, Any]:
    """Browse while the writer writes."""
    command = [sys.executable, "-m", "benchmarks._explorer_world", "live", str(app.workspace)]
    command += [str(args.rate), str(args.seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        assert writer.stdout is not None
        # The first rows are durable; their run is told.
        run, written, _ = json.loads(writer.stdout.readline())
        visits = [Visits(app, run, number) for number in range(args.sessions)]
        for visit in visits:
            visit.start()
        for line in writer.stdout:
            _, written, _ = json.loads(line)
    for visit in visits:
        visit.stop()
    times = sorted(t for visit in visits for t in visit.times)
    return {
        "seconds": args.seconds,
        "rows_written": written,
        "sessions": args.sessions,
        "reruns": len(times),
        "errors": [error for visit in visits for error in visit.errors],
        "rerun_p50_ms": round(1000 * quantiles(times, n=100)[49]),
        "rerun_p95_ms": round(1000 * quantiles(times, n=100)[94]),
        "by_page_p50_p95_ms": {
            page: [
                round(1000 * quantiles(found, n=100)[q])
                for q in (49, 94)
                for found in [[t for visit in visits for t in visit.by_page.get(page, [])]]
            ]
            for page in ("critiques", "drawer", "overview")
        },
    }


class Visits:
    """One person who browses, on a thread."""

    def __init__(self, app: App, run: str, number: int) -> None:
        self._app = app
        self._run = run
        self._random = random.Random(number)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._browse)
        self.by_page: dict[str, list[float]] = {}
        self.errors: list[str] = []

    @property
    def times(self) -> list[float]:
        """Seconds of every rerun."""
        return [t for found in self.by_page.values() for t in found]

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the view in hand."""
        self._done.set()
        self._thread.join()

    def _browse(self) -> None:
        sessions = {page: Session(self._app.url, page) for page in ("critiques", "overview")}
        for session in sessions.values():
            session.rerun()  # the first view loads the page's modules; it is not a rerun
        while not self._done.wait(PAUSE):
            page, name, query = self._choose()
            seconds, errors = sessions[page].rerun(urlencode(query))
            self.by_page.setdefault(name, []).append(seconds)
            self.errors += errors

    def _choose(self) -> tuple[str, str, dict[str, str]]:
        roll = self._random.random()
        if roll < 0.2:
            return "overview", "overview", {}
        if roll < 0.4:
            # A chain that was written in the first second.
            number = self._random.randrange(1, 40)
            names = {"run_id": self._run, "prompt_id": f"p#{number}"}
            row_id = build_row_id(**names, sample=0, step="response")
            return "critiques", "drawer", {"chain": row_id}
        query = {"finding": self._random.choice(["", "found", "not_touched"])}
        query["principle"] = self._random.choice(["", f"principle-{self._random.randrange(16)}"])
        query["q"] = self._random.choice(["", "", f"the {HALF}"])
        return "critiques", "critiques", {key: value for key, value in query.items() if value}


if __name__ == "__main__":
    main()
