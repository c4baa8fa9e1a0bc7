"""From the runs of RLAIF in a plan to recipes: names looked up, hashes filled in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cai_core.constitution import dump_constitution
from cai_core.errors import RecipeError
from cai_core.jobs.plan import Where
from cai_core.jobs.plan_lookup import Lookup
from cai_core.jobs.plan_names import RUN
from cai_core.jobs.plan_rlaif import LATER, RlaifPlan
from cai_core.pipeline.compared_answers import COMPARED_KINDS
from cai_core.pipeline.frozen_prompts import encode_prompts
from cai_core.pipeline.human_labels import (
    HumanLabel,
    People,
    build_people,
    human_labels_hash,
    list_people,
    load_human_labels,
    load_people,
    people_hash,
    settle_people,
)
from cai_core.pipeline.inputs import CONSTITUTION, PROMPTS
from cai_core.pipeline.label_few_shot import label_few_shot_hash, load_label_few_shot
from cai_core.pipeline.label_inputs import HUMAN, LabelInputs, build_label_inputs
from cai_core.pipeline.label_recipe import LabelRecipe, resolve_label_principles
from cai_core.pipeline.prompt_file import prompts_hash
from cai_core.records import Constitution, Prompt
from cai_core.training.dpo_recipe import DpoRecipe
from cai_core.training.reward_recipe import RewardRecipe
from cai_core.training.rl_prompts import choose_prompts
from cai_core.training.rl_recipe import JudgeReward, ModelReward, RewardSource, RlRecipe
from cai_core.workspace.journal import encode_record

# Before a review queue's id, in the place of a file of people's labels.
QUEUE = "queue:"


@dataclass(frozen=True, slots=True)
class Made:
    """What a run of a plan comes to: its recipe, parents, and inputs by file name."""

    recipe: dict[str, Any]
    parents: tuple[str, ...]
    inputs: Mapping[str, Callable[[], Iterable[bytes]]] = field(default_factory=dict)


def build_rlaif(run: RlaifPlan, lookup: Lookup) -> Made | None:
    """Look up what the run names; None where that has a fault, which is noted."""
    match run.recipe:
        case LabelRecipe():
            return _build_label(run, run.recipe, lookup)
        case RlRecipe():
            return _build_rl(run, run.recipe, lookup)
    return _build_pairs(run, run.recipe, lookup)


def _build_label(run: RlaifPlan, recipe: LabelRecipe, lookup: Lookup) -> Made | None:
    faults, before = lookup.faults, len(lookup.faults)
    parents: list[str] = []
    sources = []
    for source in recipe.sources:
        with faults.catch(run.name, "sources"):
            other = source.against
            found = replace(
                source,
                run=lookup.find_run(run.name, source.run, *COMPARED_KINDS),
                against=other and lookup.find_run(run.name, other, *COMPARED_KINDS),
            )
            sources.append(found)
    constitution: Constitution | None = None
    with faults.catch(run.name, "constitution"):
        constitution = lookup.find_constitution(recipe.constitution)
    model = ""
    with faults.catch(run.name, "feedback_model"):
        asked = recipe.feedback_model
        model = lookup.find_role("feedback") if asked == LATER else asked
        model = lookup.find_model(run.name, model, parents)
    few_shot: tuple[Mapping[str, Any], ...] = ()
    human: Mapping[str, HumanLabel] = {}
    with faults.catch(run.name, "few_shot"):
        few_shot = _load_few_shot(run, recipe, lookup)
    with faults.catch(run.name, "human"):
        if "human" in run.files:
            human = _load_settled(run.files["human"], lookup)
    if len(faults) > before or constitution is None:
        return None
    with faults.catch(run.name, ""):
        recipe = replace(
            recipe,
            sources=tuple(sources),
            feedback_model=model,
            constitution=constitution.name,
            constitution_hash=constitution.hash,
            few_shot_hash=label_few_shot_hash(few_shot),
            human_hash=human_labels_hash(human.values()),
        )
        resolve_label_principles(recipe, constitution)
    inputs = LabelInputs(constitution=constitution, few_shot=few_shot, human=human)
    parents = list(dict.fromkeys([*recipe.parents, *parents]))
    return Made(recipe.as_dict(), tuple(parents), build_label_inputs(inputs))


def _load_few_shot(
    run: RlaifPlan, recipe: LabelRecipe, lookup: Lookup
) -> tuple[Mapping[str, Any], ...]:
    if "few_shot" not in run.files:
        return ()
    path = lookup.find_file(run.files["few_shot"])
    return tuple(load_label_few_shot(path, template=recipe.template, reasoned=recipe.reasoned))


def _load_settled(name: str, lookup: Lookup) -> Mapping[str, HumanLabel]:
    """One label a comparison; those on which a queue's reviewers disagree are left to the model."""
    if name.startswith(QUEUE):
        return settle_people(_load_people(name, lookup), "drop")
    return load_human_labels(lookup.find_file(name))


def _load_people(name: str, lookup: Lookup) -> People:
    if not name.startswith(QUEUE):
        return load_people(lookup.find_file(name))
    people = build_people(lookup.find_votes(name.removeprefix(QUEUE)))
    if not people:
        raise RecipeError(f"{name}: nobody has voted there yet. Review some, or leave it out.")
    return people


def _build_pairs(run: RlaifPlan, recipe: RewardRecipe | DpoRecipe, lookup: Lookup) -> Made | None:
    faults, before = lookup.faults, len(lookup.faults)
    parents: list[str] = []
    sources = []
    for source in recipe.sources:
        with faults.catch(run.name, "sources"):
            found = lookup.find_run(run.name, source.run, "label", "import")
            sources.append(replace(source, run=found))
    base = (recipe.base, recipe.base_hash)
    with faults.catch(run.name, "base"):
        base = lookup.find_base(run.name, recipe.base, recipe.base_hash, parents)
    inputs: dict[str, Callable[[], Iterable[bytes]]] = {}
    human_hash: str | None = None
    with faults.catch(run.name, "human"):
        if "human" in run.files:
            people = _load_people(run.files["human"], lookup)
            human_hash = people_hash(people)
            inputs[HUMAN] = lambda: (encode_record(one.as_dict()) for one in list_people(people))
    if len(faults) > before:
        return None
    with faults.catch(run.name, ""):
        recipe = replace(
            recipe,
            base=base[0],
            base_hash=base[1],
            sources=tuple(sources),
            human_hash=human_hash,
        )
    runs = [source.run for source in recipe.sources]
    return Made(recipe.as_dict(), tuple(dict.fromkeys([*runs, *parents])), inputs)


def _build_rl(run: RlaifPlan, recipe: RlRecipe, lookup: Lookup) -> Made | None:
    faults, before = lookup.faults, len(lookup.faults)
    parents: list[str] = []
    rewards, found = [], []
    constitution: Constitution | None = None
    base = (recipe.base, recipe.base_hash)
    with faults.catch(run.name, "base"):
        base = lookup.find_base(run.name, recipe.base, recipe.base_hash, parents)
    for reward in recipe.rewards:
        with faults.catch(run.name, "rewards"):
            rewards.append(_find_reward(run, reward, lookup, parents))
    for name in run.files["prompts"]:
        with faults.catch(run.name, "prompts"):
            found.append(lookup.find_prompts(name, run.files.get("where") or Where()))
    with faults.catch(run.name, "constitution"):
        if recipe.constitution is not None:
            constitution = lookup.find_constitution(recipe.constitution)
    if len(faults) > before:
        return None
    prompts: tuple[Prompt, ...] = ()
    with faults.catch(run.name, ""):
        prompts = choose_prompts([prompt for one in found for prompt in one.prompts]).prompts
        recipe = replace(
            recipe,
            base=base[0],
            base_hash=base[1],
            rewards=tuple(rewards),
            prompts=" + ".join(one.label for one in found),
            prompts_hash=prompts_hash(prompts),
            constitution=constitution.name if constitution else None,
            constitution_hash=constitution.hash if constitution else None,
        )
    inputs: dict[str, Callable[[], Iterable[bytes]]] = {PROMPTS: lambda: encode_prompts(prompts)}
    if constitution is not None:
        text = dump_constitution(constitution)
        inputs[CONSTITUTION] = lambda: [text.encode("utf-8")]
    return Made(recipe.as_dict(), tuple(dict.fromkeys(parents)), inputs)


def _find_reward(
    run: RlaifPlan, reward: RewardSource, lookup: Lookup, parents: list[str]
) -> RewardSource:
    match reward:
        case ModelReward(model=name) if name.startswith(RUN):
            return replace(reward, model=str(lookup.find_made(run.name, name, parents, "reward")))
        case ModelReward(model=name):
            raise RecipeError(
                f"model is {name!r}. Name the run that makes the reward model: `run:NAME`."
            )
        case JudgeReward(model=name):
            return replace(reward, model=lookup.find_model(run.name, name, parents))
    return reward
