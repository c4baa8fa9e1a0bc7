"""The first parts of a report: the verdict, the figures, what changed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cai_core.evaluation.drift import Drift, MeasureDrift
from cai_core.evaluation.gate import MetricVerdict
from cai_core.evaluation.measures import HIGHEST_RATING, KEEPS, READERS, WORDS, get_measure
from cai_core.reports.blocks import Block, Heading, Items, Picture, Section, Table, Tone, Words
from cai_core.reports.charts import Group, Interval, draw_changes, draw_values
from cai_core.reports.figures import NONE, tell_change, tell_figure, tell_p, tell_value
from cai_core.reports.report import Evaluated, Report

_SAID: Mapping[str, str] = {
    "pass": "Pass: may take the baseline’s place",
    "warn": "Warning: look before it takes the baseline’s place",
    "fail": "Fail: got worse by more than it may",
}
_TONES: Mapping[str, Tone] = {"pass": "pass", "warn": "warn", "fail": "fail"}
_WAYS = {"lower": "lower is better", "higher": "higher is better", None: "neither way is better"}
Figure = Mapping[str, Any] | None


def build_verdicts(report: Report) -> Section:
    """The gate's word of each candidate, with its reasons."""
    blocks: list[Block] = []
    for one, drift in zip(report.sides[1:], report.drifts, strict=True):
        gate = drift.gate
        blocks.append(Words(f"{one.label}: {_SAID[gate.status]}", _TONES[gate.status]))
        if gate.reasons:
            blocks.append(Items(gate.reasons))
        told = f"{drift.cases} answers to the same prompts were compared."
        if drift.unpaired:
            told += f" {drift.unpaired} answers have no partner and are left out."
        blocks.append(Words(told, "quiet"))
    return Section("verdict", "Verdict", tuple(blocks))


def build_headline(report: Report) -> Section:
    """Every measure of every model, with n and interval."""
    figures = list(list_measures(report.sides))
    names = [one.label for one in report.sides]
    table = Table(
        "All answers of each evaluation; 95 % intervals in brackets, by groups of prompts that ask "
        "the same",
        ("Measure", "Said by", f"{names[0]} (baseline)", *names[1:]),
        tuple(
            (f"{name} ({_WAYS[get_measure(name).better]})", reader, *map(tell_figure, told))
            for name, reader, told in figures
        ),
    )
    pictures = [
        _draw_figures(report.sides, figures, unit)
        for unit in ("points", "scale")
        if any(get_measure(name).unit == unit and any(told) for name, _, told in figures)
    ]
    return Section("figures", "Figures", (table, *pictures))


def build_changes(report: Report) -> Section:
    """What changed from the baseline to each candidate, over pairs."""
    blocks: list[Block] = [
        Words(
            "Differences are of pairs: the same prompt, answered by both. p is corrected (Holm) "
            "for the number of measures; worse and better count answers that flipped."
        )
    ]
    baseline = report.sides[0].label
    for one, drift in zip(report.sides[1:], report.drifts, strict=True):
        verdicts = {told.threshold.metric: told for told in drift.gate.verdicts}
        blocks.append(Heading(f"{baseline} → {one.label}"))
        blocks.append(
            Table(
                f"What changed from {baseline} to {one.label}, with 95 % intervals",
                ("Measure", "Said by", "Before → after", "Change", "n", "p", "Flipped", "Gate"),
                tuple(_tell_drift(told, verdicts.get(told.measure)) for told in drift.measures),
            )
        )
        blocks += _draw_drift(one, drift)
    return Section("changes", "What changed", tuple(blocks))


def list_measures(
    sides: Sequence[Evaluated],
) -> Iterator[tuple[str, str, tuple[Figure, ...]]]:
    """(measure, whose word, each side's figure), principles last.

    Of several readers it is the first that all sides have, else the first that any has.
    """
    known = [_collect(one.metrics) for one in sides]
    names = dict.fromkeys(name for told in known for name in told)
    for name in sorted(names, key=lambda name: name.startswith(KEEPS)):
        readers = [who for who in (*READERS, "") if any(who in k.get(name, {}) for k in known)]
        shared = [who for who in readers if all(who in told.get(name, {}) for told in known)]
        who = (shared or readers)[0]
        shown = "judge" if get_measure(name).unit == "scale" else who or NONE
        yield name, shown, tuple(told.get(name, {}).get(who) for told in known)


def _collect(metrics: Mapping[str, Any]) -> dict[str, dict[str, Figure]]:
    """Measure → reader → its figure; of ratings and words the reader is empty."""
    found: dict[str, dict[str, Figure]] = {}
    for name, told in metrics.get("measures", {}).items():
        if "," not in name:  # a part of another measure, e.g. `evasive, of refusals`
            found[name] = {who: one["rate"] for who, one in told.items()}
    for name, one in metrics.get("ratings", {}).items():
        found[name] = {"": one["mean"]}
    words = metrics.get("text", {}).get("all", {}).get("words")
    if words is not None:
        found[WORDS] = {"": words}
    for name, told in metrics.get("principles", {}).items():
        found[f"{KEEPS}{name}"] = {who: one["rate"] for who, one in told.items()}
    return found


def _draw_figures(
    sides: Sequence[Evaluated],
    figures: Sequence[tuple[str, str, tuple[Figure, ...]]],
    unit: str,
) -> Picture:
    groups, told = [], []
    for name, _, values in figures:
        if get_measure(name).unit != unit:
            continue
        shown = [
            (number, one.label, value)
            for number, (one, value) in enumerate(zip(sides, values, strict=True))
            if value is not None
        ]
        if shown:
            groups.append(
                Group(name, tuple(_build_interval(*one, unit == "points") for one in shown))
            )
            each = ", ".join(f"{label} {tell_figure(value)}" for _, label, value in shown)
            told.append(f"{name}: {each}")
    highest = 1.0 if unit == "points" else float(HIGHEST_RATING)
    return Picture(
        f"Chart of {'rates' if unit == 'points' else 'ratings'} with 95 % intervals. "
        + "; ".join(told),
        draw_values(groups, highest=highest, percent=unit == "points"),
    )


def _build_interval(number: int, label: str, told: Mapping[str, Any], percent: bool) -> Interval:
    value = told["rate"] if "rate" in told else told["mean"]
    shown = tell_value(value, "points" if percent else "scale")
    return Interval(label, value, told["low"], told["high"], shown, number)


def _tell_drift(told: MeasureDrift, verdict: MetricVerdict | None) -> tuple[str, ...]:
    change, unit = told.change, get_measure(told.measure).unit
    flipped = f"{told.worse} worse, {told.better} better" if told.worse or told.better else NONE
    if told.unknown:
        flipped += f"; {told.unknown} could not be read"
    return (
        told.measure,
        told.reader or ("judge" if unit == "scale" else NONE),
        f"{tell_value(change.before, unit)} → {tell_value(change.after, unit)}",
        tell_change(change, unit),
        str(change.n),
        tell_p(told.p),
        flipped,
        "not held" if verdict is None else verdict.status,
    )


def _draw_drift(one: Evaluated, drift: Drift) -> Iterator[Picture]:
    for unit in ("points", "scale"):
        some = [told for told in drift.measures if get_measure(told.measure).unit == unit]
        if some:
            each = "; ".join(f"{told.measure} {tell_change(told.change, unit)}" for told in some)
            yield Picture(
                f"Chart of the changes to {one.label} with 95 % intervals, in "
                f"{'points' if unit == 'points' else 'steps of the rating'}: {each}",
                draw_changes([_build_change(told) for told in some], percent=unit == "points"),
            )


def _build_change(told: MeasureDrift) -> Interval:
    change, measure = told.change, get_measure(told.measure)
    style = "same"
    if measure.better is not None and not change.low <= 0 <= change.high:
        style = "better" if (change.low > 0) is (measure.better == "higher") else "worse"
    amount = 100 * change.difference if measure.unit == "points" else change.difference
    shown = f"{amount:+.1f}" if measure.unit == "points" else f"{amount:+.2f}"
    return Interval(told.measure, change.difference, change.low, change.high, shown, style)
