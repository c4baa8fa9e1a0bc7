"""Reward models with TRL, on the demo model: learned, resumed to the bit, loaded, evaluated."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from cai_core.errors import Cancelled, ModelError
from cai_core.inference.model_folder import DEMO_FOLDER, check_folder
from cai_core.training import reward_trainer
from cai_core.training.checkpoints import list_checkpoints
from cai_core.training.preference_recipe import PreferenceSource
from cai_core.training.preferences import PreferenceDataset, build_preference_dataset
from cai_core.training.reward import EVALUATION, KIND, encode_pair, run_reward
from cai_core.training.reward_recipe import RewardRecipe
from cai_core.training.reward_trainer import choose_pad_token, compute_rewards
from cai_core.workspace.runs import Run, create_run, open_run
from cai_core.workspace.status import RunState
from tests.training.labels import flip, make_label

STEPS = 8
SOURCE = PreferenceSource(run="labels")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def build_dataset(soft: bool = True) -> PreferenceDataset:
    labels = [make_label(n) for n in range(40)]
    # Which response is A must not matter.
    labels = [flip(label) if n % 2 else label for n, label in enumerate(labels)]
    return build_preference_dataset([(SOURCE, labels)], soft=soft, eval_share=0.2, seed=0)


def make_run(path: Path, **changes: Any) -> Run:
    recipe = RewardRecipe(
        **{
            "base": "demo",
            "sources": (SOURCE,),
            "method": "full",
            "batch_size": 4,
            "micro_batch": 2,
            "learning_rate": 3e-4,
            "max_length": 256,
            "precision": "fp32",
            "save_steps": 3,
            **changes,
        }
    )
    return create_run(path, kind=KIND, recipe=recipe.as_dict(), parents=("labels",))


def read_metrics(run: Run, name: str = "loss") -> dict[int, float]:
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    return {line["step"]: line[name] for line in map(json.loads, lines) if name in line}


def load_weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.outputs / "model" / "model.safetensors")


def read_evaluation(run: Run) -> dict[str, Any]:
    return json.loads((run.outputs / EVALUATION).read_text())


def stop_at(step: int) -> Any:
    def on_log(line: Mapping[str, Any]) -> None:
        if line["step"] == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return on_log


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.set_num_threads(1)
    run = make_run(tmp_path_factory.mktemp("reward") / "run")
    run_reward(run, build_dataset)
    return run


def test_it_learns_and_leaves_a_model_and_its_quality(unbroken: Run) -> None:
    losses = read_metrics(unbroken)
    assert sorted(losses) == list(range(1, STEPS + 1))
    # -[.9 log .9 + .1 log .1] = .325 is the least there is.
    assert 0.32 < losses[STEPS] < 0.5 < losses[1]
    assert {"accuracy", "margin", "mean_reward"} <= set(
        json.loads((unbroken.path / "metrics.jsonl").read_text().splitlines()[-1])
    )
    assert unbroken.status().state is RunState.SUCCEEDED
    told = read_evaluation(unbroken)
    assert (told["n"], told["ties"]) == (8, 0)
    assert told["accuracy"]["rate"] == 1.0 and told["accuracy"]["clusters"] == 8
    assert sum(told["margins"]["counts"]) == 8
    assert sum(one["n"] for one in told["calibration"]) == 8
    folder = check_folder(unbroken.outputs / "model")
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["LlamaForSequenceClassification"]
    card = (folder / "README.md").read_text()
    assert "40 of 40 pairs" in card and "8 held out" in card and "accuracy 100.0%" in card


def test_the_folder_gives_the_rewards_of_the_training(unbroken: Run) -> None:
    folder = unbroken.outputs / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    pairs = [pair for pair in build_dataset().examples if pair.split == "eval"]
    texts = [tokens for pair in pairs for tokens in encode_pair(tokenizer, pair)]
    assert all(tokens[-1] == tokenizer.eos_token_id for tokens in texts)
    rewards = compute_rewards(model, texts, tokenizer.pad_token_id, batch=3)
    alone = [model(torch.tensor([tokens])).logits.item() for tokens in texts]
    assert rewards == pytest.approx(alone, abs=1e-5)
    margins = [a - b for a, b in zip(rewards[::2], rewards[1::2], strict=True)]
    edges = read_evaluation(unbroken)["margins"]["edges"]
    assert [min(margins), max(margins)] == pytest.approx([edges[0], edges[-1]], abs=1e-4)


def test_stopped_and_resumed_is_the_same_to_the_bit(unbroken: Run, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(Cancelled):
        run_reward(run, build_dataset, on_log=stop_at(4))
    assert not (run.outputs / "model").exists()

    def never() -> PreferenceDataset:
        raise AssertionError("the pairs were frozen at the first start")

    run_reward(open_run(run.path), never)
    assert read_metrics(run) == read_metrics(unbroken)
    assert read_metrics(run, "num_tokens") == read_metrics(unbroken, "num_tokens")
    ours, theirs = load_weights(run), load_weights(unbroken)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert read_evaluation(run) == read_evaluation(unbroken)


def test_a_loss_that_is_not_a_number_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    compute = reward_trainer.compute_soft_loss
    calls = 0

    def poisoned(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        return compute(*args) * (float("nan") if calls == 10 else 1)

    monkeypatch.setattr(reward_trainer, "compute_soft_loss", poisoned)
    with pytest.raises(ModelError, match="loss is nan in step 5"):
        run_reward(run, build_dataset)
    assert run.status().state is RunState.FAILED
    assert [one.step for one in list_checkpoints(run.path / "checkpoints")] == [3]


def test_lora_leaves_an_adapter_and_a_merged_model(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", method="lora", learning_rate=1e-2, lora_rank=4)
    run_reward(run, build_dataset)
    losses = read_metrics(run)
    assert losses[STEPS] < losses[1]
    # The new head is trained and merged with the rest: the folder gives what the run measured.
    tokenizer = AutoTokenizer.from_pretrained(run.outputs / "model")
    model = AutoModelForSequenceClassification.from_pretrained(run.outputs / "model")
    pairs = [pair for pair in build_dataset().examples if pair.split == "eval"]
    texts = [tokens for pair in pairs for tokens in encode_pair(tokenizer, pair)]
    rewards = compute_rewards(model, texts, tokenizer.pad_token_id)
    margins = [a - b for a, b in zip(rewards[::2], rewards[1::2], strict=True)]
    edges = read_evaluation(run)["margins"]["edges"]
    assert [min(margins), max(margins)] == pytest.approx([edges[0], edges[-1]], abs=1e-3)
    assert (run.outputs / "adapter" / "adapter_model.safetensors").exists()


def test_hard_labels_and_centring_change_the_loss(unbroken: Run, tmp_path: Path) -> None:
    first = read_metrics(unbroken)[1]
    hard = make_run(tmp_path / "hard", soft=False)
    run_reward(hard, lambda: build_dataset(soft=False))
    assert read_metrics(hard)[STEPS] < 0.32  # below the least that soft labels allow
    centred = make_run(tmp_path / "centred", center=0.5)
    run_reward(centred, build_dataset)
    assert read_metrics(centred)[1] != first
    size = {run: abs(read_metrics(run, "mean_reward")[STEPS]) for run in (unbroken, centred)}
    assert size[centred] < size[unbroken]


def test_padding_never_ends_a_text() -> None:
    tokenizer = AutoTokenizer.from_pretrained(DEMO_FOLDER)
    end = tokenizer.eos_token_id
    assert choose_pad_token(tokenizer, end) == "<|pad|>"
    tokenizer.pad_token = tokenizer.eos_token
    assert tokenizer.convert_tokens_to_ids(choose_pad_token(tokenizer, end)) != end
