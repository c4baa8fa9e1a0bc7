"""The probe: the run's fixed prompts, asked of the model while it is trained."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

from cai_core.errors import CaiError
from cai_core.evaluation.refusals import RefusalPhrases
from cai_core.records import Conversation
from cai_core.training.probe_measures import ProbeLine, measure_answers
from cai_core.training.probe_prompts import ProbePrompt
from cai_core.training.sampling import SAMPLE_TOKENS

# Scores of answers, in any unit in which more is better; None for one that it could not read.
Judge = Callable[[Sequence[Conversation], Sequence[str]], Sequence[float | None]]
# Answers at once; the demo model writes most tokens a second at 64 on a CPU.
BATCH = 64


class Probe:
    """Asks the same prompts with the same seed, so that an unchanged model answers the same.

    Draws nothing from the training's own random numbers, and leaves the model's mode as it was.

    Attributes:
        every: steps between two askings.
        seconds: spent here in all, the judge's included.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        prompts: Sequence[ProbePrompt],
        *,
        every: int = 10,
        temperature: float = 1.0,
        seed: int = 0,
        max_tokens: int = SAMPLE_TOKENS,
        judge: Judge | None = None,
        phrases: RefusalPhrases | None = None,
    ) -> None:
        """
        Args:
            temperature: that of the training's own samples; 0 is greedy.
            judge: for the Goodhart alarm. Where it raises a CaiError, that asking has no scores.
            phrases: by which refusals are known; the shipped ones where None.
        """
        self.every = every
        self.seconds = 0.0
        self._tokenizer = tokenizer
        self._prompts = list(prompts)
        self._temperature, self._seed, self._max_tokens = temperature, seed, max_tokens
        self._judge = judge
        self._phrases = phrases

    def ask(self, model: PreTrainedModel, step: int, start: Sequence[str] | None) -> ProbeLine:
        """Answers and what they are.

        Args:
            start: the answers at the start; None at the start itself.
        """
        began = time.perf_counter()
        conversations = [prompt.conversation for prompt in self._prompts]
        answers, cut = answer_seeded(
            model,
            self._tokenizer,
            conversations,
            temperature=self._temperature,
            seed=self._seed,
            max_tokens=self._max_tokens,
        )
        judged = self._score(conversations, answers)
        classes = measure_answers(self._prompts, answers, start, cut=cut, phrases=self._phrases)
        spent = time.perf_counter() - began
        self.seconds += spent
        return ProbeLine(
            step=step, classes=classes, answers=tuple(answers), judged=judged, seconds=spent
        )

    def _score(
        self, prompts: Sequence[Conversation], answers: Sequence[str]
    ) -> tuple[float | None, ...] | None:
        if self._judge is None:
            return None
        try:
            return tuple(self._judge(prompts, answers))
        except CaiError:  # A judge that is down must not end a training; the alarm says so.
            return (None,) * len(answers)


@torch.inference_mode()
def answer_seeded(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Conversation],
    *,
    temperature: float,
    seed: int,
    max_tokens: int,
) -> tuple[list[str], list[bool]]:
    """One answer for each prompt, and whether the token limit cut it.

    The generators of the process are as before afterwards; the same seed gives the same answers.
    """
    drawn = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0}
    how = drawn if temperature > 0 else {"do_sample": False}
    answers: list[str] = []
    cut: list[bool] = []
    was_training = model.training
    model.eval()  # type: ignore[no-untyped-call]
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            for at in range(0, len(prompts), BATCH):
                inputs = _encode(tokenizer, prompts[at : at + BATCH]).to(model.device)
                output = model.generate(  # type: ignore[operator]
                    **inputs, **how, max_new_tokens=max_tokens, use_cache=True
                )
                new = output[:, inputs["input_ids"].shape[1] :]
                answers += tokenizer.batch_decode(new, skip_special_tokens=True)
                cut += _find_cut(new, model)
    finally:
        model.train(was_training)
    return answers, cut


def _encode(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Conversation]) -> BatchEncoding:
    texts = [
        tokenizer.apply_chat_template(
            [turn.as_dict() for turn in prompt], tokenize=False, add_generation_prompt=True
        )
        for prompt in prompts
    ]
    encoded: BatchEncoding = tokenizer(
        texts,
        return_tensors="pt",
        padding=True,
        padding_side="left",
        add_special_tokens=False,
        return_token_type_ids=False,
    )
    return encoded


def _find_cut(new: torch.Tensor, model: PreTrainedModel) -> list[bool]:
    """Rows that hold no end token."""
    ends = model.generation_config.eos_token_id
    wanted = torch.tensor(ends if isinstance(ends, list) else [ends], device=new.device)
    return [not bool(torch.isin(row, wanted).any()) for row in new]
