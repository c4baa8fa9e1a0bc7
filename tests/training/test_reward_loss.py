"""The loss of soft labels, and DPO's, by closed form and against TRL's own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from trl.trainer.dpo_trainer import DataCollatorForPreference as DpoCollator
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.reward_trainer import DataCollatorForPreference, RewardTrainer

from cai_core.inference.model_folder import DEMO_FOLDER
from cai_core.training import dpo, reward
from cai_core.training.dpo_recipe import DpoRecipe
from cai_core.training.dpo_trainer import SoftDpoCollator, SoftDpoTrainer
from cai_core.training.preference_recipe import PreferenceSource
from cai_core.training.preferences import PreferencePair, build_preference_dataset
from cai_core.training.reward_recipe import RewardRecipe
from cai_core.training.reward_trainer import SoftRewardCollator, SoftRewardTrainer
from cai_core.training.soft_labels import compute_soft_extra, compute_soft_loss
from tests.training.labels import make_label

SOURCE = PreferenceSource(run="labels")
SETTINGS: dict[str, Any] = {
    "base": "demo",
    "sources": (SOURCE,),
    "method": "full",
    "precision": "fp32",
    "max_length": 256,
    "batch_size": 4,
    "micro_batch": 4,
}


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("prob", [0.0, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("margin", [-3.0, 0.0, 0.7, 5.0])
def test_the_loss_is_the_closed_form(margin: float, prob: float) -> None:
    expected = -(prob * math.log(sigmoid(margin)) + (1 - prob) * math.log(1 - sigmoid(margin)))
    margins, probs = torch.tensor([margin]), torch.tensor([prob])
    assert compute_soft_loss(margins, probs).item() == pytest.approx(expected, abs=1e-5)
    hard = -math.log(sigmoid(margin))
    extra = compute_soft_extra(margins, probs).item()
    assert hard + extra == pytest.approx(expected, abs=1e-5)
    # Swapping the responses flips margin and label, and changes nothing.
    assert compute_soft_loss(-margins, 1 - probs).item() == pytest.approx(expected, abs=1e-5)


def test_the_least_loss_is_where_the_margin_says_the_label() -> None:
    margin = torch.tensor([0.0], requires_grad=True)
    compute_soft_loss(margin, torch.tensor([0.9])).backward()
    assert margin.grad is not None and margin.grad.item() == pytest.approx(0.5 - 0.9)
    there = torch.tensor([math.log(9.0)], requires_grad=True)
    compute_soft_loss(there, torch.tensor([0.9])).backward()
    assert there.grad is not None and there.grad.item() == pytest.approx(0.0, abs=1e-6)


def build_pairs(probs: list[float]) -> list[PreferencePair]:
    labels = [make_label(n, prob) for n, prob in enumerate(probs)]
    dataset = build_preference_dataset([(SOURCE, labels)], soft=True, eval_share=0, seed=0)
    return sorted(dataset.examples, key=lambda pair: pair.prompt_id)


def make_reward_trainer(kind: Any, collator: Any, folder: Path, pairs: list[Any]) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(DEMO_FOLDER)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(DEMO_FOLDER, num_labels=1)
    return kind(
        model=model,
        args=reward.build_config(RewardRecipe(**SETTINGS), folder, bf16=False),
        train_dataset=reward.build_columns(
            [reward.EncodedPair(p, *reward.encode_pair(tokenizer, p)) for p in pairs]
        ),
        data_collator=collator(pad_token_id=tokenizer.pad_token_id),
        processing_class=tokenizer,
    )


def make_dpo_trainer(kind: Any, collator: Any, folder: Path, pairs: list[Any], **own: Any) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(DEMO_FOLDER)
    return kind(
        model=AutoModelForCausalLM.from_pretrained(DEMO_FOLDER),
        args=dpo.build_config(DpoRecipe(**SETTINGS, **own), folder, bf16=False),
        train_dataset=dpo.build_columns(pairs),
        data_collator=collator(pad_token_id=tokenizer.pad_token_id),
        processing_class=tokenizer,
    )


def first_batch(trainer: Any) -> dict[str, Any]:
    rows = [trainer.train_dataset[n] for n in range(len(trainer.train_dataset))]
    return trainer.data_collator(rows)


@torch.no_grad()
def move_away(model: Any) -> None:
    generator = torch.Generator().manual_seed(1)
    for weight in model.parameters():
        weight += 0.01 * torch.randn(weight.shape, generator=generator)


def test_at_p_1_a_reward_models_loss_is_trls(tmp_path: Path) -> None:
    pairs = build_pairs([1.0] * 4)
    ours = make_reward_trainer(SoftRewardTrainer, SoftRewardCollator, tmp_path / "a", pairs)
    theirs = make_reward_trainer(RewardTrainer, DataCollatorForPreference, tmp_path / "b", pairs)
    losses = [one.compute_loss(one.model, first_batch(one)).item() for one in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_swapped_responses_give_a_reward_model_the_same_loss(tmp_path: Path) -> None:
    pairs = build_pairs([0.8, 0.9, 0.6, 0.7])
    trainer = make_reward_trainer(SoftRewardTrainer, SoftRewardCollator, tmp_path, pairs)
    batch = first_batch(trainer)
    halves = {name: torch.chunk(batch[name], 2) for name in ("input_ids", "attention_mask")}
    swapped = {name: torch.cat([b, a]) for name, (a, b) in halves.items()}
    flipped = {**swapped, "prob": 1 - batch["prob"]}
    unflipped = {**swapped, "prob": batch["prob"].clone()}
    loss = trainer.compute_loss(trainer.model, dict(batch)).item()
    assert trainer.compute_loss(trainer.model, flipped).item() == pytest.approx(loss, abs=1e-6)
    other = trainer.compute_loss(trainer.model, unflipped).item()
    assert other != pytest.approx(loss, abs=1e-6)


def test_at_p_1_dpos_loss_is_trls_and_else_the_closed_form(tmp_path: Path) -> None:
    pairs = build_pairs([1.0] * 3)
    ours = make_dpo_trainer(SoftDpoTrainer, SoftDpoCollator, tmp_path / "a", pairs, beta=0.3)
    theirs = make_dpo_trainer(DPOTrainer, DpoCollator, tmp_path / "b", pairs, beta=0.3)
    for trainer in (ours, theirs):
        move_away(trainer.model)
    expected = theirs.compute_loss(theirs.model, first_batch(theirs)).item()
    assert abs(expected - math.log(2)) > 1e-3  # the policy has left its reference
    batch = first_batch(ours)
    assert ours.compute_loss(ours.model, dict(batch)).item() == pytest.approx(expected, abs=1e-6)

    probs = [0.9, 0.5, 0.6]
    ratios = compute_log_ratios(ours, batch)
    by_hand = [
        -(p * math.log(sigmoid(0.3 * r)) + (1 - p) * math.log(sigmoid(-0.3 * r)))
        for p, r in zip(probs, ratios, strict=True)
    ]
    soft = ours.compute_loss(ours.model, {**batch, "prob": torch.tensor(probs)}).item()
    assert soft == pytest.approx(sum(by_hand) / 3, abs=1e-5)


@torch.no_grad()
def compute_log_ratios(trainer: Any, batch: dict[str, Any]) -> list[float]:
    """log π/π_ref of chosen less rejected, with transformers alone."""
    tuned = AutoModelForCausalLM.from_pretrained(DEMO_FOLDER)
    base = AutoModelForCausalLM.from_pretrained(DEMO_FOLDER)
    tuned.load_state_dict(trainer.model.state_dict())

    def answer_logps(model: Any) -> torch.Tensor:
        logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        logps = logits[:, :-1].log_softmax(-1).gather(2, batch["input_ids"][:, 1:, None])[..., 0]
        return (logps * batch["completion_mask"][:, 1:]).sum(1)

    chosen, rejected = (answer_logps(tuned) - answer_logps(base)).chunk(2)
    return (chosen - rejected).tolist()


def test_completions_end_as_the_template_ends_them(tmp_path: Path) -> None:
    trainer = make_dpo_trainer(SoftDpoTrainer, SoftDpoCollator, tmp_path, build_pairs([0.9] * 2))
    dataset: Dataset = trainer.train_dataset
    end = AutoTokenizer.from_pretrained(DEMO_FOLDER).eos_token_id
    for row in dataset:
        assert row["chosen_ids"][-1] == row["rejected_ids"][-1] == end
