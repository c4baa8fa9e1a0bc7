"""Record the chains that a first visit shows: `make recordings`.

Real chains of the demo model on prompts that its training never showed, two under each shipped
constitution's name, written as runs to data/recordings. Run it again after the demo model changed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORDINGS = ROOT / "data" / "recordings"
# Chains of each kind; small enough to read, large enough to filter.
PROMPTS = {"redteam.jsonl": 12, "borderline.jsonl": 4, "helpful.jsonl": 4}
CONSTITUTIONS = ("harmlessness", "helpful-honest-harmless")
HELD_OUT = "split:held-out"


def main() -> None:
    """Make every recording anew."""
    shutil.rmtree(RECORDINGS, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        prompts = Path(folder) / "recorded.jsonl"
        prompts.write_text("".join(choose_prompts()), encoding="utf-8")
        for name in CONSTITUTIONS:
            record(prompts, name, RECORDINGS / f"recorded-{name}")


def choose_prompts() -> list[str]:
    """Held-out lines of every prompt set, spread over it."""
    chosen: list[str] = []
    for name, count in PROMPTS.items():
        lines = (ROOT / "data" / "prompts" / name).read_text("utf-8").splitlines(keepends=True)
        held_out = [line for line in lines if HELD_OUT in json.loads(line)["tags"]]
        chosen += held_out[:: len(held_out) // count][:count]
    return chosen


def record(prompts: Path, constitution: str, out: Path) -> None:
    """One run; what only its writer needs is left out."""
    command = [sys.executable, "-m", "cai_core", "revise", str(prompts), "--model", "demo"]
    command += ["--constitution", constitution, "--revisions", "2", "--seed", "7"]
    subprocess.run([*command, "--out", str(out)], cwd=ROOT, check=True)
    (out / "writer.lock").unlink()


if __name__ == "__main__":
    main()
