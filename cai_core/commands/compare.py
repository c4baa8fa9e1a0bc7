"""`compare`: models against each other on the same prompts: win rates in both orders, and Elo.

The comparisons are a run of labels between evaluations that are there; the same command again goes
on with it, or tells what was found.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from cai_core.commands.evaluate import find_kind, finish
from cai_core.errors import RecipeError
from cai_core.evaluation.elo import Rating
from cai_core.evaluation.pairwise import Pairwise, compute_pairwise, tell_bounds
from cai_core.evaluation.win_rate import WinRate
from cai_core.jobs.evidence_plan import TOKENS, WORLD_TOKENS, build_comparison_plan
from cai_core.jobs.pairwise_study import PairwiseStudy, load_pairwise
from cai_core.jobs.plan_specs import build_plan
from cai_core.jobs.qualifying import is_of_demo_world
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.evaluate import KIND as EVALUATE
from cai_core.pipeline.evaluate import read_metrics
from cai_core.pipeline.label import KIND as LABEL
from cai_core.reports.load import find_evaluation
from cai_core.workspace.endpoints import load_book
from cai_core.workspace.files import get_workspace


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `compare` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "compare",
        help="compare evaluated models in pairs: win rates in both orders, and Elo",
        description="Have a feedback model compare the answers of evaluations prompt by prompt, "
        "each pair in both orders and under a principle, and print win rates and ratings by "
        "Bradley and Terry with 95 % intervals. Stopped or broken off, the same command goes on.",
    )
    add = parser.add_argument
    add(
        "evaluations",
        metavar="EVALUATION",
        nargs="+",
        help="evaluations by their ids or models, at least two; or one run of labels that is there",
    )
    add("--feedback", metavar="MODEL", help="who compares (default: the feedback role's endpoint)")
    add("--constitution", metavar="NAME", help="by whose comparison requests")
    add(
        "--principles",
        metavar="ID,ID",
        default="",
        help="go through these (default: one is drawn for each comparison)",
    )
    add("--plain", action="store_true", help="ask for the verdict alone, without reasons; quicker")
    add("--anchor", metavar="EVALUATION", help="whose rating is 1000 (default: the first one)")
    add("--seed", type=int, default=0, metavar="N", help="of the run (default: %(default)s)")
    add("--anyway", action="store_true", help="go on where the forecast says it cannot fit")
    add("--json", action="store_true", help="print everything as one JSON line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compare what is not compared yet, and tell; the exit status."""
    workspace = get_workspace()
    names: list[str] = args.evaluations
    if len(names) == 1 and find_kind(workspace, names[0]) == LABEL:
        run_id, runs = names[0], list(load_pairwise(workspace, names[0]).order)
    else:
        runs = find_evaluations(workspace, names)
        spec = _build_spec(workspace, runs, args)
        if status := finish(workspace, [spec], anyway=args.anyway):
            return status
        run_id = spec.run_id
    study = load_pairwise(workspace, run_id)
    anchor = runs[0]
    if args.anchor is not None:
        anchor = args.anchor if args.anchor in runs else find_evaluation(workspace, args.anchor)
    if anchor not in runs:
        raise RecipeError(f"{anchor} is not among what was compared. Choose one of those.")
    found = compute_pairwise(study.matches, runs, anchor)
    if args.json:
        print(json.dumps(build_document(study, found)))
    else:
        for line in build_lines(study, found):
            print("".join(sign if sign.isprintable() else "?" for sign in line))
    return 0


def find_evaluations(workspace: Path, names: Sequence[str]) -> list[str]:
    """Ids of the evaluations that are named, of one suite where a model has several.

    Raises:
        RecipeError: fewer than two, one twice, or none of that name.
    """
    if len(names) < 2:
        raise RecipeError("one evaluation is named. Name at least two to compare.")
    runs = [find_evaluation(workspace, names[0])]
    suite = read_metrics(workspace / "runs" / runs[0])["suite"]["hash"]
    runs += [find_evaluation(workspace, name, suite=suite) for name in names[1:]]
    twice = [run for run in runs if runs.count(run) > 1]
    if twice:
        raise RecipeError(f"{twice[0]} is named twice. Name each evaluation once.")
    strange = [run for run in runs if find_kind(workspace, run) != EVALUATE]
    if strange:
        raise RecipeError(f"{strange[0]} is no evaluation. Name evaluations.")
    return runs


def build_document(study: PairwiseStudy, found: Pairwise) -> dict[str, object]:
    """Everything, for JSON; keys are only ever added."""
    return {
        "format": 1,
        "run": study.run,
        "judge": study.judge,
        "constitution": study.constitution,
        "reasoned": study.reasoned,
        "names": dict(study.names),
        "identical": found.identical,
        "pairs": [
            {"run": one, "against": other, **asdict(rate)}
            for (one, other), rate in found.pairs.items()
        ],
        "elo": asdict(found.elo),
    }


def build_lines(study: PairwiseStudy, found: Pairwise) -> Iterator[str]:
    """For people."""
    how = "with reasons" if study.reasoned else "without reasons"
    yield f"{study.run}: {study.judge} compared in both orders, {how}"
    for (one, other), rate in found.pairs.items():
        yield f"  {study.names[one]} against {study.names[other]}: {describe_win_rate(rate)}"
    if found.identical:
        yield f"  {found.identical} pairs said the same words and count as ties"
    yield f"Elo, {study.names[found.elo.anchor]} at {_read_anchor(found):.0f}:"
    for rating in found.elo.ratings:
        yield f"  {study.names[rating.model]}: {describe_rating(rating, found.elo.anchor)}"
    for unrated in found.elo.unrated:
        yield f"  {study.names[unrated.model]}: no rating, {unrated.reason} (n = {unrated.games})"


def describe_win_rate(rate: WinRate) -> str:
    """`63.0 % [58.1, 67.9] (n = 120: 70 won, 12 tied, 38 lost), place bias +0.02`."""
    if rate.rate is None or rate.low is None or rate.high is None:
        return f"not known, {rate.unparsed} unparsed"
    told = (
        f"{100 * rate.rate:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}] (n = {rate.n}: "
        f"{rate.wins} won, {rate.ties} tied, {rate.losses} lost)"
    )
    if rate.position_bias is not None:
        told += f", place bias {rate.position_bias:+.2f}"
    return told + (f", {rate.unparsed} unparsed" if rate.unparsed else "")


def describe_rating(rating: Rating, anchor: str) -> str:
    """`1123 [1080, 1170] (n = 240)`; the anchor has no interval."""
    if rating.model == anchor:
        return f"{rating.rating:.0f}, the anchor (n = {rating.games})"
    return f"{rating.rating:.0f} {tell_bounds(rating.low, rating.high)} (n = {rating.games})"


def _build_spec(workspace: Path, runs: Sequence[str], args: argparse.Namespace) -> RunSpec:
    if args.constitution is None:
        raise RecipeError("--constitution is missing. Name one whose principles compare.")
    feedback = args.feedback or load_book(workspace).roles["feedback"]
    in_world = is_of_demo_world(feedback, workspace)
    text = build_comparison_plan(
        runs,
        feedback=feedback,
        constitution=args.constitution,
        reasoned=not args.plain,
        max_tokens=WORLD_TOKENS if in_world else TOKENS,
        principles=[word.strip() for word in args.principles.split(",") if word.strip()],
        seed=args.seed,
    )
    (spec,) = build_plan(text, "compare", Path.cwd(), workspace)
    return spec


def _read_anchor(found: Pairwise) -> float:
    return next(one.rating for one in found.elo.ratings if one.model == found.elo.anchor)
