"""The forecast of a fine-tuning run."""

from __future__ import annotations

from cai_core.jobs.forecast import ASSUMED, COUNTED, Figure, Forecast, Known
from cai_core.jobs.forecast_counts import ExampleCount, count_examples, count_prompts
from cai_core.jobs.forecast_revise import CHARACTERS_A_TOKEN
from cai_core.jobs.forecast_training import (
    NO_PRICE,
    assume_longest,
    check_length,
    count_disk,
    count_seconds,
    count_steps,
    find_answer_length,
    find_own_rate,
    sum_training_memory,
)
from cai_core.jobs.rates import Rate
from cai_core.jobs.spec import RunSpec
from cai_core.training.memory import MemoryPart, ModelShape, compute_training_memory
from cai_core.training.recipe import SftRecipe, parse_sft_recipe

_BYTES_AN_EXAMPLE = 800


def forecast_sft(spec: RunSpec, known: Known) -> Forecast:
    """Examples, steps, tokens, time, memory and disk.

    Raises:
        RecipeError: the recipe is none of an `sft` run.
    """
    recipe = parse_sft_recipe(spec.recipe)
    return _Sft(spec, recipe, find_own_rate(spec, known), known).build()


class _Sft:
    def __init__(self, spec: RunSpec, recipe: SftRecipe, rate: Rate | None, known: Known) -> None:
        self._spec, self._recipe, self._rate, self._known = spec, recipe, rate, known
        self._count: ExampleCount | None = count_examples(recipe, known.plans)
        self._shape: ModelShape | None = known.plans.find_shape(recipe.base)
        self._longest = self._find_longest()
        self._length = min(recipe.max_length, self._longest or recipe.max_length)

    def build(self) -> Forecast:
        gpu = bool(self._known.machine.gpus)
        recipe, examples = self._recipe, self._count.examples if self._count else None
        tokens = self._count_tokens()
        parts: tuple[MemoryPart, ...] = ()
        if self._shape is not None:
            parts = compute_training_memory(self._shape, recipe, length=self._length, gpu=gpu)
        steps = Figure.unknown("the examples are not known")
        if examples is not None:
            steps = count_steps(examples, recipe)
        disk, peak = count_disk(
            self._shape,
            recipe,
            steps=steps.value,
            save_steps=recipe.save_steps,
            beside=(examples or 0) * _BYTES_AN_EXAMPLE,
            what=f"examples × {_BYTES_AN_EXAMPLE} B",
        )
        faults, warnings = check_length(
            self._shape, recipe.max_length, longest=self._longest, mean=self._find_length()[0]
        )
        return Forecast(
            run_id=self._spec.run_id,
            kind=self._spec.kind,
            figures={
                "examples": self._count_examples(),
                "steps": steps,
                "trained_tokens": tokens,
                "seconds": count_seconds(tokens.value, self._rate, f"{recipe.method} fine-tuning"),
                "memory": sum_training_memory(parts, self._length),
                "disk": disk,
                "cost": Figure.unknown(NO_PRICE),
            },
            parts=parts,
            on_gpu=gpu,
            disk_peak=peak,
            faults=tuple(faults),
            warnings=tuple(warnings),
        )

    def _count_examples(self) -> Figure:
        if self._count is None:
            return Figure.unknown("a source's prompts cannot be counted")
        told = f"{self._count.formula}; less what is cut, too long or an error"
        return Figure(value=self._count.examples, formula=told, basis=COUNTED)

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
        found = []
        for source in self._recipe.sources:
            length = find_answer_length(source.run, self._known, initial=source.use == "initial")
            if length is None:
                return self._assume_length()
            found.append(length)
        runs = ", ".join(dict.fromkeys(one.basis for one in found))
        return sum(one.whole for one in found) / len(found), f"measured: texts of {runs}"

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
            longest = max(longest, assume_longest(spec, prompts.longest))
        return longest
