"""The forecast of a run of reinforcement learning."""

from __future__ import annotations

from importlib.util import find_spec

from cai_core.jobs.forecast import ASSUMED, COUNTED, Figure, Forecast, Known
from cai_core.jobs.forecast_counts import PromptCount, count_prompts
from cai_core.jobs.forecast_revise import CHARACTERS_A_TOKEN, REQUEST_TOKENS
from cai_core.jobs.forecast_serving import count_price, count_server
from cai_core.jobs.forecast_training import (
    NO_PRICE,
    assume_prompt_length,
    count_disk,
    count_seconds,
    find_own_rate,
)
from cai_core.jobs.rates import Rate
from cai_core.jobs.spec import RunSpec
from cai_core.training.memory import MemoryPart, ModelShape
from cai_core.training.memory_preferences import VLLM_SHARE, compute_rl_memory
from cai_core.training.rl_recipe import ModelReward, RlRecipe, parse_rl_recipe

# Prompts of the probe that are asked at once, of three kinds (training.probe).
_PROBE_BATCH, _PROBE_KINDS = 64, 3
# A prompt's line in the inputs; metrics and the probe's answers are small beside the model.
_BYTES_A_PROMPT, _BYTES_A_STEP = 300, 2500


def forecast_rl(spec: RunSpec, known: Known) -> Forecast:
    """Completions, steps, tokens, time, memory, disk, and what judges cost.

    Raises:
        RecipeError: the recipe is none of an `rl` run.
    """
    recipe = parse_rl_recipe(spec.recipe)
    return _Rl(spec, recipe, find_own_rate(spec, known), known).build()


class _Rl:
    def __init__(self, spec: RunSpec, recipe: RlRecipe, rate: Rate | None, known: Known) -> None:
        self._spec, self._recipe, self._rate, self._known = spec, recipe, rate, known
        self._prompts: PromptCount | None = count_prompts(spec)
        self._shape = known.plans.find_shape(recipe.base)
        longest = assume_prompt_length(self._prompts.longest) if self._prompts else 0
        whole = longest + recipe.max_tokens
        context = self._shape.context if self._shape else None
        # Prompts that leave no room for a completion are left out.
        self._length = min(whole, context or whole)
        self._longest = longest
        self._completions = recipe.steps * recipe.completions_per_step

    def build(self) -> Forecast:
        recipe, gpus = self._recipe, self._known.machine.gpus
        parts, missing = self._count_memory()
        tokens = self._count_tokens()
        steps = Figure(
            value=recipe.optimizer_steps,
            formula=f"{recipe.steps:,} batches × {recipe.iterations} optimizer steps on each",
            basis=COUNTED,
        )
        written = self._prompts.prompts * _BYTES_A_PROMPT if self._prompts else 0
        disk, peak = count_disk(
            self._shape,
            recipe,
            steps=steps.value,
            save_steps=recipe.save_steps,
            beside=written + recipe.optimizer_steps * _BYTES_A_STEP,
            what=f"prompts × {_BYTES_A_PROMPT} B + steps × {_BYTES_A_STEP:,} B",
        )
        faults, warnings = self._check_context()
        return Forecast(
            run_id=self._spec.run_id,
            kind=self._spec.kind,
            figures={
                "completions": Figure(
                    value=self._completions,
                    formula=f"{recipe.steps:,} batches × {recipe.prompts_per_step} prompts × "
                    f"{recipe.generations} generations",
                    basis=COUNTED,
                ),
                "steps": steps,
                "trained_tokens": tokens,
                "seconds": count_seconds(
                    tokens.value, self._rate, f"{recipe.method} RL with such rewards"
                ),
                "memory": self._sum_memory(parts, missing),
                "disk": disk,
                "cost": self._count_cost(),
            },
            parts=parts,
            on_gpu=bool(gpus),
            disk_peak=peak,
            faults=tuple(faults),
            warnings=tuple(warnings),
        )

    def _count_tokens(self) -> Figure:
        """Prompts and completions, as the trainer counts them."""
        if self._prompts is None:
            return Figure.unknown("it carries no prompts that could be counted")
        work = self._rate.measured.usage.work if self._rate else {}
        if self._rate and work.get("trained_tokens") and work.get("rows"):
            each, basis = work["trained_tokens"] / work["rows"], self._rate.basis
        else:
            mean = self._prompts.characters / max(1, self._prompts.prompts)
            each = assume_prompt_length(mean) + self._recipe.max_tokens
            basis = f"{ASSUMED}: every completion as long as max_tokens lets it be, "
            basis += f"{CHARACTERS_A_TOKEN} characters a token; at most"
        told = f"{self._completions:,} completions × {each:,.0f} tokens of prompt and completion"
        return Figure(value=round(self._completions * each), formula=told, basis=basis)

    def _count_memory(self) -> tuple[tuple[MemoryPart, ...], str | None]:
        """The parts, and what is missing among them."""
        recipe, gpus = self._recipe, self._known.machine.gpus
        if self._shape is None:
            return (), "the model is not here yet, and its size is not known"
        rewards: list[ModelShape] = []
        for one in recipe.rewards:
            if isinstance(one, ModelReward):
                shape = self._known.plans.find_shape(one.model)
                if shape is None:
                    return (), f"the reward model {one.model} is not here yet"
                rewards.append(shape)
        vllm = None
        if gpus and recipe.rollouts == "auto" and find_spec("vllm") is not None:
            vllm = round(gpus[0].total * VLLM_SHARE)
        probe = min(_PROBE_BATCH, _PROBE_KINDS * recipe.probe_prompts)
        parts = compute_rl_memory(
            self._shape,
            recipe,
            rewards,
            length=self._length,
            rollouts=max(recipe.completions_per_step, probe),
            reference=recipe.method == "full" and recipe.beta > 0,
            gpu=bool(gpus),
            vllm_bytes=vllm,
        )
        # On a GPU the figure is the GPU's, and the bundled server's memory is not.
        judges = {judge.model for judge in recipe.judges} if not gpus else ()
        for name in sorted(judges):
            length, asks = self._length + REQUEST_TOKENS, recipe.completions_per_step
            parts = (*parts, *count_server(name, self._known, asks=asks, length=length))
        return parts, None

    def _sum_memory(self, parts: tuple[MemoryPart, ...], missing: str | None) -> Figure:
        if missing is not None:
            return Figure.unknown(missing)
        told = " + ".join(part.name for part in parts)
        told += f"; at most, with every row at {self._length:,} tokens; rollouts come before the "
        told += "optimizer's part, and the larger of the two counts"
        return Figure(value=sum(part.size for part in parts), formula=told, basis=ASSUMED)

    def _count_cost(self) -> Figure:
        recipe = self._recipe
        if not recipe.judges:
            return Figure.unknown(NO_PRICE)
        total, told = 0.0, []
        for judge in recipe.judges:
            each = self._length + REQUEST_TOKENS
            price, words = count_price(
                judge.model,
                self._known,
                prompt=self._completions * each,
                completion=self._completions,
            )
            if price is None:
                return Figure.unknown(words)
            total += price
            told.append(f"judge {judge.model}: {words}")
        basis = f"{ASSUMED}: every completion as long as max_tokens lets it be; at most"
        return Figure(value=total, formula="; ".join(told), basis=basis)

    def _check_context(self) -> tuple[list[str], list[str]]:
        context = self._shape.context if self._shape else None
        if context is None or self._prompts is None:
            return [], []
        room = context - self._recipe.max_tokens
        words = f"max_tokens is {self._recipe.max_tokens:,}, the model's context {context:,}"
        if room <= assume_prompt_length(0):
            return [f"{words}: no prompt has room. Lower max_tokens."], []
        if self._longest > room:
            told = f"prompts have up to {self._longest:,} tokens: those without room are left out"
            return [], [f"{words}, and {told}."]
        return [], []
