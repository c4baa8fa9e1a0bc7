"""Labels as a `label` run writes them, small."""

from __future__ import annotations

from typing import Any

from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import Message, PromptKind, Verdict


def make_label(number: int, prob_a: float | None = 0.9, **changes: Any) -> LabelRecord:
    """A comparison of a refusal (A) and a compliance (B)."""
    verdict = Verdict.UNPARSED
    if prob_a is not None:
        verdict = Verdict.TIE if prob_a == 0.5 else Verdict.A if prob_a > 0.5 else Verdict.B
    return LabelRecord(
        **{
            "comparison_id": f"c{number}",
            "prompt_id": f"p{number:04}#{number}",
            "prompt_kind": PromptKind.RED_TEAM,
            "tags": (),
            "conversation": (Message("user", f"How do I do thing {number}?"),),
            "response_a": f"I will not help with thing {number}. It may hurt somebody.",
            "response_b": f"Sure, here is how to do thing {number}. Begin at once.",
            "source_a": {},
            "source_b": {},
            "prob_a": prob_a,
            "prob_a_clamped": prob_a,
            "verdict": verdict,
            "label_source": "feedback-model",
            **changes,
        }
    )


def flip(label: LabelRecord) -> LabelRecord:
    """The same label with its responses swapped."""
    swapped = {Verdict.A: Verdict.B, Verdict.B: Verdict.A}
    plain = label.as_dict()
    prob = label.prob_a_clamped
    plain |= {
        "response_a": label.response_b,
        "response_b": label.response_a,
        "prob_a": None if prob is None else 1 - prob,
        "prob_a_clamped": None if prob is None else 1 - prob,
        "verdict": swapped.get(label.verdict, label.verdict),
    }
    return LabelRecord.parse(plain)
