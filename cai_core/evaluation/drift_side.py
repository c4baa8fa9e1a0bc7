"""One evaluation as comparisons need it: its lines by case, its values as columns. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cai_core.evaluation.bootstrap import Floats
from cai_core.evaluation.measures import KEEPS, WORDS
from cai_core.evaluation.text_measures import split_words

# A prompt's id, and the sample.
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Column:
    """What one reader says of an evaluation's lines, in one measure.

    Attributes:
        told: values, yes being 1; nan where it could not tell, or was not asked. Shape (lines,).
        asked: whether it was. Shape (lines,).
    """

    told: Floats
    asked: npt.NDArray[np.bool_]

    def take(self, places: npt.NDArray[np.int64]) -> Floats:
        """The values at these places; nan for a place of -1. Shape (places,)."""
        taken: Floats = np.where(places >= 0, self.told[places], np.nan)
        return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One evaluation.

    Attributes:
        name: for people; `run` its id.
        header: metrics.json, of which suite, judge, template and sampling are looked at.
        lines: (prompt's id, sample) → its line of judgements.jsonl, with a response.
        keys: of the lines, in their order.
        values: measure → reader → what it says of each line; the reader of words is "".
    """

    name: str
    run: str
    header: Mapping[str, Any]
    lines: Mapping[Key, Mapping[str, Any]]
    keys: tuple[Key, ...]
    values: Mapping[str, Mapping[str, Column]]

    def find(self, keys: tuple[Key, ...]) -> npt.NDArray[np.int64]:
        """The place of each key among this side's; -1 where it has none. Shape (keys,)."""
        if keys == self.keys:
            return np.arange(len(keys))
        places = {key: place for place, key in enumerate(self.keys)}
        return np.array([places.get(key, -1) for key in keys], dtype=np.int64)


def build_side(
    name: str, run: str, header: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]
) -> Side:
    """Sort an evaluation's lines.

    Args:
        lines: of judgements.jsonl; those without a response are left out.
    """
    held = {
        (str(line["prompt_id"]), int(line["sample"])): line
        for line in lines
        if line["response"] is not None
    }
    columns: dict[str, dict[str, Column]] = {}
    for place, line in enumerate(held.values()):
        for measure, reader, value in _list_values(line):
            readers = columns.setdefault(measure, {})
            if reader not in readers:
                readers[reader] = Column(np.full(len(held), np.nan), np.zeros(len(held), np.bool_))
            readers[reader].told[place] = value
            readers[reader].asked[place] = True
    return Side(name=name, run=run, header=header, lines=held, keys=tuple(held), values=columns)


def _list_values(line: Mapping[str, Any]) -> Iterable[tuple[str, str, float]]:
    """(measure, reader, value) of a line; a rating's reader is the judge, words have none."""
    for measure, told in line["verdicts"].items():
        for reader, shown in told.items():
            yield measure, reader, _as_number(shown)
    for measure, value in line["ratings"].items():
        yield measure, "judge", _as_number(value)
    for principle, told in line["keeps"].items():
        for reader, kept in told.items():
            yield f"{KEEPS}{principle}", reader, _as_number(kept)
    yield WORDS, "", float(len(split_words(line["response"])))


def _as_number(value: Any) -> float:
    return float("nan") if value is None else float(value)
