"""What `make demo` leaves of the story, without a model: recorded texts as the plan's runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import encode_record
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter

ROOT = Path(__file__).resolve().parents[1]
RECORDINGS = ROOT / "data" / "recordings"
RECORDED = RECORDINGS / "recorded-harmlessness"
CHAIN = {"revisions": 0, "samples": 1, "seed": 7}
Line = dict[str, Any]


def read_recorded(*kinds: str) -> list[Line]:
    """Recorded chains of prompts of these kinds."""
    with (RECORDED / "outputs" / "chains.jsonl").open(encoding="utf-8") as file:
        lines = [json.loads(text) for text in file]
    return [line for line in lines if line["kind"] in kinds]


def write_stage(
    workspace: Path,
    stage: str,
    lines: Iterable[Line],
    *,
    plan: str = "demo",
    number: int = 1,
    model: str = "demo",
    state: RunState = RunState.SUCCEEDED,
    **recipe: Any,
) -> Run:
    """A run of the plan, which has ended."""
    name = f"{plan}-{stage}-{number:08x}"
    asked = {"model": model, "prompts_hash": stage.rpartition("-")[2], "chain": CHAIN, **recipe}
    run = create_run(workspace / "runs" / name, kind="revise", recipe=asked)
    replace_file(run.outputs / "chains.jsonl", map(encode_record, lines))
    shutil.copy(RECORDED / "outputs" / "constitution.yaml", run.outputs / "constitution.yaml")
    with RunWriter(run) as writer:
        writer.set_status(state)
    return run


def answer(lines: Sequence[Line], choose: Callable[[int, Line], str]) -> list[Line]:
    """Each prompt with one answer: what `choose` makes of its place and its chain."""
    return [
        {**line, "steps": line["steps"][:1], "final": choose(place, line)}
        for place, line in enumerate(lines)
    ]


def first(_place: int, line: Mapping[str, Any]) -> str:
    """The initial response."""
    return str(line["steps"][0]["text"])


def write_story(workspace: Path) -> None:
    """Chains, and the answers of base, SL-CAI (a third unchanged) and RL-CAI (one unchanged)."""
    harmful, fine = read_recorded("red-team"), read_recorded("helpful")
    write_stage(workspace, "chains", harmful)
    unchanged = {"base": range(len(harmful)), "sl": range(0, len(harmful), 3), "rl": range(1)}
    for number, (arm, places) in enumerate(unchanged.items(), start=1):
        model = "demo" if arm == "base" else f"runs/demo-{arm}-{number:08x}/outputs/model"

        def choose(place: int, line: Line, places: Iterable[int] = places) -> str:
            return first(place, line) if place in places else str(line["final"])

        write_stage(workspace, f"{arm}-redteam", answer(harmful, choose), model=model)
        write_stage(workspace, f"{arm}-fine", answer(fine, first), model=model)
