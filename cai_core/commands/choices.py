"""`choices`: how well a judge or a reward model answers a multiple-choice file, such as HHH's.

The same command goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from cai_core.actions.runs import start_run
from cai_core.commands.evaluate import find_kind
from cai_core.commands.folder_run import positive, tell_how_to_go_on
from cai_core.commands.progress_line import ProgressLine
from cai_core.errors import CaiError, UnknownModelError
from cai_core.evaluation.multiple_choice import Choice, load_choices
from cai_core.inference.probe import probe
from cai_core.jobs.plan_lookup import MODEL, MODEL_KINDS
from cai_core.jobs.plan_names import RUN
from cai_core.pipeline.choices_asking import ChoicesSetup
from cai_core.pipeline.choices_recipe import ChoicesRecipe, Scorer
from cai_core.pipeline.choices_run import (
    KIND,
    choices_hash,
    choose_questions,
    load_frozen_choices,
    read_figures,
    run_choices,
    save_choices,
)
from cai_core.pipeline.connect import Launched, launch
from cai_core.pipeline.evaluate import shorten_model
from cai_core.pipeline.label_answers import choose_scorer
from cai_core.pipeline.labels import LEAST_MASS
from cai_core.pipeline.recipe import TemplateName
from cai_core.records import LOCAL_ACTOR, content_hash
from cai_core.workspace.files import get_workspace
from cai_core.workspace.runs import open_run
from cai_core.workspace.status import RunState

_MAKERS = (*MODEL_KINDS, "reward")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `choices` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "choices",
        help="score a multiple-choice file (HHH evaluations) with a judge or a reward model",
        description="Ask a judge which answer is right, each answer under another letter once, or "
        "take a reward model's rewards; tell the accuracy with 95 % intervals clustered by "
        "context. Stopped or broken off, the same command goes on.",
    )
    add = parser.add_argument
    add("model", metavar="MODEL", help="an endpoint's name, the id of a run, a folder, or a URL")
    add("file", metavar="FILE", type=Path, help=".jsonl with prompt, corrects and incorrects")
    add(
        "--by",
        choices=get_args(Scorer),
        help="how it scores (default: reward for the run of a reward model, else judge)",
    )
    add("--template", choices=get_args(TemplateName), default="chat", help="how a judge is asked")
    add("--limit", type=positive, metavar="N", help="the first N questions")
    add(
        "--least-mass",
        type=float,
        default=LEAST_MASS,
        metavar="P",
        help="the least probability of all letters together that counts (default: %(default)s)",
    )
    add(
        "--shuffled",
        type=int,
        metavar="SEED",
        help="draw the right answers anew: nobody may score above chance then",
    )
    add("--json", action="store_true", help="print choices.json")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask, or go on, and tell; the exit status."""
    workspace = get_workspace()
    model, parents = find_model(workspace, args.model)
    made_by = find_kind(workspace, parents[0]) if parents else None
    scorer: Scorer = args.by or ("reward" if made_by == "reward" else "judge")
    choices = choose_questions(
        load_choices(args.file), scorer=scorer, limit=args.limit, shuffled=args.shuffled
    )
    recipe = ChoicesRecipe(
        model=model,
        scorer=scorer,
        file=args.file.name,
        file_hash=choices_hash(choices),
        template=args.template,
        limit=args.limit,
        shuffled=args.shuffled,
        least_mass=args.least_mass,
    )
    out = workspace / "runs" / f"{KIND}-{content_hash(recipe.as_dict())[:12]}"
    if not _is_finished(out, recipe):
        progress = ProgressLine()
        try:
            asyncio.run(_ask(launch(model, workspace), recipe, choices, out, parents, progress))
        except (KeyboardInterrupt, asyncio.CancelledError):
            tell_how_to_go_on(out, args.arguments)
            return 130
        except CaiError:
            tell_how_to_go_on(out, args.arguments)
            raise
        finally:
            progress.close()
    document = read_figures(out)
    if args.json:
        print(json.dumps({"run": out.name, **document}))
    else:
        print("\n".join([f"{out.name}:", *build_lines(document)]))
    return 0 if document["accuracy"] is not None else 2


def find_model(workspace: Path, name: str) -> tuple[str, tuple[str, ...]]:
    """What a recipe calls the model, and the run that made it, if one of this workspace did.

    Raises:
        UnknownModelError: the run is not there, or made no model.
    """
    bare = name.removeprefix(RUN)
    kind = find_kind(workspace, bare)
    if kind not in _MAKERS:
        if name.startswith(RUN):
            raise UnknownModelError(f"{name!r:.80}: no run of this workspace made such a model.")
        return name, ()
    folder = (workspace / "runs" / bare / MODEL).absolute()
    if not folder.is_dir():
        raise UnknownModelError(f"{bare}: has made no model yet. Resume it, or choose another.")
    return str(folder), (bare,)


def build_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The figures for people."""
    shuffled = document["shuffled"]
    drawn = "" if shuffled is None else f", right answers drawn anew (seed {shuffled})"
    by = "as a judge" if document["scorer"] == "judge" else "by its rewards"
    yield f"{shorten_model(document['model'])} {by} on {document['file']}{drawn}"
    chance = document["chance"]
    told = "not known" if chance is None else f"{100 * chance:.1f} %"
    yield f"  right: {_describe(document['accuracy'])}; chance is {told}"
    kinds = document["by_kind"]
    for kind, mean in kinds.items() if len(kinds) > 1 else ():
        yield f"    {kind}: {_describe(mean)}"
    if document["scorer"] == "judge" and document["first_chosen"] is not None:
        chosen, right = document["first_chosen"]["rate"], document["first_right"]["rate"]
        yield f"  first answer chosen {100 * chosen:.1f} %, right {100 * right:.1f} %"
    if document["unscored"]:
        told = f"  not scored: {document['unscored']} of {document['n']}"
        error = document["first_error"]
        yield told + (f"; the first error: {error:.300}" if error else "")
    if "text" in document["ways"]:
        yield "  this server tells no log-probabilities: letters were read from text"


async def _ask(
    launched: Launched,
    recipe: ChoicesRecipe,
    choices: Sequence[Choice],
    out: Path,
    parents: Sequence[str],
    progress: ProgressLine,
) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with launched.open() as pool:
        info = await pool.info()
        scorer = None
        if recipe.scorer == "judge":
            scorer = choose_scorer(await probe(pool), recipe.template, reasoned=False)
        held = start_run(
            LOCAL_ACTOR,
            get_workspace(),
            out,
            kind=KIND,
            recipe=recipe.as_dict(),
            parents=parents,
        )
        save_choices(held, choices)
        setup = ChoicesSetup(
            run_id=held.run_id, recipe=recipe, model=pool, info=info, scorer=scorer
        )
        await run_choices(
            held,
            load_frozen_choices(held, recipe),
            setup,
            concurrency=launched.count_chains(),
            on_progress=progress,
        )


def _is_finished(out: Path, recipe: ChoicesRecipe) -> bool:
    if not (out / "recipe.yaml").exists():
        return False
    held = open_run(out, kind=KIND, recipe=recipe.as_dict())
    return held.status().state is RunState.SUCCEEDED


def _describe(mean: Mapping[str, Any] | None) -> str:
    if mean is None:
        return "not known"
    low, high = max(0.0, mean["low"]), min(1.0, mean["high"])
    interval = f"[{100 * low:.1f} %, {100 * high:.1f} %]"
    return f"{100 * mean['mean']:.1f} % {interval} (n = {mean['n']}, {mean['clusters']} contexts)"
