"""Reward models (preference models): trained on preference labels, with TRL. Resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase
from trl.trainer.reward_config import RewardConfig

from cai_core.evaluation.reward_metrics import JudgedPair, RewardQuality, compute_reward_quality
from cai_core.records import Message
from cai_core.training.base_model import (
    build_common_arguments,
    build_lora,
    check_template,
    find_base,
    load_model,
    load_tokenizer,
    use_one_device,
    uses_bf16,
)
from cai_core.training.frozen_dataset import freeze_dataset, leave_out_long, load_dataset_facts
from cai_core.training.preference_card import PairCardFacts, build_reward_card
from cai_core.training.preferences import (
    PreferenceDataset,
    PreferencePair,
    compute_pairs_hash,
    parse_pair,
)
from cai_core.training.reward_model_scoring import build_tokens
from cai_core.training.reward_recipe import RewardRecipe, parse_reward_recipe
from cai_core.training.reward_trainer import (
    SoftRewardCollator,
    SoftRewardTrainer,
    choose_pad_token,
    compute_rewards,
)
from cai_core.training.sampling import build_sampling
from cai_core.training.save_model import save_model
from cai_core.training.soft_labels import PROB
from cai_core.training.stage import Attempt, TrainingResult, run_training
from cai_core.workspace.files import replace_file
from cai_core.workspace.runs import Run

KIND = "reward"
EVALUATION = "evaluation.json"
SHOWN = (
    "loss",
    "grad_norm",
    "learning_rate",
    "accuracy",
    "margin",
    "min_reward",
    "mean_reward",
    "max_reward",
    "num_tokens",
)


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A pair with the tokens of its two conversations."""

    pair: PreferencePair
    chosen: list[int]
    rejected: list[int]


def run_reward(
    run: Run,
    build_dataset: Callable[[], PreferenceDataset],
    *,
    on_log: Callable[[Mapping[str, Any]], None] | None = None,
) -> TrainingResult:
    """Train, or go on, and write outputs/model and outputs/evaluation.json.

    How the run ends: see `stage.run_training`. The last whole checkpoint is kept in each case.

    Args:
        build_dataset: called at the first start; what it gave is frozen in outputs/dataset.jsonl.
        on_log: gets each line of metrics.jsonl.

    Raises:
        Cancelled: it was stopped.
        ModelError: the loss is not a number, or the model cannot be loaded.
        RecipeError: there is nothing to train on.
        RunMismatchError: the base model's weights, or the pairs, are not those of the run.
        WorkspaceError: another process writes the run, or the disk is full.
    """
    recipe = parse_reward_recipe(run.recipe)
    return run_training(run, lambda attempt: _train(attempt, recipe, build_dataset, on_log))


def _train(
    attempt: Attempt,
    recipe: RewardRecipe,
    build_dataset: Callable[[], PreferenceDataset],
    on_log: Callable[[Mapping[str, Any]], None] | None,
) -> TrainingResult:
    run = attempt.run
    base = find_base(run, recipe.base, recipe.base_hash)
    pairs = freeze_dataset(run.outputs, build_dataset, parse_pair, compute_pairs_hash)
    tokenizer = load_tokenizer(base)
    check_template(tokenizer)
    # Once: rendering a chat template takes longer than reading what it gives.
    encoded = leave_out_long(
        [EncodedPair(pair, *encode_pair(tokenizer, pair)) for pair in pairs],
        lambda one: max(len(one.chosen), len(one.rejected)),
        recipe.max_length,
        run.outputs,
    )
    training = [one for one in encoded if one.pair.split == "train"]
    held_out = [one for one in encoded if one.pair.split == "eval"]
    tokenizer.pad_token = choose_pad_token(tokenizer, encoded[0].chosen[-1])
    attempt.heed_stop()
    bf16 = uses_bf16(recipe.precision)
    model = load_model(
        base,
        seed=recipe.seed,
        method=recipe.method,
        bf16=bf16,
        auto_class=AutoModelForSequenceClassification,
        num_labels=1,
    )
    attempt.heed_stop()
    watching = attempt.watch(on_log, SHOWN)
    nothing = build_sampling(run, tokenizer, [], 0)
    trainer = SoftRewardTrainer(
        model=model,
        args=build_config(recipe, attempt.checkpoints, bf16=bf16),
        train_dataset=build_columns(training),
        data_collator=SoftRewardCollator(pad_token_id=tokenizer.pad_token_id),
        processing_class=tokenizer,
        peft_config=build_lora(recipe.method, recipe.lora_rank, recipe.lora_alpha, "SEQ_CLS"),
        callbacks=[watching, nothing],
    )
    state = attempt.run_steps(trainer, watching, nothing)
    quality = evaluate_pairs(trainer.model, tokenizer, held_out)
    _save_quality(run.outputs, quality)
    facts: dict[str, Any] = {
        "run_id": run.run_id,
        "recipe": recipe,
        "base_hash": base.hash,
        "pairs": len(training),
        "steps": state.global_step,
        "losses": [line["loss"] for line in state.log_history if "loss" in line],
        "dataset": load_dataset_facts(run.outputs),
    }
    folder = save_model(
        run.outputs,
        trainer.model,
        tokenizer,
        lambda weights: build_reward_card(PairCardFacts(weights_hash=weights, **facts), quality),
    )
    return TrainingResult(
        model=folder,
        steps=state.global_step,
        loss=watching.loss,
        seconds=watching.seconds,
        sample_seconds=nothing.seconds,
    )


def build_config(recipe: RewardRecipe, folder: Path, *, bf16: bool) -> RewardConfig:
    """TRL's settings for a recipe; checkpoints go into `folder`."""
    return use_one_device(
        RewardConfig(
            **build_common_arguments(folder, bf16=bf16, seed=recipe.seed),
            per_device_train_batch_size=recipe.micro_batch,
            gradient_accumulation_steps=recipe.batch_size // recipe.micro_batch,
            num_train_epochs=recipe.epochs,
            learning_rate=recipe.learning_rate,
            warmup_steps=recipe.warmup,
            weight_decay=recipe.weight_decay,
            max_grad_norm=recipe.max_grad_norm,
            max_length=recipe.max_length,
            center_rewards_coefficient=recipe.center or None,
            gradient_checkpointing=recipe.gradient_checkpointing,
            logging_steps=recipe.log_steps,
            save_steps=recipe.save_steps,
        )
    )


def encode_pair(
    tokenizer: PreTrainedTokenizerBase, pair: PreferencePair
) -> tuple[list[int], list[int]]:
    """The tokens of both conversations, chosen first, as a reward model reads them at its use."""
    turns = tuple(Message(turn["role"], turn["content"]) for turn in pair.conversation)  # type: ignore[arg-type]
    chosen = build_tokens(tokenizer, turns, pair.chosen, ended=True)
    return chosen, build_tokens(tokenizer, turns, pair.rejected, ended=True)


def build_columns(pairs: Sequence[EncodedPair]) -> Dataset:
    """The trainer's dataset, in tokens."""
    return Dataset.from_dict(
        {
            "chosen_ids": [one.chosen for one in pairs],
            "rejected_ids": [one.rejected for one in pairs],
            PROB: [one.pair.prob for one in pairs],
        }
    )


def evaluate_pairs(
    model: Any, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[EncodedPair]
) -> RewardQuality:
    """How well a model's rewards agree with the labels of pairs that it was not trained on."""
    texts = [tokens for one in pairs for tokens in (one.chosen, one.rejected)]
    rewards = compute_rewards(model, texts, int(tokenizer.pad_token_id))
    return compute_reward_quality(
        JudgedPair(
            cluster=one.pair.prompt_key,
            kind=one.pair.prompt_kind,
            margin=rewards[2 * number] - rewards[2 * number + 1],
            prob=one.pair.prob,
            tie=one.pair.tie,
        )
        for number, one in enumerate(pairs)
    )


def _save_quality(outputs: Path, quality: RewardQuality) -> None:
    replace_file(outputs / EVALUATION, [json.dumps(quality.as_dict(), indent=1).encode()])
