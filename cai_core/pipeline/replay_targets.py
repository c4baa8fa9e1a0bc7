"""What can be run again: a stored chain or a stored label, with the rows that it left. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cai_core.errors import CaiError
from cai_core.pipeline.label_records import LabelRecord
from cai_core.workspace.index.comparison_views import ComparisonDetail
from cai_core.workspace.index.views import ChainView
from cai_core.workspace.rows import Row, parse_row

CHAIN_RUNS = ("revise", "interactive")
LABEL_RUN = "label"


class ReplayError(CaiError):
    """It cannot be run again with the same settings; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainTarget:
    """A stored chain.

    Attributes:
        id: the row id of its initial response.
        rows: in the order of its steps.
    """

    id: str
    run: str
    run_kind: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTarget:
    """A stored label.

    Attributes:
        id: of the comparison. place: among the run's, from 0.
        rows: the feedback model's answers.
    """

    id: str
    run: str
    run_kind: str
    place: int
    label: LabelRecord
    rows: tuple[Row, ...]


Target = ChainTarget | LabelTarget


def build_chain_target(chain: ChainView) -> ChainTarget:
    """The chain as the index has it."""
    return ChainTarget(
        id=chain.chain,
        run=chain.run,
        run_kind=chain.run_kind,
        rows=tuple(parse_row(step.record) for step in chain.steps),
    )


def build_label_target(
    run: str, run_kind: str, place: int, label: LabelRecord, rows: Sequence[Row]
) -> LabelTarget:
    """A label out of its run's files."""
    return LabelTarget(
        id=label.comparison_id,
        run=run,
        run_kind=run_kind,
        place=place,
        label=label,
        rows=tuple(rows),
    )


def build_comparison_target(detail: ComparisonDetail) -> LabelTarget | None:
    """A comparison as the index has it; None while it has no label."""
    if detail.view.verdict is None:
        return None
    return build_label_target(
        detail.view.run,
        detail.run_kind,
        detail.view.place,
        LabelRecord.parse(detail.record),
        [parse_row(answer.record) for answer in detail.answers],
    )


def find_refusal(target: Target) -> str | None:
    """Why it cannot be run again, as far as that shows without its run's files; else None."""
    match target:
        case ChainTarget():
            return _refuse_chain(target)
        case LabelTarget():
            return _refuse_label(target)


def describe_target(target: Target) -> Mapping[str, Any]:
    """What the journal says of it."""
    name = "chain" if isinstance(target, ChainTarget) else "comparison"
    return {"run": target.run, name: target.id}


def _refuse_chain(target: ChainTarget) -> str | None:
    if target.run_kind == "import":
        return (
            "The chain was imported: nobody kept how its model was asked. Chains that were made "
            "here can be replayed."
        )
    if target.run_kind not in CHAIN_RUNS:
        return f"A run of the kind {target.run_kind!r} makes no chains of critique and revision."
    if not target.rows or target.rows[0].prompt is None:
        return "The row of its initial response, which holds the prompt, is missing."
    return None


def _refuse_label(target: LabelTarget) -> str | None:
    label = target.label
    if target.run_kind == "import":
        return (
            "The label was imported: nobody kept how its model was asked. Labels that were made "
            "here can be replayed."
        )
    if target.run_kind != LABEL_RUN:
        return f"A run of the kind {target.run_kind!r} asks no feedback model for labels."
    if label.label_source != "feedback-model":
        who = label.reviewer or "a person"
        said = f"{who} said it" if label.label_source == "human" else "it holds by construction"
        return f"No feedback model was asked for this label: {said}."
    if not target.rows:
        return "The feedback model’s answers, which it was made from, are missing."
    return None
