"""`drift`: what changed from one model to another, and whether the second may take its place.

For continuous integration: with `--gate` the exit status is 1 where the gate fails, and JUnit and
JSON files say why.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from cai_core.commands import schedules
from cai_core.commands.evaluate import add_asking, build_spec, find_kind, finish, name_model
from cai_core.commands.junit import build_junit
from cai_core.errors import RecipeError
from cai_core.evaluation.drift import Drift, MeasureDrift
from cai_core.evaluation.drift_flips import Flip
from cai_core.evaluation.gate import Threshold
from cai_core.evaluation.measures import READERS, THRESHOLDS, get_measure
from cai_core.jobs.clone import build_clone
from cai_core.jobs.drift_study import study_drift
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.evaluate import KIND
from cai_core.workspace.files import get_workspace, replace_file
from cai_core.workspace.runs import open_run

_FAILED = 1
_FLIPS, _LONGEST = 3, 160
# In the JSON file; the runs hold the others.
_FLIPS_IN_FILE = 50


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `drift`, and `schedule`, which repeats it, to a command line's subcommands."""
    schedules.add_parser(subparsers)
    parser = subparsers.add_parser(
        "drift",
        help="compare two models on a suite; a gate for continuous integration",
        description="Evaluate two models by the same suite and seeds, or take evaluations that are "
        "there, and tell what changed: paired differences with 95 % intervals, corrected for the "
        "number of measures, and the flipped answers. With --gate the exit status is 1 where the "
        "candidate got worse.",
    )
    add = parser.add_argument
    add(
        "baseline", metavar="BASELINE", help="a model as `evaluate` takes it, or an evaluation's id"
    )
    add("candidate", metavar="CANDIDATE", help="the same")
    add_asking(parser, required=False)
    add("--by", choices=READERS, help="whose word counts (default: the first of these that knows)")
    add("--gate", action="store_true", help="exit 1 where the gate fails")
    add(
        "--allow",
        action="append",
        default=[],
        metavar="MEASURE=LOSS",
        help="what a measure may lose, e.g. 'over-refusal=0.05'",
    )
    add("--flips", type=int, default=_FLIPS, metavar="N", help="so many flipped answers of each")
    add("--json", type=Path, metavar="FILE", help="write everything as JSON")
    add("--junit", type=Path, metavar="FILE", help="write the gate as JUnit XML")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate what is not there yet, compare, tell; the exit status."""
    workspace = get_workspace()
    thresholds = parse_allowed(args.allow)
    specs = find_sides(workspace, args)
    if new := [spec for spec in specs if isinstance(spec, RunSpec)]:
        status = finish(workspace, new, anyway=args.anyway)
        if status:
            return status
    baseline, candidate = (spec if isinstance(spec, str) else spec.run_id for spec in specs)
    drift = study_drift(workspace, baseline, candidate, reader=args.by, thresholds=thresholds)
    for line in build_lines(drift, args.flips):
        print(_clean(line))
    if args.json is not None:
        document = drift.as_dict(most_flips=_FLIPS_IN_FILE)
        replace_file(args.json.absolute(), [json.dumps(document, indent=1).encode()])
    if args.junit is not None:
        replace_file(args.junit.absolute(), [build_junit(drift)])
    return _FAILED if args.gate and drift.gate.status == "fail" else 0


def find_sides(workspace: Path, args: argparse.Namespace) -> tuple[str | RunSpec, str | RunSpec]:
    """Baseline and candidate: an evaluation's id, or the run that evaluates the model.

    A model beside an evaluation is asked and judged as that one was, unless a suite is named.

    Raises:
        RecipeError: a model, and neither a suite nor an evaluation to go by; or as `build_spec`.
    """
    named = (args.baseline, args.candidate)
    known = [name if find_kind(workspace, name) == KIND else None for name in named]
    sides: list[str | RunSpec] = []
    for name, held, other in zip(named, known, reversed(known), strict=True):
        if held is not None:
            sides.append(held)
        elif args.suite is not None:
            sides.append(build_spec(workspace, name, args))
        elif other is not None:
            sides.append(_build_like(workspace, other, name))
        else:
            raise RecipeError(
                f"{args.baseline} and {args.candidate} are models. Name the suite to ask: --suite "
                "demo, for example; or give the ids of two evaluations."
            )
    return sides[0], sides[1]


def parse_allowed(texts: Sequence[str]) -> tuple[Threshold, ...]:
    """The default thresholds with what the command line allows.

    Raises:
        RecipeError: no such measure, or no number.
    """
    found = {one.metric: one for one in THRESHOLDS}
    for text in texts:
        name, _, amount = text.rpartition("=")
        try:
            measure = get_measure(name.strip())
            allowed = float(amount)
            held = found.get(measure.name) or Threshold(
                metric=measure.name, better=measure.better or "lower", unit=measure.unit
            )
            visible = None if held.visible is None else max(held.visible, allowed)
            found[measure.name] = replace(held, allowed=allowed, visible=visible)
        except (KeyError, ValueError) as error:
            raise RecipeError(
                f"--allow {text!r}: write a measure and a number from 0, as 'over-refusal=0.05'; "
                f"or there is no such measure ({error})."
            ) from error
    return tuple(found.values())


def build_lines(drift: Drift, flips: int) -> Iterator[str]:
    """For people: what changed, what makes it doubtful, the gate, and flipped answers."""
    yield f"{drift.baseline} → {drift.candidate}: {drift.cases} answers to the same prompts"
    if drift.unpaired:
        yield f"  {drift.unpaired} answers have no partner and are left out"
    yield from (f"  {_describe(one)}" for one in drift.measures)
    yield from (f"  careful: {warning}" for warning in drift.warnings)
    for name in (one.threshold.metric for one in drift.gate.verdicts):
        worse = [flip for flip in drift.flips.get(name, ()) if flip.way == "worse"][:flips]
        yield from (line for flip in worse for line in _describe_flip(name, flip))
    yield f"gate: {drift.gate.status}"
    yield from (f"  {reason}" for reason in drift.gate.reasons)


def _build_like(workspace: Path, evaluation: str, model: str) -> str | RunSpec:
    """The same evaluation of another model; the evaluation itself where it is the same model."""
    run = open_run(workspace / "runs" / evaluation)
    name = name_model(workspace, model)
    if run.recipe["model"] == name:
        return evaluation
    return build_clone(run, {"model": name})


def _describe(one: MeasureDrift) -> str:
    change, unit = one.change, get_measure(one.measure).unit
    by = f" (by {one.reader})" if one.reader else ""
    if unit == "points":
        values = f"{100 * change.before:.1f} % → {100 * change.after:.1f} %"
        interval = f"[{100 * change.low:+.1f}, {100 * change.high:+.1f}]"
        moved = f"{100 * change.difference:+.1f} points {interval}"
    else:
        values = f"{change.before:.2f} → {change.after:.2f}"
        moved = f"{change.difference:+.2f} [{change.low:+.2f}, {change.high:+.2f}]"
    told = f"{one.measure}{by}: {values}, {moved}, n = {change.n}, p = {one.p:.2g}"
    if one.worse or one.better:
        told += f"; {one.worse} worse, {one.better} better"
    return told + (f"; {one.unknown} could not be read" if one.unknown else "")


def _describe_flip(name: str, flip: Flip) -> Iterator[str]:
    yield f"  {name}, worse: {flip.prompt_id}, sample {flip.sample}"
    asked = flip.conversation[-1]["content"] if flip.conversation else ""
    for who, text in (("asked", asked), ("before", flip.before_text), ("after", flip.after_text)):
        yield f"    {who}: {_shorten(text)}"


def _shorten(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"


def _clean(line: str) -> str:
    """Names and texts come from models and servers: no sign of theirs steers the terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in line)
