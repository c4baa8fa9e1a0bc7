"""Cases whose value changed between two evaluations, with both texts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cai_core.evaluation.drift_side import Key, Side
from cai_core.evaluation.measures import get_measure

Way = Literal["worse", "better", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A case whose value changed.

    Attributes:
        before, after: values; yes is 1.
        conversation: turns before the responses of the candidate.
        before_text, after_text: the responses. before_row, after_row: of the judge's reasons, else
            of the responses.
    """

    measure: str
    way: Way
    prompt_id: str
    sample: int
    kind: str
    category: str
    intent: str
    conversation: tuple[Mapping[str, str], ...]
    before: float
    after: float
    before_text: str
    after_text: str
    before_row: str
    after_row: str


def list_flips(
    name: str, reader: str, baseline: Side, candidate: Side, keys: tuple[Key, ...]
) -> list[Flip]:
    """Flipped cases, the worse ones first, then by how far they moved.

    Of a yes or no those that changed, of a rating those by one and more; of words none.

    Args:
        reader: whose word, as `Side.values` names it.
    """
    measure = get_measure(name)
    if measure.unit == "words":
        return []
    least = 0.5 if measure.unit == "points" else 1.0
    one, two = (
        side.values[name][reader].take(side.find(keys)).tolist() for side in (baseline, candidate)
    )
    found = []
    for key, before, after in zip(keys, one, two, strict=True):
        # A comparison with nan is False: what could not be told has not flipped.
        if abs(after - before) >= least:
            rose = after > before
            way: Way = "changed"
            if measure.better is not None:
                way = "better" if rose is (measure.better == "higher") else "worse"
            lines = (baseline.lines[key], candidate.lines[key])
            found.append((way, -abs(after - before), _build_flip(name, way, before, after, lines)))
    ranked = sorted(found, key=lambda told: (told[0] != "worse", told[1]))
    return [flip for _, _, flip in ranked]


def _build_flip(
    name: str,
    way: Way,
    before: float,
    after: float,
    lines: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> Flip:
    one, two = lines
    return Flip(
        measure=name,
        way=way,
        prompt_id=str(two["prompt_id"]),
        sample=int(two["sample"]),
        kind=str(two["kind"]),
        category=str(two["category"]),
        intent=str(two["intent"]),
        conversation=tuple(two["conversation"]),
        before=before,
        after=after,
        before_text=str(one["response"]),
        after_text=str(two["response"]),
        before_row=str(one["response_row"]),
        after_row=str(two["response_row"]),
    )
