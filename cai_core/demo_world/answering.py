"""How the evaluation asks: anything that answers conversations greedily, in order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from cai_core.demo_world.tokenizer import load_tokenizer
from cai_core.records import Conversation

MAX_NEW_TOKENS = 128
BATCH = 64


class Answerer(Protocol):
    """Answers prompts. `answer` keeps their order."""

    def answer(self, prompts: Sequence[Conversation]) -> list[str]:
        """One text for each prompt."""
        ...


class GreedyModel:
    """A model folder, decoded greedily in batches of like length."""

    def __init__(self, folder: Path, device: str = "cpu"):
        self.device = device
        self.tokenizer: PreTrainedTokenizerFast = load_tokenizer(folder)
        self.tokenizer.padding_side = "left"
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.model.to(torch.device(device))  # type: ignore[arg-type]
        self.model.eval()  # type: ignore[no-untyped-call]

    def answer(self, prompts: Sequence[Conversation]) -> list[str]:
        """Greedy answers, special tokens left out."""
        rendered = [self._render(p) for p in prompts]
        order = sorted(range(len(prompts)), key=lambda i: len(rendered[i]))
        answers = [""] * len(prompts)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            for i, text in zip(chosen, self._generate([rendered[i] for i in chosen]), strict=True):
                answers[i] = text
        return answers

    def _render(self, prompt: Conversation) -> str:
        turns = [turn.as_dict() for turn in prompt]
        return str(
            self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        )

    @torch.inference_mode()
    def _generate(self, texts: list[str]) -> list[str]:
        inputs = self.tokenizer(
            texts,
            return_tensors="pt",
            padding=True,
            add_special_tokens=False,
            return_token_type_ids=False,
        ).to(self.device)
        output = self.model.generate(  # type: ignore[misc]
            **inputs, do_sample=False, max_new_tokens=MAX_NEW_TOKENS, use_cache=True
        )
        new = output[:, inputs["input_ids"].shape[1] :]
        return list(self.tokenizer.batch_decode(new, skip_special_tokens=True))
