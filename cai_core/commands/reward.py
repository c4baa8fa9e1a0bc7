"""`reward evaluate`: how often a reward model prefers the better answer of a comparison file."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from cai_core.errors import ContextLengthError
from cai_core.evaluation.comparison_file import Comparison, ComparisonFile, load_comparisons
from cai_core.evaluation.reward_metrics import JudgedPair, RewardQuality, compute_reward_quality
from cai_core.pipeline.connect import Launched, launch
from cai_core.workspace.files import get_workspace


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `reward` to a command line's subcommands."""
    parser = subparsers.add_parser("reward", help="measure reward models")
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    evaluate = commands.add_parser(
        "evaluate", help="accuracy on a file of comparisons", description=__doc__
    )
    evaluate.add_argument(
        "model", metavar="MODEL", help="an endpoint's name, a reward model's folder, or a URL"
    )
    evaluate.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help=".jsonl with text_correct and text_incorrect, chosen and rejected, or labels",
    )
    evaluate.add_argument("--json", action="store_true", help="print everything as one JSON line")
    evaluate.set_defaults(run=run_evaluate)


def run_evaluate(args: argparse.Namespace) -> int:
    """Ask the model and print; the exit status."""
    held = load_comparisons(args.file)
    launched = launch(args.model, get_workspace())
    quality, too_long = asyncio.run(evaluate(launched, held.comparisons))
    print(json.dumps(quality.as_dict()) if args.json else describe(quality, held, too_long))
    return 0


async def evaluate(
    launched: Launched, comparisons: Sequence[Comparison]
) -> tuple[RewardQuality, int]:
    """The quality, and how many comparisons were longer than the model reads."""
    async with launched.open() as pool:

        async def judge(one: Comparison) -> JudgedPair | None:
            try:
                preferred, other = await pool.score([one.preferred, one.other])
            except ContextLengthError:
                return None
            return JudgedPair(
                cluster=one.cluster, kind=one.kind, margin=preferred - other, prob=1.0
            )

        judged = await asyncio.gather(*map(judge, comparisons))
    pairs = [pair for pair in judged if pair is not None]
    return compute_reward_quality(pairs), len(judged) - len(pairs)


def describe(quality: RewardQuality, held: ComparisonFile, too_long: int) -> str:
    """For people."""
    lines = [f"accuracy {quality.accuracy or 'not known: no comparison fits'}"]
    if len(quality.accuracy_by_kind) > 1:
        lines += [f"  {kind}: {rate}" for kind, rate in quality.accuracy_by_kind.items()]
    counts = {"ties": held.ties, "unparsed": held.unparsed, "too long": too_long}
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return "\n".join([*lines, *([f"left out: {told}"] if told else [])])
