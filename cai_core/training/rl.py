"""RL-CAI: train a policy against rewards, held to the model it began from. Resumable.

With `iterations: 1` in fp32 on a CPU a run that was stopped and goes on is the same to the bit:
the order of the prompts is fixed beforehand, and checkpoints hold the state of every generator of
random numbers. With more, a stop within a batch draws that batch anew; on a GPU kernels may sum
otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from cai_core.constitution.draw import list_enabled
from cai_core.errors import RecipeError
from cai_core.inference.pool import EnginePool
from cai_core.pipeline.prompt_file import prompts_hash
from cai_core.records import Constitution, Principle, Prompt
from cai_core.training.base_model import (
    Base,
    build_lora,
    check_template,
    find_base,
    load_model,
    load_tokenizer,
    uses_bf16,
)
from cai_core.training.frozen_dataset import DATASET_FACTS, load_dataset_facts
from cai_core.training.judge_reward import Judge
from cai_core.training.reward_model_scoring import RewardModel, find_reward_model
from cai_core.training.rewards import Reward, TokenCount
from cai_core.training.rl_card import RlCardFacts, build_rl_card
from cai_core.training.rl_prompts import build_order, choose_prompts, choose_sampled
from cai_core.training.rl_recipe import (
    JudgeReward,
    ModelReward,
    RewardSource,
    RlRecipe,
    parse_rl_recipe,
)
from cai_core.training.rl_trainer import (
    OnCompletions,
    RewardedGrpo,
    RewardedRloo,
    build_config,
    build_reward_function,
    list_shown,
    set_special_tokens,
)
from cai_core.training.sampling import SampledPrompt, build_sampling
from cai_core.training.save_model import save_model
from cai_core.training.stage import Attempt, TrainingResult, run_training
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import read_lines
from cai_core.workspace.runs import Run

KIND = "rl"

OpenPool = Callable[[], EnginePool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What looks at a training from beside it.

    Attributes:
        on_log: gets each line of metrics.jsonl.
        build_callbacks: further callbacks, told the policy's tokenizer; they come after ours.
        on_completions: get each batch; see `rl_trainer.OnCompletions`.
    """

    on_log: Callable[[Mapping[str, Any]], None] | None = None
    build_callbacks: Callable[[PreTrainedTokenizerBase], Sequence[TrainerCallback]] | None = None
    on_completions: tuple[OnCompletions, ...] = ()


def run_rl_training(
    run: Run,
    prompts: Sequence[Prompt],
    *,
    constitution: Constitution | None = None,
    judges: Sequence[OpenPool] = (),
    hooks: Hooks | None = None,
) -> TrainingResult:
    """Train, or go on, and write outputs/model (and outputs/adapter with LoRA).

    How the run ends: see `stage.run_training`. The last whole checkpoint is kept in each case.

    Args:
        prompts: those of the recipe; held-out ones are left out and counted.
        constitution: of the judges.
        judges: what opens the pool of each of the recipe's judges, in their order.

    Raises:
        Cancelled: it was stopped.
        ModelError: loss, weights or a reward are not numbers, or a model cannot be loaded.
        RecipeError: there is nothing to train on, or a reward that cannot be.
        RewardUnavailableError: a judge does not answer; the run is interrupted.
        RunMismatchError: a model's weights are not those of the recipe.
        WorkspaceError: another process writes the run, or the disk is full.
    """
    recipe = parse_rl_recipe(run.recipe)

    def work(attempt: Attempt) -> TrainingResult:
        with ExitStack() as stack:
            rewards = _open_rewards(run, recipe, constitution, judges, stack)
            return _train(attempt, recipe, prompts, rewards, hooks or Hooks())

    return run_training(run, work)


def choose_principles(reward: JudgeReward, constitution: Constitution | None) -> list[Principle]:
    """The principles that a judge's are drawn from.

    Raises:
        RecipeError: there is no constitution, it has not one of them, or one is off.
    """
    if constitution is None or not constitution.principles:
        raise RecipeError("a judge is a reward, and there is no constitution. Name one.")
    known = {principle.id: principle for principle in constitution.principles}
    if missing := [name for name in reward.principles if name not in known]:
        raise RecipeError(
            f"constitution {constitution.name!r} has no principle {', '.join(missing)}. It has: "
            f"{', '.join(sorted(known))}."
        )
    if off := [name for name in reward.principles if not known[name].enabled]:
        raise RecipeError(
            f"constitution {constitution.name!r} has {', '.join(off)} switched off. Switch it on, "
            "or leave it out of the reward."
        )
    chosen = [known[name] for name in reward.principles] or list(list_enabled(constitution))
    if not chosen:
        raise RecipeError(
            f"every principle of constitution {constitution.name!r} is off. Switch one on."
        )
    return chosen


def _open_rewards(
    run: Run,
    recipe: RlRecipe,
    constitution: Constitution | None,
    judges: Sequence[OpenPool],
    stack: ExitStack,
) -> list[Reward]:
    pools = iter(judges)

    def open_one(source: RewardSource) -> Reward:
        match source:
            case ModelReward():
                return RewardModel(find_reward_model(run, source.model, source.model_hash))
            case JudgeReward():
                judge = Judge(
                    next(pools),
                    choose_principles(source, constitution),
                    least_mass=source.least_mass,
                    seed=recipe.seed,
                )
                return stack.enter_context(judge)
        return TokenCount(source.per_tokens)

    return [open_one(source) for source in recipe.rewards]


def _train(
    attempt: Attempt,
    recipe: RlRecipe,
    prompts: Sequence[Prompt],
    rewards: Sequence[Reward],
    hooks: Hooks,
) -> TrainingResult:
    run = attempt.run
    base = find_base(run, recipe.base, recipe.base_hash)
    tokenizer = load_tokenizer(base)
    check_template(tokenizer)
    attempt.heed_stop()
    bf16 = uses_bf16(recipe.precision)
    model = load_model(base, seed=recipe.seed, method=recipe.method, bf16=bf16)
    used = _choose_fitting(prompts, recipe, tokenizer, model, run.outputs)
    attempt.heed_stop()
    watching = attempt.watch(hooks.on_log, list_shown(recipe))
    sampled = [
        SampledPrompt(prompt_id=one.prompt_id, conversation=one.conversation)
        for one in choose_sampled(used, recipe.sample_prompts)
    ]
    sampling = build_sampling(run, tokenizer, sampled, recipe.sample_steps)
    others = hooks.build_callbacks(tokenizer) if hooks.build_callbacks else ()
    ends = set_special_tokens(model, tokenizer)
    trainer_type: Any = RewardedRloo if recipe.algorithm == "rloo" else RewardedGrpo
    trainer: RewardedRloo | RewardedGrpo = trainer_type(
        model=model,
        reward_funcs=[
            build_reward_function(name, reward, ends)
            for name, reward in zip(recipe.reward_names, rewards, strict=True)
        ],
        args=build_config(recipe, attempt.checkpoints, bf16=bf16),
        train_dataset=_build_dataset(used, recipe),
        processing_class=tokenizer,
        peft_config=build_lora(recipe.method, recipe.lora_rank, recipe.lora_alpha),
        callbacks=[watching, sampling, *others],
    )
    trainer.observers = hooks.on_completions
    state = attempt.run_steps(trainer, watching, sampling)
    return TrainingResult(
        model=save_model(
            run.outputs,
            trainer.model,
            tokenizer,
            lambda weights: build_rl_card(_gather_facts(run, recipe, base, weights)),
        ),
        steps=state.global_step,
        loss=watching.loss,
        seconds=watching.seconds,
        sample_seconds=sampling.seconds,
    )


def _choose_fitting(
    prompts: Sequence[Prompt],
    recipe: RlRecipe,
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel,
    outputs: Path,
) -> list[Prompt]:
    """The prompts that are trained on; outputs/dataset.json tells how many, and why others not.

    Raises:
        RecipeError: none is left.
    """
    chosen = choose_prompts(prompts)
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)

    def fits(prompt: Prompt) -> bool:
        turns = [turn.as_dict() for turn in prompt.conversation]
        tokens = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
        return context is None or len(tokens) + recipe.max_tokens <= context

    fitting = [prompt for prompt in chosen.prompts if fits(prompt)]
    if not fitting:
        raise RecipeError(
            f"no prompt leaves room for max_tokens, {recipe.max_tokens}, in the base model's "
            f"{context} tokens. Lower max_tokens."
        )
    too_long = len(chosen.prompts) - len(fitting)
    source = {
        "run": recipe.prompts,
        "use": "prompts",
        "found": len(prompts),
        "taken": len(fitting),
        "wanted": len(fitting),
        "left_out": {**chosen.left_out, **({"too long": too_long} if too_long else {})},
    }
    facts = {"hash": prompts_hash(fitting), "sources": [source]}
    replace_file(outputs / DATASET_FACTS, [json.dumps(facts, indent=1).encode()])
    return fitting


def _build_dataset(prompts: Sequence[Prompt], recipe: RlRecipe) -> Dataset:
    order = build_order(
        prompts,
        steps=recipe.steps,
        per_step=recipe.prompts_per_step,
        red_team_share=recipe.red_team_share,
        seed=recipe.seed,
    )
    rows = {
        "prompt": [[turn.as_dict() for turn in one.conversation] for one in prompts],
        "prompt_id": [one.prompt_id for one in prompts],
    }
    return Dataset.from_dict(rows).select(order)


def _gather_facts(run: Run, recipe: RlRecipe, base: Base, weights_hash: str) -> RlCardFacts:
    lines = [
        line.record
        for line in read_lines(run.path / "metrics.jsonl")
        if line.record is not None and "reward" in line.record
    ]
    return RlCardFacts(
        run_id=run.run_id,
        recipe=recipe,
        base_hash=base.hash,
        weights_hash=weights_hash,
        steps=recipe.optimizer_steps,
        dataset=load_dataset_facts(run.outputs),
        first=lines[0] if lines else {},
        last=lines[-1] if lines else {},
    )
