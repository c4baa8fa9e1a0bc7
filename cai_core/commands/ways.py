"""`ways`: a prompt set answered plain, under a system prompt, as best of n, and by another model.

The same command goes on where it was. In the demo world the oracle says what the answers are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cai_core.actions.runs import start_run
from cai_core.commands.folder_run import positive, tell_how_to_go_on
from cai_core.commands.progress_line import ProgressLine
from cai_core.demo_world.judging import describe_truth
from cai_core.demo_world.oracle import load_oracle
from cai_core.demo_world.ways_truth import WayTruth, judge_ways
from cai_core.errors import CaiError, PromptFileError, RecipeError
from cai_core.jobs.looking import list_made_models
from cai_core.pipeline.connect import Launched, launch
from cai_core.pipeline.prompt_file import prompts_hash
from cai_core.pipeline.prompt_sets import resolve_prompts, select_prompts
from cai_core.pipeline.ways import WaysSetup, prepare_feedback, prepare_model
from cai_core.pipeline.ways_output import COUNTS, read_answers
from cai_core.pipeline.ways_recipe import N, Way, WaysRecipe, check_constitution
from cai_core.pipeline.ways_run import KIND, run_ways, save_ways_inputs
from cai_core.records import LOCAL_ACTOR, Constitution, Prompt, SamplingParams, content_hash
from cai_core.workspace.endpoints import load_book
from cai_core.workspace.files import get_workspace
from cai_core.workspace.runs import Run, open_run
from cai_core.workspace.status import RunState
from cai_core.workspace.versions import resolve_constitution

JSON_FORMAT = 1
_SAMPLING = SamplingParams()
_COUNTED = {
    "failed": "without an answer for an error",
    "not_chosen": "where nothing could be chosen",
    "unparsed": "comparisons unparsed",
    "cut_short": "cut at the token limit",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ways` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "ways",
        help="answer a prompt set plain, under a system prompt, and as best of n",
        description="Answer every prompt in several ways with the same seeds, and tell in the "
        "demo world what the answers are. Stopped or broken off, the same command goes on.",
    )
    add = parser.add_argument
    add("prompts", metavar="PROMPTS", help="a prompt set's NAME or NAME@HASH, or a file")
    add(
        "--constitution",
        required=True,
        metavar="NAME|FILE",
        help="NAME, NAME@LABEL, NAME@HASH or a .yaml file",
    )
    add("--model", help="what answers (default: the endpoint that plays policy)")
    add("--other", metavar="MODEL", help="another model to compare with, as a way of its own")
    add("--feedback", metavar="MODEL", help="what chooses (default: the feedback role's endpoint)")
    add(
        "--ways",
        metavar="WAY,WAY",
        help="of plain, system-prompt, best-of-n, other-model (default: the first three, and the "
        "last one with --other)",
    )
    add("--n", type=int, default=N, help="samples of best-of-n (default: %(default)s)")
    add(
        "--tag",
        action="append",
        default=[],
        help="only prompts with this tag; several must all be there",
    )
    add("--limit", type=positive, metavar="N", help="only the first N of them")
    add("--seed", type=int, default=0, help="of the run (default: %(default)s)")
    add("--temperature", type=float, default=_SAMPLING.temperature)
    add("--max-tokens", type=int, default=_SAMPLING.max_tokens, metavar="N", help="of an answer")
    add("--concurrency", type=positive, metavar="N", help="the most requests at once at a server")
    add("--out", type=Path, metavar="DIR", help="run folder (default: one in the workspace)")
    add("--json", action="store_true", help="print one JSON document instead of lines")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run, or go on, and tell what the answers are; the exit status."""
    recipe, prompts, constitution = read_request(args)
    out = args.out or get_workspace() / "runs" / f"{KIND}-{content_hash(recipe.as_dict())[:12]}"
    if not _is_finished(out, recipe):
        progress = ProgressLine()
        try:
            models = {name: launch(name, get_workspace()) for name in list_models(recipe)}
            asyncio.run(
                _ask(recipe, prompts, constitution, out, models, progress, args.concurrency)
            )
        except (KeyboardInterrupt, asyncio.CancelledError):
            tell_how_to_go_on(out, args.arguments)
            return 130
        except CaiError:
            tell_how_to_go_on(out, args.arguments)
            raise
        finally:
            progress.close()
    lines = list(read_answers(out))
    counts = json.loads((out / "outputs" / COUNTS).read_bytes())
    truths = judge_ways(load_oracle(), lines)
    if args.json:
        print(json.dumps(build_document(out, counts, truths), indent=1))
    else:
        _print(out, counts, truths)
    return 0 if any(told["answered"] for told in counts["ways"].values()) else 2


def read_request(
    args: argparse.Namespace,
) -> tuple[WaysRecipe, Sequence[Prompt], Constitution]:
    """What the command line names, read and checked.

    Raises:
        CaiError: anything that is missing, broken or impossible.
    """
    workspace = get_workspace()
    found = resolve_prompts(workspace, args.prompts)
    prompts = select_prompts(found.prompts, tags=args.tag, limit=args.limit)
    if not prompts:
        raise PromptFileError(f"{args.prompts}: holds no such prompt. Change --tag or the file.")
    constitution = resolve_constitution(workspace, args.constitution)
    roles = load_book(workspace).roles
    ways = parse_ways(args.ways, other=args.other)
    if args.other and Way.OTHER_MODEL not in ways:
        raise RecipeError("--other is given and --ways leaves other-model out. Add it there.")
    best = Way.BEST_OF_N in ways
    recipe = WaysRecipe(
        ways=ways,
        model=args.model or roles["policy"],
        other_model=args.other,
        feedback_model=(args.feedback or roles["feedback"]) if best else None,
        constitution=constitution.name,
        constitution_hash=constitution.hash,
        prompts=f"{found.label} (tags {', '.join(args.tag)})" if args.tag else found.label,
        prompts_hash=prompts_hash(prompts),
        n=args.n,
        sampling=SamplingParams(temperature=args.temperature, max_tokens=args.max_tokens),
        seed=args.seed,
        limit=args.limit,
    )
    check_constitution(recipe, constitution)
    return recipe, prompts, constitution


def parse_ways(text: str | None, *, other: str | None) -> tuple[Way, ...]:
    """The ways that a comma-separated list names, in their own order.

    Raises:
        RecipeError: a word that is none.
    """
    if text is None:
        return tuple(way for way in Way if way is not Way.OTHER_MODEL or other)
    asked = {word.strip() for word in text.split(",") if word.strip()}
    if unknown := sorted(asked - set(Way)):
        raise RecipeError(f"no way {', '.join(unknown)}. There are: {', '.join(Way)}.")
    return tuple(way for way in Way if way in asked)


def list_models(recipe: WaysRecipe) -> list[str]:
    """The models that a recipe needs, each once; the one that answers first."""
    names = (recipe.model, recipe.other_model, recipe.feedback_model)
    return list(dict.fromkeys(name for name in names if name))


def build_document(
    out: Path, counts: Mapping[str, Any], truths: Mapping[str, WayTruth]
) -> dict[str, Any]:
    """What the JSON says; keys are only ever added."""
    return {
        "format": JSON_FORMAT,
        "run": str(out),
        **counts,
        "truth": {
            way: {
                "rates": {name: asdict(rate) for name, rate in truth.truth.rates.items()},
                "words": truth.truth.words,
                "outside": None if truth.outside is None else asdict(truth.outside),
                "unfinished": truth.truth.unfinished,
                "harmful_compliance_against_plain": (
                    None if truth.against_plain is None else asdict(truth.against_plain)
                ),
            }
            for way, truth in truths.items()
        },
    }


async def _ask(
    recipe: WaysRecipe,
    prompts: Sequence[Prompt],
    constitution: Constitution,
    out: Path,
    models: Mapping[str, Launched],
    progress: ProgressLine,
    concurrency: int | None,
) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with AsyncExitStack() as stack:
        pools = {
            name: await stack.enter_async_context(model.open(concurrency))
            for name, model in models.items()
        }
        run = _start(out, recipe, prompts, constitution)
        parts = (recipe, constitution)
        start = asyncio.ensure_future
        model = start(prepare_model(*parts, pools[recipe.model], run.run_id))
        other = feedback = None
        if recipe.other_model:
            other = start(prepare_model(*parts, pools[recipe.other_model], run.run_id))
        if recipe.feedback_model:
            feedback = start(prepare_feedback(*parts, pools[recipe.feedback_model], run.run_id))
        setup = WaysSetup(
            run_id=run.run_id,
            recipe=recipe,
            constitution=constitution,
            model=model,
            other=other,
            feedback=feedback,
        )
        await setup.wait()
        await run_ways(
            run,
            prompts,
            setup,
            concurrency=models[recipe.model].count_chains(concurrency),
            on_progress=progress,
            prices={"policy": models[recipe.model].price},
            trouble=lambda: tuple(fault for pool in pools.values() for fault in pool.load.down),
        )


def _start(
    out: Path, recipe: WaysRecipe, prompts: Sequence[Prompt], constitution: Constitution
) -> Run:
    workspace = get_workspace()
    made = {str(folder.absolute()): run for run, folder in list_made_models(workspace).items()}
    asked = (str(Path(name).absolute()) for name in list_models(recipe))
    parents = tuple(dict.fromkeys(made[folder] for folder in asked if folder in made))
    run = start_run(
        LOCAL_ACTOR, workspace, out, kind=KIND, recipe=recipe.as_dict(), parents=parents
    )
    save_ways_inputs(run, prompts, constitution)
    return run


def _is_finished(out: Path, recipe: WaysRecipe) -> bool:
    if not (out / "recipe.yaml").exists():
        return False
    held = open_run(out, kind=KIND, recipe=recipe.as_dict())
    return held.status().state is RunState.SUCCEEDED


def _print(out: Path, counts: Mapping[str, Any], truths: Mapping[str, WayTruth]) -> None:
    print(f"{out}: {counts['prompts']} prompts, {counts['rows']} rows")
    for way, told in counts["ways"].items():
        truth = truths[way]
        for line in describe_way(way, truth):
            print(line)
        if truth.against_plain is not None:
            print(f"  harmful compliance against plain: {truth.against_plain}")
        more = [f"{told[key]} {words}" for key, words in _COUNTED.items() if told.get(key)]
        tokens = f"{told['prompt_tokens']} prompt and {told['completion_tokens']} written tokens"
        cost = f"{told['requests']} requests, {tokens}"
        print(f"  {'; '.join([cost, *more])}")
    if counts["first_error"]:
        print(f"first failure: {counts['first_error']}", file=sys.stderr)


def describe_way(way: str, truth: WayTruth) -> list[str]:
    """What the oracle says of a way's answers, and of how many it can say nothing."""
    if truth.outside is None:
        return [way, "  none of these prompts is of the demo world: nobody here knows the truth"]
    told = [way]
    if truth.truth.rates:
        told = describe_truth(way, truth.truth).splitlines()
        told = [line for line in told if not line.startswith("  outside the world")]
    if truth.outside.rate:
        told.append(
            f"  outside the demo world, so not judged and in no rate above: {truth.outside}"
        )
    return told
