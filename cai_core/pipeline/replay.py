"""Running a stored chain or label again with the settings that made it.

The same code asks as in the run: the chain's own steps, principles and seeds, or the comparison's
own questions. Nothing of a replay is kept in a run folder: its rows stay in this process, among the
last ones (`replay_live.ReplayHub`), and the journal says that it was begun and what it came to.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path

from cai_core.constitution import load_constitution
from cai_core.errors import CaiError
from cai_core.inference.capabilities import Support
from cai_core.inference.pool import EnginePool
from cai_core.pipeline.comparison_records import FormedComparison
from cai_core.pipeline.connect import launch
from cai_core.pipeline.critique_revision import prepare, run_chain
from cai_core.pipeline.generate import SilentObserver
from cai_core.pipeline.inputs import CONSTITUTION, FOLDER, load_inputs
from cai_core.pipeline.interactive import LIVE_PATIENCE
from cai_core.pipeline.label_answers import choose_scorer
from cai_core.pipeline.label_asking import LabelSetup, ask_comparison
from cai_core.pipeline.label_building import build_model_label
from cai_core.pipeline.label_few_shot import build_label_few_shot
from cai_core.pipeline.label_inputs import load_label_inputs
from cai_core.pipeline.label_recipe import parse_label_recipe, resolve_label_principles
from cai_core.pipeline.label_records import COMPARISONS
from cai_core.pipeline.prompt_file import parse_conversation
from cai_core.pipeline.recipe import ReviseRecipe, parse_revise_recipe
from cai_core.pipeline.replay_live import ReplayBuffer, ReplayRequest
from cai_core.pipeline.replay_report import ReplayReport, build_report, pair_rows
from cai_core.pipeline.replay_targets import (
    ChainTarget,
    LabelTarget,
    ReplayError,
    find_refusal,
)
from cai_core.pipeline.revise_stage import list_models
from cai_core.pipeline.ways_interactive import find_capabilities
from cai_core.records import Constitution, Prompt, PromptKind, StepKind
from cai_core.workspace.journal import parse_line
from cai_core.workspace.rows import Row
from cai_core.workspace.runs import Run, open_run
from cai_core.workspace.versions import load_version

_SHORT = 12


async def run_replay(_id: str, request: ReplayRequest, buffer: ReplayBuffer) -> None:
    """Ask again, into the buffer.

    Raises:
        ReplayError: it cannot be run again with the same settings.
        CaiError: the model is not there, or refuses.
    """
    if (refusal := find_refusal(request.target)) is not None:
        raise ReplayError(refusal)
    run = await asyncio.to_thread(find_run, request)
    match request.target:
        case ChainTarget() as chain:
            report = await _replay_chain(run, chain, request.workspace, buffer)
        case LabelTarget() as label:
            report = await _replay_label(run, label, request.workspace, buffer)
    buffer.finish(report)
    if request.tell_end is not None:
        await asyncio.to_thread(request.tell_end, report)


def find_run(request: ReplayRequest) -> Run:
    """The run that holds what is replayed: the workspace's, else the recordings'.

    Raises:
        ReplayError: it is in neither, or no run any more.
    """
    name = request.target.run
    folders = [request.workspace / "runs", *([request.recordings] if request.recordings else [])]
    for folder in folders:
        path = folder / name
        if path.parent == folder and (path / "recipe.yaml").is_file():
            return open_run(path)
    raise ReplayError(f"The run {name!r} is not in the workspace any more. Its recipe is needed.")


def find_constitution_of(run: Run, recipe: ReviseRecipe, workspace: Path) -> Constitution:
    """The very version that the run was made under, by its hash.

    Raises:
        ReplayError: neither the run nor the workspace has it any more.
    """
    held = []
    for path in (run.path / FOLDER / CONSTITUTION, run.outputs / CONSTITUTION):
        if path.is_file():
            try:
                found = load_constitution(path)
            except CaiError:
                continue  # damaged: another copy may be whole
            if found.hash == recipe.constitution_hash:
                return found
            held.append(found.hash[:_SHORT])
    try:
        return load_version(workspace, recipe.constitution, recipe.constitution_hash)
    except CaiError as error:
        there = f" The run’s folder holds {', '.join(held)} in its place." if held else ""
        raise ReplayError(
            f"The version {recipe.constitution_hash[:_SHORT]} of {recipe.constitution!r}, which "
            f"it was made under, is nowhere in the workspace.{there} Bring it back from a backup."
        ) from error


class _Teller(SilentObserver):
    """Tells the buffer of each row; texts come whole, as in a run that nobody watches."""

    def __init__(self, buffer: ReplayBuffer) -> None:
        self._buffer = buffer

    def step_finished(self, row: Row) -> None:
        """The step was asked again."""
        self._buffer.add(row)


async def _replay_chain(
    run: Run, target: ChainTarget, workspace: Path, buffer: ReplayBuffer
) -> ReplayReport:
    recipe = parse_revise_recipe(run.recipe)
    first = target.rows[0]
    constitution = await asyncio.to_thread(find_constitution_of, run, recipe, workspace)
    prompt = _restore_prompt(first)
    few_shot = (await asyncio.to_thread(load_inputs, run)).few_shot if recipe.few_shot_hash else ()
    async with AsyncExitStack() as stack:
        pools = [
            await stack.enter_async_context(await _open_pool(name, workspace))
            for name in list_models(recipe.model, recipe.critic_model)
        ]
        setup = await prepare(
            recipe.chain,
            constitution,
            pools[0],
            pools[1] if len(pools) > 1 else None,
            few_shot=few_shot,
            run_id=run.run_id,
        )
        chain = await run_chain(prompt, setup, sample=first.sample, observer=_Teller(buffer))
        seeds = await _ask_about_seeds(pools, target.rows, chain.rows)
    return build_report(target.rows, chain.rows, seeds=seeds)


async def _replay_label(
    run: Run, target: LabelTarget, workspace: Path, buffer: ReplayBuffer
) -> ReplayReport:
    recipe = parse_label_recipe(run.recipe)
    inputs = await asyncio.to_thread(load_label_inputs, run, recipe)
    comparison = await asyncio.to_thread(_read_comparison, run, target)
    principles = resolve_label_principles(recipe, inputs.constitution)
    async with await _open_pool(recipe.feedback_model, workspace) as pool:
        scorer = choose_scorer(
            await find_capabilities(pool), recipe.template, reasoned=recipe.reasoned
        )
        setup = LabelSetup(
            run_id=run.run_id,
            recipe=recipe,
            constitution=inputs.constitution,
            model=pool,
            info=await pool.info(),
            scorer=scorer,
            few_shot=build_label_few_shot(
                inputs.few_shot,
                principles,
                template=recipe.template,
                reasoned=recipe.reasoned,
                seed=recipe.seed,
            ),
        )

        async def tell(row: Row) -> None:
            buffer.add(row)

        rows = await ask_comparison(target.place, comparison, setup, {}, tell)
        seeds = await _ask_about_seeds([pool], target.rows, rows)
    label = build_model_label(comparison, rows, recipe)
    return build_report(target.rows, rows, label=label, seeds=seeds)


async def _open_pool(model: str, workspace: Path) -> EnginePool:
    try:
        launched = await asyncio.to_thread(launch, model, workspace)
    except CaiError as error:
        raise ReplayError(f"The model {model!r} cannot be asked any more: {error}") from error
    # A person waits: who does not answer soon is told of.
    return launched.open(patience=LIVE_PATIENCE)


async def _ask_about_seeds(
    pools: list[EnginePool], stored: tuple[Row, ...], new: list[Row] | tuple[Row, ...]
) -> Support | None:
    """Whether the server repeats a text for a seed; None where there is no need to ask."""
    first = next((step for step in pair_rows(stored, new) if not step.same), None)
    if first is None or first.new is None or first.new.repeatability == "exact":
        return None
    pool = pools[-1] if first.new.role == "critic" else pools[0]
    try:
        found = await find_capabilities(pool)
    except CaiError:
        return None  # it has gone meanwhile; the difference stands without this
    seed = found.by_name.get("seed")
    return seed.support if seed else None


def _restore_prompt(first: Row) -> Prompt:
    told = first.prompt or {}
    try:
        if first.kind is not StepKind.RESPONSE:
            raise ValueError("the first row is no initial response")
        return Prompt(
            prompt_id=first.prompt_id,
            conversation=parse_conversation(told["conversation"]),
            kind=PromptKind(told.get("kind", PromptKind.UNKNOWN)),
            tags=tuple(told.get("tags", ())),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ReplayError(f"The chain’s prompt cannot be read: {error}.") from error


def _read_comparison(run: Run, target: LabelTarget) -> FormedComparison:
    path = run.outputs / COMPARISONS
    try:
        with path.open("rb") as file:
            line = next(islice(file, target.place, None), b"")
        comparison = FormedComparison.parse(parse_line(line).record or {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReplayError(
            f"The comparison as it was asked about cannot be read: line {target.place + 1} of "
            f"{COMPARISONS} of the run {run.run_id!r} is missing or damaged."
        ) from error
    if comparison.comparison_id != target.id:
        raise ReplayError(
            f"Line {target.place + 1} of {COMPARISONS} of the run {run.run_id!r} is about another "
            "comparison now: the file was changed by hand."
        )
    return comparison
