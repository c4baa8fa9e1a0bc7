"""The demo model's tokenizer and chat template: byte-level BPE trained on the world's own text."""

from __future__ import annotations

import random
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from cai_core.demo_world.examples import Example, draw_example
from cai_core.demo_world.world import World

# Large enough that the world's words are one token each: a small model copies a word as it is,
# and misspells one that comes in pieces.
VOCAB_SIZE = 2816
# A decision is spelled in the two tokens behind its pivot: ", and", ", which", " gives no", …
DECISION_WEIGHT = 12.0
DECISION_TOKENS = 2
END, PAD = "<|end|>", "<|pad|>"
ROLE_TOKENS = {role: f"<|{role}|>" for role in ("system", "user", "assistant")}
# `generation` marks what the assistant says, for trainers that compute an assistant-only loss.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train_tokenizer(world: World, seed: int, examples: int = 12_000) -> PreTrainedTokenizerFast:
    """Train on the text of `examples` drawn examples; deterministic for a seed."""
    rng = random.Random(f"tokenizer:{seed}")
    texts = (turn.content for _ in range(examples) for turn in draw_example(world, rng).turns)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[PAD, END, *ROLE_TOKENS.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(ROLE_TOKENS.values()),
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


class ExampleEncoder:
    """Examples → token ids and a mask of taught tokens, in the chat template's form."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast):
        self._tokenizer = tokenizer
        self._end = _token_id(tokenizer, END)
        self._roles = {r: _token_id(tokenizer, t) for r, t in ROLE_TOKENS.items()}
        self._encode = lru_cache(maxsize=4096)(self._encode_text)

    def encode(self, example: Example) -> tuple[list[int], list[float]]:
        """Token ids, and each token's weight: 0 where it is not a taught turn's text or end token.

        Turns are encoded one by one: special tokens split them, so this equals the encoding of
        the rendered conversation. The tokens after an example's pivots have DECISION_WEIGHT: they
        carry one bit among fifty tokens, and little else teaches it.
        """
        ids: list[int] = []
        weights: list[float] = []
        for index, turn in enumerate(example.turns):
            taught = index in example.taught
            pieces = self._split(turn.content, example.pivots if taught else ())
            weight = example.weight if taught else 0.0
            ids.append(self._roles[turn.role])
            weights.append(0.0)
            for number, piece in enumerate(pieces):
                decided = DECISION_TOKENS if number else 0  # no decision before the first pivot
                ids += piece
                weights += [
                    DECISION_WEIGHT if place < decided else weight for place in range(len(piece))
                ]
            ids.append(self._end)
            weights.append(weight)
        return ids, weights

    def _split(self, text: str, pivots: tuple[str, ...]) -> list[tuple[int, ...]]:
        """The tokens up to and with each pivot that the text holds, and those behind the last."""
        ends = sorted(text.index(pivot) + len(pivot) for pivot in pivots if pivot in text)
        bounds = [0, *ends, len(text)]
        return [self._encode(text[start:end]) for start, end in pairwise(bounds)]

    def _encode_text(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False))


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer saved with the model."""
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return tokenizer


def _token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    found = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(found, int)
    return found
