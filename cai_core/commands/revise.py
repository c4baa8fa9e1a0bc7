"""`revise`: prompts in, chains of critiques and revisions out. The same command goes on."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cai_core.actions.runs import start_run
from cai_core.commands.folder_run import positive, tell_how_to_go_on
from cai_core.commands.progress_line import ProgressLine
from cai_core.constitution.importers import load_official_constitution
from cai_core.errors import CaiError, PromptFileError, RecipeError, RunMismatchError
from cai_core.inference.endpoints import CONCURRENCY
from cai_core.pipeline.connect import Launched, launch
from cai_core.pipeline.critique_revision import BatchResult, ChainSetup
from cai_core.pipeline.few_shot import few_shot_hash, load_chat_few_shot, load_paper_few_shot
from cai_core.pipeline.inputs import Inputs as RunInputs
from cai_core.pipeline.inputs import save_inputs
from cai_core.pipeline.prompt_file import prompts_hash
from cai_core.pipeline.prompt_sets import FoundPrompts, resolve_prompts
from cai_core.pipeline.recipe import (
    ChainRecipe,
    ReviseRecipe,
    parse_revise_recipe,
    resolve_principles,
)
from cai_core.pipeline.revise import CHAINS, KIND, save_chains, save_rejected
from cai_core.pipeline.revise_stage import list_models, run_revise_stage
from cai_core.pipeline.steps import FewShot
from cai_core.records import (
    LOCAL_ACTOR,
    Constitution,
    ModelInfo,
    Prompt,
    SamplingParams,
    content_hash,
)
from cai_core.workspace.endpoints import load_book
from cai_core.workspace.files import get_workspace
from cai_core.workspace.runs import Run, open_run
from cai_core.workspace.status import RunState
from cai_core.workspace.versions import resolve_constitution

_DEFAULT = ChainRecipe()
_SAMPLING = SamplingParams()
# A revision's prompt holds conversation, response and critique: the completion gets the rest.
_CONTEXT_SHARE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the command line names, read and checked."""

    prompts: Sequence[Prompt]
    constitution: Constitution
    few_shot: FewShot
    recipe: ReviseRecipe


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `revise` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "revise",
        help="answer, critique and revise every prompt of a file",
        description="Initial response, then (critique, revision) × n for every prompt. "
        "Stopped or broken off, the same command goes on where it was.",
    )
    add = parser.add_argument
    add(
        "prompts",
        metavar="PROMPTS",
        help="a prompt set's NAME (its newest version) or NAME@HASH, a .jsonl file, or a .txt "
        "with one prompt a line",
    )
    add(
        "--constitution",
        required=True,
        metavar="NAME|FILE",
        help="a name (its newest version), NAME@HASH, a .yaml file, or the paper's "
        "CritiqueRevisionInstructions.json",
    )
    add(
        "--model",
        help="an endpoint's name, demo, a model folder, or a URL (default: the endpoints that "
        "play policy and critic, see `models list`)",
    )
    add(
        "--out",
        type=Path,
        metavar="DIR",
        help="run folder (default: one in the workspace, where the pages show it)",
    )
    add("--critic-model", metavar="MODEL", help="writes the critiques instead of --model")
    add("--revisions", type=int, default=_DEFAULT.revisions, help="rounds (default: %(default)s)")
    add("--seed", type=int, default=_DEFAULT.seed, help="of the run (default: %(default)s)")
    add("--samples", type=int, default=_DEFAULT.samples, help="chains a prompt")
    add(
        "--principles",
        default="random",
        metavar="random|in-order|ID,ID",
        help="how each round gets its principle (default: %(default)s)",
    )
    add("--no-critique", action="store_true", help="revise directly, without critiques")
    add("--template", choices=("chat", "paper"), default="chat")
    add("--few-shot", type=Path, metavar="FILE", help="chat: .yaml or .json of conversations")
    add("--paper-files", type=Path, metavar="DIR", help="paper: folder of the official files")
    add("--temperature", type=float, default=_SAMPLING.temperature)
    add("--top-p", type=float, default=_SAMPLING.top_p)
    add(
        "--max-tokens",
        type=int,
        metavar="N",
        help=f"of one step (default: {_SAMPLING.max_tokens}, or a quarter of a smaller context)",
    )
    add("--limit", type=positive, metavar="N", help="only the first N prompts")
    add(
        "--concurrency",
        type=positive,
        metavar="N",
        help="the most requests at once at a server; does not change a text (default: the "
        f"endpoint's, else {CONCURRENCY}); the load adapts below it",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run, or go on with, the run in --out; the exit status."""
    _fill_models(args)
    file = _find_prompts(args.prompts)
    _tell_rejected(args.prompts, file)
    inputs = load_inputs(args, file)
    if args.out is None:
        args.out = _default_folder(inputs)
    if (args.out / "recipe.yaml").exists():
        inputs = _continue(args, inputs)
        held = open_run(args.out, kind=KIND, recipe=inputs.recipe.as_dict())
        if _is_finished(held, inputs):
            print(f"{args.out}: finished already; nothing to do")
            return 0
    progress = ProgressLine()
    try:
        # Outside of the event loop: a server may take long to start, and Ctrl-C must reach it.
        models = _launch(args)
        result = asyncio.run(_revise(args, inputs, file, progress, models))
    except (KeyboardInterrupt, asyncio.CancelledError):
        progress.close()
        tell_how_to_go_on(args.out, args.arguments)
        return 130
    except CaiError as error:
        progress.close()
        if not isinstance(error, RunMismatchError):
            tell_how_to_go_on(args.out, args.arguments)
        raise
    progress.close()
    return _tell_result(args.out, result)


def _fill_models(args: argparse.Namespace) -> None:
    """Where no model is named, the workspace's roles say which."""
    if args.model is not None:
        return
    roles = load_book(get_workspace()).roles
    args.model = roles["policy"]
    if args.critic_model is None and roles["critic"] != roles["policy"]:
        args.critic_model = roles["critic"]
    critic = f", critic {args.critic_model}" if args.critic_model else ""
    print(f"policy {args.model}{critic}", file=sys.stderr)


def load_inputs(args: argparse.Namespace, file: FoundPrompts) -> Inputs:
    """Read what the arguments name.

    Raises:
        CaiError: anything that is missing, broken or impossible.
    """
    prompts = file.prompts[: args.limit]
    if not prompts:
        raise PromptFileError(f"{args.prompts}: holds no prompt that can be used. Correct it.")
    constitution = _load_constitution(args.constitution)
    few_shot = _load_few_shot(args)
    sampling = SamplingParams(
        temperature=args.temperature,
        top_p=args.top_p,
        max_tokens=_SAMPLING.max_tokens if args.max_tokens is None else args.max_tokens,
    )
    recipe = ReviseRecipe(
        model=args.model,
        critic_model=args.critic_model,
        constitution=constitution.name,
        constitution_hash=constitution.hash,
        prompts=file.label,
        prompts_hash=prompts_hash(prompts),
        few_shot_hash=few_shot_hash(few_shot),
        limit=args.limit,
        chain=ChainRecipe(
            revisions=args.revisions,
            seed=args.seed,
            principles=_parse_principles(args.principles),
            critique=not args.no_critique,
            template=args.template,
            policy_sampling=sampling,
            critic_sampling=sampling,
            samples=args.samples,
        ),
    )
    resolve_principles(recipe.chain, constitution)
    return Inputs(prompts=prompts, constitution=constitution, few_shot=few_shot, recipe=recipe)


async def _revise(
    args: argparse.Namespace,
    inputs: Inputs,
    file: FoundPrompts,
    progress: ProgressLine,
    models: Sequence[Launched],
) -> BatchResult:
    def begin(setup: ChainSetup) -> tuple[Run, ChainSetup]:
        # Only now, with models that answer: a mistyped name must not leave a frozen recipe.
        if args.max_tokens is None and not (args.out / "recipe.yaml").exists():
            setup = replace(setup, recipe=_fit_max_tokens(setup.recipe, setup))
        recipe = _recipe(inputs, setup.recipe).as_dict()
        held = start_run(LOCAL_ACTOR, get_workspace(), args.out, kind=KIND, recipe=recipe)
        save_rejected(held, file.rejected)
        frozen = RunInputs(
            prompts=inputs.prompts, constitution=inputs.constitution, few_shot=inputs.few_shot
        )
        save_inputs(held, frozen)
        return held, setup

    return await run_revise_stage(
        models,
        inputs.recipe.chain,
        inputs.prompts,
        inputs.constitution,
        inputs.few_shot,
        begin=begin,
        concurrency=args.concurrency,
        on_progress=progress,
    )


def _default_folder(inputs: Inputs) -> Path:
    """The same for the same command, so that it goes on where it was."""
    return get_workspace() / "runs" / f"{KIND}-{content_hash(inputs.recipe.as_dict())[:12]}"


def _launch(args: argparse.Namespace) -> list[Launched]:
    """The policy, and the critic where it is another model."""
    names = list_models(args.model, args.critic_model)
    return [launch(name, get_workspace()) for name in names]


def _fit_max_tokens(recipe: ChainRecipe, setup: ChainSetup) -> ChainRecipe:
    def fit(params: SamplingParams, info: ModelInfo) -> SamplingParams:
        if info.context_length is None:
            return params
        share = max(1, info.context_length // _CONTEXT_SHARE)
        return replace(params, max_tokens=min(params.max_tokens, share))

    return replace(
        recipe,
        policy_sampling=fit(recipe.policy_sampling, setup.policy_info),
        critic_sampling=fit(recipe.critic_sampling, setup.critic_info),
    )


def _continue(args: argparse.Namespace, inputs: Inputs) -> Inputs:
    """The inputs with the run's own max_tokens, where the command line names none."""
    held = parse_revise_recipe(open_run(args.out, kind=KIND).recipe)
    if args.max_tokens is not None:
        return inputs
    chain = inputs.recipe.chain
    policy, critic = held.chain.policy_sampling, held.chain.critic_sampling
    chain = replace(
        chain,
        policy_sampling=replace(chain.policy_sampling, max_tokens=policy.max_tokens),
        critic_sampling=replace(chain.critic_sampling, max_tokens=critic.max_tokens),
    )
    return replace(inputs, recipe=_recipe(inputs, chain))


def _recipe(inputs: Inputs, chain: ChainRecipe) -> ReviseRecipe:
    return replace(inputs.recipe, chain=chain)


def _is_finished(held: Run, inputs: Inputs) -> bool:
    status = held.status()
    if status.state is RunState.FAILED:
        raise CaiError(
            f"{held.path}: every chain failed, and would again: {status.reason} "
            "Put that right and choose another --out."
        )
    if status.state is not RunState.SUCCEEDED:
        return False
    if not (held.outputs / CHAINS).exists():
        save_chains(held, inputs.prompts, inputs.recipe.chain, inputs.constitution)
    return True


def _load_constitution(name: str) -> Constitution:
    if name.lower().endswith(".json"):
        return load_official_constitution(Path(name))
    return resolve_constitution(get_workspace(), name)


def _load_few_shot(args: argparse.Namespace) -> FewShot:
    if args.few_shot is not None and args.template != "chat":
        raise RecipeError("--few-shot goes with --template chat; for paper use --paper-files.")
    if args.paper_files is not None and args.template != "paper":
        raise RecipeError("--paper-files goes with --template paper; for chat use --few-shot.")
    if args.few_shot is not None:
        return load_chat_few_shot(args.few_shot)
    return load_paper_few_shot(args.paper_files) if args.paper_files is not None else ()


def _parse_principles(text: str) -> Any:
    if text in ("random", "in-order"):
        return text
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _find_prompts(name: str) -> FoundPrompts:
    """A set of the workspace, or a file; a file without a known ending too."""
    if Path(name).is_file():
        name = str(Path(name).absolute())
    return resolve_prompts(get_workspace(), name)


def _tell_rejected(name: str, file: FoundPrompts) -> None:
    for line in file.rejected:
        print(f"{name}:{line.line}: rejected: {line.reason}", file=sys.stderr)
    if file.rejected:
        print(
            f"{name}: {len(file.rejected)} lines rejected, {len(file.prompts)} prompts kept",
            file=sys.stderr,
        )


def _tell_result(out: Path, result: BatchResult) -> int:
    counts: Mapping[str, int] = {
        "chains failed": result.failed,
        "critiques unparsed": result.unparsed,
        "texts cut at the token limit": result.cut_short,
    }
    told = "".join(f", {count} {what}" for what, count in counts.items() if count)
    print(
        f"{out / 'outputs' / CHAINS}: {result.chains} chains, {result.rows} rows "
        f"({result.generated} generated now){told}"
    )
    if result.first_error:
        print(f"first failure: {result.first_error}", file=sys.stderr)
    return 2 if result.failed == result.chains else 0
