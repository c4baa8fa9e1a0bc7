"""Options' probabilities from transformers itself, straight from the definition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cai_core.prompts import chat
from cai_core.records import Conversation, Message, Principle

ONE_TO_TEN = tuple(str(number) for number in range(1, 11))
OPTION_SETS = {
    "A/B": ("A", "B"),
    "A/B/Tie": ("A", "B", "Tie"),
    "1-10": ONE_TO_TEN,
    "(A)/(B)": (" (A)", " (B)"),
}
PRINCIPLE = Principle(
    id="kind",
    text="Be kind.",
    critique_request="Is it kind?",
    revision_request="Make it kind.",
    comparison_request="Which response is kinder?",
)
QUESTION: Conversation = (Message("user", "How do I bake bread?"),)
COMPARISON = chat.build_comparison(QUESTION, "Mix it.", "Go away.", PRINCIPLE, reasoned=False)
# As the `chat` and the `paper` template end: the assistant's turn, and a text's last character.
PROMPTS: dict[str, Conversation | str] = {
    "chat": COMPARISON,
    "paper": "\n\nHuman: Which one is better?\n\nAssistant: The better one is (",
}


@dataclass(frozen=True)
class Reference:
    """A model in transformers, and what it says of options."""

    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, folder: Path) -> Reference:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        return cls(model, AutoTokenizer.from_pretrained(folder))

    def score(
        self, prompt: Conversation | str, options: Sequence[str]
    ) -> tuple[list[float], list[float]]:
        """Normalised probabilities, and the logs of the options' own."""
        paths = [self._encode(option) for option in options]
        begun = self._read(prompt)
        whole = [math.exp(self._path(begun, path)) for path in paths]
        own = []
        for path, value in zip(paths, whole, strict=True):
            # One level of options that begin with others is all that the tests have.
            longer = [
                other
                for p, other in zip(paths, whole, strict=True)
                if len(p) > len(path) and p[: len(path)] == path
            ]
            own.append(value - math.fsum(longer))
        total = math.fsum(own)
        return [value / total for value in own], [math.log(value) for value in own]

    def _read(self, prompt: Conversation | str) -> list[int]:
        if isinstance(prompt, str):
            return self._encode(prompt)
        turns = [message.as_dict() for message in prompt]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return self._encode(text)

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _path(self, begun: list[int], path: list[int]) -> float:
        with torch.no_grad():
            logits = self.model(torch.tensor([begun + path])).logits[0].double()
        table = torch.log_softmax(logits, dim=-1)
        return sum(float(table[len(begun) - 1 + i, token]) for i, token in enumerate(path))
