"""`constitution effect`: what each principle did in this workspace's chains."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cai_core.commands.lint import load_any
from cai_core.evaluation.metrics import Rate
from cai_core.records import Constitution
from cai_core.workspace.files import get_recordings, get_workspace

if TYPE_CHECKING:
    from cai_core.jobs.principle_study import PrincipleEffect, PrincipleMeasure, PrincipleStudy

JSON_FORMAT = 1


def add_effect_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `effect` to the actions of `constitution`."""
    parser = commands.add_parser(
        "effect",
        help="what each principle found and changed in this workspace's chains",
        description="Of each principle: how often it was drawn, found something, changed the "
        "text, and by how much; people's verdicts on its critiques; how far responses kept to it "
        "before and after, where the demo world's oracle can tell. Intervals are 95 %, clustered "
        "by prompt. Refuses while an app owns the workspace's index: look there at Constitutions, "
        "Effect.",
    )
    parser.add_argument("constitution", metavar="NAME", help="NAME, NAME@HASH or NAME@LABEL")
    parser.add_argument("--all-versions", action="store_true", help="count every version's rounds")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run_effect)


def run_effect(args: argparse.Namespace) -> int:
    """Print the effects, those drawn first as the text has them; the exit status."""
    # DuckDB and Arrow take a moment to load, which the other commands need not wait for.
    from cai_core.jobs.principle_study import load_principle_study, measure_principles
    from cai_core.workspace.index.owner import WorkspaceIndex

    text = load_any(args.constitution)
    workspace = get_workspace()
    index = WorkspaceIndex.open(workspace, recordings=get_recordings())
    try:
        index.ingest()
        study = load_principle_study(index, text, all_versions=args.all_versions)
        drawn = [effect.principle for effect in study.effects if effect.drawn]
        measures = measure_principles(index, workspace, text, drawn, all_versions=args.all_versions)
    finally:
        index.close()
    if args.json:
        print(json.dumps(build_document(text, study, measures), ensure_ascii=False, indent=1))
        return 0
    for line in list_lines(text, study, measures, all_versions=args.all_versions):
        print(line)
    return 0


def build_document(
    text: Constitution, study: PrincipleStudy, measures: dict[str, PrincipleMeasure]
) -> dict[str, Any]:
    """What the JSON says; keys are only ever added."""
    return {
        "format": JSON_FORMAT,
        "constitution": text.name,
        "hash": text.hash,
        "rounds": study.rounds,
        "unnamed": study.unnamed,
        "principles": [
            _as_dict(effect, measures.get(effect.principle)) for effect in study.effects
        ],
    }


def list_lines(
    text: Constitution,
    study: PrincipleStudy,
    measures: dict[str, PrincipleMeasure],
    *,
    all_versions: bool,
) -> Iterator[str]:
    """The same for people."""
    version = "every version" if all_versions else text.hash[:12]
    yield f"{text.name}, {version}: {study.rounds:,} rounds drew a principle"
    if study.unnamed:
        yield f"{study.unnamed:,} rounds of imported chains name none"
    for effect in study.effects:
        gone = "" if effect.in_text else ", not in this text"
        yield f"\n{effect.principle}{gone}"
        if not effect.drawn:
            yield "  never drawn"
            continue
        yield f"  drawn      {effect.drawn:,}, of these {effect.direct:,} without a critique"
        if effect.untold:
            yield f"  untold     {effect.untold:,} critiques whose finding nobody kept"
        yield from _list_rate("found", effect.found)
        yield from _list_rate("unparsed", effect.unparsed)
        yield from _list_rate("changed", effect.changed)
        yield from _list_rate("judged right", effect.reviews.right)
        yield from _list_measure(measures[effect.principle])


def _list_rate(name: str, rate: Rate | None) -> Iterator[str]:
    if rate is not None:
        yield f"  {name:<10} {rate}"


def _list_measure(measure: PrincipleMeasure) -> Iterator[str]:
    if measure.words_changed is not None:
        yield (
            f"  by         {measure.words_changed:.0%} of the words (median of "
            f"{measure.changed:,} revisions that changed the text, of {measure.read:,} read)"
        )
    if measure.keeps is None:
        yield f"  keeps      not measured: {measure.unmeasured}"
        return
    for told in (measure.keeps, *measure.asked):
        yield f"  {told.name}: {told.before.rate:.1%} → {told.after.rate:.1%}, {told.difference}"


def _as_dict(effect: PrincipleEffect, measure: PrincipleMeasure | None) -> dict[str, Any]:
    told = asdict(effect)
    right = told.pop("reviews")["right"]
    counts = {str(verdict): count for verdict, count in effect.reviews.counts.items()}
    told["reviews"] = {"counts": counts, "right": right}
    told["measured"] = asdict(measure) if measure is not None else None
    return told
