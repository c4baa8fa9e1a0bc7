"""A run writes rows while the index takes them in and people browse. Prints one JSON line.

    python benchmarks/ingest_browse.py [--seconds 30] [--rate 500] [--threads 5] [--before 0]

`lag` is the time from a batch's durable append to a list that shows it.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import quantiles
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from cai_core.errors import CaiError  # noqa: E402
from cai_core.records import Finding, StepKind  # noqa: E402
from cai_core.workspace.index.owner import WorkspaceIndex  # noqa: E402
from cai_core.workspace.index.views import RoundFilter  # noqa: E402
from cai_core.workspace.rows import Row, build_row_id  # noqa: E402
from cai_core.workspace.runs import Run, create_run  # noqa: E402
from cai_core.workspace.status import RunState  # noqa: E402
from cai_core.workspace.writer import RunWriter  # noqa: E402

_WORDS = [
    a + b
    for a in ["ba", "de", "fi", "go", "lu", "mi", "no", "pe", "ra", "su", "ti", "vo"]
    for b in ["kel", "mar", "ning", "per", "sol", "tor", "ver", "wick", "zan"]
]
_ROUNDS = 4
_BATCHES_A_SECOND = 20


def main() -> None:
    """Run the benchmark, or be its writer process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rate", type=int, default=500, help="rows a second")
    parser.add_argument("--threads", type=int, default=5, help="that browse")
    parser.add_argument("--before", type=int, default=0, help="rows that are there at the start")
    parser.add_argument("--write-to", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write_to is not None:
        write_rows(args.write_to, args.rate, args.seconds)
        return
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), args)))


def measure(workspace: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Write, ingest and browse at once; the figures."""
    if args.before:
        fill(workspace, args.before)
    index = WorkspaceIndex.open(workspace)
    begun = time.monotonic()
    index.ingest()
    first_pass = time.monotonic() - begun
    held = index.report().rows
    index.start()
    browsing = Browsing(index, args.threads)
    command = [sys.executable, __file__, "--write-to", str(workspace), "--rate", str(args.rate)]
    writer = subprocess.Popen(
        [*command, "--seconds", str(args.seconds)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    written, lags = follow(index, held, writer.stdout)
    writer.wait()
    browsing.stop()
    rows = index.report().rows - held
    index.close()
    return {
        "seconds": args.seconds,
        "rows_before": held,
        "first_ingest_s": round(first_pass, 2),
        "rows_written": written,
        "rows_indexed": rows,
        "errors": len(browsing.errors),
        "queries": len(browsing.times),
        "query_p50_ms": round(1000 * _quantile(browsing.times, 50), 1),
        "query_p95_ms": round(1000 * _quantile(browsing.times, 95), 1),
        "by_query_p50_p95_ms": {
            name: [round(1000 * _quantile(times, q), 1) for q in (50, 95)]
            for name, times in browsing.by_name.items()
        },
        "lag_p95_s": round(_quantile(lags, 95), 2),
    }


class Browsing:
    """Threads that ask what people ask: a list with counts, a search, a chain."""

    def __init__(self, index: WorkspaceIndex, threads: int):
        self._index = index
        self._done = threading.Event()
        self.by_name: dict[str, list[float]] = {"list": [], "search": [], "chain": []}
        self.errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._browse, args=(number,)) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def times(self) -> list[float]:
        """Seconds of every query."""
        return [seconds for times in self.by_name.values() for seconds in times]

    def stop(self) -> None:
        """Let the threads end."""
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _browse(self, number: int) -> None:
        random_ = random.Random(number)
        after = None
        while not self._done.is_set():
            asked = RoundFilter(finding=random_.choice(["", "found"]))
            page = self._time("list", lambda a=asked, k=after: self._index.list_rounds(a, after=k))
            after = page.next_key if page else None
            text = f"{random_.choice(_WORDS)} {random_.choice(_WORDS)}"
            self._time("search", lambda t=text: self._index.list_rounds(RoundFilter(text=t)))
            if page and page.rounds:
                chain = random_.choice(page.rounds).chain
                self._time("chain", lambda c=chain: self._index.get_chain(c))
            self._done.wait(0.2)  # a person looks at the page

    def _time(self, name: str, ask: Callable[[], Any]) -> Any:
        begun = time.monotonic()
        try:
            return ask()
        except (CaiError, OSError, ValueError, KeyError) as error:
            self.errors.append(str(error))
            print(error, file=sys.stderr)
            return None
        finally:
            self.by_name[name].append(time.monotonic() - begun)


def follow(index: WorkspaceIndex, held: int, announced: Iterator[str]) -> tuple[int, list[float]]:
    """Watch until everything announced is visible; rows written, and each batch's lag."""
    waiting: list[tuple[int, float]] = []
    ended = threading.Event()
    written = 0

    def listen() -> None:
        nonlocal written
        for line in announced:
            count, at = json.loads(line)
            written = count
            waiting.append((count, at))
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    lags = []
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and not (ended.is_set() and not waiting):
        visible = index.report().rows - held
        seen = time.time()
        while waiting and waiting[0][0] <= visible:
            lags.append(seen - waiting.pop(0)[1])
        time.sleep(0.05)
    return written, lags


def write_rows(workspace: Path, rate: int, seconds: float) -> None:
    """Be the writer: batches at a steady pace, each announced once it is durable."""
    run = _make_run(workspace, "live")
    rows = _build_rows(run, seed=1)
    batch = max(1, rate // _BATCHES_A_SECOND)
    begun, count = time.monotonic(), 0
    with RunWriter(run) as writer:
        while (now := time.monotonic() - begun) < seconds:
            writer.append_rows("chain", [next(rows) for _ in range(batch)])
            count += batch
            print(json.dumps([count, time.time()]), flush=True)
            time.sleep(max(0.0, count / rate - now))
        writer.set_status(RunState.SUCCEEDED)


def fill(workspace: Path, count: int) -> None:
    """An ended run of about that many rows."""
    run = _make_run(workspace, "before")
    rows = _build_rows(run, seed=2)
    with RunWriter(run) as writer:
        for start in range(0, count, 5000):
            batch = min(5000, count - start)
            writer.append_rows("chain", [next(rows) for _ in range(batch)])
        writer.set_status(RunState.SUCCEEDED)


def _make_run(workspace: Path, name: str) -> Run:
    recipe = {"model": "demo", "constitution": "bench", "chain": {"critique": True}}
    return create_run(workspace / "runs" / name, kind="revise", recipe=recipe)


def _build_rows(run: Run, seed: int) -> Iterator[dict[str, Any]]:
    random_ = random.Random(seed)
    number = 0
    while True:
        number += 1
        yield _build_row(run, number, "response", StepKind.RESPONSE, 0, random_)
        for k in range(1, _ROUNDS + 1):
            yield _build_row(run, number, f"critique-{k}", StepKind.CRITIQUE, k, random_)
            yield _build_row(run, number, f"revision-{k}", StepKind.REVISION, k, random_)


def _build_row(
    run: Run, number: int, step: str, kind: StepKind, k: int, random_: random.Random
) -> dict[str, Any]:
    prompt_id = f"p#{number}"
    first, critique = kind is StepKind.RESPONSE, kind is StepKind.CRITIQUE
    turns = [{"role": "user", "content": " ".join(random_.choices(_WORDS, k=12))}]
    return Row(
        run_id=run.run_id,
        row_id=build_row_id(run_id=run.run_id, prompt_id=prompt_id, sample=0, step=step),
        prompt_id=prompt_id,
        prompt_hash="h",
        constitution_hash="c",
        template_version="chat/1",
        kind=kind,
        step=step,
        index=0 if first else 2 * k - critique,
        round=k,
        sample=0,
        role="critic" if critique else "policy",
        principle_id=None if first else f"principle-{random_.randrange(16)}",
        model_id="demo",
        weights_hash="w",
        engine="none",
        engine_version="1",
        repeatability="exact",
        sampling={"temperature": 1.0, "top_p": 1.0, "max_tokens": 128},
        seed=number,
        prompt={"conversation": turns, "kind": "red-team", "tags": []} if first else None,
        text=" ".join(random_.choices(_WORDS, k=70)),
        finding=random_.choice(list(Finding)) if critique else None,
    ).as_dict()


def _quantile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1] if len(values) > 1 else float("nan")


if __name__ == "__main__":
    main()
