"""From a line about a comparison, or an answer about one, to what the index keeps of it. Pure.

The lines are those of outputs/labels.jsonl, of outputs/comparisons.jsonl as long as a run has no
labels yet, and of rows/label.<epoch>.jsonl: one answer of a feedback model each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cai_core.records import PromptKind, StepKind, Verdict
from cai_core.workspace.index.prepare import check_number, clean, parse_turns
from cai_core.workspace.journal import Line

# A comparison that is not labelled yet, where a label has its verdict.
PENDING = "pending"
# Comparisons without a label, of a run that has labels, have their places behind all of those.
BEHIND = 2**30
# What is worth knowing of a label, as in `evaluation.label_traits`: bits of a number, in order.
TRAITS = ("same-position", "near-tie", "longer", "shorter", "held-out", "reasoned")
_SOURCES = ("feedback-model", "human", "revision")
# The same bounds and bins as `evaluation.label_traits`, which a test holds them against.
_TIE_MARGIN, _NEAR_TIE = 0.1, 0.05
_CONFIDENCE_BINS, _BIAS_BINS = 10, 20
_NAMES = ("comparison_id", "prompt_id", "response_a", "response_b")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedComparison:
    """One comparison, ready to be indexed.

    Attributes:
        place: among the run's comparisons, from 0, or from BEHIND.
        principles: a JSON list of the ids asked about.
        verdict: a `Verdict`'s word, or PENDING.
        source: who prefers; empty while nobody does.
        traits: bits of TRAITS.
        prob_a, position_bias: as in the label; None where it has none.
        confidence_bin, bias_bin: from 0; None likewise.
        prompt, conversation: the last user turn, and all turns as one text.
    """

    comparison: str
    place: int
    position: int
    length: int
    principles: str
    verdict: str
    source: str
    kind: str
    model: str
    traits: int
    prob_a: float | None
    position_bias: float | None
    confidence_bin: int | None
    bias_bin: int | None
    prompt: str
    conversation: str
    response_a: str
    response_b: str

    @property
    def reasoned(self) -> bool:
        """Whether whoever labelled it gave reasons."""
        return bool(self.traits >> TRAITS.index("reasoned") & 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedAnswer:
    """Where an answer about a comparison lies.

    Attributes:
        place: of the comparison it is about.
    """

    place: int
    position: int
    length: int


def prepare_comparison(line: Line, place: int, *, labelled: bool) -> PreparedComparison:
    """Read one line of labels.jsonl (`labelled`) or of comparisons.jsonl.

    Raises:
        ValueError: it is damaged, or no such line: a field is missing or of another type.
    """
    if line.record is None:
        raise ValueError(line.damage)
    record = line.record
    try:
        told = _read_label(record) if labelled else _read_formed(record)
        texts = {name: _text(record[name]) for name in _NAMES}
        kind = PromptKind(record["prompt_kind"]).value
        turns = parse_turns({"conversation": record["conversation"]})
        tags = [_text(tag) for tag in record["tags"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"no comparison: {error!r}") from error
    if not turns:
        raise ValueError("conversation: has no turns")
    lead = len(texts["response_a"].split()) - len(texts["response_b"].split())
    return PreparedComparison(
        comparison=clean(texts["comparison_id"]),
        place=place,
        position=line.offset,
        length=line.length,
        principles=json.dumps([clean(name) for name in told.principles]),
        verdict=told.verdict,
        source=told.source,
        kind=kind,
        model=clean(told.model),
        traits=_build_traits(told, lead, held_out="split:held-out" in tags),
        prob_a=told.prob_a,
        position_bias=told.bias,
        confidence_bin=_bin(told.confidence, 0.0, 0.5, _CONFIDENCE_BINS),
        bias_bin=_bin(told.bias, -1.0, 1.0, _BIAS_BINS),
        prompt=turns[-1].content,
        conversation="\n\n".join(turn.content for turn in turns),
        response_a=texts["response_a"],
        response_b=texts["response_b"],
    )


def prepare_answer(line: Line) -> PreparedAnswer:
    """Read one line of rows/label.<epoch>.jsonl.

    Raises:
        ValueError: it is damaged, or no answer of a feedback model.
    """
    if line.record is None:
        raise ValueError(line.damage)
    # The rest of the row is read when somebody opens its comparison.
    place: Any = line.record.get("sample")
    if line.record.get("kind") != StepKind.LABEL or not isinstance(line.record.get("row_id"), str):
        raise ValueError("no answer of a feedback model")
    check_number(place)
    return PreparedAnswer(place=place, position=line.offset, length=line.length)


@dataclass(frozen=True, slots=True)
class _Told:
    verdict: str
    source: Literal["feedback-model", "human", "revision", ""]
    model: str
    principles: tuple[str, ...]
    reasoned: bool
    prob_a: float | None
    first: float | None
    second: float | None
    bias: float | None

    @property
    def confidence(self) -> float | None:
        asked = self.source == "feedback-model" and self.prob_a is not None
        return abs(self.prob_a - 0.5) if asked and self.prob_a is not None else None


def _read_label(record: Mapping[str, Any]) -> _Told:
    source = record["label_source"]
    if source not in _SOURCES:
        raise ValueError(f"label_source: {source!r} is none of {', '.join(_SOURCES)}")
    probs = [_share(record.get(name), 0.0) for name in ("prob_a", "prob_a_first", "prob_a_second")]
    return _Told(
        verdict=Verdict(record["verdict"]).value,
        source=source,
        model=_text(record.get("feedback_model") or ""),
        principles=tuple(_text(name) for name in record.get("principle_ids", ())),
        reasoned=record.get("reasoned") is True,
        prob_a=probs[0],
        first=probs[1],
        second=probs[2],
        bias=_share(record.get("position_bias"), -1.0),
    )


def _read_formed(record: Mapping[str, Any]) -> _Told:
    preferred = record.get("preferred")
    return _Told(
        verdict=PENDING if preferred is None else Verdict(preferred).value,
        source="" if preferred is None else "revision",
        model="",
        principles=tuple(_text(name) for name in record.get("principles") or ()),
        reasoned=False,
        prob_a=None,
        first=None,
        second=None,
        bias=None,
    )


def _build_traits(told: _Told, lead: int, *, held_out: bool) -> int:
    asked = told.source == "feedback-model"
    leans = [prob - 0.5 for prob in (told.first, told.second) if prob is not None]
    decided = len(leans) == 2 and all(abs(lean) >= _TIE_MARGIN for lean in leans)
    prefers = {"A": 1, "B": -1}.get(told.verdict, 0) * lead
    confidence = told.confidence
    holds = (
        decided and leans[0] * leans[1] < 0,
        confidence is not None and confidence < _NEAR_TIE,
        asked and prefers > 0,
        asked and prefers < 0,
        held_out,
        told.reasoned,
    )
    return sum(held << bit for bit, held in enumerate(holds))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _share(value: Any, low: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= 1:
        raise ValueError(f"{value!r} is no number from {low:g} to 1")
    return float(value)


def _bin(value: float | None, low: float, high: float, count: int) -> int | None:
    if value is None:
        return None
    # Edges are decimal: 0.15 / 0.05 must be 3, not 2.9999999999999996.
    return min(count - 1, max(0, int((value - low) / (high - low) * count + 1e-9)))
