"""The two runs of a behavioural diff, ready to be handed in. Looks up names; writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cai_core.errors import PromptFileError, RecipeError
from cai_core.inference.model_folder import DEMO
from cai_core.jobs.plan_names import check_model, check_place
from cai_core.jobs.run_ids import build_run_id
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.inputs import build_inputs
from cai_core.pipeline.interactive import PAGE_SAMPLING
from cai_core.pipeline.prompt_file import prompts_hash
from cai_core.pipeline.prompt_sets import resolve_prompts, select_prompts
from cai_core.pipeline.recipe import ChainRecipe, ReviseRecipe
from cai_core.records import Constitution, Prompt
from cai_core.workspace.endpoints import load_book

DEFAULT_COUNT, MAX_COUNT = 20, 2000
PLAN = "try"


@dataclass(frozen=True, slots=True, kw_only=True)
class TryRequest:
    """What to try on what.

    Attributes:
        prompts: a prompt set's NAME or NAME@HASH; its first `count` prompts are used.
        model: an endpoint's name; empty for who plays the policy, with the critic beside it.
        principle: id of the one principle that every round uses, which both texts must have;
            empty to draw one each round.
        revisions: rounds a chain, ≥ 1.
    """

    prompts: str
    count: int = DEFAULT_COUNT
    model: str = ""
    principle: str = ""
    revisions: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrySpecs:
    """The runs of a try.

    Attributes:
        label: of the prompt set.
        count: prompts, at most as many as were asked for.
    """

    before: RunSpec
    after: RunSpec
    label: str
    count: int


def build_try(
    workspace: Path, before: Constitution, after: Constitution, request: TryRequest
) -> TrySpecs:
    """Two `revise` runs that differ in their constitution alone.

    A draft needs no version for it: its text is frozen in the run's folder.

    Raises:
        RecipeError: the two texts are the same, one lacks the principle, or a value is out of
            range.
        PromptFileError: no such set, or it is empty.
        EndpointError: the workspace's endpoints cannot be read.
    """
    if before.hash == after.hash:
        raise RecipeError("The two texts are the same: there is nothing to compare.")
    if not 1 <= request.count <= MAX_COUNT:
        raise RecipeError(f"{request.count} prompts: give 1 to {MAX_COUNT}.")
    if request.revisions < 1:
        raise RecipeError("Without a revision no principle is used: give 1 or more.")
    check_place(request.prompts, workspace)
    found = resolve_prompts(workspace, request.prompts)
    prompts = select_prompts(found.prompts, limit=request.count)
    if not prompts:
        raise PromptFileError(f"{found.label} has no prompts. Choose another set.")
    policy, critic = _find_models(workspace, request.model)
    chain = ChainRecipe(
        revisions=request.revisions,
        seed=request.seed,
        principles=(request.principle,) if request.principle else "random",
        policy_sampling=PAGE_SAMPLING,
        critic_sampling=PAGE_SAMPLING,
    )
    recipe = ReviseRecipe(
        model=policy,
        critic_model=critic,
        constitution="",
        constitution_hash="",
        prompts=found.label,
        prompts_hash=prompts_hash(prompts),
        limit=request.count,
        chain=chain,
    )
    specs = [_build_spec(recipe, text, prompts, workspace) for text in (before, after)]
    return TrySpecs(before=specs[0], after=specs[1], label=found.label, count=len(prompts))


def _build_spec(
    recipe: ReviseRecipe, text: Constitution, prompts: Sequence[Prompt], workspace: Path
) -> RunSpec:
    chosen = recipe.chain.principles
    if isinstance(chosen, tuple) and chosen[0] not in {p.id for p in text.principles}:
        raise RecipeError(
            f"{text.name}@{text.hash[:12]} has no principle {chosen[0]!r}. Choose one that both "
            "texts have, or draw them at random."
        )
    own = replace(recipe, constitution=text.name, constitution_hash=text.hash).as_dict()
    return RunSpec(
        run_id=build_run_id(f"{PLAN}-{text.name}", "revise", own, (), workspace),
        kind="revise",
        recipe=own,
        inputs=build_inputs(prompts, text, ()),
    )


def _find_models(workspace: Path, wanted: str) -> tuple[str, str | None]:
    """Policy and critic; the latter None where the policy criticises itself."""
    book = load_book(workspace)
    if wanted:
        check_model(wanted, [DEMO, *book.endpoints])
        return wanted, None
    policy, critic = book.roles["policy"], book.roles["critic"]
    return policy, critic if critic != policy else None
