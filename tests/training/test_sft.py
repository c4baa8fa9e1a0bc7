"""Fine-tuning with TRL, on the demo model: resumed to the bit, stopped, broken, not a number."""

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
from transformers import TrainingArguments

from cai_core.errors import (
    Cancelled,
    ModelError,
    RecipeError,
    RunMismatchError,
    WorkspaceError,
)
from cai_core.inference.model_folder import check_folder
from cai_core.training import base_model, sft
from cai_core.training.base_model import check_template
from cai_core.training.checkpoints import list_checkpoints
from cai_core.training.datasets import SftDataset, build_sft_dataset
from cai_core.training.frozen_dataset import DATASET
from cai_core.training.recipe import ChainSource, SftRecipe, parse_sft_recipe
from cai_core.training.sampling import SAMPLES
from cai_core.training.sft import KIND, run_sft
from cai_core.workspace.runs import Run, create_run, open_run
from cai_core.workspace.status import RunState
from cai_core.workspace.stops import WORKER_RECORD, leave_stop
from tests.training.makers import make_chain

STEPS = 12


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def build_dataset() -> SftDataset:
    chains = [make_chain(n, rounds=2) for n in range(STEPS * 2)]
    return build_sft_dataset([(ChainSource(run="chains"), chains)], seed=0)


def make_run(path: Path, **changes: Any) -> Run:
    recipe = SftRecipe(
        **{
            "base": "demo",
            "sources": (ChainSource(run="chains"),),
            "method": "full",
            "batch_size": 4,
            "micro_batch": 2,
            "learning_rate": 3e-4,
            "max_length": 256,
            "precision": "fp32",
            "save_steps": 4,
            **changes,
        }
    )
    return create_run(path, kind=KIND, recipe=recipe.as_dict(), parents=("chains",))


def read_metrics(run: Run, name: str = "loss") -> dict[int, float]:
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    return {line["step"]: line[name] for line in map(json.loads, lines) if "loss" in line}


def load_weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.outputs / "model" / "model.safetensors")


def stop_at(step: int) -> Any:
    def on_log(line: Mapping[str, Any]) -> None:
        if line["step"] == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return on_log


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.set_num_threads(1)
    run = make_run(tmp_path_factory.mktemp("sft") / "run")
    run_sft(run, build_dataset)
    return run


def test_it_learns_and_leaves_a_model_that_loads(unbroken: Run) -> None:
    losses = read_metrics(unbroken)
    assert sorted(losses) == list(range(1, STEPS + 1))
    assert losses[STEPS] < losses[1] - 0.5
    assert unbroken.status().state is RunState.SUCCEEDED
    assert unbroken.status().counts == {"steps_done": STEPS, "steps_total": STEPS}
    folder = check_folder(unbroken.outputs / "model")
    assert (folder / "chat_template.jinja").exists()
    card = (folder / "README.md").read_text()
    assert unbroken.run_id in card
    assert "48 of 48 texts" in card
    kept = [one.step for one in list_checkpoints(unbroken.path / "checkpoints")]
    assert kept == [12, 8]


def test_samples_are_the_same_prompts_before_and_after(unbroken: Run) -> None:
    lines = (unbroken.path / SAMPLES).read_text().splitlines()[1:]
    samples = [json.loads(line) for line in lines]
    prompts = [[s["prompt_id"] for s in samples if s["step"] == step] for step in (0, STEPS)]
    assert prompts[0] == prompts[1]
    assert len(prompts[0]) == 4
    assert all(sample["text"] for sample in samples)


def test_prompts_are_sampled_from_each_source_in_turn() -> None:
    chains = {"a": [make_chain(n) for n in range(3)], "b": [make_chain(n) for n in range(2, 5)]}
    sources = [(ChainSource(run=run), found) for run, found in chains.items()]
    examples = build_sft_dataset(sources, seed=0).examples
    chosen = sft.choose_sampled(examples, ("b", "a"), 4)
    # What both have is sampled once.
    assert [(one.run, one.prompt_id) for one in chosen] == [
        ("b", "p0002#2"),
        ("a", "p0000#0"),
        ("b", "p0003#3"),
        ("a", "p0001#1"),
    ]
    assert sft.choose_sampled(examples, ("b", "a"), 0) == []


def test_stopped_and_resumed_is_the_same_to_the_bit(unbroken: Run, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(Cancelled):
        run_sft(run, build_dataset, on_log=stop_at(6))
    status = run.status()
    assert (status.state, status.counts["steps_done"]) == (RunState.CANCELLED, 6)
    assert not (run.outputs / "model").exists()

    def never() -> SftDataset:
        raise AssertionError("the examples were frozen at the first start")

    run_sft(open_run(run.path), never)
    assert read_metrics(run) == read_metrics(unbroken)
    assert read_metrics(run, "num_tokens") == read_metrics(unbroken, "num_tokens")
    ours, theirs = load_weights(run), load_weights(unbroken)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_broken_checkpoint_is_passed_over(unbroken: Run, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(Cancelled):
        run_sft(run, build_dataset, on_log=stop_at(10))
    newest = list_checkpoints(run.path / "checkpoints")[0]
    assert newest.step == 10
    weights = newest.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    run_sft(run, build_dataset)
    told = (run.path / "metrics.jsonl").read_text()
    assert "checkpoint-10 left out: model.safetensors is not what was written" in told
    assert read_metrics(run) == read_metrics(unbroken)


def test_a_loss_that_is_not_a_number_ends_it_and_the_last_good_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    compute = sft.SFTTrainer.compute_loss

    def poisoned(self: Any, *args: Any, **kwargs: Any) -> Any:
        loss = compute(self, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 6 else loss

    with monkeypatch.context() as patch:
        patch.setattr(sft.SFTTrainer, "compute_loss", poisoned)
        with pytest.raises(ModelError, match="loss is nan in step 7"):
            run_sft(run, build_dataset)
    status = run.status()
    assert status.state is RunState.FAILED
    assert "nan in step 7" in str(status.reason)
    good = list_checkpoints(run.path / "checkpoints")[0]
    assert (good.step, good.damage) == (4, None)
    run_sft(run, build_dataset)
    assert run.status().state is RunState.SUCCEEDED


def test_a_full_disk_in_a_checkpoint_interrupts_and_loses_nothing(
    unbroken: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    save = sft.FiniteTrainer._save_optimizer_and_scheduler

    def full(self: Any, output_dir: str) -> None:
        if self.state.global_step == 8:
            Path(output_dir, "optimizer.pt").write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(self, output_dir)

    with monkeypatch.context() as patch:
        patch.setattr(sft.FiniteTrainer, "_save_optimizer_and_scheduler", full)
        with pytest.raises(OSError, match="No space left"):
            run_sft(run, build_dataset)
    status = run.status()
    assert status.state is RunState.INTERRUPTED
    assert "No space left" in str(status.reason)
    run_sft(run, build_dataset)
    assert read_metrics(run) == read_metrics(unbroken)


def test_other_weights_under_the_recipe_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", base_hash="0" * 64)
    with pytest.raises(RunMismatchError, match="weights are"):
        run_sft(run, build_dataset)
    assert run.status().state is RunState.FAILED


def test_a_base_without_a_hash_is_held_to_its_first_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a hub id, which the hub may give in another revision at the next start."""
    run = make_run(tmp_path / "run")
    with pytest.raises(Cancelled):
        run_sft(run, build_dataset, on_log=stop_at(1))
    monkeypatch.setattr(base_model, "compute_weights_hash", lambda _: "0" * 64)
    with pytest.raises(RunMismatchError, match="at the first start they were"):
        run_sft(run, build_dataset)
    assert run.status().state is RunState.FAILED


def test_several_gpus_do_not_change_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = parse_sft_recipe(make_run(tmp_path / "run").recipe)

    # As transformers counts where there are four.
    monkeypatch.setattr(TrainingArguments, "__post_init__", count_four(TrainingArguments))
    config = sft.build_config(recipe, tmp_path, bf16=False)
    assert config.train_batch_size == recipe.micro_batch


def count_four(arguments: Any) -> Any:
    held = arguments.__post_init__

    def post_init(self: Any) -> None:
        held(self)
        assert self.n_gpu == 0
        self._n_gpu = 4

    return post_init


@pytest.mark.parametrize("stopper", ["ann", None])
def test_a_worker_that_is_ended_says_by_whom(tmp_path: Path, stopper: str | None) -> None:
    run = make_run(tmp_path / "run")
    (run.path / WORKER_RECORD).write_text(json.dumps({"pid": os.getpid()}))

    def stop(line: Mapping[str, Any]) -> None:
        if stopper is not None:
            leave_stop(run.path, stopper)
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Cancelled):
        run_sft(run, build_dataset, on_log=stop)
    status = run.status()
    if stopper is None:
        assert status.state is RunState.INTERRUPTED
        assert "the system ended it" in str(status.reason)
    else:
        assert (status.state, status.reason) == (RunState.CANCELLED, "stopped by ann")


def test_changed_examples_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(Cancelled):
        run_sft(run, build_dataset, on_log=stop_at(1))
    path = run.outputs / DATASET
    path.write_text(path.read_text().replace("No, not thing", "Yes, thing", 1))
    with pytest.raises(RunMismatchError, match="frozen"):
        run_sft(run, build_dataset)


def test_lora_leaves_an_adapter_and_a_merged_model(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", method="lora", learning_rate=1e-2, lora_rank=4, packing=True)
    run_sft(run, build_dataset)
    check_folder(run.outputs / "model")
    config = json.loads((run.outputs / "adapter" / "adapter_config.json").read_text())
    assert config["r"] == 4
    assert (run.outputs / "adapter" / "adapter_model.safetensors").exists()
    losses = read_metrics(run)
    assert losses[max(losses)] < losses[1]


def test_line_separators_in_a_text_do_no_harm(tmp_path: Path) -> None:
    chains = [make_chain(n) for n in range(4)]
    chains[0]["steps"][2]["text"] = chains[0]["final"] = "one\u2028two\x85three"
    dataset = build_sft_dataset([(ChainSource(run="chains"), chains)], seed=0)
    run = make_run(tmp_path / "run", sample_prompts=0)
    assert run_sft(run, lambda: dataset).steps == 1


class Template:
    """A tokenizer's chat template, for `check_template` alone."""

    eos_token = "<|end|>"

    def __init__(self, end: str, begin: str = "A:", taught: str = "A:") -> None:
        self.chat_template: str | None = "a template"
        self._end, self._begin, self._taught = end, begin, taught

    def apply_chat_template(
        self, turns: list[Any], *, tokenize: bool, add_generation_prompt: bool = False
    ) -> str:
        assert not tokenize
        text = f"U:{turns[0]['content']}"
        if add_generation_prompt:
            return text + self._begin
        return text + self._taught + turns[1]["content"] + self._end


def test_a_template_that_teaches_no_end_is_refused() -> None:
    check_template(Template("<|end|>"))  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="not learn to stop"):
        check_template(Template("\n"))  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="in another way"):
        check_template(Template("<|end|>", begin="A:<think>"))  # type: ignore[arg-type]
    bare = Template("<|end|>")
    bare.chat_template = None
    with pytest.raises(RecipeError, match="no chat template"):
        check_template(bare)  # type: ignore[arg-type]


def test_two_writers_are_refused(tmp_path: Path, unbroken: Run) -> None:
    from cai_core.workspace.writer import RunWriter

    run = make_run(tmp_path / "run")
    with RunWriter(run), pytest.raises(WorkspaceError):
        run_sft(run, build_dataset)
