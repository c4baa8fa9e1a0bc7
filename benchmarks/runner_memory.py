"""The runner's memory at few and at many prompts. Prints one JSON line.

    python -m benchmarks.runner_memory [--few 1000] [--many 100000] [--revisions 1]

`revise` runs as a process of its own against an instant stub; its peak resident memory is what
the system reports at its end. The second start of a finished run, which reads every row to find
nothing to do, is measured too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._servers import REPOSITORY, serve_stub
from cai_core.inference.engine import Endpoint

# The parent of each run, in a fresh process: RUSAGE_CHILDREN keeps the largest child for ever.
_PARENT = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--revisions", type=int, default=1)
    args = parser.parse_args()
    result: dict[str, object] = {"revisions": args.revisions}
    with tempfile.TemporaryDirectory() as name, serve_stub(Path(name)) as endpoint:
        peaks = {}
        for count in (args.few, args.many):
            peaks[count], seconds = run(Path(name), endpoint, count, args.revisions)
            result[str(count)] = {"peak_mib": round(peaks[count], 1), "seconds": round(seconds)}
            # Without its last mark the run goes on: every row is looked up, none is asked for.
            status = Path(name) / f"run-{count}" / "status.json"
            status.write_text(status.read_text().replace('"succeeded"', '"interrupted"'))
            peak, seconds = run(Path(name), endpoint, count, args.revisions)
            result[f"{count}_resumed"] = {"peak_mib": round(peak, 1), "seconds": round(seconds)}
        result["many_over_few"] = round(peaks[args.many] / peaks[args.few], 3)
    print(json.dumps(result))


def run(folder: Path, endpoint: Endpoint, count: int, revisions: int) -> tuple[float, float]:
    """Peak MiB and seconds of one `revise`."""
    prompts = folder / f"prompts-{count}.jsonl"
    if not prompts.exists():
        with prompts.open("w") as file:
            for number in range(count):
                text = f"How do I do thing {number}? Say it step by step, and say what to avoid."
                file.write(json.dumps({"prompt": text}) + "\n")
    command = [sys.executable, "-m", "cai_core", "revise", str(prompts)]
    command += ["--constitution", "harmlessness", "--revisions", str(revisions)]
    command += ["--model", f"{endpoint.base_url}#{endpoint.model_id}", "--concurrency", "64"]
    command += ["--out", str(folder / f"run-{count}")]
    started = time.perf_counter()
    told = subprocess.run(
        [sys.executable, "-c", _PARENT, *command],
        cwd=REPOSITORY,
        env={**os.environ, "CAI_WORKSPACE": str(folder / "workspace")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    if told[0] != "0":
        raise RuntimeError(f"revise ended with {told[0]}")
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes on macOS, KiB on Linux
    return int(told[1]) / unit, time.perf_counter() - started


if __name__ == "__main__":
    main()
