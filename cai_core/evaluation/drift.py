"""What changed from one evaluation to another: per measure, with flipped cases and a gate. Pure.

A case is one prompt and sample that both evaluations have. Figures are those of such pairs alone;
intervals, p-values and the gate are `paired`'s, `corrections`' and `gate`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from cai_core.evaluation.corrections import adjust_benjamini_hochberg, adjust_holm
from cai_core.evaluation.drift_flips import Flip, list_flips
from cai_core.evaluation.drift_side import Key, Side
from cai_core.evaluation.drift_warnings import list_warnings
from cai_core.evaluation.gate import Gate, Threshold, compute_gate
from cai_core.evaluation.measures import (
    KEEPS,
    MEASURES,
    READERS,
    THRESHOLDS,
    WORDS,
    Reader,
    get_measure,
)
from cai_core.evaluation.paired import PairedChange, compute_mcnemar, compute_paired_changes


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureDrift:
    """How one measure changed.

    Attributes:
        reader: who says so; None for a measure that nobody reads, such as words.
        change: paired, see `paired.PairedChange`.
        mcnemar: exact p-value of yes and no, clusters aside; None for other values.
        p: the change's, corrected by Holm over all measures of the comparison; `q` by Benjamini
            and Hochberg.
        unknown: cases that both have, and of which a side could not be told.
        worse, better: flipped cases; 0 where no way is the better one.
    """

    measure: str
    reader: Reader | None
    change: PairedChange
    mcnemar: float | None
    p: float
    q: float
    unknown: int
    worse: int
    better: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One evaluation against another.

    Attributes:
        cases: pairs. unpaired: cases that only one side has, or that met an error.
        measures: those that both sides know, in the order of `MEASURES`, principles last.
        flips: measure → flipped cases, the worse ones first.
        warnings: what makes the comparison doubtful, and the gate a warning at best: differences
            other than the model, and cautions of the two evaluations.
    """

    baseline: str
    candidate: str
    cases: int
    unpaired: int
    measures: tuple[MeasureDrift, ...]
    flips: Mapping[str, tuple[Flip, ...]]
    warnings: tuple[str, ...]
    gate: Gate
    sides: tuple[str, str] = field(default=("", ""))

    def as_dict(self, *, most_flips: int | None = None) -> dict[str, Any]:
        """Plain form, for JSON.

        Args:
            most_flips: of each measure; None for all.
        """
        return {
            "baseline": {"name": self.baseline, "run": self.sides[0]},
            "candidate": {"name": self.candidate, "run": self.sides[1]},
            "cases": self.cases,
            "unpaired": self.unpaired,
            "measures": [asdict(one) for one in self.measures],
            "flips": {
                name: [asdict(flip) for flip in flips[:most_flips]]
                for name, flips in self.flips.items()
            },
            "warnings": list(self.warnings),
            "gate": asdict(self.gate),
        }


def compute_drift(
    baseline: Side,
    candidate: Side,
    *,
    reader: Reader | None = None,
    thresholds: Sequence[Threshold] = THRESHOLDS,
) -> Drift:
    """Compare two evaluations.

    Args:
        reader: whose word counts; None takes, measure by measure, the first of `READERS` that both
            sides have.
        thresholds: of the gate; those of measures that neither side has are left out.

    Raises:
        ValueError: no threshold is left, or two are of one metric.
    """
    keys = tuple(key for key in baseline.keys if key in candidate.lines)
    changes = compute_changes(baseline, (candidate,), keys=keys, reader=reader)
    listed = [(name, who, one) for name, (who, (one,)) in changes.items() if one is not None]
    raw = [change.p for _, _, change in listed]
    holm, hochberg = adjust_holm(raw), adjust_benjamini_hochberg(raw)
    flips = {
        name: tuple(list_flips(name, _name(name, who), baseline, candidate, keys))
        for name, who, _ in listed
    }
    judged = any(who == "judge" or name in _RATED for name, who, _ in listed)
    warnings = tuple(list_warnings(baseline, candidate, judged=judged))
    known = {name for side in (baseline, candidate) for name in side.values}
    held = [one for one in thresholds if one.metric in known]
    return Drift(
        baseline=baseline.name,
        candidate=candidate.name,
        cases=len(keys),
        unpaired=len(baseline.lines.keys() | candidate.lines.keys()) - len(keys),
        measures=tuple(
            MeasureDrift(
                measure=name,
                reader=who,
                change=change,
                mcnemar=_test(name, change),
                p=p,
                q=q,
                unknown=_count_asked(name, who, baseline, candidate, keys) - change.n,
                worse=sum(flip.way == "worse" for flip in flips[name]),
                better=sum(flip.way == "better" for flip in flips[name]),
            )
            for (name, who, change), p, q in zip(listed, holm, hochberg, strict=True)
        ),
        flips=flips,
        warnings=warnings,
        gate=compute_gate({name: change for name, _, change in listed}, held, cautions=warnings),
        sides=(baseline.run, candidate.run),
    )


def compute_changes(
    baseline: Side,
    candidates: Sequence[Side],
    *,
    keys: tuple[Key, ...] | None = None,
    reader: Reader | None = None,
) -> dict[str, tuple[Reader | None, tuple[PairedChange | None, ...]]]:
    """Measure → whose word, and how it changed from the baseline to each candidate.

    Args:
        keys: the cases; those of the baseline when None.
        reader: as in `compute_drift`.
    """
    cases = baseline.keys if keys is None else keys
    clusters = [str(baseline.lines[key]["intent"]) for key in cases]
    places = [side.find(cases) for side in (baseline, *candidates)]
    found: dict[str, tuple[Reader | None, tuple[PairedChange | None, ...]]] = {}
    for name in _order(baseline.values):
        who = _choose_reader(name, baseline, candidates, reader)
        if who is None:
            continue
        before, *others = (
            side.values[name][who].take(at)
            for side, at in zip((baseline, *candidates), places, strict=True)
        )
        after = np.stack(others, axis=1)
        changes = compute_paired_changes(clusters, before, after, span=get_measure(name).span)
        found[name] = (None if name == WORDS or name in _RATED else _as_reader(who), changes)
    return found


_RATED = frozenset(name for name, measure in MEASURES.items() if measure.unit == "scale")


def _order(names: Iterable[str]) -> list[str]:
    there = set(names)
    principles = sorted(name for name in there if name.startswith(KEEPS))
    return [*(name for name in MEASURES if name in there), *principles]


def _choose_reader(
    name: str, baseline: Side, candidates: Sequence[Side], asked: Reader | None
) -> str | None:
    """Whose word both sides have; None where nobody's."""
    sides = [baseline.values.get(name, {}), *(side.values.get(name, {}) for side in candidates)]
    if name == WORDS:
        return "" if all("" in side for side in sides) else None
    for reader in READERS if asked is None else (asked,):
        if all(reader in side for side in sides):
            return reader
    return None


def _as_reader(name: str) -> Reader | None:
    return next((reader for reader in READERS if reader == name), None)


def _count_asked(
    name: str, reader: Reader | None, baseline: Side, candidate: Side, keys: tuple[Key, ...]
) -> int:
    """Cases in which both were asked, whether or not they could be read."""
    who = _name(name, reader)
    one, two = (side.values[name][who].asked[side.find(keys)] for side in (baseline, candidate))
    return int((one & two).sum())


def _name(name: str, reader: Reader | None) -> str:
    """As values are kept: a rating's reader is the judge, words have none."""
    if name == WORDS:
        return ""
    return "judge" if name in _RATED else str(reader)


def _test(name: str, change: PairedChange) -> float | None:
    if get_measure(name).unit != "points":
        return None
    return compute_mcnemar(change.rose, change.fell)
