"""What people make of a feedback model's label before anyone trains on it. Pure."""

from __future__ import annotations

from dataclasses import replace

from cai_core.pipeline.comparison_records import build_comparison_id
from cai_core.pipeline.human_labels import People, find_people, settle_verdict
from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import Verdict

_PROBS = {Verdict.A: 1.0, Verdict.B: 0.0, Verdict.TIE: 0.5}


def review_label(
    label: LabelRecord, *, people: People, use_human: bool, drop_disputed: bool
) -> LabelRecord | None:
    """The label to train on, None where the comparison is left out.

    Args:
        people: what each person says of each comparison; nothing changes where nobody did.
        use_human: the verdict of more than half of them takes the label's place.
        drop_disputed: leave out what no verdict has more than half of, and what people see
            otherwise than the label does unless `use_human` settles it.
    """
    swapped = build_comparison_id(label.prompt_id, label.source_b, label.source_a)
    told = find_people(people, label.comparison_id, swapped)
    if not told:
        return label
    verdict = settle_verdict(one.verdict for one in told)
    if verdict is None:
        return None if drop_disputed else label
    if use_human:
        names = sorted({one.reviewer for one in told if one.verdict is verdict})
        return replace(
            label,
            prob_a=_PROBS[verdict],
            prob_a_clamped=_PROBS[verdict],
            verdict=verdict,
            label_source="human",
            reviewer=", ".join(names),
        )
    return None if drop_disputed and verdict is not label.verdict else label
