"""DPO with TRL, on the demo model: learned, resumed to the bit, sampled, evaluated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cai_core.errors import Cancelled, ModelError
from cai_core.inference.model_folder import check_folder
from cai_core.training import dpo_trainer
from cai_core.training.dpo import KIND, choose_prompts, run_dpo
from cai_core.training.dpo_recipe import DpoRecipe
from cai_core.training.preference_recipe import PreferenceSource
from cai_core.training.preferences import PreferenceDataset, build_preference_dataset
from cai_core.training.sampling import SAMPLES
from cai_core.workspace.runs import Run, create_run, open_run
from cai_core.workspace.status import RunState
from tests.training.labels import flip, make_label
from tests.training.test_reward import load_weights, read_evaluation, read_metrics, stop_at

STEPS = 6
SOURCE = PreferenceSource(run="labels")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def build_dataset(soft: bool = True) -> PreferenceDataset:
    labels = [make_label(n) for n in range(28)]
    labels = [flip(label) if n % 2 else label for n, label in enumerate(labels)]
    return build_preference_dataset([(SOURCE, labels)], soft=soft, eval_share=0.15, seed=0)


def make_run(path: Path, **changes: Any) -> Run:
    recipe = DpoRecipe(
        **{
            "base": "demo",
            "sources": (SOURCE,),
            "method": "full",
            "batch_size": 4,
            "micro_batch": 2,
            "learning_rate": 1e-4,
            "max_length": 256,
            "precision": "fp32",
            "save_steps": 4,
            "sample_prompts": 2,
            **changes,
        }
    )
    return create_run(path, kind=KIND, recipe=recipe.as_dict(), parents=("labels",))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.set_num_threads(1)
    run = make_run(tmp_path_factory.mktemp("dpo") / "run")
    run_dpo(run, build_dataset)
    return run


def test_it_learns_and_leaves_a_model_that_loads(unbroken: Run) -> None:
    losses, margins = read_metrics(unbroken), read_metrics(unbroken, "rewards/margins")
    assert sorted(losses) == list(range(1, STEPS + 1))
    assert losses[1] == pytest.approx(0.6931, abs=1e-3)  # the policy is its reference
    assert losses[STEPS] < losses[1] and margins[STEPS] > margins[1]
    last = json.loads((unbroken.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"rewards/accuracies", "logps/chosen", "logps/rejected"} <= set(last)
    assert unbroken.status().state is RunState.SUCCEEDED
    told = read_evaluation(unbroken)
    assert told["n"] == 4 and told["margin"] > 0 and told["accuracy"] == 1.0
    card = (check_folder(unbroken.outputs / "model") / "README.md").read_text()
    assert "28 of 28 pairs" in card and "0.1" in card


def test_samples_are_the_same_prompts_before_and_after(unbroken: Run) -> None:
    samples = [json.loads(line) for line in (unbroken.path / SAMPLES).read_text().splitlines()[1:]]
    prompts = [[s["prompt_id"] for s in samples if s["step"] == step] for step in (0, STEPS)]
    assert prompts[0] == prompts[1] and len(prompts[0]) == 2


def test_sampled_prompts_are_of_each_kind_in_turn() -> None:
    labels = [make_label(n) for n in range(3)]
    labels += [make_label(n, prompt_kind="helpful") for n in range(10, 12)]
    labels = [type(label).parse(label.as_dict()) for label in labels]
    pairs = build_preference_dataset([(SOURCE, labels)], soft=True, eval_share=0, seed=0).examples
    ids = [one.prompt_id for one in choose_prompts(pairs, 4)]
    assert ids == ["p0010#10", "p0000#0", "p0011#11", "p0001#1"]
    assert choose_prompts(pairs, 0) == []


def test_stopped_and_resumed_is_the_same_to_the_bit(unbroken: Run, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(Cancelled):
        run_dpo(run, build_dataset, on_log=stop_at(3))

    def never() -> PreferenceDataset:
        raise AssertionError("the pairs were frozen at the first start")

    run_dpo(open_run(run.path), never)
    assert read_metrics(run) == read_metrics(unbroken)
    ours, theirs = load_weights(run), load_weights(unbroken)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert read_evaluation(run) == read_evaluation(unbroken)


def test_beta_and_hard_labels_change_the_outcome(unbroken: Run, tmp_path: Path) -> None:
    dear = make_run(tmp_path / "dear", beta=1.0)
    run_dpo(dear, build_dataset)
    hard = make_run(tmp_path / "hard", soft=False)
    run_dpo(hard, lambda: build_dataset(soft=False))
    for other in (dear, hard):
        assert read_metrics(other)[STEPS] != read_metrics(unbroken)[STEPS]
    # What a beta of 1 allows is a tenth of what .1 does for the same margin of rewards.
    ratios = [read_evaluation(unbroken)["margin"] / 0.1, read_evaluation(dear)["margin"] / 1.0]
    assert ratios[1] < ratios[0]


def test_lora_needs_no_second_model(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", method="lora", learning_rate=1e-2, lora_rank=4)
    run_dpo(run, build_dataset)
    losses = read_metrics(run)
    assert losses[1] == pytest.approx(0.6931, abs=1e-3)
    assert losses[STEPS] < losses[1]
    assert (run.outputs / "adapter" / "adapter_model.safetensors").exists()
    load_file(run.outputs / "model" / "model.safetensors")


def test_a_loss_that_is_not_a_number_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    compute = dpo_trainer.compute_soft_extra
    calls = 0

    def poisoned(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        return compute(*args) * (float("nan") if calls == 10 else 1)

    monkeypatch.setattr(dpo_trainer, "compute_soft_extra", poisoned)
    with pytest.raises(ModelError, match="loss is nan in step 5"):
        run_dpo(run, build_dataset)
    assert run.status().state is RunState.FAILED
