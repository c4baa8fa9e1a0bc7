"""From a plan file to runs that can be handed in: names looked up, hashes filled in.

A run's id ends in a hash of its recipe and parents, so the same plan gives the same runs, and
handing it in again goes on with them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cai_core.errors import RecipeError
from cai_core.jobs.plan import MAX_BYTES, AnyPlan, Faults, RevisePlan, SftPlan, parse_plan
from cai_core.jobs.plan_evaluate import EvaluatePlan
from cai_core.jobs.plan_evaluate_specs import build_evaluate
from cai_core.jobs.plan_lookup import MODEL, Lookup
from cai_core.jobs.plan_names import RUN
from cai_core.jobs.plan_rlaif_specs import Made, build_rlaif
from cai_core.jobs.run_ids import build_run_id
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.few_shot import few_shot_hash, load_chat_few_shot, load_paper_few_shot
from cai_core.pipeline.inputs import build_inputs
from cai_core.pipeline.prompt_file import prompts_hash
from cai_core.pipeline.recipe import ReviseRecipe, resolve_principles
from cai_core.pipeline.steps import FewShot

__all__ = ["MODEL", "RUN", "build_plan", "load_plan"]


def load_plan(path: Path, workspace: Path) -> list[RunSpec]:
    """Read a plan file and look up all that it names. Nothing is written.

    Raises:
        RecipeError: every fault that was found, one a line: file, run, key, and the fix.
    """
    return build_plan(_read_text(path), str(path), path.parent, workspace)


def build_plan(
    text: str,
    source: str,
    folder: Path,
    workspace: Path,
    *,
    names_only: bool = False,
    any_model: bool = False,
) -> list[RunSpec]:
    """`load_plan` of a text.

    Args:
        source: what faults call it.
        folder: where relative paths begin.
        names_only: for a text from a page: paths are refused, see `plan_names`.
        any_model: folders and URLs of models are taken all the same.

    Raises:
        RecipeError: as `load_plan`.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise RecipeError(f"{source}: more than {MAX_BYTES} bytes. Split it.")
    faults = Faults(source)
    plan = parse_plan(text, source, faults)
    models_only = names_only and not any_model
    lookup = Lookup(plan, folder, workspace, faults, names_only=names_only, models_only=models_only)
    for run in plan.runs:
        before = len(faults)
        made = _build(run, lookup)
        if made is not None and len(faults) == before:
            stem = f"{plan.name}-{run.name}"
            run_id = build_run_id(stem, run.kind, made.recipe, made.parents, workspace)
            lookup.built[run.name] = RunSpec(
                run_id=run_id,
                kind=run.kind,
                recipe=made.recipe,
                parents=made.parents,
                inputs=made.inputs,
            )
    faults.raise_any()
    return list(lookup.built.values())


def _build(run: AnyPlan, lookup: Lookup) -> Made | None:
    match run:
        case RevisePlan():
            return _build_revise(run, lookup)
        case SftPlan():
            return _build_sft(run, lookup)
        case EvaluatePlan():
            return build_evaluate(run, lookup)
    return build_rlaif(run, lookup)


def _build_revise(run: RevisePlan, lookup: Lookup) -> Made | None:
    found = constitution = None
    few_shot: FewShot = ()
    faults = lookup.faults
    with faults.catch(run.name, "prompts"):
        found = lookup.find_prompts(run.prompts, run.where)
    with faults.catch(run.name, "constitution"):
        constitution = lookup.find_constitution(run.constitution)
    with faults.catch(run.name, "chain"):
        if constitution is not None:
            resolve_principles(run.chain, constitution)
    with faults.catch(run.name, "few_shot"):
        few_shot = _load_few_shot(run, lookup)
    parents: list[str] = []
    model, critic = _find_models(run, lookup, parents)
    if found is None or constitution is None or model is None:
        return None
    recipe = ReviseRecipe(
        model=model,
        critic_model=critic,
        constitution=constitution.name,
        constitution_hash=constitution.hash,
        prompts=found.label,
        prompts_hash=prompts_hash(found.prompts),
        few_shot_hash=few_shot_hash(few_shot),
        limit=run.where.limit,
        chain=run.chain,
    )
    inputs = build_inputs(found.prompts, constitution, few_shot)
    return Made(recipe.as_dict(), tuple(dict.fromkeys(parents)), inputs)


def _load_few_shot(run: RevisePlan, lookup: Lookup) -> FewShot:
    if run.few_shot is None:
        return ()
    path = lookup.find_file(run.few_shot)
    paper = run.chain.template == "paper"
    return load_paper_few_shot(path) if paper else load_chat_few_shot(path)


def _find_models(
    run: RevisePlan, lookup: Lookup, parents: list[str]
) -> tuple[str | None, str | None]:
    """Policy and critic; the latter None where the policy criticises itself."""
    model, critic = run.model, run.critic_model
    if model is None:
        with lookup.faults.catch(run.name, "model"):
            model = lookup.find_role("policy")
            if critic is None and lookup.find_role("critic") != model:
                critic = lookup.find_role("critic")
    found: dict[str, str] = {}
    for key, name in (("model", model), ("critic_model", critic)):
        if name is not None:
            with lookup.faults.catch(run.name, key):
                found[key] = lookup.find_model(run.name, name, parents)
    return found.get("model"), found.get("critic_model")


def _build_sft(run: SftPlan, lookup: Lookup) -> Made | None:
    recipe, base = run.recipe, None
    parents: list[str] = []
    sources = []
    for source in recipe.sources:
        with lookup.faults.catch(run.name, "sources"):
            sources.append(replace(source, run=lookup.find_run(run.name, source.run, "revise")))
    with lookup.faults.catch(run.name, "base"):
        base = lookup.find_base(run.name, recipe.base, recipe.base_hash, parents)
    if base is None or len(sources) < len(recipe.sources):
        return None
    with lookup.faults.catch(run.name, ""):
        recipe = replace(recipe, base=base[0], base_hash=base[1], sources=tuple(sources))
    parents = list(dict.fromkeys([*recipe.parents, *parents]))
    return Made(recipe.as_dict(), tuple(parents), {})


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise RecipeError(f"{path}: more than {MAX_BYTES} bytes. Split it.")
        return raw.decode("utf-8")
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}. Check the path.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8. Save the file as UTF-8.") from error
