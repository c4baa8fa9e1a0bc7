"""The memory that training takes, told before a model is loaded: from its config and headers.

Checked against the real peak of fine-tuning the demo model on two cores (fp32, every row 384
tokens, resident memory in MB, measured / told): 8 rows at once 1156 / 1138, 32 rows 2176 / 2151;
with gradient checkpointing 997 / 958 and 1491 / 1430; with LoRA 1332 / 1233 and 2832 / 2608. 8 rows
of 192 tokens: 852 / 969. So within 14 % there; texts shorter than the rows need less than is told.
On a GPU, and for other architectures, it was not measured.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cai_core.errors import ModelError
from cai_core.inference.model_folder import list_weights
from cai_core.training.training_settings import Method, Precision

# Interpreter, torch, transformers, TRL and what they keep beside tensors; measured, resident.
PROGRAM_BYTES = 760 * 10**6
# CUDA's context, its libraries' kernels and work space: common, not measured here.
GPU_PROGRAM_BYTES = 10**9
# Logits, their log-softmax and the gradient, all in fp32.
LOGIT_COPIES = 3
_LONGEST_HEAD = 100 * 2**20
_NOT_ADAPTED = ("embed", "lm_head", "wte", "wpe")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """What of a model its memory depends on.

    Attributes:
        parameters: in all, shared ones once.
        weight_bytes: of its files' tensors.
        hidden, layers, vocabulary: sizes; `inner` of the MLP, `attention` of all heads together,
            `key_value` of those that keep keys (grouped-query attention has fewer).
        gated: the MLP multiplies a gate with its input (Llama, Qwen, …).
        context: tokens of prompt and answer together; None where the config does not tell.
        linear: (in + out) and out features of all linear layers, the head left out, summed; LoRA's
            `all-linear`.
    """

    parameters: int
    weight_bytes: int
    hidden: int
    layers: int
    vocabulary: int
    inner: int
    attention: int
    key_value: int
    gated: bool
    context: int | None
    linear_ends: int
    linear_out: int


class TrainedRecipe(Protocol):
    """What the memory of a training depends on, of the recipe of any kind."""

    @property
    def method(self) -> Method:
        """All weights, or an adapter."""
        ...

    @property
    def precision(self) -> Precision:
        """Of activations, and of frozen weights."""
        ...

    @property
    def gradient_checkpointing(self) -> bool:
        """Whether a layer's activations are done again in the backward pass."""
        ...

    @property
    def micro_batch(self) -> int:
        """What is in memory at once."""
        ...

    @property
    def lora_rank(self) -> int:
        """Of the adapter."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPart:
    """One part of the memory, bytes, and how it is reckoned in words."""

    name: str
    size: int
    formula: str


def read_shape(folder: Path) -> ModelShape:
    """Read a model folder; no tensor is loaded.

    Raises:
        ModelError: config.json or a weights file cannot be read, or a size is missing.
    """
    config = _load_config(folder)
    tensors = dict(_list_tensors(folder))
    sizes = {name: math.prod(shape) for name, (shape, _) in tensors.items()}
    tied = config.get("tie_word_embeddings") and any("embed" in name for name in tensors)
    parameters = sum(n for name, n in sizes.items() if not (tied and "lm_head" in name))
    linear = [
        shape
        for name, (shape, _) in tensors.items()
        if len(shape) == 2 and not any(word in name for word in _NOT_ADAPTED)
    ]
    try:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        head = int(config.get("head_dim") or hidden // heads)
        return ModelShape(
            parameters=parameters,
            weight_bytes=sum(size for _, size in tensors.values()),
            hidden=hidden,
            layers=int(config["num_hidden_layers"]),
            vocabulary=int(config["vocab_size"]),
            inner=int(config.get("intermediate_size") or 4 * hidden),
            attention=heads * head,
            key_value=int(config.get("num_key_value_heads") or heads) * head,
            gated=any("gate" in name for name in tensors),
            context=_read_context(config),
            linear_ends=sum(sum(shape) for shape in linear),
            linear_out=sum(shape[0] for shape in linear),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{folder / 'config.json'}: no size that can be read: {error}. Its memory is not "
            "known before it runs."
        ) from error


def compute_training_memory(
    shape: ModelShape, recipe: TrainedRecipe, *, length: int, gpu: bool
) -> tuple[MemoryPart, ...]:
    """The parts of the peak, as `training.sft` trains.

    Activations follow Korthikanti et al. (arXiv 2205.05198, section 4.1), s·b·h·(34 + 5·a·s/h)
    bytes a layer, reckoned again for what is trained here: no dropout, RMSNorm, a gated MLP,
    grouped-query attention, and attention that keeps no s × s matrix.

    Args:
        length: tokens of the longest row, ≥ 1.
        gpu: on a GPU; else on the CPU.
    """
    half = uses_half(recipe, gpu)
    return (
        *count_states(shape, recipe, half=half),
        *count_activations(shape, recipe, recipe.micro_batch, length, half=half),
        _count_logits(shape, recipe.micro_batch, length),
        count_program(gpu),
    )


def uses_half(recipe: TrainedRecipe, gpu: bool) -> bool:
    """Whether activations are kept in two bytes each."""
    return recipe.precision == "bf16" or (recipe.precision == "auto" and gpu)


def count_trained(shape: ModelShape, recipe: TrainedRecipe) -> int:
    """Parameters that the optimizer moves: all, or LoRA's r · (in + out) of each linear layer."""
    return shape.parameters if recipe.method == "full" else recipe.lora_rank * shape.linear_ends


def compute_serving_memory(shape: ModelShape, *, rows: int, length: int) -> tuple[MemoryPart, ...]:
    """The bundled server's peak in fp32 on a CPU: weights, keys and values, the program.

    Args:
        rows: answers that are written at once; `length` tokens of each, with its prompt.
    """
    weights, cached = shape.parameters * 4, rows * length * 2 * shape.layers * shape.key_value * 4
    return (
        MemoryPart(
            name="server's weights",
            size=weights,
            formula=f"{count(shape.parameters)} parameters × 4 B",
        ),
        MemoryPart(
            name="keys and values",
            size=cached,
            formula=f"{rows} rows × {length:,} tokens × {shape.layers} layers × 2 × "
            f"{shape.key_value} × 4 B",
        ),
    )


def count(number: float) -> str:
    """A number as people say it: `2.54 M`."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


def count_states(shape: ModelShape, recipe: TrainedRecipe, *, half: bool) -> Iterator[MemoryPart]:
    """Weights, gradients and the optimizer's moments."""
    trained = count_trained(shape, recipe)
    # As it is loaded: bf16 for frozen weights alone, else fp32.
    width = 2 if half and recipe.method == "lora" else 4
    yield MemoryPart(
        name="weights",
        size=shape.parameters * width,
        formula=f"{count(shape.parameters)} parameters × {width} B",
    )
    what = "trained parameters"
    if recipe.method == "lora":
        what = "adapter parameters"
        yield MemoryPart(
            name="adapters",
            size=trained * 4,
            formula=f"rank {recipe.lora_rank} × {count(shape.linear_ends)} inputs and outputs of "
            "linear layers × 4 B",
        )
    yield MemoryPart(name="gradients", size=trained * 4, formula=f"{count(trained)} {what} × 4 B")
    yield MemoryPart(
        name="optimizer", size=trained * 8, formula=f"{count(trained)} {what} × 2 moments × 4 B"
    )


def count_activations(
    shape: ModelShape, recipe: TrainedRecipe, rows: int, length: int, *, half: bool
) -> Iterator[MemoryPart]:
    """Values that are kept for the backward pass.

    A token of a layer keeps 6 h for the two norms (input, normalised, scaled), queries, the
    attention's output and its copy (3 a), keys and values (2 k), and 4 f of a gated MLP (2 f
    without a gate).

    Args:
        rows: at once; `length` tokens of each.
    """
    tokens, width = rows * length, 2 if half else 4
    mlp = (4 if shape.gated else 2) * shape.inner
    kept = 6 * shape.hidden + 3 * shape.attention + 2 * shape.key_value + mlp
    words = "6 h + 3 a + 2 k + " + ("4 f" if shape.gated else "2 f")
    if recipe.method == "lora":
        # Beside the frozen layers' outputs the adapters' own, and the r values between.
        kept += shape.linear_out // max(1, shape.layers) + 7 * recipe.lora_rank
        words += " + adapters"
    shown = f"{rows} rows × {length:,} tokens"
    if recipe.gradient_checkpointing:
        size = tokens * (shape.layers * shape.hidden + kept) * width
        told = f"{shown} × ({shape.layers} layers × {shape.hidden} + {kept:,} of one layer done "
        yield MemoryPart(
            name="activations", size=size, formula=f"{told}again: {words}) × {width} B"
        )
    else:
        size = tokens * shape.layers * kept * width
        told = f"{shown} × {shape.layers} layers × {kept:,} values ({words}) × {width} B"
        yield MemoryPart(name="activations", size=size, formula=told)


def _count_logits(shape: ModelShape, rows: int, length: int) -> MemoryPart:
    return MemoryPart(
        name="logits",
        size=rows * length * shape.vocabulary * 4 * LOGIT_COPIES,
        formula=f"{rows} rows × {length:,} tokens × {shape.vocabulary:,} words × 4 B × "
        f"{LOGIT_COPIES} (logits, log-softmax, gradient)",
    )


def count_program(gpu: bool) -> MemoryPart:
    """What is there beside tensors."""
    if gpu:
        told = "CUDA's context and work space: assumed"
        return MemoryPart(name="program", size=GPU_PROGRAM_BYTES, formula=told)
    told = "interpreter, torch, TRL: measured"
    return MemoryPart(name="program", size=PROGRAM_BYTES, formula=told)


def _load_config(folder: Path) -> Mapping[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        # Models that also read pictures keep the language model's sizes one level down.
        inner = config.get("text_config")
        return {**config, **inner} if isinstance(inner, dict) else dict(config)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"{folder / 'config.json'}: cannot be read: {error}. Mend it.") from error


def _read_context(config: Mapping[str, Any]) -> int | None:
    lengths = [config.get(name) for name in ("max_position_embeddings", "n_positions")]
    return min((int(value) for value in lengths if value), default=None)


def _list_tensors(folder: Path) -> Iterator[tuple[str, tuple[tuple[int, ...], int]]]:
    """Name → shape and bytes of each tensor, from the files' heads."""
    for path in list_weights(folder):
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                if length > _LONGEST_HEAD:
                    raise ValueError(f"a head of {length} bytes")
                head = json.loads(file.read(length))
            for name, told in head.items():
                if name != "__metadata__":
                    begin, end = told["data_offsets"]
                    yield name, (tuple(map(int, told["shape"])), int(end) - int(begin))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{path}: no safetensors head: {error}. Save it again.") from error
