"""SL-CAI: fine-tune a model on revisions, with TRL. Resumable; the loss is on answers alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerState
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from cai_core.records import Message
from cai_core.training.base_model import (
    Base,
    build_common_arguments,
    build_lora,
    check_template,
    find_base,
    load_model,
    load_tokenizer,
    use_one_device,
    uses_bf16,
)
from cai_core.training.datasets import SftDataset, SftExample, parse_example
from cai_core.training.frozen_dataset import freeze_dataset, leave_out_long, load_dataset_facts
from cai_core.training.model_card import CardFacts, build_model_card
from cai_core.training.recipe import SftRecipe, parse_sft_recipe
from cai_core.training.sampling import SampledPrompt, build_sampling
from cai_core.training.save_model import save_model
from cai_core.training.stage import Attempt, TrainingResult, run_training
from cai_core.training.trainer_mixin import FiniteMixin
from cai_core.workspace.runs import Run

KIND = "sft"


class FiniteTrainer(FiniteMixin, SFTTrainer):
    """TRL's trainer, ended by a loss that is not a number; checkpoints are whole or not there."""


def run_sft(
    run: Run,
    build_dataset: Callable[[], SftDataset],
    *,
    on_log: Callable[[Mapping[str, Any]], None] | None = None,
) -> TrainingResult:
    """Train, or go on, and write outputs/model (and outputs/adapter with LoRA).

    How the run ends: see `stage.run_training`. The last whole checkpoint is kept in each case.

    Args:
        build_dataset: called at the first start; what it gave is frozen in outputs/dataset.jsonl.
        on_log: gets each line of metrics.jsonl.

    Raises:
        Cancelled: it was stopped.
        ModelError: the loss is not a number, or the model cannot be loaded.
        RecipeError: there is nothing to train on.
        RunMismatchError: the base model's weights, or the examples, are not those of the run.
        WorkspaceError: another process writes the run, or the disk is full.
    """
    recipe = parse_sft_recipe(run.recipe)
    return run_training(run, lambda attempt: _train(attempt, recipe, build_dataset, on_log))


def _train(
    attempt: Attempt,
    recipe: SftRecipe,
    build_dataset: Callable[[], SftDataset],
    on_log: Callable[[Mapping[str, Any]], None] | None,
) -> TrainingResult:
    run = attempt.run
    base = find_base(run, recipe.base, recipe.base_hash)
    examples = freeze_dataset(run.outputs, build_dataset, parse_example, _compute_hash)
    tokenizer = load_tokenizer(base)
    check_template(tokenizer)
    fitting = leave_out_long(
        examples,
        lambda one: len(
            tokenizer.apply_chat_template(one.as_dict()["messages"], return_dict=False)
        ),
        recipe.max_length,
        run.outputs,
    )
    attempt.heed_stop()
    bf16 = uses_bf16(recipe.precision)
    model = load_model(base, seed=recipe.seed, method=recipe.method, bf16=bf16)
    attempt.heed_stop()
    watching = attempt.watch(on_log)
    prompts = [
        SampledPrompt(
            prompt_id=one.prompt_id,
            conversation=tuple(map(_as_message, one.conversation)),
        )
        for one in choose_sampled(fitting, recipe.parents, recipe.sample_prompts)
    ]
    sampling = build_sampling(run, tokenizer, prompts, recipe.sample_steps)
    config = build_config(recipe, attempt.checkpoints, bf16=bf16)
    trainer = _make_trainer(recipe, config, model, tokenizer, fitting, [watching, sampling])
    state = attempt.run_steps(trainer, watching, sampling)
    facts = _gather_facts(run, recipe, base, len(fitting), state)
    return TrainingResult(
        model=save_model(
            run.outputs,
            trainer.model,
            tokenizer,
            lambda weights: build_model_card(CardFacts(weights_hash=weights, **facts)),
        ),
        steps=state.global_step,
        loss=watching.loss,
        seconds=watching.seconds,
        sample_seconds=sampling.seconds,
    )


def _make_trainer(
    recipe: SftRecipe,
    config: SFTConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[SftExample],
    callbacks: list[Any],
) -> FiniteTrainer:
    rows = [example.as_dict()["messages"] for example in examples]
    dataset = Dataset.from_dict(
        {"prompt": [row[:-1] for row in rows], "completion": [row[-1:] for row in rows]}
    )
    return FiniteTrainer(
        model=model,
        args=config,
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=build_lora(recipe.method, recipe.lora_rank, recipe.lora_alpha),
        callbacks=callbacks,
    )


def build_config(recipe: SftRecipe, folder: Path, *, bf16: bool) -> SFTConfig:
    """TRL's settings for a recipe; checkpoints go into `folder`."""
    return use_one_device(
        SFTConfig(
            **build_common_arguments(folder, bf16=bf16, seed=recipe.seed),
            per_device_train_batch_size=recipe.micro_batch,
            gradient_accumulation_steps=recipe.batch_size // recipe.micro_batch,
            num_train_epochs=recipe.epochs,
            learning_rate=recipe.learning_rate,
            warmup_steps=recipe.warmup,
            weight_decay=recipe.weight_decay,
            max_grad_norm=recipe.max_grad_norm,
            max_length=recipe.max_length,
            packing=recipe.packing,
            completion_only_loss=True,
            gradient_checkpointing=recipe.gradient_checkpointing,
            logging_steps=recipe.log_steps,
            save_steps=recipe.save_steps,
        )
    )


def choose_sampled(
    examples: Sequence[SftExample], runs: Sequence[str], count: int
) -> list[SftExample]:
    """So many examples of different prompts, from each run in turn, by their prompts' ids."""
    first: dict[str, dict[str, SftExample]] = {run: {} for run in runs}
    taken: dict[str, str] = {}
    for example in sorted(examples, key=lambda one: (one.prompt_id, runs.index(one.run), one.step)):
        if taken.setdefault(example.prompt_id, example.run) == example.run:
            first[example.run].setdefault(example.prompt_id, example)
    turns = zip_longest(*(found.values() for found in first.values()))
    return [example for turn in turns for example in turn if example is not None][:count]


def _as_message(turn: Mapping[str, Any]) -> Message:
    return Message(turn["role"], turn["content"])


def _compute_hash(examples: Sequence[SftExample]) -> str:
    return SftDataset(examples=tuple(examples), counts=()).hash


def _gather_facts(
    run: Run, recipe: SftRecipe, base: Base, examples: int, state: TrainerState
) -> dict[str, Any]:
    """What the model's card tells, beside the hash of its weights."""
    losses = [line["loss"] for line in state.log_history if "loss" in line]
    return {
        "run_id": run.run_id,
        "recipe": recipe,
        "base": str(recipe.base),
        "base_hash": base.hash,
        "examples": examples,
        "steps": state.global_step,
        "first_loss": losses[0] if losses else math.nan,
        "last_loss": losses[-1] if losses else math.nan,
        "dataset": load_dataset_facts(run.outputs),
    }
