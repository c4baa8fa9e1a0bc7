"""How often a run drew each principle, as its rows tell."""

from __future__ import annotations

from collections import Counter

from cai_core.pipeline import label, revise
from cai_core.records import StepKind
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import Run


def count_drawn(run: Run) -> Counter[str]:
    """Draws by principle id: a chain's rounds, a comparison's principles.

    A round is counted by its revision, a comparison's principle by the first of its questions.
    Reads every row of the run.
    """
    told: Counter[str] = Counter()
    for step in (revise.STEP, label.STEP):
        for row in RowIndex(run, step).values():
            once = row.kind is StepKind.REVISION or (
                row.kind is StepKind.LABEL and row.order == 0 and row.cot == 0
            )
            if once and row.principle_id:
                told[row.principle_id] += 1
    return told
