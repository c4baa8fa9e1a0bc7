"""Loading a model folder, and the two forward passes that the engine needs of it."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.cache_utils import Cache, DynamicCache

from cai_core.errors import ModelError
from cai_core.inference.local_server.choices import TokenBytes, read_token_bytes
from cai_core.inference.local_server.slot_cache import LEAST_ROWS, SlotCache, fill_up

logger = logging.getLogger(__name__)

# Prompts are read at widths in multiples of this, so that few differ in shape.
PROMPT_MULTIPLE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A causal language model ready to serve.

    Attributes:
        context_length: tokens of prompt and answer together.
        eos_ids: every token that ends an answer.
        token_bytes: what each token stands for; empty where the tokenizer's kind is not known.
        repeatability: `exact` when the arithmetic was seen to give the same bits for a
            sequence alone and in a batch, else `statistical`.
    """

    model: Any
    tokenizer: Any
    device: torch.device
    context_length: int
    layer_count: int
    eos_ids: frozenset[int]
    token_bytes: TokenBytes
    repeatability: Literal["exact", "statistical"] = "statistical"

    def read_prompts(self, prompts: list[list[int]]) -> tuple[torch.Tensor, Cache]:
        """Read prompts in one pass.

        Padding goes to the right, where causal attention never looks, so that a prompt's
        numbers do not depend on its neighbours' lengths.

        Returns:
            The logits after each prompt [B, vocabulary] (float32), and the filled cache.
        """
        width = max(padded_length(len(prompt)) for prompt in prompts)
        width = min(width, self.context_length)
        padded = [prompt + [0] * (width - len(prompt)) for prompt in prompts]
        last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=self.device)
        positions = torch.arange(width, device=self.device).expand(len(prompts), -1)
        cache = DynamicCache()
        ends, where = torch.unique(last, return_inverse=True)
        ends = fill_up(ends, -(-LEAST_ROWS // len(prompts)))
        logits = self._forward(torch.tensor(padded, device=self.device), positions, cache, ends)
        return logits[torch.arange(len(prompts), device=self.device), where].float(), cache

    def next_logits(
        self, tokens: torch.Tensor, cache: SlotCache, mask: torch.Tensor
    ) -> torch.Tensor:
        """One decode step: tokens [n] in, logits [n, vocabulary] (float32) out.

        Args:
            cache: its step was begun for these n rows; it may have filled them up.
        """
        output = self.model(
            input_ids=fill_up(tokens)[:, None],
            attention_mask=mask.to(self.model.dtype),
            position_ids=cache.positions[:, None],
            past_key_values=cache,
            use_cache=True,
        )
        logits: torch.Tensor = output.logits[: tokens.shape[0], -1].float()
        return logits

    def _forward(
        self, ids: torch.Tensor, positions: torch.Tensor, cache: Cache, ends: torch.Tensor
    ) -> torch.Tensor:
        """Logits at the columns `ends` [B, len(ends), vocabulary]."""
        accepts = inspect.signature(self.model.forward).parameters
        keep = {"logits_to_keep": ends} if "logits_to_keep" in accepts else {}
        output = self.model(
            input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=True, **keep
        )
        logits: torch.Tensor = output.logits
        return logits if keep else logits[:, ends]

    @property
    def vocabulary_size(self) -> int:
        """How many tokens the model knows."""
        return int(self.model.get_input_embeddings().num_embeddings)

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        """Tokens of a plain text, with the tokenizer's own start token where it has one."""
        ids = self.tokenizer(text, add_special_tokens=special_tokens)["input_ids"]
        return [int(token) for token in ids]

    def decode(self, ids: list[int]) -> str:
        """Text of tokens, special tokens left out."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is not None:
            return str(backend.decode(ids, skip_special_tokens=True))
        return str(
            self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    def token_text(self, token: int) -> str:
        """One token as text, special tokens named; for log-probabilities."""
        return str(self.tokenizer.decode([token], clean_up_tokenization_spaces=False))


def padded_length(length: int) -> int:
    """The width at which a prompt of that length is read."""
    return -(-length // PROMPT_MULTIPLE) * PROMPT_MULTIPLE


def load_model(folder: Path) -> LoadedModel:
    """Load a transformers folder: fp32 on a CPU, the checkpoint's own type on a GPU.

    Only safetensors are read and no code that comes with a model is run.

    Raises:
        ModelError: the architecture cannot be batched here.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    text_config = config.get_text_config(decoder=True)
    check_architecture(text_config, folder)
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32 if device.type == "cpu" else "auto",
        use_safetensors=True,
        trust_remote_code=False,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = model.to(device).eval()
    loaded = LoadedModel(
        model=model,
        tokenizer=tokenizer,
        device=device,
        context_length=compute_context_length(text_config),
        layer_count=int(text_config.num_hidden_layers),
        eos_ids=collect_eos_ids(model, text_config, tokenizer),
        token_bytes=read_token_bytes(tokenizer),
    )
    return _checked(loaded, folder)


def check_architecture(config: Any, folder: Path) -> None:
    """Raise ModelError for layers that keep another state than keys and values."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    other = sorted(kinds - {"full_attention", "sliding_attention"})
    if other:
        raise ModelError(
            f"{folder}: the bundled server cannot batch {', '.join(other)} layers. "
            "Serve this model with vLLM and give its URL."
        )


def compute_context_length(config: Any) -> int:
    """Tokens of prompt and answer together.

    A sliding-window layer equals full attention only inside its window, and the slot cache
    keeps whole rows: the window bounds the context here.
    """
    limits = [
        int(value)
        for name in ("max_position_embeddings", "n_positions")
        if (value := getattr(config, name, None))
    ]
    if "sliding_attention" in (getattr(config, "layer_types", None) or []):
        limits.append(int(config.sliding_window))
    return min(limits, default=2048)


def collect_eos_ids(model: Any, config: Any, tokenizer: Any) -> frozenset[int]:
    """Every end token that the generation config, the config or the tokenizer names."""
    named = [
        getattr(getattr(model, "generation_config", None), "eos_token_id", None),
        getattr(config, "eos_token_id", None),
        tokenizer.eos_token_id,
    ]
    found: set[int] = set()
    for value in named:
        found.update(value if isinstance(value, list) else [] if value is None else [value])
    return frozenset(found)


@torch.inference_mode()
def _checked(loaded: LoadedModel, folder: Path) -> LoadedModel:
    """Run the model both ways once: refuse one that our cache breaks, and see how it repeats."""
    vocabulary = loaded.vocabulary_size
    length = min(40, loaded.context_length - 1)
    ids = [(7 * i + 3) % vocabulary for i in range(length)]
    whole = loaded.model(torch.tensor([ids], device=loaded.device)).logits[0, -1].float()
    alone = _last_logits(loaded, [ids])[0]
    tolerance = 1e-3 if loaded.model.dtype == torch.float32 else 0.25
    scale = max(1.0, float(whole.abs().max()))
    if float((whole - alone).abs().max()) > tolerance * scale:
        raise ModelError(
            f"{folder}: {type(loaded.model).__name__} gives other numbers with the batched "
            "cache than without. Serve this model with vLLM and give its URL."
        )
    crowd = [ids, *([(t + k) % vocabulary for t in ids[: 5 + 2 * k]] for k in range(1, 16))]
    same_bits = torch.equal(alone, _last_logits(loaded, crowd)[0])
    if loaded.device.type == "cpu" and not same_bits:
        logger.warning(
            "this machine's arithmetic depends on the batch size: repeatability is statistical"
        )
    exact = loaded.device.type == "cpu" and same_bits
    return replace(loaded, repeatability="exact" if exact else "statistical")


def _last_logits(loaded: LoadedModel, prompts: list[list[int]]) -> torch.Tensor:
    """Logits after each prompt's last token, which is fed through the slot cache."""
    cache = SlotCache(loaded.layer_count)
    for row, prompt in enumerate(prompts):
        _, filled = loaded.read_prompts([prompt[:-1]])
        cache.store(row, filled, [(0, len(prompt) - 1)])
    lengths = [len(prompt) - 1 for prompt in prompts]
    mask = cache.begin_step(torch.tensor(lengths, device=loaded.device), max(lengths))
    tokens = torch.tensor([prompt[-1] for prompt in prompts], device=loaded.device)
    return loaded.next_logits(tokens, cache, mask)
