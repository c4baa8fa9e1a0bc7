"""What forecasts of training runs share: rates, steps, time, disk, and what the context allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from cai_core.jobs.forecast import ASSUMED, COUNTED, Figure, Known
from cai_core.jobs.forecast_revise import CHARACTERS_A_TOKEN, TEMPLATE_TOKENS, get_longest_answer
from cai_core.jobs.rates import Measured, Rate, find_rate
from cai_core.jobs.spec import RunSpec
from cai_core.training.checkpoints import KEPT_CHECKPOINTS
from cai_core.training.memory import MemoryPart, ModelShape, TrainedRecipe, count, count_trained

NO_PRICE = "trained on this machine: it has no price"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLength:
    """Tokens of a run's answers, and of prompts with them.

    Attributes:
        whole: of a prompt with its answer; `answer` alone. Means where measured, else at most.
        basis: in words, for people.
    """

    whole: float
    answer: float
    basis: str


def find_own_rate(spec: RunSpec, known: Known) -> Rate | None:
    """The best measured run to reckon this one with."""
    return find_rate(
        known.measured, spec.kind, spec.recipe, known.machine.name, known.count_parameters
    )


def find_source(run_id: str, known: Known) -> Measured | None:
    """What a source took: itself where it has run, else the best run like it."""
    for measured in known.measured:
        if measured.run_id == run_id:
            return measured
    spec = known.plans.find(run_id)
    rate = find_own_rate(spec, known) if spec else None
    return rate.measured if rate else None


def find_answer_length(run_id: str, known: Known, *, initial: bool) -> AnswerLength | None:
    """Of a `revise` run's answers, as they were measured; None where they were not.

    Args:
        initial: of the responses; else of the last revisions where there are any.
    """
    measured = find_source(run_id, known)
    steps = measured.usage.work.get("steps", {}) if measured else {}
    response = steps.get("response", {})
    answer = response if initial else steps.get("revision", response)
    if measured is None or not response.get("rows") or not answer.get("rows"):
        return None
    prompt, told = response["prompt"] / response["rows"], answer["completion"] / answer["rows"]
    return AnswerLength(whole=prompt + told, answer=told, basis=measured.run_id)


def assume_prompt_length(characters: float) -> int:
    """Tokens of a prompt in its template."""
    return round(characters / CHARACTERS_A_TOKEN + TEMPLATE_TOKENS)


def assume_longest(spec: RunSpec, longest_prompt: int) -> int:
    """Tokens of the longest prompt of a `revise` run with the longest answer."""
    return assume_prompt_length(longest_prompt) + get_longest_answer(spec.recipe)


def count_steps(examples: int, recipe: Any) -> Figure:
    """Optimizer steps of a recipe with batches and epochs, as transformers counts them."""
    padded = math.ceil(examples / recipe.micro_batch) * recipe.micro_batch
    each = math.ceil(padded / recipe.batch_size)
    told = f"{examples:,} examples / batches of {recipe.batch_size} × {recipe.epochs} epochs"
    return Figure(value=each * recipe.epochs, formula=told, basis=COUNTED)


def count_seconds(tokens: float | None, rate: Rate | None, what: str) -> Figure:
    """Time of a training by its tokens.

    Args:
        what: that was to be measured, e.g. `full fine-tuning`.
    """
    if tokens is None:
        return Figure.unknown("the tokens are not known")
    if rate is None:
        why = f"no {what} of a model of known size was measured on this machine"
        return Figure.unknown(why)
    usage = rate.measured.usage
    speed, trained = usage.work.get("tokens_per_second"), usage.work.get("trained_tokens")
    if not speed or not trained:
        return Figure.unknown(f"{rate.measured.run_id} told no rate")
    # Start, samples, probes, checkpoints and the saving of the model.
    beside = max(0.0, usage.seconds - trained / speed)
    scale = f" × {rate.scale:.3g}" if rate.scale != 1 else ""
    return Figure(
        value=beside + tokens / speed * rate.scale,
        formula=f"{tokens:,.0f} tokens / {speed:,.0f} a second{scale} + {beside:,.0f} s beside "
        "the steps",
        basis=rate.basis,
    )


def sum_training_memory(parts: tuple[MemoryPart, ...], length: int) -> Figure:
    """The peak of a training, at most."""
    if not parts:
        return Figure.unknown("the model is not here yet, and its size is not known")
    told = " + ".join(part.name for part in parts)
    told += f"; at most, with every row at {length:,} tokens"
    return Figure(value=sum(part.size for part in parts), formula=told, basis=ASSUMED)


def count_disk(
    shape: ModelShape | None,
    recipe: TrainedRecipe,
    *,
    steps: float | None,
    save_steps: int,
    beside: float,
    what: str,
) -> tuple[Figure, int]:
    """At its end, and the most while it runs: one checkpoint more, before the oldest goes.

    Args:
        beside: bytes of what else it writes; `what` says how they are reckoned.
    """
    if shape is None:
        return Figure.unknown("the model's size is not known"), 0
    trained, whole = count_trained(shape, recipe), shape.parameters
    made = KEPT_CHECKPOINTS + 1 if steps is None else math.ceil(steps / save_steps)
    kept = min(made, KEPT_CHECKPOINTS)
    # Weights that were trained and Adam's two moments, in fp32.
    each = trained * 4 * 3
    model = whole * 4 + (trained * 4 if recipe.method == "lora" else 0)
    adapter = f" + adapter {count(trained)} × 4 B" if recipe.method == "lora" else ""
    told = (
        f"{kept} checkpoints × {count(trained)} parameters × 3 × 4 B + model {count(whole)} × "
        f"4 B{adapter} + {what}"
    )
    end = round(kept * each + model + beside)
    figure = Figure(value=end, formula=told, basis=ASSUMED)
    return figure, end + (each if made > kept else 0)


def check_length(
    shape: ModelShape | None, max_length: int, *, longest: float | None, mean: float | None
) -> tuple[list[str], list[str]]:
    """Faults and warnings of `max_length`.

    Args:
        longest: tokens of the longest text; `mean` of one; None where not known.
    """
    faults: list[str] = []
    warnings: list[str] = []
    context = shape.context if shape else None
    if context is not None and max_length > context:
        words = f"max_length is {max_length:,}, the model's context {context:,}"
        if longest is not None and longest <= context:
            warnings.append(f"{words}; the longest text has about {longest:,.0f} tokens.")
        else:
            faults.append(f"{words}. Lower max_length to {context:,} at most.")
    if mean is not None and mean > max_length:
        warnings.append(
            f"texts have about {mean:,.0f} tokens, max_length is {max_length:,}: longer ones are "
            "left out."
        )
    return faults, warnings
