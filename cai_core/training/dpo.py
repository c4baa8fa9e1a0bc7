"""DPO: tune a model on preference labels without a reward model, with TRL. Resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.dpo_config import DPOConfig

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
from cai_core.training.dpo_recipe import DpoRecipe, parse_dpo_recipe
from cai_core.training.dpo_trainer import SoftDpoCollator, SoftDpoTrainer
from cai_core.training.frozen_dataset import freeze_dataset, leave_out_long, load_dataset_facts
from cai_core.training.preference_card import PairCardFacts, build_dpo_card
from cai_core.training.preferences import (
    PreferenceDataset,
    PreferencePair,
    compute_pairs_hash,
    parse_pair,
)
from cai_core.training.reward import EVALUATION, encode_pair
from cai_core.training.sampling import SampledPrompt, build_sampling
from cai_core.training.save_model import save_model
from cai_core.training.soft_labels import PROB
from cai_core.training.stage import Attempt, TrainingResult, run_training
from cai_core.workspace.files import replace_file
from cai_core.workspace.runs import Run

KIND = "dpo"
SHOWN = (
    "loss",
    "grad_norm",
    "learning_rate",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/accuracies",
    "rewards/margins",
    "logps/chosen",
    "logps/rejected",
    "entropy",
    "num_tokens",
)


def run_dpo(
    run: Run,
    build_dataset: Callable[[], PreferenceDataset],
    *,
    on_log: Callable[[Mapping[str, Any]], None] | None = None,
) -> TrainingResult:
    """Train, or go on, and write outputs/model (and outputs/adapter with LoRA).

    Where pairs are held out, outputs/evaluation.json tells `loss` (nats a pair), `accuracy` and
    `margin` of the implicit rewards β·(log π − log π_ref) on them.

    How the run ends: see `stage.run_training`. The last whole checkpoint is kept in each case.

    Args:
        build_dataset: called at the first start; what it gave is frozen in outputs/dataset.jsonl.
        on_log: gets each line of metrics.jsonl.

    Raises:
        Cancelled, ModelError, RecipeError, RunMismatchError, WorkspaceError: as `run_reward`.
    """
    recipe = parse_dpo_recipe(run.recipe)
    return run_training(run, lambda attempt: _train(attempt, recipe, build_dataset, on_log))


def _train(
    attempt: Attempt,
    recipe: DpoRecipe,
    build_dataset: Callable[[], PreferenceDataset],
    on_log: Callable[[Mapping[str, Any]], None] | None,
) -> TrainingResult:
    run = attempt.run
    base = find_base(run, recipe.base, recipe.base_hash)
    pairs = freeze_dataset(run.outputs, build_dataset, parse_pair, compute_pairs_hash)
    tokenizer = load_tokenizer(base)
    check_template(tokenizer)
    pairs = leave_out_long(
        pairs,
        lambda pair: max(map(len, encode_pair(tokenizer, pair))),
        recipe.max_length,
        run.outputs,
    )
    training = [pair for pair in pairs if pair.split == "train"]
    held_out = [pair for pair in pairs if pair.split == "eval"]
    attempt.heed_stop()
    bf16 = uses_bf16(recipe.precision)
    model = load_model(base, seed=recipe.seed, method=recipe.method, bf16=bf16)
    attempt.heed_stop()
    watching = attempt.watch(on_log, SHOWN)
    prompts = choose_prompts(training, recipe.sample_prompts)
    sampling = build_sampling(run, tokenizer, prompts, recipe.sample_steps)
    trainer = _make_trainer(
        recipe,
        build_config(recipe, attempt.checkpoints, bf16=bf16),
        (model, tokenizer),
        (training, held_out),
        [watching, sampling],
    )
    state = attempt.run_steps(trainer, watching, sampling)
    if held_out:
        _save_evaluation(run.outputs, trainer, len(held_out))
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
        lambda weights: build_dpo_card(PairCardFacts(weights_hash=weights, **facts)),
    )
    return TrainingResult(
        model=folder,
        steps=state.global_step,
        loss=watching.loss,
        seconds=watching.seconds,
        sample_seconds=sampling.seconds,
    )


def _make_trainer(
    recipe: DpoRecipe,
    config: DPOConfig,
    model_and_tokenizer: tuple[PreTrainedModel, PreTrainedTokenizerBase],
    splits: tuple[Sequence[PreferencePair], Sequence[PreferencePair]],
    callbacks: list[Any],
) -> SoftDpoTrainer:
    model, tokenizer = model_and_tokenizer
    training, held_out = splits
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return SoftDpoTrainer(
        model=model,
        args=config,
        train_dataset=build_columns(training),
        eval_dataset=build_columns(held_out) if held_out else None,
        data_collator=SoftDpoCollator(
            pad_token_id=tokenizer.pad_token_id, max_length=recipe.max_length
        ),
        processing_class=tokenizer,
        peft_config=build_lora(recipe.method, recipe.lora_rank, recipe.lora_alpha),
        callbacks=callbacks,
    )


def build_config(recipe: DpoRecipe, folder: Path, *, bf16: bool) -> DPOConfig:
    """TRL's settings for a recipe; checkpoints go into `folder`.

    The reference is asked once before the first step, while the model is still the base: neither
    a second model nor a pass a step is needed.
    """
    return use_one_device(
        DPOConfig(
            **build_common_arguments(folder, bf16=bf16, seed=recipe.seed),
            per_device_train_batch_size=recipe.micro_batch,
            per_device_eval_batch_size=recipe.micro_batch,
            gradient_accumulation_steps=recipe.batch_size // recipe.micro_batch,
            num_train_epochs=recipe.epochs,
            learning_rate=recipe.learning_rate,
            warmup_steps=recipe.warmup,
            weight_decay=recipe.weight_decay,
            max_grad_norm=recipe.max_grad_norm,
            max_length=recipe.max_length,
            beta=recipe.beta,
            precompute_ref_log_probs=True,
            gradient_checkpointing=recipe.gradient_checkpointing,
            logging_steps=recipe.log_steps,
            save_steps=recipe.save_steps,
        )
    )


def build_columns(pairs: Sequence[PreferencePair]) -> Dataset:
    """The trainer's dataset; TRL puts the chat template around it, end token included."""
    return Dataset.from_dict(
        {
            "prompt": [list(pair.conversation) for pair in pairs],
            "chosen": [[{"role": "assistant", "content": pair.chosen}] for pair in pairs],
            "rejected": [[{"role": "assistant", "content": pair.rejected}] for pair in pairs],
            PROB: [pair.prob for pair in pairs],
        }
    )


def choose_prompts(pairs: Sequence[PreferencePair], count: int) -> list[SampledPrompt]:
    """So many different prompts, of each kind in turn, by their ids."""
    by_kind: dict[str, dict[str, PreferencePair]] = {}
    for pair in sorted(pairs, key=lambda one: (one.prompt_kind, one.prompt_id, one.run)):
        by_kind.setdefault(pair.prompt_kind, {}).setdefault(pair.prompt_key, pair)
    queues = [list(found.values()) for found in by_kind.values()]
    longest = max(map(len, queues), default=0)
    turns = [queue[n] for n in range(longest) for queue in queues if n < len(queue)]
    return [
        SampledPrompt(
            prompt_id=pair.prompt_id,
            conversation=tuple(Message(t["role"], t["content"]) for t in pair.conversation),  # type: ignore[arg-type]
        )
        for pair in turns[:count]
    ]


def _save_evaluation(outputs: Path, trainer: SoftDpoTrainer, count: int) -> None:
    told = trainer.evaluate()
    names = {"loss": "loss", "accuracy": "rewards/accuracies", "margin": "rewards/margins"}
    found = {name: told[f"eval_{key}"] for name, key in names.items()}
    replace_file(outputs / EVALUATION, [json.dumps({"n": count, **found}, indent=1).encode()])
