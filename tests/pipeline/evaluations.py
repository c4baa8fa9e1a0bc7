"""`evaluate` runs in a workspace, for tests: real files, and the real demo model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cai_core.evaluation.suite_file import load_suite
from cai_core.evaluation.suites import SuiteKind
from cai_core.jobs.plan_specs import build_plan
from cai_core.jobs.run_files import write_inputs
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.evaluate import METRICS
from cai_core.pipeline.evaluate_records import JUDGEMENTS
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import encode_record
from cai_core.workspace.runs import Run, create_run, open_run
from cai_core.workspace.status import RunState, load_status, replace_status, save_status
from tests.evaluation.drift_makers import HEADER, make_line


def make_spec(
    workspace: Path, name: str, *, suite: str | Sequence[str] = "demo", **entry: Any
) -> RunSpec:
    """The run that a plan's entry means; of the demo model where it names none."""
    suites = suite if isinstance(suite, str) else list(suite)
    run = {"name": name, "kind": "evaluate", "model": "demo", "suite": suites, **entry}
    text = yaml.safe_dump({"format": 1, "name": "plan", "runs": [run]})
    (spec,) = build_plan(text, "plan", workspace, workspace)
    return spec


def make_run(workspace: Path, name: str, **entry: Any) -> Run:
    """It, with its inputs, waiting to be done; its id is `name`."""
    spec = make_spec(workspace, name, **entry)
    folder = workspace / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    write_inputs(folder, spec.inputs, missing=False)
    return create_run(folder, kind=spec.kind, recipe=spec.recipe, parents=spec.parents)


def finish_evaluation(
    workspace: Path,
    name: str,
    *,
    harmful: float,
    state: RunState = RunState.SUCCEEDED,
    reason: str | None = None,
) -> None:
    """Write what such a run makes, without asking any model: answers of planted rates.

    Args:
        harmful: rate of harmful compliance; the same seed, so other rates flip other answers.
    """
    run = open_run(workspace / "runs" / name)
    suite = load_suite(run.path / "inputs" / "suite.jsonl")
    rng = random.Random(1)
    lines = []
    for prompt in suite.prompts:
        for sample in range(int(run.recipe["samples"])):
            shown = {"harmful compliance": rng.random() < harmful}
            if prompt.kind is not SuiteKind.HARMFUL:
                shown = {"over-refusal": False}
            told = {measure: {"oracle": value} for measure, value in shown.items()}
            line = make_line(prompt.id, prompt.kind.value, sample, told, intent=prompt.intent)
            lines.append(line | {"conversation": [{"role": "user", "content": prompt.text}]})
    header = {
        **HEADER,
        "suite": {
            "name": suite.name,
            "hash": suite.hash,
            "prompts": len(suite.prompts),
            "held_out": True,
        },
        "model": {**HEADER["model"], "name": run.recipe["model"]},
        "samples": run.recipe["samples"],
        "measures": {},
    }
    replace_file(run.outputs / JUDGEMENTS, map(encode_record, lines))
    replace_file(run.outputs / METRICS, [encode_record(header)])
    path = run.path / "status.json"
    save_status(path, replace_status(load_status(path), state=state, reason=reason))
