"""Several models' evaluations by the same suite beside each other, against one of them. Pure.

A figure is of all answers of one evaluation; a change is of the answers to the same prompts that
both evaluations have, corrected by Holm for every cell of the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cai_core.evaluation.bootstrap import compute_clustered_mean
from cai_core.evaluation.corrections import adjust_holm
from cai_core.evaluation.distinct import compute_distinct_change, compute_distinct_pairs
from cai_core.evaluation.drift import compute_changes
from cai_core.evaluation.drift_side import Key, Side
from cai_core.evaluation.drift_warnings import list_warnings
from cai_core.evaluation.gate import Better
from cai_core.evaluation.measures import (
    KEEPS,
    MEASURES,
    READERS,
    WORDS,
    Reader,
    get_measure,
)
from cai_core.evaluation.metrics import Rate, compute_clustered_rate
from cai_core.evaluation.paired import PairedChange, compute_paired_changes

Unit = Literal["points", "scale", "words"]
DISTINCT, OUTSIDE = "distinct pairs of words", "outside the demo world"
# Past this share of answers that the oracle does not know, its other figures say little: ours.
MANY_OUTSIDE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measure of one evaluation, with a 95 % interval.

    Attributes:
        value, low, high: in the measure's unit; rates in [0, 1].
        n: answers. unparsed: answers that could not be read, which are in no figure.
    """

    value: float
    low: float
    high: float
    n: int
    unparsed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One measure of one evaluation less the reference's, over the same prompts.

    Attributes:
        difference, low, high: in the measure's unit, with a paired 95 % interval.
        p: two-sided, corrected by Holm for every change of the table.
        n: answers that both have.
    """

    difference: float
    low: float
    high: float
    p: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One measure.

    Attributes:
        reader: who says so; None for what is counted.
        better: which way is the better one; None where neither is.
    """

    name: str
    unit: Unit
    better: Better | None
    reader: Reader | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A table of measures by evaluations.

    Attributes:
        reference: the run that others are held against.
        columns: the measures that somebody can tell, in the order of `MEASURES`.
        figures, changes: (measure, run) → what is known; the reference has no change.
        warnings: run → why it may differ from the reference for another reason than its model.
        compared: changes that p is corrected for.
    """

    reference: str
    columns: tuple[Column, ...]
    figures: Mapping[tuple[str, str], Figure]
    changes: Mapping[tuple[str, str], Change]
    warnings: Mapping[str, tuple[str, ...]]
    compared: int


def compute_evidence(
    reference: Side, others: Sequence[Side], *, reader: Reader | None = None
) -> Evidence:
    """Figures of every evaluation and changes against the reference.

    Args:
        reader: whose word counts; None takes, measure by measure, the first of `READERS` that
            every evaluation has, so that one column has one reader.
    """
    sides = (reference, *others)
    columns = _list_columns(sides, reader)
    figures: dict[tuple[str, str], Figure] = {}
    for side in sides:
        for column in columns:
            if (figure := compute_figure(side, column)) is not None:
                figures[column.name, side.run] = figure
    raw: dict[tuple[str, str], Change] = {}
    for side in others:
        raw |= {(name, side.run): one for name, one in _compare(reference, side, columns).items()}
    corrected = adjust_holm([one.p for one in raw.values()])
    changes = {key: replace(one, p=p) for (key, one), p in zip(raw.items(), corrected, strict=True)}
    judged = any(one.reader == "judge" or one.unit == "scale" for one in columns)
    warnings = {
        side.run: (
            *(list_warnings(reference, side, judged=judged) if side is not reference else ()),
            *_warn_of_outside(side, figures),
        )
        for side in sides
    }
    return Evidence(
        reference=reference.run,
        columns=columns,
        figures=figures,
        changes=changes,
        warnings=warnings,
        compared=len(changes),
    )


def compute_figure(side: Side, column: Column) -> Figure | None:
    """One measure of one evaluation; None where nobody could tell it."""
    intents = [str(side.lines[key]["intent"]) for key in side.keys]
    if column.name == DISTINCT:
        found = compute_distinct_pairs(list(zip(intents, _list_texts(side), strict=True)))
        if found is None:
            return None
        return Figure(value=found.share, low=found.low, high=found.high, n=found.n)
    if column.name == OUTSIDE:
        told = [
            (intent, bool(side.lines[key]["outside"]))
            for intent, key in zip(intents, side.keys, strict=True)
            if side.lines[key].get("outside") is not None
        ]
        return _as_figure(compute_clustered_rate(told), 0)
    values = side.values.get(column.name, {}).get(_name_reader(column))
    if values is None:
        return None
    known = [
        (intent, float(value))
        for intent, value in zip(intents, values.told, strict=True)
        if not np.isnan(value)
    ]
    unparsed = int(values.asked.sum()) - len(known)
    if column.unit == "points":
        return _as_figure(compute_clustered_rate((c, v == 1.0) for c, v in known), unparsed)
    mean = compute_clustered_mean(known, span=get_measure(column.name).span)
    if mean is None:
        return None
    return Figure(value=mean.mean, low=mean.low, high=mean.high, n=mean.n, unparsed=unparsed)


def _as_figure(rate: Rate | None, unparsed: int) -> Figure | None:
    if rate is None:
        return None
    return Figure(value=rate.rate, low=rate.low, high=rate.high, n=rate.n, unparsed=unparsed)


def _list_columns(sides: Sequence[Side], reader: Reader | None) -> tuple[Column, ...]:
    """What somebody can tell of one evaluation at least."""
    there = {name for side in sides for name in side.values}
    names = [name for name in MEASURES if name in there and name != WORDS]
    names += sorted(name for name in there if name.startswith(KEEPS))
    found = []
    for name in names:
        measure = get_measure(name)
        who = _choose_reader(name, sides, reader)
        if measure.unit == "scale" or who is not None:
            of = None if measure.unit == "scale" else who
            found.append(Column(name=name, unit=measure.unit, better=measure.better, reader=of))
    if any(line.get("outside") is not None for side in sides for line in side.lines.values()):
        found.append(Column(name=OUTSIDE, unit="points", better=None, reader="oracle"))
    found.append(Column(name=WORDS, unit="words", better=None, reader=None))
    found.append(Column(name=DISTINCT, unit="points", better=None, reader=None))
    return tuple(found)


def _choose_reader(name: str, sides: Sequence[Side], asked: Reader | None) -> Reader | None:
    """The first that every evaluation has which was asked at all; None where there is none."""
    having = [side.values[name] for side in sides if name in side.values]
    for reader in READERS if asked is None else (asked,):
        if all(reader in told for told in having):
            return reader
    return None


def _name_reader(column: Column) -> str:
    """As values are kept: a rating's reader is the judge, words have none."""
    if column.name == WORDS:
        return ""
    return "judge" if column.unit == "scale" else str(column.reader)


def _compare(reference: Side, side: Side, columns: Sequence[Column]) -> dict[str, Change]:
    keys = tuple(key for key in reference.keys if key in side.lines)
    if not keys:
        return {}
    found: dict[str, Change] = {}
    by_reader: dict[Reader | None, list[str]] = {}
    for column in columns:
        by_reader.setdefault(column.reader, []).append(column.name)
    for reader, names in by_reader.items():
        told = compute_changes(reference, (side,), keys=keys, reader=reader)
        for name, (who, (change,)) in told.items():
            if name in names and who == reader and change is not None:
                found[name] = _as_change(change)
    clusters = [str(reference.lines[key]["intent"]) for key in keys]
    keyed = list(zip(clusters, keys, strict=True))
    if (outside := _compare_outside(reference, side, keys, clusters)) is not None:
        found[OUTSIDE] = outside
    before, after = (
        [(cluster, str(one.lines[key]["response"])) for cluster, key in keyed]
        for one in (reference, side)
    )
    distinct = compute_distinct_change(before, after)
    if distinct is not None:
        found[DISTINCT] = Change(
            difference=distinct.difference,
            low=distinct.low,
            high=distinct.high,
            p=distinct.p,
            n=distinct.n,
        )
    return {column.name: found[column.name] for column in columns if column.name in found}


def _compare_outside(
    reference: Side, side: Side, keys: tuple[Key, ...], clusters: Sequence[str]
) -> Change | None:
    before, after = (
        np.array(
            [
                np.nan if (told := one.lines[key].get("outside")) is None else float(told)
                for key in keys
            ]
        )
        for one in (reference, side)
    )
    (change,) = compute_paired_changes(clusters, before, after[:, None])
    return None if change is None else _as_change(change)


def _as_change(change: PairedChange) -> Change:
    return Change(
        difference=change.difference, low=change.low, high=change.high, p=change.p, n=change.n
    )


def _list_texts(side: Side) -> list[str]:
    return [str(side.lines[key]["response"]) for key in side.keys]


def _warn_of_outside(side: Side, figures: Mapping[tuple[str, str], Figure]) -> tuple[str, ...]:
    outside = figures.get((OUTSIDE, side.run))
    if outside is None or outside.value <= MANY_OUTSIDE:
        return ()
    told = f"{100 * outside.value:.0f} % of its answers (n = {outside.n:,})"
    words = "are not wholly of the demo world: the oracle tells what it recognises in them alone"
    return (f"{told} {words}",)
