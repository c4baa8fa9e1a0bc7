"""The forecast of a fine-tuning run."""

from __future__ import annotations

import math
from collections.abc import Iterator

from cai_core.jobs.forecast import ASSUMED, COUNTED, Figure, Forecast, Known
from cai_core.jobs.forecast_counts import ExampleCount, count_examples, count_prompts
from cai_core.jobs.forecast_revise import (
    CHARACTERS_A_TOKEN,
    TEMPLATE_TOKENS,
    get_longest_answer,
)
from cai_core.jobs.rates import Measured, Rate, find_rate
from cai_core.jobs.spec import RunSpec
from cai_core.training.memory import (
    MemoryPart,
    ModelShape,
    compute_training_memory,
    count,
    count_trained,
)
from cai_core.training.recipe import SftRecipe, parse_sft_recipe

# As training.trainer_mixin keeps them; a test holds the two against each other.
KEPT_CHECKPOINTS = 2
_BYTES_AN_EXAMPLE = 800


def forecast_sft(spec: RunSpec, known: Known) -> Forecast:
    """Examples, steps, tokens, time, memory and disk.

    Raises:
        RecipeError: the recipe is none of an `sft` run.
    """
    recipe = parse_sft_recipe(spec.recipe)
    rate = find_rate(
        known.measured, spec.kind, spec.recipe, known.machine.name, known.count_parameters
    )
    return _Sft(spec, recipe, rate, known).build()


class _Sft:
    def __init__(self, spec: RunSpec, recipe: SftRecipe, rate: Rate | None, known: Known) -> None:
        self._spec, self._recipe, self._rate, self._known = spec, recipe, rate, known
        self._count: ExampleCount | None = count_examples(recipe, known.plans)
        self._shape: ModelShape | None = known.plans.find_shape(recipe.base)
        self._longest = self._find_longest()
        self._length = min(recipe.max_length, self._longest or recipe.max_length)
        self._gpu = bool(known.machine.gpus)

    def build(self) -> Forecast:
        tokens, parts = self._count_tokens(), self._count_memory()
        steps = self._count_steps()
        disk, peak = self._count_disk(steps.value)
        faults, warnings = self._check_context()
        return Forecast(
            run_id=self._spec.run_id,
            kind=self._spec.kind,
            figures={
                "examples": self._count_examples(),
                "steps": steps,
                "trained_tokens": tokens,
                "seconds": self._count_seconds(tokens.value),
                "memory": self._sum_memory(parts),
                "disk": disk,
                "cost": Figure.unknown("trained on this machine: it has no price"),
            },
            parts=parts,
            on_gpu=self._gpu,
            disk_peak=peak,
            faults=tuple(faults),
            warnings=tuple(warnings),
        )

    def _count_examples(self) -> Figure:
        if self._count is None:
            return Figure.unknown("a source's prompts cannot be counted")
        told = f"{self._count.formula}; less what is cut, too long or an error"
        return Figure(value=self._count.examples, formula=told, basis=COUNTED)

    def _count_steps(self) -> Figure:
        if self._count is None:
            return Figure.unknown("the examples are not known")
        recipe, examples = self._recipe, self._count.examples
        each = math.ceil(
            math.ceil(examples / recipe.micro_batch) * recipe.micro_batch / recipe.batch_size
        )
        told = f"{examples:,} examples / batches of {recipe.batch_size} × {recipe.epochs} epochs"
        return Figure(value=each * recipe.epochs, formula=told, basis=COUNTED)

    def _count_tokens(self) -> Figure:
        if self._count is None:
            return Figure.unknown("the examples are not known")
        each, basis = self._find_length()
        if each is None:
            return Figure.unknown("how long the examples are is not known")
        each = min(each, self._recipe.max_length)
        examples, epochs = self._count.examples, self._recipe.epochs
        told = f"{examples:,} examples × {each:,.0f} tokens × {epochs} epochs"
        return Figure(value=round(examples * each * epochs), formula=told, basis=basis)

    def _find_length(self) -> tuple[float | None, str]:
        """Tokens of an example: as its sources' texts were measured, else assumed."""
        found, bases = [], []
        for source in self._recipe.sources:
            measured = self._find_source(source.run)
            steps = measured.usage.work.get("steps", {}) if measured else {}
            response = steps.get("response", {})
            answer = response if source.use == "initial" else steps.get("revision", response)
            if measured is None or not response.get("rows") or not answer.get("rows"):
                return self._assume_length()
            prompt = response["prompt"] / response["rows"]
            found.append(prompt + answer["completion"] / answer["rows"])
            bases.append(measured.run_id)
        told = f"measured: texts of {', '.join(dict.fromkeys(bases))}"
        return sum(found) / len(found), told

    def _find_source(self, run_id: str) -> Measured | None:
        """The source itself where it has run, else the best run like it."""
        for measured in self._known.measured:
            if measured.run_id == run_id:
                return measured
        spec = self._known.plans.find(run_id)
        if spec is None:
            return None
        rate = find_rate(
            self._known.measured,
            spec.kind,
            spec.recipe,
            self._known.machine.name,
            self._known.count_parameters,
        )
        return rate.measured if rate else None

    def _assume_length(self) -> tuple[float | None, str]:
        told = f"{ASSUMED}: prompts at {CHARACTERS_A_TOKEN} characters a token, answers as long as "
        return self._longest and float(self._longest), told + "max_tokens lets them be; at most"

    def _find_longest(self) -> int | None:
        """Tokens of the longest example that the sources can give; None where not known."""
        longest = 0
        for source in self._recipe.sources:
            spec = self._known.plans.find(source.run)
            prompts = None if spec is None else count_prompts(spec)
            if spec is None or prompts is None:
                return None
            asked = prompts.longest / CHARACTERS_A_TOKEN + TEMPLATE_TOKENS
            longest = max(longest, round(asked) + get_longest_answer(spec.recipe))
        return longest

    def _count_seconds(self, tokens: float | None) -> Figure:
        if tokens is None:
            return Figure.unknown("the tokens are not known")
        if self._rate is None:
            why = f"no {self._recipe.method} fine-tuning of a model of known size was measured on "
            return Figure.unknown(f"{why}this machine")
        usage = self._rate.measured.usage
        speed, trained = usage.work.get("tokens_per_second"), usage.work.get("trained_tokens")
        if not speed or not trained:
            return Figure.unknown(f"{self._rate.measured.run_id} told no rate")
        # Start, samples, checkpoints and the saving of the model.
        beside = max(0.0, usage.seconds - trained / speed)
        scale = f" × {self._rate.scale:.3g}" if self._rate.scale != 1 else ""
        return Figure(
            value=beside + tokens / speed * self._rate.scale,
            formula=f"{tokens:,.0f} tokens / {speed:,.0f} a second{scale} + {beside:,.0f} s beside "
            "the steps",
            basis=self._rate.basis,
        )

    def _count_memory(self) -> tuple[MemoryPart, ...]:
        if self._shape is None:
            return ()
        return compute_training_memory(
            self._shape, self._recipe, length=self._length, gpu=self._gpu
        )

    def _sum_memory(self, parts: tuple[MemoryPart, ...]) -> Figure:
        if not parts:
            return Figure.unknown("the model is not here yet, and its size is not known")
        told = " + ".join(part.name for part in parts)
        told += f"; at most, with every row at {self._length:,} tokens"
        return Figure(value=sum(part.size for part in parts), formula=told, basis=ASSUMED)

    def _count_disk(self, steps: float | None) -> tuple[Figure, int]:
        """At its end, and the most while it runs: one checkpoint more, before the oldest goes."""
        if self._shape is None:
            return Figure.unknown("the model's size is not known"), 0
        recipe = self._recipe
        trained, whole = count_trained(self._shape, recipe), self._shape.parameters
        made = KEPT_CHECKPOINTS + 1 if steps is None else math.ceil(steps / recipe.save_steps)
        kept = min(made, KEPT_CHECKPOINTS)
        # Weights that were trained and Adam's two moments, in fp32.
        each = trained * 4 * 3
        model = whole * 4 + (trained * 4 if recipe.method == "lora" else 0)
        examples = (self._count.examples if self._count else 0) * _BYTES_AN_EXAMPLE
        adapter = f" + adapter {count(trained)} × 4 B" if recipe.method == "lora" else ""
        told = (
            f"{kept} checkpoints × {count(trained)} parameters × 3 × 4 B + model {count(whole)} × "
            f"4 B{adapter} + examples × {_BYTES_AN_EXAMPLE} B"
        )
        end = kept * each + model + examples
        figure = Figure(value=end, formula=told, basis=ASSUMED)
        return figure, end + (each if made > kept else 0)

    def _check_context(self) -> tuple[list[str], list[str]]:
        faults: list[str] = []
        warnings: list[str] = []
        context = self._shape.context if self._shape else None
        if context is not None and self._recipe.max_length > context:
            words = f"max_length is {self._recipe.max_length:,}, the model's context {context:,}"
            if self._longest is not None and self._longest <= context:
                warnings.append(f"{words}; the longest text has about {self._longest:,} tokens.")
            else:
                faults.append(f"{words}. Lower max_length to {context:,} at most.")
        warnings += self._warn_of_length()
        return faults, warnings

    def _warn_of_length(self) -> Iterator[str]:
        each, _ = self._find_length()
        if each is not None and each > self._recipe.max_length:
            yield (
                f"texts have about {each:,.0f} tokens, max_length is {self._recipe.max_length:,}: "
                "longer ones are left out."
            )
