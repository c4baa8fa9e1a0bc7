"""Samples: answers to a run's fixed prompts before, in and after the training, in samples.jsonl."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from cai_core.records import Conversation
from cai_core.workspace.journal import append_records
from cai_core.workspace.runs import Run

SAMPLES = "samples.jsonl"
SAMPLE_TOKENS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledPrompt:
    """A prompt that is asked again and again."""

    prompt_id: str
    conversation: Conversation


def build_sampling(
    run: Run, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[SampledPrompt], every: int
) -> Sampling:
    """Sampling into the run's samples.jsonl.

    Args:
        every: steps between two samples; 0 samples before and after alone.
    """

    def save(step: int, answers: list[str]) -> None:
        lines = [
            {
                "step": step,
                "prompt_id": prompt.prompt_id,
                "prompt": prompt.conversation[-1].content,
                "text": text,
            }
            for prompt, text in zip(prompts, answers, strict=True)
        ]
        append_records(run.path / SAMPLES, lines)

    return Sampling(tokenizer, [prompt.conversation for prompt in prompts], every, save)


class Sampling(TrainerCallback):
    """Greedy answers to the same prompts, every so many steps. Draws no random number.

    Attributes:
        seconds: spent here.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        prompts: Sequence[Conversation],
        every: int,
        save: Callable[[int, list[str]], None],
    ) -> None:
        self.seconds = 0.0
        self._tokenizer = tokenizer
        self._prompts = prompts
        self._every = every
        self._save = save

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **_: Any,
    ) -> None:
        """Sample where it is time; the last step is sampled at the end."""
        last = state.global_step >= state.max_steps
        if model is not None and self._every and not last and not state.global_step % self._every:
            self.sample(model, state.global_step)

    def sample(self, model: PreTrainedModel, step: int) -> None:
        """Answer the prompts now."""
        started = time.perf_counter()
        if self._prompts:
            self._save(step, answer_greedily(model, self._tokenizer, self._prompts))
        self.seconds += time.perf_counter() - started


@torch.inference_mode()
def answer_greedily(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Conversation],
    max_tokens: int = SAMPLE_TOKENS,
) -> list[str]:
    """One answer for each prompt, as one batch; the model is left in the mode it was in."""
    texts = [
        tokenizer.apply_chat_template(
            [turn.as_dict() for turn in prompt], tokenize=False, add_generation_prompt=True
        )
        for prompt in prompts
    ]
    inputs = tokenizer(
        texts,
        return_tensors="pt",
        padding=True,
        padding_side="left",
        add_special_tokens=False,
        return_token_type_ids=False,
    ).to(model.device)
    was_training = model.training
    model.eval()  # type: ignore[no-untyped-call]
    try:
        output = model.generate(  # type: ignore[operator]
            **inputs, do_sample=False, max_new_tokens=max_tokens, use_cache=True
        )
    finally:
        model.train(was_training)
    answers = output[:, inputs["input_ids"].shape[1] :]
    return list(tokenizer.batch_decode(answers, skip_special_tokens=True))
