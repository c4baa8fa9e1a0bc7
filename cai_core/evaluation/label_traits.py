"""What is worth knowing of one label before anyone trains on it, and filters over it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from cai_core.pipeline.label_counts import list_leads
from cai_core.pipeline.label_records import LabelRecord
from cai_core.pipeline.labels import TIE_MARGIN
from cai_core.records import Verdict

Trait = Literal[
    "same-position",
    "near-tie",
    "truth",
    "wrong",
    "longer",
    "shorter",
    "principles-differ",
    "runs-differ",
    "held-out",
]
TRAITS: tuple[Trait, ...] = get_args(Trait)
TruthSource = Literal["person", "oracle"]
# A label this near to even says next to nothing to a trainer: ours.
NEAR_TIE = 0.05
# Confidence lies in [0, 1/2], position bias in [-1, 1].
CONFIDENCE_BINS, BIAS_BINS = 10, 20
_NO_VERDICTS: Mapping[str, Verdict] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a label should have been: A, B or a tie.

    Attributes:
        by: a person's label of the same comparison, or the demo world's oracle.
        group: comparisons of one group stand or fall together (those of one intent, say).
    """

    verdict: Verdict
    by: TruthSource
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedLabel:
    """A label with all that is known of it.

    Attributes:
        place: in the run's labels, from 0.
        group: see `Truth`; the prompt's text where there is no truth.
        confidence: |prob_a − 1/2| of a feedback model's label, in [0, 1/2]; else None.
        length_lead: words of response A less those of B.
        by_principle: principle → its own verdict, where several were asked about.
        other: what another run says of the same comparison; None where it says nothing.
        traits: `same-position`: both orders say more than a tie, and prefer the same place
            whoever stands there; `near-tie`: a confidence below `NEAR_TIE`; `truth`: there is one
            to compare with; `wrong`: the verdict is not it; `longer`, `shorter`: which response
            the feedback model prefers; `principles-differ`, `runs-differ`: their verdicts are not
            all the same.
    """

    place: int
    label: LabelRecord
    truth: Truth | None
    group: str
    confidence: float | None
    length_lead: int
    by_principle: Mapping[str, Verdict] = field(default_factory=dict)
    other: Verdict | None = None
    traits: frozenset[Trait] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFilter:
    """Which labels are asked for; an empty field asks for nothing.

    Attributes:
        verdict, source, kind: a value of `Verdict`, `LabelSource`, `PromptKind`.
        principle: id of one that was asked about.
        only: traits that it must have, all of them.
        confidence, bias: number of a bin, in [0, CONFIDENCE_BINS) and [0, BIAS_BINS).
        text: words in the prompt or a response, in any case.
    """

    verdict: str = ""
    principle: str = ""
    source: str = ""
    kind: str = ""
    only: tuple[Trait, ...] = ()
    confidence: int | None = None
    bias: int | None = None
    text: str = ""

    def describe(self) -> str:
        """The filter in words, e.g. `verdict tie; only near-tie`; empty where it asks nothing."""
        told = {
            "verdict": self.verdict,
            "principle": self.principle,
            "label source": self.source,
            "prompt kind": self.kind,
            "only": " and ".join(self.only),
            "confidence": _describe_bin(self.confidence, 0.0, 0.5, CONFIDENCE_BINS),
            "position bias": _describe_bin(self.bias, -1.0, 1.0, BIAS_BINS),
            "text": f'"{self.text}"' if self.text else "",
        }
        return "; ".join(f"{name} {value}" for name, value in told.items() if value)


def examine_labels(
    labels: Iterable[LabelRecord],
    truths: Mapping[str, Truth],
    *,
    by_principle: Mapping[str, Mapping[str, Verdict]] | None = None,
    other: Mapping[str, Verdict] | None = None,
) -> tuple[ExaminedLabel, ...]:
    """Examine a run's labels.

    Args:
        truths: by comparison id. A person's own label is not compared with any.
        by_principle: comparison id → principle id → verdict.
        other: comparison id → verdict of another run.
    """
    principles, others = by_principle or {}, other or {}
    return tuple(
        _examine(
            place,
            label,
            truths.get(label.comparison_id) if label.label_source != "human" else None,
            principles.get(label.comparison_id, _NO_VERDICTS),
            others.get(label.comparison_id),
        )
        for place, label in enumerate(labels)
    )


def select_labels(examined: Iterable[ExaminedLabel], chosen: LabelFilter) -> list[ExaminedLabel]:
    """Those that the filter asks for, in their order."""
    words = chosen.text.casefold()
    return [one for one in examined if _holds(one, chosen, words)]


def find_bin(value: float, low: float, high: float, count: int) -> int:
    """Number of the bin of a value in [low, high]; the top edge belongs to the last bin."""
    # Bin edges are decimal: 0.15 / 0.05 must be 3, not 2.9999999999999996.
    return min(count - 1, max(0, int((value - low) / (high - low) * count + 1e-9)))


def find_confidence_bin(one: ExaminedLabel) -> int | None:
    """Number of its bin of confidence; None where it has none."""
    return None if one.confidence is None else find_bin(one.confidence, 0.0, 0.5, CONFIDENCE_BINS)


def find_bias_bin(one: ExaminedLabel) -> int | None:
    """Number of its bin of position bias; None where one order was asked."""
    bias = one.label.position_bias
    return None if bias is None else find_bin(bias, -1.0, 1.0, BIAS_BINS)


def _examine(
    place: int,
    label: LabelRecord,
    truth: Truth | None,
    by_principle: Mapping[str, Verdict],
    other: Verdict | None,
) -> ExaminedLabel:
    asked = label.label_source == "feedback-model"
    confidence = abs(label.prob_a - 0.5) if asked and label.prob_a is not None else None
    lead = len(label.response_a.split()) - len(label.response_b.split())
    leads = list_leads(label)
    decided = len(leads) == 2 and all(abs(one) >= TIE_MARGIN for one in leads)
    prefers = {Verdict.A: 1, Verdict.B: -1}.get(label.verdict, 0) * lead
    told: dict[Trait, bool] = {
        "same-position": decided and leads[0] * leads[1] < 0,
        "near-tie": confidence is not None and confidence < NEAR_TIE,
        "truth": truth is not None,
        "wrong": truth is not None and label.verdict is not truth.verdict,
        "longer": asked and prefers > 0,
        "shorter": asked and prefers < 0,
        "principles-differ": len(set(by_principle.values())) > 1,
        "runs-differ": other is not None and other is not label.verdict,
        "held-out": "split:held-out" in label.tags,
    }
    return ExaminedLabel(
        place=place,
        label=label,
        truth=truth,
        group=truth.group if truth is not None else label.conversation[-1].content,
        confidence=confidence,
        length_lead=lead,
        by_principle=by_principle,
        other=other,
        traits=frozenset(trait for trait, holds in told.items() if holds),
    )


def _holds(one: ExaminedLabel, chosen: LabelFilter, words: str) -> bool:
    label = one.label
    if chosen.verdict and label.verdict != chosen.verdict:
        return False
    if chosen.source and label.label_source != chosen.source:
        return False
    if chosen.kind and label.prompt_kind != chosen.kind:
        return False
    if chosen.principle and chosen.principle not in label.principle_ids:
        return False
    if not one.traits.issuperset(chosen.only):
        return False
    if chosen.confidence is not None and find_confidence_bin(one) != chosen.confidence:
        return False
    if chosen.bias is not None and find_bias_bin(one) != chosen.bias:
        return False
    if not words:
        return True
    texts = (*(turn.content for turn in label.conversation), label.response_a, label.response_b)
    return any(words in text.casefold() for text in texts)


def _describe_bin(number: int | None, low: float, high: float, count: int) -> str:
    if number is None:
        return ""
    width = (high - low) / count
    return f"{low + number * width:.2f} to {low + (number + 1) * width:.2f}"
