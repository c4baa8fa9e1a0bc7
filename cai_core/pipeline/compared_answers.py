"""Responses that a `label` run compares, whichever run they come from: chains, or evaluations.

An evaluation's answers stand here as chains of one step. Nothing is ever trained on them: their
prompts are held out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cai_core.evaluation.suites import SuiteKind
from cai_core.pipeline.chain_records import read_chain_records
from cai_core.pipeline.evaluate_records import JUDGEMENTS, read_judged
from cai_core.pipeline.revise import CHAINS
from cai_core.records import PromptKind
from cai_core.training.datasets import HELD_OUT

# The kinds of run whose responses can be compared.
COMPARED_KINDS = ("revise", "evaluate")
_KINDS: Mapping[str, PromptKind] = {
    SuiteKind.HARMFUL: PromptKind.RED_TEAM,
    SuiteKind.MULTI_TURN: PromptKind.RED_TEAM,
    SuiteKind.FINE: PromptKind.HELPFUL,
    SuiteKind.BORDERLINE: PromptKind.BORDERLINE,
}


def get_compared_path(run_folder: Path) -> Path:
    """The file that a run's responses stand in."""
    judged = run_folder / "outputs" / JUDGEMENTS
    return judged if judged.exists() else run_folder / "outputs" / CHAINS


def read_compared(run_folder: Path) -> Iterator[Mapping[str, Any]]:
    """A run's responses in the shape of chains.jsonl, in its order.

    Raises:
        WorkspaceError: it has none, or a line is damaged.
    """
    if get_compared_path(run_folder).name == JUDGEMENTS:
        return (build_compared(line) for line in read_judged(run_folder))
    return read_chain_records(run_folder)


def build_compared(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of judgements.jsonl as a chain that ends with its response."""
    text = line["response"]
    step = {"text": text, "finish_reason": "length" if line["cut_short"] else "stop"}
    kind = str(line["kind"])
    return {
        "prompt_id": line["prompt_id"],
        "sample": line["sample"],
        "kind": _KINDS.get(kind, PromptKind.UNKNOWN).value,
        "tags": [HELD_OUT, f"suite:{kind}"],
        "conversation": line["conversation"],
        "steps": [step],
        "final": text,
        "intent": line["intent"],
    }
