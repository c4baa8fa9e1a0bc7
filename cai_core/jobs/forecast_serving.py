"""What asking a model takes, of any kind of run: the server's memory here, and its price."""

from __future__ import annotations

from cai_core.errors import CaiError
from cai_core.inference.endpoints import EndpointConfig
from cai_core.jobs.forecast import ASSUMED, Figure, Known
from cai_core.pipeline.connect import resolve_config
from cai_core.training.memory import MemoryPart, compute_serving_memory

# The bundled server without its model; measured, resident.
SERVER_BYTES = 480 * 10**6
# Parts of another process than the worker, which serves others, too.
SERVER_PARTS = frozenset({"server's weights", "keys and values", "server"})


def find_config(model: str, known: Known) -> EndpointConfig | None:
    """How a model of that name is reached; None where that is not known."""
    try:
        return resolve_config(model, known.workspace)
    except CaiError:
        return None


def find_context(model: str, known: Known) -> int | None:
    """Tokens of prompt and answer together; None where that is not known."""
    config = find_config(model, known)
    shape = known.plans.find_shape(config.model) if config else None
    return shape.context if shape else None


def count_server(model: str, known: Known, *, asks: int, length: int) -> tuple[MemoryPart, ...]:
    """A bundled server's parts; empty where the model is served otherwise, or is not here.

    Args:
        asks: of all; at most the endpoint's concurrency of them at once.
        length: tokens of the longest prompt with its answer.
    """
    config = find_config(model, known)
    shape = known.plans.find_shape(config.model) if config else None
    if config is None or config.kind != "bundled" or shape is None:
        return ()
    serving = compute_serving_memory(
        shape, rows=min(config.concurrency, asks), length=min(length, shape.context or length)
    )
    told = "interpreter, torch, transformers: measured"
    return *serving, MemoryPart(name="server", size=SERVER_BYTES, formula=told)


def sum_memory(model: str, parts: tuple[MemoryPart, ...], known: Known) -> Figure:
    """The memory of a worker that asks, with its server's where that is bundled."""
    config = find_config(model, known)
    kind = config.kind if config else None
    if kind == "bundled" and not SERVER_PARTS & {part.name for part in parts}:
        return Figure.unknown("the model is not here yet, and its size is not known")
    if kind == "vllm":
        return Figure.unknown("vLLM takes what its options allow; it is checked at its start")
    told = " + ".join(part.name for part in parts)
    return Figure(value=sum(part.size for part in parts), formula=told, basis=ASSUMED)


def count_price(
    model: str, known: Known, *, prompt: float, completion: float
) -> tuple[float | None, str]:
    """USD for so many tokens and how they are reckoned; None and the reason without a price."""
    config = find_config(model, known)
    if config is None or config.price_prompt is None or config.price_completion is None:
        return None, f"no price is set for {config.name if config else model}"
    told = (
        f"{prompt:,.0f} prompt tokens × {config.price_prompt:g} + {completion:,.0f} "
        f"completion tokens × {config.price_completion:g} USD a million"
    )
    return (prompt * config.price_prompt + completion * config.price_completion) / 1e6, told
