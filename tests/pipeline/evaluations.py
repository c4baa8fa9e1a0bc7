"""`evaluate` runs in a workspace, for tests: real files, and the real demo model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cai_core.jobs.plan_specs import build_plan
from cai_core.jobs.run_files import write_inputs
from cai_core.jobs.spec import RunSpec
from cai_core.workspace.runs import Run, create_run


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
