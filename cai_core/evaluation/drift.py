"""What changed from one evaluation to another: per measure, with flipped cases and a gate. Pure.

A case is one prompt and sample that both evaluations have. Figures are those of such pairs alone;
intervals, p-values and the gate are `paired`'s, `corrections`' and `gate`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from cai_core.evaluation.bootstrap import Floats
from cai_core.evaluation.corrections import adjust_benjamini_hochberg, adjust_holm
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
from cai_core.evaluation.text_measures import split_words

Key = tuple[str, int]
Way = Literal["worse", "better", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One evaluation.

    Attributes:
        name: for people; `run` its id.
        header: metrics.json, of which suite, judge, template and sampling are looked at.
        lines: (prompt's id, sample) → its line of judgements.jsonl, with a response.
        values: measure → reader → (prompt's id, sample) → value; nan where it could not be told.
    """

    name: str
    run: str
    header: Mapping[str, Any]
    lines: Mapping[Key, Mapping[str, Any]]
    values: Mapping[str, Mapping[str, Mapping[Key, float]]]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One evaluation against another.

    Attributes:
        cases: pairs. unpaired: cases that only one side has, or that met an error.
        measures: those that both sides know, in the order of `MEASURES`, principles last.
        flips: measure → flipped cases, the worse ones first.
        warnings: what makes the comparison doubtful.
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
    values: dict[str, dict[str, dict[Key, float]]] = {}
    for key, line in held.items():
        for measure, reader, value in _list_values(line):
            values.setdefault(measure, {}).setdefault(reader, {})[key] = value
    return Side(name=name, run=run, header=header, lines=held, values=values)


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
    keys = [key for key in baseline.lines if key in candidate.lines]
    changes = compute_changes(baseline, (candidate,), keys=keys, reader=reader)
    listed = [(name, who, one) for name, (who, (one,)) in changes.items() if one is not None]
    raw = [change.p for _, _, change in listed]
    holm, hochberg = adjust_holm(raw), adjust_benjamini_hochberg(raw)
    flips = {
        name: tuple(_list_flips(name, who, baseline, candidate, keys)) for name, who, _ in listed
    }
    warnings = tuple(list_warnings(baseline, candidate))
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
                unknown=_count_known(name, who, baseline, candidate, keys) - change.n,
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
    keys: Sequence[Key] | None = None,
    reader: Reader | None = None,
) -> dict[str, tuple[Reader | None, tuple[PairedChange | None, ...]]]:
    """Measure → whose word, and how it changed from the baseline to each candidate.

    Args:
        keys: the cases; those of the baseline when None.
        reader: as in `compute_drift`.
    """
    cases = list(baseline.lines) if keys is None else list(keys)
    clusters = [str(baseline.lines[key]["intent"]) for key in cases]
    found: dict[str, tuple[Reader | None, tuple[PairedChange | None, ...]]] = {}
    for name in _order(baseline.values):
        who = _choose_reader(name, baseline, candidates, reader)
        if who is None:
            continue
        before = _take(baseline, name, who, cases)
        after = np.stack([_take(side, name, who, cases) for side in candidates], axis=1)
        changes = compute_paired_changes(clusters, before, after, span=get_measure(name).span)
        found[name] = (None if name == WORDS or name in _RATED else _as_reader(who), changes)
    return found


def list_warnings(baseline: Side, candidate: Side) -> list[str]:
    """Why two evaluations may differ for another reason than their models."""
    one, two = baseline.header, candidate.header
    told = []
    if (held := one["suite"]["hash"]) != (other := two["suite"]["hash"]):
        told.append(
            f"the suites differ: {one['suite']['name']}@{held[:12]} and "
            f"{two['suite']['name']}@{other[:12]}; only prompts that both have are compared"
        )
    told += _compare_judges(one.get("judge"), two.get("judge"))
    if one["sampling"] != two["sampling"]:
        told.append(f"the sampling differs: {one['sampling']} and {two['sampling']}")
    if one["samples"] != two["samples"]:
        told.append(
            f"{one['samples']} and {two['samples']} samples of each prompt: those that both have "
            "are compared"
        )
    if one.get("constitution") != two.get("constitution"):
        told.append("adherence was asked by different constitutions")
    for side in (baseline, candidate):
        told += [f"{side.name}: {caution}" for caution in side.header.get("cautions", ())]
    return told


_RATED = frozenset(name for name, measure in MEASURES.items() if measure.unit == "scale")


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


def _take(side: Side, name: str, reader: str, keys: Sequence[Key]) -> Floats:
    values = side.values[name][reader]
    return np.array([values.get(key, np.nan) for key in keys], dtype=np.float64)


def _count_known(
    name: str, reader: Reader | None, baseline: Side, candidate: Side, keys: Sequence[Key]
) -> int:
    """Cases in which both were asked, whether or not they could be read."""
    who = _name(name, reader)
    one, two = baseline.values[name][who], candidate.values[name][who]
    return sum(key in one and key in two for key in keys)


def _name(name: str, reader: Reader | None) -> str:
    """As values are kept: a rating's reader is the judge, words have none."""
    if name == WORDS:
        return ""
    return "judge" if name in _RATED else str(reader)


def _test(name: str, change: PairedChange) -> float | None:
    if get_measure(name).unit != "points":
        return None
    return compute_mcnemar(change.rose, change.fell)


def _list_flips(
    name: str, reader: Reader | None, baseline: Side, candidate: Side, keys: Sequence[Key]
) -> list[Flip]:
    """Of a yes or no those that changed, of a rating those by one and more; of words none."""
    measure = get_measure(name)
    if measure.unit == "words":
        return []
    least = 0.5 if measure.unit == "points" else 1.0
    who = _name(name, reader)
    one, two = baseline.values[name][who], candidate.values[name][who]
    found = []
    for key in keys:
        before, after = one.get(key, float("nan")), two.get(key, float("nan"))
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


def _compare_judges(one: Mapping[str, Any] | None, two: Mapping[str, Any] | None) -> list[str]:
    if one is None and two is None:
        return []
    if one is None or two is None:
        return ["only one of them was judged"]
    told = []
    same = one["model_id"] == two["model_id"]
    if one["weights_hash"] is not None and two["weights_hash"] is not None:
        same = one["weights_hash"] == two["weights_hash"]
    if not same:
        told.append(f"the judges differ: {one['name']} and {two['name']}")
    if one["template"] != two["template"]:
        told.append(f"the judge's templates differ: {one['template']} and {two['template']}")
    if one["rubric_hash"] != two["rubric_hash"]:
        told.append(f"the rubrics differ: {one['rubric']} and {two['rubric']}")
    return told
