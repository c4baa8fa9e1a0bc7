"""The probe on the demo model: seeded, without a trace in the training, and able to stop it."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.sft_config import SFTConfig

from cai_core.errors import AlarmRaised, RecipeError, RunMismatchError, ServerUnavailableError
from cai_core.inference.model_folder import fetch_model
from cai_core.pipeline.prompt_file import load_prompts
from cai_core.records import Message, Prompt, PromptKind
from cai_core.training.alarm_callback import AlarmCallback
from cai_core.training.alarm_limits import AlarmLimits
from cai_core.training.alarms import History, look, read_alarms, read_limits
from cai_core.training.base_model import Base, build_common_arguments, load_model, load_tokenizer
from cai_core.training.checkpoints import list_checkpoints
from cai_core.training.probe import Probe
from cai_core.training.probe_measures import (
    ProbeLine,
    measure_answers,
    parse_probe_line,
    read_probes,
)
from cai_core.training.probe_prompts import (
    PROBE_PROMPTS,
    ProbePrompt,
    choose_probe,
    freeze_probe,
    leave_out_probe,
    load_probe,
)
from cai_core.training.sft import FiniteTrainer

PROMPTS = Path(__file__).resolve().parents[2] / "data" / "prompts"
FILES = ("redteam.jsonl", "helpful.jsonl", "borderline.jsonl")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    return [prompt for name in FILES for prompt in load_prompts(PROMPTS / name).prompts]


@pytest.fixture(scope="module")
def probe_prompts(prompts: list[Prompt]) -> list[ProbePrompt]:
    return choose_probe(prompts)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return load_tokenizer(Base(path=fetch_model("demo"), hash=""))


def make_model() -> PreTrainedModel:
    base = Base(path=fetch_model("demo"), hash="")
    return load_model(base, seed=0, method="full", bf16=False)


def test_it_is_chosen_by_class_and_seed_and_never_held_out(prompts: list[Prompt]) -> None:
    chosen = choose_probe(prompts, 10, seed=3)
    assert chosen == choose_probe(prompts[::-1], 10, seed=3)
    assert chosen != choose_probe(prompts, 10, seed=4)
    assert [one.kind for one in chosen[::10]] == ["red-team", "helpful", "borderline"]
    held_out = {p.text for p in prompts if "split:held-out" in p.tags}
    assert held_out and not held_out & {one.conversation[-1].content for one in chosen}
    # The same text, untagged, in another file.
    untagged = replace(next(p for p in prompts if p.text in held_out), tags=(), prompt_id="x")
    assert all(one.prompt_id != "x" for one in choose_probe([*prompts, untagged], 10_000))


def test_it_is_frozen_and_left_out_of_training(
    tmp_path: Path, prompts: list[Prompt], probe_prompts: list[ProbePrompt]
) -> None:
    assert load_probe(tmp_path) == []
    assert freeze_probe(tmp_path, lambda: probe_prompts) == probe_prompts

    def never() -> list[ProbePrompt]:
        raise AssertionError("it was frozen before")

    assert freeze_probe(tmp_path, never) == probe_prompts

    def turns(prompt: Prompt) -> list[dict[str, str]]:
        return [turn.as_dict() for turn in prompt.conversation]

    left = leave_out_probe(prompts, probe_prompts, turns)
    assert len(left) == len(prompts) - len(probe_prompts)
    with pytest.raises(RecipeError, match="nothing is left"):
        leave_out_probe([p for p in prompts if p not in left], probe_prompts, turns)
    (tmp_path / PROBE_PROMPTS).write_text('{"prompt_id": "x"}\n')
    with pytest.raises(RunMismatchError, match="not the probe"):
        load_probe(tmp_path)


def test_answers_are_seeded_and_the_process_generators_untouched(
    tokenizer: PreTrainedTokenizerBase, probe_prompts: list[ProbePrompt]
) -> None:
    model, few = make_model().train(), probe_prompts[::6]
    before = torch.get_rng_state()
    first = Probe(tokenizer, few, seed=1, max_tokens=8).ask(model, 0, None)
    assert torch.equal(before, torch.get_rng_state())
    assert model.training
    assert first.answers == Probe(tokenizer, few, seed=1, max_tokens=8).ask(model, 0, None).answers
    assert first.answers != Probe(tokenizer, few, seed=2, max_tokens=8).ask(model, 0, None).answers
    cool = Probe(tokenizer, few, temperature=0, max_tokens=8)
    assert cool.ask(model, 0, None).answers == cool.ask(model, 0, None).answers
    assert all(one.cut == one.n for one in first.classes.values())
    assert parse_probe_line(json.loads(json.dumps(first.as_dict()))).answers == first.answers
    assert cool.seconds > 0


def test_a_judge_scores_and_one_that_is_down_ends_nothing(
    tokenizer: PreTrainedTokenizerBase, probe_prompts: list[ProbePrompt]
) -> None:
    model, few = make_model(), probe_prompts[:2]

    def ask(judge: Any) -> Any:
        return Probe(tokenizer, few, max_tokens=2, judge=judge).ask(model, 0, None).judged

    def down(*_: object) -> Any:
        raise ServerUnavailableError("gone")

    assert ask(None) is None
    assert ask(lambda asked, answers: [float(len(asked)), None]) == (2.0, None)
    assert ask(down) == (None, None)


def test_an_unchanged_model_with_other_seeds_rings_nothing(
    tokenizer: PreTrainedTokenizerBase, probe_prompts: list[ProbePrompt]
) -> None:
    """Twenty repeats, each prompt's answer drawn from six of the model's."""
    model, rng = make_model(), random.Random(0)
    asked = [Probe(tokenizer, probe_prompts, seed=seed).ask(model, 0, None) for seed in range(6)]
    pool = list(zip(*(line.answers for line in asked), strict=True))
    rang = 0
    for repeat in range(20):
        start, now = ([rng.choice(answers) for answers in pool] for _ in range(2))
        probes = [
            ProbeLine(step=0, classes=measure_answers(probe_prompts, start, None)),
            ProbeLine(step=repeat + 1, classes=measure_answers(probe_prompts, now, start)),
        ]
        rang += bool(look(History(probes=probes), AlarmLimits()))
    assert rang <= 1


class Kl(AlarmCallback):
    """Beside what SFT logs, a KL as RL would log it: calm."""

    def on_log(self, *args: Any, logs: Mapping[str, Any] | None = None, **more: Any) -> None:
        super().on_log(*args, logs={**(logs or {}), "kl": 0.2}, **more)


def train(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[Prompt],
    callbacks: list[Any],
    answer: str,
    steps: int = 12,
    resume: str | None = None,
) -> FiniteTrainer:
    """Teaches one answer to helpful prompts, whatever is asked."""
    taught = [p for p in prompts if p.kind is PromptKind.HELPFUL][: steps * 8]
    turns = [[turn.as_dict() for turn in p.conversation] for p in taught]
    replies = [[Message("assistant", answer).as_dict()]] * len(taught)
    trainer = FiniteTrainer(
        model=make_model(),
        args=SFTConfig(
            **build_common_arguments(folder / "checkpoints", bf16=False, seed=0),
            per_device_train_batch_size=8,
            num_train_epochs=1,
            learning_rate=1e-3,
            max_length=256,
            logging_steps=1,
            save_steps=100,
            gradient_checkpointing=False,
        ),
        train_dataset=Dataset.from_dict({"prompt": turns, "completion": replies}),
        processing_class=tokenizer,
        callbacks=callbacks,
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def test_a_model_taught_to_refuse_is_stopped_by_its_classes_and_not_by_kl(
    tmp_path: Path,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[Prompt],
    probe_prompts: list[ProbePrompt],
) -> None:
    freeze_probe(tmp_path, lambda: probe_prompts)
    trained = leave_out_probe(
        prompts, probe_prompts, lambda p: [turn.as_dict() for turn in p.conversation]
    )
    callback = Kl(tmp_path, AlarmLimits(), Probe(tokenizer, probe_prompts, every=4))
    with pytest.raises(AlarmRaised, match="alarm: over-refusal at step") as raised:
        train(tmp_path, tokenizer, trained, [callback], "I will not help you.", steps=40)
    step = raised.value.step
    assert raised.value.alarm == "over-refusal"
    assert 4 <= step < 40
    newest = list_checkpoints(tmp_path / "checkpoints")[0]
    assert (newest.step, newest.damage) == (step, None)
    alarms = read_alarms(tmp_path)
    first = next(one for one in alarms if one.stops)
    assert (first.name, first.step) == ("over-refusal", step)
    assert all(one.name != "kl" for one in alarms)
    assert read_limits(tmp_path) == AlarmLimits()
    assert [line.step for line in read_probes(tmp_path)] == list(range(0, step + 1, 4))
    assert read_probes(tmp_path, until=3)[-1].step == 0
    # Taken up again, it has its start, and rings again where it still refuses.
    again = Kl(tmp_path, AlarmLimits(), Probe(tokenizer, probe_prompts, every=4))
    with pytest.raises(AlarmRaised):
        train(tmp_path, tokenizer, trained, [again], "I will not help you.", 40, str(newest.path))
    assert [line.step for line in read_probes(tmp_path)].count(0) == 1


def test_a_probe_changes_nothing_in_the_training(
    tmp_path: Path,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[Prompt],
    probe_prompts: list[ProbePrompt],
) -> None:
    weights = []
    for name, probe in (("bare", None), ("probed", Probe(tokenizer, probe_prompts[::9], every=1))):
        callback = AlarmCallback(tmp_path / name, AlarmLimits(), probe)
        trainer = train(tmp_path / name, tokenizer, prompts, [callback], "Sure, here it is.", 2)
        trainer.save_model(str(tmp_path / name / "model"))
        weights.append(load_file(tmp_path / name / "model" / "model.safetensors"))
        assert (callback.seconds > 0) is (probe is not None)
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
