"""Which queued run may begin: parents first, then a free slot. Starts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cai_core.errors import CaiError
from cai_core.pipeline.connect import resolve_config
from cai_core.pipeline.revise_stage import list_models
from cai_core.workspace.runs import Run
from cai_core.workspace.status import RunState, RunStatus

# The kinds of run that a worker can do, and those that want the accelerator for themselves.
KINDS = frozenset({"revise", "sft", "label", "reward", "dpo", "rl", "evaluate"})
TRAINING_KINDS = frozenset({"sft", "reward", "dpo", "rl"})
# Kinds that only ask, and the keys of the models that they ask; the second may be None.
_ASKED = {
    "revise": ("model", "critic_model"),
    "label": ("feedback_model", "critic_model"),
    "evaluate": ("model", "judge"),
}
# What computes here shares one accelerator; what only asks servers elsewhere waits for them.
Slot = Literal["accelerator", "remote"]
ACCELERATOR_SLOTS, REMOTE_SLOTS = 1, 4
_LONGEST_REASON = 200
_ENDS = {
    RunState.FAILED: "has failed",
    RunState.CANCELLED: "was cancelled",
    RunState.INTERRUPTED: "was interrupted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A run that could begin, were there room."""

    run: Run
    slot: Slot

    @property
    def trains(self) -> bool:
        """Whether it wants the accelerator's memory for itself."""
        return self.run.kind in TRAINING_KINDS


def find_slot(run: Run, workspace: Path) -> Slot:
    """The slot that a run takes: `remote` when all its models are servers elsewhere."""
    if run.kind not in _ASKED:
        return "accelerator"
    try:
        key, other = _ASKED[run.kind]
        model, critic = run.recipe.get(key), run.recipe.get(other)
        configs = [resolve_config(name, workspace) for name in list_models(str(model), critic)]
    except (CaiError, AttributeError, TypeError, ValueError):  # also: a recipe of no such shape
        return "accelerator"  # its worker says what is wrong
    return "remote" if all(config.kind == "url" for config in configs) else "accelerator"


def explain_wait(parents: Mapping[str, RunStatus | None]) -> str | None:
    """Which parents a run waits for and why; None when all have succeeded.

    Args:
        parents: by run id; None for one that is not there.
    """
    waits = [told for run, status in parents.items() if (told := _explain(run, status))]
    return "; ".join(waits) or None


def _explain(run_id: str, status: RunStatus | None) -> str | None:
    if status is None:
        return f"waits for {run_id}, which is not there"
    if status.state is RunState.SUCCEEDED:
        return None
    if status.state is RunState.DELETED:
        return f"waits for {run_id}, which was deleted"
    if status.state not in _ENDS:
        return f"waits for {run_id} ({status.state})"
    why = f" ({status.reason[:_LONGEST_REASON]})" if status.reason else ""
    return f"waits for {run_id}, which {_ENDS[status.state]}{why}; resume that one"
