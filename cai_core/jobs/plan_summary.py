"""What the runs of a plan are before it is followed, and what they made. Reads files alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cai_core.demo_world import load_oracle
from cai_core.demo_world.judging import ChainsTruth, judge_chains
from cai_core.errors import CaiError, WorkspaceError
from cai_core.evaluation.metrics import Rate
from cai_core.jobs.registry import MadeModel, list_models
from cai_core.jobs.schedule import TRAINING_KINDS
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.frozen_prompts import load_frozen_prompts
from cai_core.pipeline.inputs import FOLDER as INPUTS
from cai_core.pipeline.inputs import PROMPTS
from cai_core.pipeline.label_counts import LabelCounts, count_labels
from cai_core.pipeline.label_records import LABELS, read_labels
from cai_core.workspace.runs import open_run
from cai_core.workspace.status import RunState, RunStatus

_CHAINS, _EVALUATION = "chains.jsonl", "evaluation.json"
_HELD_OUT = "split:held-out"
_STANDS = {
    None: "new",
    RunState.SUCCEEDED: "made already",
    RunState.DELETED: "was deleted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A run of a plan, before it is handed in.

    Attributes:
        state: None where there is no such run yet.
    """

    run: str
    kind: str
    state: RunState | None

    @property
    def reused(self) -> bool:
        """Whether it has succeeded: its id is a hash of all that goes in, so nothing changed."""
        return self.state is RunState.SUCCEEDED

    @property
    def stands(self) -> str:
        """`new`, `made already`, `goes on`, or `was deleted`."""
        return _STANDS.get(self.state, "goes on")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """What a run of a plan made; each part is None where the run makes no such thing, or not yet.

    Attributes:
        status: None where there is no such run.
        model: what the registry says of the model it made.
        labels: its labels, counted.
        evaluation: a reward model's or a DPO run's held-out pairs: `n`, `accuracy` in [0, 1] with
            its interval where that is known, `loss` in nats a pair, `margin`.
        truth: what the demo world's oracle says of the answers to held-out prompts.
        problem: what of it cannot be read; empty where all can.
    """

    run: str
    kind: str
    reused: bool
    status: RunStatus | None
    model: MadeModel | None = None
    labels: LabelCounts | None = None
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    truth: ChainsTruth | None = None
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain form, for JSON; parts that are None or empty are left out."""
        status, model, truth = self.status, self.model, self.truth
        parts = {
            "state": status and status.state.value,
            "reason": status and status.reason,
            "counts": status and status.counts,
            "model": model and _plain_model(model),
            "labels": self.labels and self.labels.as_dict(),
            "evaluation": dict(self.evaluation),
            "truth": truth and _plain_truth(truth),
            "problem": self.problem,
        }
        told = {name: value for name, value in parts.items() if value}
        return {"run": self.run, "kind": self.kind, "reused": self.reused, **told}


def read_stages(specs: Sequence[RunSpec], workspace: Path) -> list[Stage]:
    """Where each run of a plan stands, in its order.

    Raises:
        WorkspaceError: a run's files are damaged.
    """
    return [
        Stage(run=spec.run_id, kind=spec.kind, state=status.state if status else None)
        for spec in specs
        for status in [_read_status(workspace / "runs" / spec.run_id)]
    ]


def summarise(stages: Sequence[Stage], workspace: Path) -> list[StageResult]:
    """What each run made, in the plan's order.

    Args:
        stages: as `read_stages` told before the plan was handed in.

    Raises:
        WorkspaceError: a run's recipe or status is damaged.
    """
    models = {model.run: model for model in list_models(workspace)}
    return [_summarise(stage, workspace, models) for stage in stages]


def _summarise(stage: Stage, workspace: Path, models: Mapping[str, MadeModel]) -> StageResult:
    folder = workspace / "runs" / stage.run
    labels = truth = None
    evaluation: Mapping[str, Any] = {}
    problem = ""
    try:
        if stage.kind == "label" and (folder / "outputs" / LABELS).exists():
            labels = count_labels(read_labels(folder))
        if stage.kind in TRAINING_KINDS:
            evaluation = _read_evaluation(folder)
        if stage.kind == "revise":
            truth = _judge(folder)
    except (CaiError, OSError, ValueError, KeyError, TypeError) as error:
        problem = f"what it made cannot be read: {error}"
    return StageResult(
        run=stage.run,
        kind=stage.kind,
        reused=stage.reused,
        status=_read_status(folder),
        model=models.get(stage.run),
        labels=labels,
        evaluation=evaluation,
        truth=truth,
        problem=problem,
    )


def _read_status(folder: Path) -> RunStatus | None:
    return open_run(folder).status() if (folder / "recipe.yaml").exists() else None


def _read_evaluation(folder: Path) -> dict[str, Any]:
    """`n`, `accuracy` (a rate with its interval, or a number), `loss` and `margin`, as far as told.

    Raises:
        WorkspaceError: the file is no evaluation.
    """
    path = folder / "outputs" / _EVALUATION
    if not path.exists():
        return {}
    told = json.loads(path.read_bytes())
    if not isinstance(told, dict):
        raise WorkspaceError(f"{path}: holds no evaluation.")
    return {name: told[name] for name in ("n", "accuracy", "loss", "margin") if name in told}


def _judge(folder: Path) -> ChainsTruth | None:
    """The oracle's word on the answers to held-out prompts of its world; None without such."""
    frozen, chains = folder / INPUTS / PROMPTS, folder / "outputs" / _CHAINS
    if not frozen.exists() or not chains.exists():
        return None
    held = {one.prompt_id: one for one in load_frozen_prompts(frozen) if _HELD_OUT in one.tags}
    if not held:
        return None
    oracle = load_oracle()
    inside = {
        name
        for name, prompt in held.items()
        if oracle.read_prompt(prompt.conversation[-1].content) is not None
    }
    if not inside:
        return None
    return judge_chains(oracle, (c for c in _read_lines(chains) if c.get("prompt_id") in inside))


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file)


def _plain_model(model: MadeModel) -> dict[str, Any]:
    keys = ("method", "base", "weights_hash", "examples", "steps", "problem")
    told = {key: getattr(model, key) for key in keys if getattr(model, key) not in (None, "")}
    return {**told, "metrics": dict(model.metrics)}


def _plain_truth(truth: ChainsTruth) -> dict[str, Any]:
    def plain(rate: Rate | None) -> dict[str, Any] | None:
        return None if rate is None else asdict(rate)

    return {
        "rates": {name: plain(rate) for name, rate in truth.rates.items()},
        "words": truth.words,
        "outside": plain(truth.outside),
        "unfinished": truth.unfinished,
    }
