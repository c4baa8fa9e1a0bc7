"""What a run's labels come to, in counts and shares. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from cai_core.pipeline.label_records import LabelRecord
from cai_core.pipeline.labels import TIE_MARGIN
from cai_core.records import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCounts:
    """Labels counted.

    Attributes:
        comparisons: labels of any kind.
        a, b, ties, unparsed: by verdict.
        human, by_revision, by_model: by who prefers.
        both_orders: readable labels that were asked for in both orders.
        both_decided: of those, whose orders each say more than a tie.
        same_position: of those, whose two orders prefer the same place whoever stands there.
        mean_position_bias: in [-1, 1]; None where nothing was asked in both orders.
        held_out: about prompts that nothing may be trained on.
    """

    comparisons: int
    a: int
    b: int
    ties: int
    unparsed: int
    human: int
    by_revision: int
    by_model: int
    both_orders: int
    both_decided: int
    same_position: int
    mean_position_bias: float | None
    held_out: int

    @property
    def same_position_rate(self) -> float | None:
        """Share in [0, 1] of the labels decided in both orders; None where there is none."""
        return self.same_position / self.both_decided if self.both_decided else None

    @property
    def unparsed_rate(self) -> float | None:
        """Share in [0, 1] of the labels that the feedback model was asked for."""
        return self.unparsed / self.by_model if self.by_model else None

    def as_dict(self) -> dict[str, Any]:
        """Plain form, the shares included."""
        rates = {"same_position_rate": self.same_position_rate, "unparsed_rate": self.unparsed_rate}
        return {**asdict(self), **rates}


def count_labels(labels: Iterable[LabelRecord]) -> LabelCounts:
    """Count a run's labels."""
    verdicts: Counter[Verdict] = Counter()
    sources: Counter[str] = Counter()
    biases: list[float] = []
    decided = same = held_out = 0
    for label in labels:
        verdicts[label.verdict] += 1
        sources[label.label_source] += 1
        held_out += "split:held-out" in label.tags
        if label.position_bias is not None:
            biases.append(label.position_bias)
            leads = list_leads(label)
            if all(abs(lead) >= TIE_MARGIN for lead in leads):
                decided += 1
                same += leads[0] * leads[1] < 0
    return LabelCounts(
        comparisons=verdicts.total(),
        a=verdicts[Verdict.A],
        b=verdicts[Verdict.B],
        ties=verdicts[Verdict.TIE],
        unparsed=verdicts[Verdict.UNPARSED],
        human=sources["human"],
        by_revision=sources["revision"],
        by_model=sources["feedback-model"],
        both_orders=len(biases),
        both_decided=decided,
        same_position=same,
        mean_position_bias=sum(biases) / len(biases) if biases else None,
        held_out=held_out,
    )


def list_leads(label: LabelRecord) -> tuple[float, ...]:
    """How far each order asked leans to A, in [-1/2, 1/2]: with A shown first, shown second.

    Where the two have different signs, the same place is preferred whoever stands there.
    """
    told = (label.prob_a_first, label.prob_a_second)
    return tuple(prob - 0.5 for prob in told if prob is not None)
