"""A reward model in this process: scores texts in exactly the form that it was trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase

from cai_core.errors import RecipeError, RunMismatchError
from cai_core.inference.model_folder import compute_weights_hash, fetch_model
from cai_core.records import Conversation, Message, content_hash
from cai_core.training.base_model import Base, load_model, load_tokenizer
from cai_core.training.reward_trainer import choose_pad_token, compute_rewards
from cai_core.training.rewards import Rollout
from cai_core.workspace.files import replace_file
from cai_core.workspace.runs import Run

# Texts at once: ours.
BATCH = 64
_SHORT: Conversation = (Message("user", "Hello?"),)


def find_reward_model(run: Run, name: str, expected: str | None) -> Base:
    """A reward model's folder; its weights are held to those of the run's first start.

    Raises:
        RunMismatchError: they are others.
        UnknownModelError: there is no such model.
    """
    path = fetch_model(name)
    found = compute_weights_hash(path)
    held = run.outputs / f"reward-{content_hash(name)[:12]}.json"
    if expected is None and held.exists():
        expected = str(json.loads(held.read_text("utf-8"))["hash"])
    if expected not in (None, found):
        raise RunMismatchError(
            f"{path}: its weights are {found[:12]}, the run's {expected!s:.12}. Bring the old "
            "reward model back, or start a new run."
        )
    if not held.exists():
        replace_file(held, [json.dumps({"model": name, "hash": found}).encode()])
    return Base(path=path, hash=found)


class RewardModel:
    """Implements `rewards.Reward`. Never trained, always in evaluation mode, in fp32.

    Raises:
        ModelError: it cannot be loaded.
        RecipeError: it gives more than one number for a text.
    """

    def __init__(self, base: Base) -> None:
        self._tokenizer = load_tokenizer(base)
        self._model: Any = load_model(
            base,
            seed=0,
            method="full",
            bf16=False,
            auto_class=AutoModelForSequenceClassification,
        )
        if self._model.config.num_labels != 1:
            raise RecipeError(
                f"{base.path}: gives {self._model.config.num_labels} numbers for a text. Name a "
                "reward model: one with a single output."
            )
        # The score is read at the last token that is no padding.
        last = build_tokens(self._tokenizer, _SHORT, "Hello.", ended=True)[-1]
        pad = choose_pad_token(self._tokenizer, last)
        self._pad: int = self._tokenizer.convert_tokens_to_ids(pad)  # type: ignore[assignment]
        self._model.config.get_text_config().pad_token_id = self._pad
        self._model.requires_grad_(False).train(False)
        moved: Any = self._model
        moved.to("cuda" if torch.cuda.is_available() else "cpu")

    def compute(self, rollouts: Sequence[Rollout]) -> list[float]:
        """The scores; see `Reward`."""
        return self.score(
            [
                build_tokens(self._tokenizer, one.conversation, one.text, ended=one.ended)
                for one in rollouts
            ]
        )

    def score(self, texts: Sequence[Sequence[int]]) -> list[float]:
        """The score of each text's tokens."""
        return compute_rewards(self._model, texts, self._pad, BATCH)


def build_tokens(
    tokenizer: PreTrainedTokenizerBase, conversation: Conversation, text: str, *, ended: bool
) -> list[int]:
    """The tokens of a conversation and its answer, as the chat template writes them for training.

    The end of an answer is part of what a reward model reads, and TRL drops it from what it gives
    to rewards. One that was cut at the token limit has none here either.
    """
    turns = [turn.as_dict() for turn in conversation]
    if ended:
        turns.append({"role": "assistant", "content": text})
        whole = str(tokenizer.apply_chat_template(turns, tokenize=False))
    else:
        asked = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        whole = f"{asked}{text}"
    tokens: list[int] = tokenizer(whole, add_special_tokens=False)["input_ids"]
    return tokens
