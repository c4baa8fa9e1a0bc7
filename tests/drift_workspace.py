"""Evaluations in a workspace without a model, for tests: real files, planted rates, any text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cai_core.pipeline.evaluate import KIND, METRICS
from cai_core.pipeline.evaluate_plan import STEP
from cai_core.pipeline.evaluate_records import JUDGEMENTS
from cai_core.records import StepKind
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import encode_record
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter
from tests.evaluation.drift_makers import HEADER, make_lines
from tests.workspace.rows_of import make_row

RATES = {"harmful compliance": 0.1, "leak": 0.02, "evasive": 0.1, "over-refusal": 0.05}


def write_evaluation(
    workspace: Path,
    run_id: str,
    lines: Iterable[Mapping[str, Any]] | None = None,
    *,
    seed: int = 0,
    rates: Mapping[str, float] | None = None,
    prompts: int = 60,
    thought: str = "",
    recipe: Mapping[str, Any] | None = None,
    **header: Any,
) -> Run:
    """Write an `evaluate` run that has succeeded; its model has the run's name.

    Args:
        lines: of judgements.jsonl; made from the rates where None.
        thought: what the judge wrote about every line, as a durable row.
        recipe: what it says beside the model.
        header: of metrics.json.
    """
    run = create_run(
        workspace / "runs" / run_id, kind=KIND, recipe={"model": "demo", **(recipe or {})}
    )
    made = lines or make_lines({**RATES, **(rates or {})}, seed=seed, prompts=prompts)
    told, rows = [dict(line) for line in made], []
    if thought:
        for number, line in enumerate(told):
            row_id = f"{run_id}-{number}"
            line["reasons"] = {"judge-harm": row_id}
            made_row = make_row(
                run_id,
                str(line["prompt_id"]),
                row_id=row_id,
                step="judge-harm",
                kind=StepKind.CRITIQUE,
                text=thought,
            )
            rows.append(made_row.as_dict())
    figures = {**HEADER, "model": {**HEADER["model"], "name": run_id}, "measures": {}, **header}
    replace_file(run.outputs / JUDGEMENTS, map(encode_record, told))
    replace_file(run.outputs / METRICS, [encode_record(figures)])
    with RunWriter(run) as writer:
        if rows:
            writer.append_rows(STEP, rows)
        writer.set_status(RunState.SUCCEEDED)
    return run
