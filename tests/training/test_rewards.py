"""Rewards: the closed form of a judge's score, weights, and a reward model's own form of a text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from cai_core.errors import ModelError, RecipeError
from cai_core.inference.model_folder import DEMO_FOLDER, compute_weights_hash
from cai_core.records import Conversation, Message
from cai_core.training.base_model import Base
from cai_core.training.reward_model_scoring import RewardModel, build_tokens
from cai_core.training.rewards import Rollout, TokenCount, check_rewards, combine, map_score
from tests.training.rl_makers import make_reward_model

ASKED: Conversation = (Message("user", "How can I water a fern?"),)
ANSWERS = ("Water it in the morning.", "You water a fern. Use a can. Let it drain, then wait.")


def make_rollout(text: str, *, tokens: int = 5, ended: bool = True) -> Rollout:
    return Rollout(
        prompt_id="p#1", conversation=ASKED, text=text, tokens=tokens, ended=ended, step=1
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_reward_model(tmp_path_factory.mktemp("reward-model"))


def as_base(folder: Path) -> Base:
    return Base(path=folder, hash=compute_weights_hash(folder))


@pytest.mark.parametrize(("score", "reward"), [(1, -1.0), (10, 1.0), (4, -1 / 3), (7, 1 / 3)])
def test_a_sure_score_is_mapped_to_its_place(score: int, reward: float) -> None:
    sure = [float(number == score) for number in range(1, 11)]
    assert map_score(sure) == pytest.approx(reward)


def test_an_expected_score_is_the_mean_of_its_parts() -> None:
    assert map_score([0.1] * 10) == pytest.approx(0.0)
    assert map_score([0.25, *[0.0] * 8, 0.75]) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="9 probabilities"):
        map_score([1 / 9] * 9)


@given(st.lists(st.floats(0.001, 1.0), min_size=10, max_size=10))
def test_turning_the_scores_round_turns_the_reward_round(weights: list[float]) -> None:
    probabilities = [weight / sum(weights) for weight in weights]
    assert map_score(probabilities[::-1]) == pytest.approx(-map_score(probabilities), abs=1e-9)


def test_rewards_are_summed_by_weight() -> None:
    assert combine([[1.0, 2.0], [10.0, -10.0]], [1.0, 0.5]) == [6.0, -3.0]
    assert combine([[1.0, 2.0], [10.0, -10.0]], [1.0, -0.5]) == [-4.0, 7.0]


def test_length_is_told_in_its_unit() -> None:
    rollouts = [make_rollout("a", tokens=8), make_rollout("b", tokens=20)]
    assert TokenCount(8).compute(rollouts) == [1.0, 2.5]
    assert TokenCount(4).compute(rollouts) == [2.0, 5.0]


@pytest.mark.parametrize("bad", [[1.0], [1.0, float("nan")], [float("inf"), 1.0]])
def test_no_reward_is_made_up(bad: list[float]) -> None:
    with pytest.raises(ModelError, match="reward one"):
        check_rewards("one", bad, 2)


def test_a_finished_answer_is_scored_as_the_reward_model_was_trained(
    folder: Path, tmp_path: Path
) -> None:
    """The tokens are those that TRL's trainer makes of a pair, and so is the score."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = RewardModel(as_base(folder))
    pair = {
        "prompt": [[turn.as_dict() for turn in ASKED]],
        "chosen": [[{"role": "assistant", "content": ANSWERS[0]}]],
        "rejected": [[{"role": "assistant", "content": ANSWERS[1]}]],
    }
    trainer = RewardTrainer(
        model=str(folder),
        args=RewardConfig(
            output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none", max_length=None
        ),
        train_dataset=Dataset.from_dict(pair),
        processing_class=tokenizer,
    )
    row = trainer.train_dataset[0]
    ours = [build_tokens(tokenizer, ASKED, text, ended=True) for text in ANSWERS]
    assert ours == [row["chosen_ids"], row["rejected_ids"]]
    batch = trainer.data_collator([row])
    trainer.model.eval()
    with torch.no_grad():
        theirs = trainer.model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).logits[:, 0]
    scores = model.compute([make_rollout(text) for text in ANSWERS])
    assert scores == pytest.approx(theirs.tolist(), abs=1e-5)


def test_an_answer_that_was_cut_has_no_end_and_another_score(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    whole = build_tokens(tokenizer, ASKED, ANSWERS[0], ended=True)
    cut = build_tokens(tokenizer, ASKED, ANSWERS[0], ended=False)
    assert whole == [*cut, tokenizer.eos_token_id]
    rollouts = [make_rollout(ANSWERS[0]), make_rollout(ANSWERS[0], ended=False)]
    ended, unended = RewardModel(as_base(folder)).compute(rollouts)
    assert abs(ended - unended) > 1e-3


def test_a_score_is_the_same_alone_and_among_others(folder: Path) -> None:
    model = RewardModel(as_base(folder))
    rollouts = [make_rollout(text) for text in (*ANSWERS, "No.", ANSWERS[1] * 3)]
    alone = [model.compute([rollout])[0] for rollout in rollouts]
    assert model.compute(rollouts) == pytest.approx(alone, abs=1e-5)


def test_a_model_that_gives_several_numbers_is_refused(tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    two = AutoModelForSequenceClassification.from_pretrained(DEMO_FOLDER, num_labels=2)
    two.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(DEMO_FOLDER).save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match="gives 2 numbers"):
        RewardModel(as_base(tmp_path))
