"""RLOO and GRPO on the demo model, and on a smaller one: they follow the reward, go on to the bit,
and never see what is held out.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from cai_core.errors import Cancelled, ModelError, RecipeError
from cai_core.inference.model_folder import check_folder
from cai_core.records import Conversation
from cai_core.training import rl_trainer
from cai_core.training.checkpoints import list_checkpoints
from cai_core.training.rewards import TokenCount
from cai_core.training.rl import Hooks, run_rl_training
from cai_core.training.rl_recipe import LengthReward, ModelReward
from cai_core.training.sampling import SAMPLES
from cai_core.workspace.runs import Run, open_run
from cai_core.workspace.status import RunState
from tests.training.rl_makers import (
    build_recipe,
    load_weights,
    make_base,
    make_prompts,
    make_reward_model,
    make_run,
    read_metrics,
)

LENGTH = "completions/mean_length"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def train(path: Path, hooks: Hooks | None = None, **changes: Any) -> Run:
    prompts = make_prompts()
    run = make_run(path / "run", prompts, **changes)
    run_rl_training(run, prompts, hooks=hooks)
    return run


def stop_at(step: int) -> Hooks:
    def on_log(line: Mapping[str, Any]) -> None:
        if line["step"] == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return Hooks(on_log=on_log)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that is faster than the demo model, for what any model shows."""
    torch.set_num_threads(1)
    return str(make_base(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.set_num_threads(1)
    return train(tmp_path_factory.mktemp("rl"))


def test_it_leaves_a_model_its_card_and_what_a_page_shows(unbroken: Run) -> None:
    assert unbroken.status().state is RunState.SUCCEEDED
    assert unbroken.status().counts == {"steps_done": 4, "steps_total": 4}
    folder = check_folder(unbroken.outputs / "model")
    config = json.loads((folder / "generation_config.json").read_text())
    assert (config["eos_token_id"], config["pad_token_id"]) == ([1], 0)
    card = (folder / "README.md").read_text()
    assert unbroken.run_id in card
    assert "RLOO" in card
    assert "length, in units of 16 tokens; weight 1" in card
    shown = ("reward", "reward_std", "kl", "entropy", LENGTH, "completions/clipped_ratio")
    own = ("rewards/length/mean", "rewards/length/std", "grad_norm", "learning_rate")
    lines = read_metrics(unbroken, "step", *shown, *own)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert lines[0]["kl"] == pytest.approx(0.0, abs=1e-5)
    assert lines[0]["reward"] == pytest.approx(lines[0]["rewards/length/mean"])
    assert [one.step for one in list_checkpoints(unbroken.path / "checkpoints")] == [4, 2]
    lines_of_samples = (unbroken.path / SAMPLES).read_text().splitlines()[1:]
    samples = [json.loads(line) for line in lines_of_samples]
    assert [(one["step"], one["prompt_id"]) for one in samples] == [
        *((0, name) for name in ("p5#5", "p1#1")),
        *((4, name) for name in ("p5#5", "p1#1")),
    ]


def test_stopped_and_resumed_is_the_same_to_the_bit(unbroken: Run, tmp_path: Path) -> None:
    prompts = make_prompts()
    run = make_run(tmp_path / "run", prompts)
    with pytest.raises(Cancelled):
        run_rl_training(run, prompts, hooks=stop_at(3))
    assert run.status().state is RunState.CANCELLED
    assert not (run.outputs / "model").exists()
    run_rl_training(open_run(run.path), prompts)
    keys = ("step", "reward", "kl", "entropy", "grad_norm", LENGTH)
    assert read_metrics(run, *keys) == read_metrics(unbroken, *keys)
    ours, theirs = load_weights(run), load_weights(unbroken)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_the_length_follows_the_sign_of_its_reward(
    algorithm: str, base: str, tmp_path: Path
) -> None:
    def last_length(weight: float) -> float:
        run = train(
            tmp_path / str(weight),
            base=base,
            algorithm=algorithm,
            rewards=(LengthReward(per_tokens=8, weight=weight),),
            steps=4,
            micro_batch=16,
            beta=0.0,
            learning_rate=5e-3,
            save_steps=100,
            sample_prompts=0,
        )
        lengths = [line[LENGTH] for line in read_metrics(run, LENGTH)]
        return lengths[-1]

    # It begins with 22 of at most 40 tokens.
    assert last_length(1.0) > 30
    assert last_length(-1.0) < 8


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_a_larger_beta_holds_it_nearer_to_its_base(
    algorithm: str, base: str, tmp_path: Path
) -> None:
    def last_kl(beta: float) -> float:
        run = train(
            tmp_path / str(beta),
            base=base,
            algorithm=algorithm,
            beta=beta,
            steps=5,
            max_tokens=24,
            learning_rate=1e-3,
            sample_prompts=0,
        )
        return sum(line["kl"] for line in read_metrics(run, "kl")[-2:])

    assert last_kl(5.0) < last_kl(0.01)


def test_held_out_prompts_are_counted_and_never_sampled(base: str, tmp_path: Path) -> None:
    seen: set[str] = set()

    def observe(
        step: int,
        conversations: Sequence[Conversation],
        completions: Sequence[str],
        rewards: Sequence[float],
    ) -> None:
        assert len(conversations) == len(completions) == len(rewards) == 16
        seen.update(conversation[-1].content for conversation in conversations)

    prompts = make_prompts(held_out=3)
    run = make_run(tmp_path / "run", prompts, base=base, max_tokens=8)
    run_rl_training(run, prompts, hooks=Hooks(on_completions=(observe,)))
    assert seen == {prompt.text for prompt in make_prompts()}
    told = json.loads((run.outputs / "dataset.json").read_text())["sources"][0]
    assert (told["taken"], told["left_out"]) == (6, {"held out": 3})
    only = [prompt for prompt in prompts if "split:held-out" in prompt.tags]
    empty = make_run(tmp_path / "empty", only)
    with pytest.raises(RecipeError, match="3 held out"):
        run_rl_training(empty, only)
    assert empty.status().state is RunState.FAILED


def test_an_observer_sees_the_weighted_rewards_and_what_it_raises_ends_the_run(
    base: str, tmp_path: Path
) -> None:
    told: list[tuple[int, list[float]]] = []

    def observe(step: int, _: Any, __: Any, rewards: Sequence[float]) -> None:
        told.append((step, list(rewards)))
        if step == 2:
            raise ModelError("seen enough")

    rewards = (LengthReward(per_tokens=16), LengthReward(per_tokens=16, weight=-3.0))
    prompts = make_prompts()
    run = make_run(tmp_path / "run", prompts, base=base, rewards=rewards)
    with pytest.raises(ModelError, match="seen enough"):
        run_rl_training(run, prompts, hooks=Hooks(on_completions=(observe,)))
    assert [step for step, _ in told] == [1, 2]
    keys = ("reward", "rewards/length/mean", "rewards/length-2/mean")
    line = read_metrics(run, *keys)[0]
    # 1 × length − 3 × length
    assert line["reward"] == pytest.approx(-2 * line["rewards/length/mean"], rel=1e-5)
    assert line["rewards/length-2/mean"] == line["rewards/length/mean"]
    assert sum(told[0][1]) / 16 == pytest.approx(line["reward"], rel=1e-5)


def test_a_reward_that_is_not_a_number_ends_the_run(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TokenCount, "compute", lambda self, rollouts: [float("nan")] * 16)
    prompts = make_prompts()
    run = make_run(tmp_path / "run", prompts, base=base)
    with pytest.raises(ModelError, match="reward length: 16 of 16 are not finite"):
        run_rl_training(run, prompts)
    assert run.status().state is RunState.FAILED


def test_lora_against_a_reward_model_keeps_the_base_as_reference(tmp_path: Path) -> None:
    scorer = make_reward_model(tmp_path / "scorer")
    run = train(
        tmp_path,
        method="lora",
        lora_rank=4,
        steps=2,
        max_tokens=24,
        learning_rate=3e-3,
        rewards=(ModelReward(model=str(scorer)),),
    )
    lines = read_metrics(run, "kl", "reward", "rewards/reward-model/std")
    assert lines[0]["kl"] == pytest.approx(0.0, abs=1e-5)
    assert abs(lines[-1]["kl"]) > 1e-5
    assert lines[0]["rewards/reward-model/std"] > 0
    assert (run.outputs / "adapter" / "adapter_model.safetensors").exists()
    check_folder(run.outputs / "model")


SHORT = {"steps": 2, "prompts_per_step": 2, "max_tokens": 24, "sample_prompts": 0}


@pytest.fixture(scope="module")
def short(base: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.set_num_threads(1)
    return train(tmp_path_factory.mktemp("short"), base=base, **SHORT)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"generations": 2, "micro_batch": 4},
        {"prompts_per_step": 4},
        {"micro_batch": 4},
        {"temperature": 0.7},
        {"max_tokens": 12},
        {"red_team_share": 1.0},
        {"learning_rate": 1e-3},
        {"warmup": 0.5},
        {"max_grad_norm": 0.1},
        {"iterations": 2, "steps": 1},
        {"steps": 3},
        {"beta": 1.0},
        {"algorithm": "grpo"},
        {"rewards": (LengthReward(per_tokens=4),)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_each_setting_changes_what_comes_out(
    changes: dict[str, Any], base: str, short: Run, tmp_path: Path
) -> None:
    run = train(tmp_path, base=base, **{**SHORT, **changes})
    ours, theirs = load_weights(run), load_weights(short)
    assert not all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_epsilon_clips_where_a_batch_is_used_again(base: str, tmp_path: Path) -> None:
    def clipped(epsilon: float) -> float:
        run = train(
            tmp_path / str(epsilon),
            base=base,
            epsilon=epsilon,
            iterations=2,
            steps=1,
            max_tokens=24,
            learning_rate=1e-3,
            sample_prompts=0,
        )
        return max(
            line["clip_ratio/region_mean"] for line in read_metrics(run, "clip_ratio/region_mean")
        )

    assert clipped(0.001) > clipped(0.99)


def test_the_same_recipe_gives_the_same_weights(base: str, short: Run, tmp_path: Path) -> None:
    ours, theirs = load_weights(train(tmp_path, base=base, **SHORT)), load_weights(short)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_vllm_is_not_used_where_there_is_no_gpu(tmp_path: Path) -> None:
    recipe = build_recipe(make_prompts())
    assert rl_trainer.uses_vllm(recipe) is False
    assert rl_trainer.build_config(recipe, tmp_path, bf16=False).beta == 0.05
