"""The memory of training on preferences and rewards, told before a model is loaded.

Checked against the real peak on the demo model (two cores, fp32, rows as long as told; resident
memory in MB, measured / told). Reward model: 8 pairs of 384 tokens 1237 / 1280, 32 of 192 tokens
1822 / 1760, LoRA 1501 / 1496. DPO: 8 pairs of 384 tokens 1657 / 1628, of 192 tokens 1089 / 1301, 2
of 384 tokens 886 / 1051, LoRA 1936 / 1843, 16 with gradient checkpointing 1393 / 1387. RL, 64
completions of 96 tokens a step: 64 at once 1667 / 1738, 16 at once 994 / 1118, LoRA 2147 / 1989; of
300 tokens: 4 at once 873 / 1018, 16 with gradient checkpointing 1285 / 1267. So from 7 % below to
19 % above. On a GPU it was not measured.
"""

from __future__ import annotations

from collections.abc import Sequence

from cai_core.training.memory import (
    MemoryPart,
    ModelShape,
    TrainedRecipe,
    count,
    count_activations,
    count_program,
    count_states,
    uses_half,
)

# TRL's fused head works on so many tokens at once (trl.kernels.chunked_logprob).
_HEAD_TOKENS = 4096
# On a GPU it sets a buffer aside for so many words; elsewhere torch makes copies in its place: a
# tile, its logits, log-probabilities, probabilities, gradient and what is between them.
_HEAD_WORDS, _HEAD_COPIES = 32768, 8
# vLLM's part of the GPU, where it generates in the trainer's process: TRL's default.
VLLM_SHARE = 0.3


def compute_reward_memory(
    shape: ModelShape, recipe: TrainedRecipe, *, length: int, gpu: bool
) -> tuple[MemoryPart, ...]:
    """The parts of the peak as `training.reward` trains: two rows a pair, one number a row.

    Args:
        length: tokens of the longest row, ≥ 1.
        gpu: on a GPU; else on the CPU.
    """
    half = uses_half(recipe, gpu)
    return (
        *count_states(shape, recipe, half=half),
        *count_activations(shape, recipe, 2 * recipe.micro_batch, length, half=half),
        count_program(gpu),
    )


def compute_dpo_memory(
    shape: ModelShape, recipe: TrainedRecipe, *, length: int, gpu: bool
) -> tuple[MemoryPart, ...]:
    """The parts of the peak as `training.dpo` trains.

    The reference is asked before the first step, by the model itself: it takes no memory.

    Args:
        length: tokens of the longest row, ≥ 1.
        gpu: on a GPU; else on the CPU.
    """
    half, rows = uses_half(recipe, gpu), 2 * recipe.micro_batch
    return (
        *count_states(shape, recipe, half=half),
        *count_activations(shape, recipe, rows, length, half=half),
        _count_head(shape, rows, length, gpu=gpu, half=half),
        count_program(gpu),
    )


def compute_rl_memory(
    shape: ModelShape,
    recipe: TrainedRecipe,
    rewards: Sequence[ModelShape],
    *,
    length: int,
    rollouts: int,
    reference: bool,
    gpu: bool,
    vllm_bytes: int | None = None,
) -> tuple[MemoryPart, ...]:
    """The parts of the peak as `training.rl` trains.

    The optimizer's part and the rollouts come one after the other: the larger of them counts.

    Args:
        rewards: of the reward models.
        length: tokens of the longest prompt with its completion, ≥ 1.
        rollouts: completions that are written at once.
        reference: a second model is kept, which full fine-tuning with a KL term wants; LoRA's is
            the base without its adapter.
        gpu: on a GPU; else on the CPU.
        vllm_bytes: what vLLM sets aside for rollouts; None where transformers writes them.
    """
    half = uses_half(recipe, gpu)
    states = list(count_states(shape, recipe, half=half))
    if reference:
        states.append(_count_weights("reference", shape))
    states += [_count_weights("reward model", one) for one in rewards]
    optimizing = [
        *count_activations(shape, recipe, recipe.micro_batch, length, half=half),
        _count_head(shape, recipe.micro_batch, length, gpu=gpu, half=half),
    ]
    if vllm_bytes is not None:
        told = f"{VLLM_SHARE:g} of the GPU's memory: TRL's default"
        states.append(MemoryPart(name="vLLM", size=vllm_bytes, formula=told))
        return (*states, *optimizing, count_program(gpu))
    written = _count_rollouts(shape, rollouts, length, half=half and recipe.method == "lora")
    larger = [written] if written.size > sum(one.size for one in optimizing) else optimizing
    return (*states, *larger, count_program(gpu))


def _count_weights(name: str, shape: ModelShape) -> MemoryPart:
    return MemoryPart(
        name=name,
        size=shape.parameters * 4,
        formula=f"{count(shape.parameters)} parameters × 4 B",
    )


def _count_rollouts(shape: ModelShape, rows: int, length: int, *, half: bool) -> MemoryPart:
    width = 2 if half else 4
    return MemoryPart(
        name="rollouts",
        size=rows * length * 2 * shape.layers * shape.key_value * width,
        formula=f"{rows} rows × {length:,} tokens × {shape.layers} layers × 2 × "
        f"{shape.key_value} × {width} B of keys and values",
    )


def _count_head(shape: ModelShape, rows: int, length: int, *, gpu: bool, half: bool) -> MemoryPart:
    tokens = min(rows * length, _HEAD_TOKENS)
    words, width, copies = shape.vocabulary, 4, _HEAD_COPIES
    if gpu:
        words, width, copies = _HEAD_WORDS, 2 if half else 4, 1
    at_most = f"at most {_HEAD_TOKENS:,} tokens at once: "
    return MemoryPart(
        name="logits",
        size=tokens * words * width * copies,
        formula=f"{at_most}{tokens:,} × {words:,} words × {width} B"
        + (f" × {copies} copies" if copies > 1 else ""),
    )
