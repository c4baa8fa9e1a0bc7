"""Real transformers folders small enough to make anew for every test session."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

CONTEXT = 512
CHAT_TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'system' and not loop.first %}"
    "{{ raise_exception('the system turn comes first') }}{% endif %}"
    "<|{{ m['role'] }}|>{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<pad>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"]
_TEXT = "How do I bake bread? Mix flour, water and salt, then wait. The quick brown fox jumps."
# Wider than the usual 0.02, so that an untrained model has opinions and texts differ.
_SPREAD = 0.12


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE: characters outside ASCII are several tokens."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator([_TEXT] * 20, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=SPECIAL[3:],
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def save_llama(folder: Path) -> Path:
    """Grouped-query attention, head_dim 32."""
    tokenizer = build_tokenizer()
    config = LlamaConfig(
        **_sizes(tokenizer), head_dim=32, num_key_value_heads=1, max_position_embeddings=CONTEXT
    )
    return _save(LlamaForCausalLM, config, tokenizer, folder)


def save_qwen2(folder: Path) -> Path:
    """Biases in attention, untied head."""
    tokenizer = build_tokenizer()
    config = Qwen2Config(
        **_sizes(tokenizer), num_key_value_heads=2, max_position_embeddings=CONTEXT
    )
    return _save(Qwen2ForCausalLM, config, tokenizer, folder)


def save_gpt2(folder: Path) -> Path:
    """Learned positions: a position past the context would be an error. 100 is not a multiple
    of the width at which prompts are read.
    """
    tokenizer = build_tokenizer()
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=64,
        n_layer=2,
        n_head=2,
        n_positions=100,
        initializer_range=_SPREAD,
        bos_token_id=1,
        eos_token_id=2,
    )
    return _save(GPT2LMHeadModel, config, tokenizer, folder)


def _sizes(tokenizer: PreTrainedTokenizerFast) -> dict[str, float]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "initializer_range": _SPREAD,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }


def _save(
    kind: type[PreTrainedModel], config: object, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> Path:
    torch.manual_seed(0)
    kind(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_reward_llama(folder: Path) -> Path:
    """A reward model: one output, read at the last token. Its head is wide, so rewards differ."""
    tokenizer = build_tokenizer()
    config = LlamaConfig(
        **_sizes(tokenizer),
        head_dim=32,
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT,
        num_labels=1,
    )
    return _save(LlamaForSequenceClassification, config, tokenizer, folder)
