"""How often each value of a field occurs, and which combinations a filter chooses. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cai_core.workspace.index.blocks import Array, Bools
from cai_core.workspace.index.columns import Columns, RunFacts

# Values of one field that are told; the chosen ones are always among them.
MOST_VALUES = 200

Counts = tuple[tuple[str, int], ...]
# A combination (with its id and run number) and its run → the values that it has of a field.
Reader = Callable[[tuple[Any, ...], RunFacts], Collection[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """The values of one field: pairs of a combination and one of its values.

    Attributes:
        values: the words; pairs hold their places in it.
    """

    values: tuple[str, ...]
    combinations: Array
    codes: Array

    def choose(self, size: int, wanted: str) -> Bools:
        """The combinations that have a value."""
        chosen = np.zeros(size, bool)
        if wanted in self.values:
            code = self.values.index(wanted)
            chosen[self.combinations[self.codes == code]] = True
        return chosen

    def count(self, counts: Array) -> list[tuple[str, int]]:
        """Each value that occurs, with its rows."""
        if not len(self.codes):
            return []
        weights = counts[self.combinations].astype(np.float64)  # exact up to 2^53
        found = np.bincount(self.codes, weights=weights, minlength=len(self.values))
        return [(self.values[at], int(found[at])) for at in np.flatnonzero(found)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a filter asks of the fields.

    Attributes:
        every: combinations that every filter leaves.
        others: field → those that every filter but its own leaves.
    """

    every: Bools
    others: dict[str, Bools]


class FieldCache:
    """The fields of a list, read off its combinations once. Any thread may ask."""

    def __init__(self, readers: Mapping[str, Reader]):
        self._readers = readers
        self._held: tuple[Columns, dict[str, Field]] | None = None

    def load(self, columns: Columns) -> dict[str, Field]:
        """The fields as they are in these columns."""
        held = self._held
        if held is not None and held[0] is columns:
            return held[1]
        if held is not None and not _goes_on(held[0], columns):
            held = None
        if held is not None and len(held[0].combinations) == len(columns.combinations):
            self._held = (columns, held[1])
            return held[1]
        start = 0 if held is None else len(held[0].combinations)
        fields = {
            name: _build_field(columns, read, None if held is None else held[1][name], start)
            for name, read in self._readers.items()
        }
        self._held = (columns, fields)
        return fields


def choose(fields: Mapping[str, Field], size: int, wanted: Mapping[str, Sequence[str]]) -> Chosen:
    """Which combinations a filter leaves.

    Args:
        size: combinations, with the one that is none's.
        wanted: field → values that a row must have, all of them; none asks nothing.
    """
    masks = {
        name: [fields[name].choose(size, value) for value in values]
        for name, values in wanted.items()
        if values
    }

    def meet(without: str = "") -> Bools:
        met = np.ones(size, bool)
        met[0] = False
        for name, some in masks.items():
            for mask in some if name != without else ():
                met &= mask
        return met

    every = meet()
    others = {name: meet(name) if name in masks else every for name in fields}
    return Chosen(every=every, others=others)


def count_values(field: Field, counts: Array, chosen: Bools, kept: Iterable[str]) -> Counts:
    """The most frequent values among the chosen combinations, by falling count."""
    return rank(field.count(np.where(chosen, counts, 0)), kept)


def rank(found: Sequence[tuple[str, int]], kept: Iterable[str]) -> Counts:
    """By falling count, then by word; MOST_VALUES of them, and those to be kept."""
    ranked = sorted(found, key=lambda pair: (-pair[1], pair[0]))
    held = set(kept)
    more = [pair for pair in ranked[MOST_VALUES:] if pair[0] in held]
    return tuple(ranked[:MOST_VALUES] + more)


def _goes_on(before: Columns, columns: Columns) -> bool:
    """Whether combinations were only added."""
    count = len(before.combinations)
    same = columns.combinations[:count] == before.combinations
    return same and columns.runs == before.runs


def _build_field(columns: Columns, read: Reader, held: Field | None, start: int) -> Field:
    places = {} if held is None else {value: at for at, value in enumerate(held.values)}
    combinations, codes = [], []
    for combination in columns.combinations[start:]:
        # Rows of a run that is gone are counted under no value.
        run = columns.runs.get(combination[1])
        for value in () if run is None else read(combination, run):
            if value:
                combinations.append(combination[0])
                codes.append(places.setdefault(value, len(places)))
    more = (np.array(combinations, np.int64), np.array(codes, np.int64))
    if held is not None:
        before = (held.combinations, held.codes)
        more = (np.concatenate((before[0], more[0])), np.concatenate((before[1], more[1])))
    return Field(values=tuple(places), combinations=more[0], codes=more[1])
