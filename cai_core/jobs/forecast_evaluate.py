"""The forecast of a run that evaluates: its rows are counted exactly."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from cai_core.constitution import parse_constitution
from cai_core.evaluation.suite_file import parse_suite
from cai_core.jobs.forecast import ASSUMED, COUNTED, Figure, Forecast, Known, build_unknown
from cai_core.jobs.forecast_revise import CHARACTERS_A_TOKEN, REQUEST_TOKENS, WORKER_BYTES
from cai_core.jobs.forecast_serving import count_price, count_server, sum_memory
from cai_core.jobs.forecast_training import find_own_rate
from cai_core.jobs.rates import Rate
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.evaluate_inputs import RUBRIC, SUITE, EvaluateInputs
from cai_core.pipeline.evaluate_plan import CHOICE, count_rows
from cai_core.pipeline.evaluate_recipe import EvaluateRecipe, parse_evaluate_recipe
from cai_core.pipeline.inputs import CONSTITUTION
from cai_core.pipeline.judge_rubric import parse_rubric
from cai_core.training.memory import MemoryPart

# Assumed until a run was measured: a row's fields, a judged response, and a text in both.
_BYTES_A_ROW, _BYTES_A_RESPONSE, _BYTES_A_TOKEN = 1200, 1500, 10
_ROLES = {
    "response": "policy",
    "choice": "feedback",
    "question": "judge",
    "rating": "judge",
    "principle": "judge",
}


def forecast_evaluate(spec: RunSpec, known: Known) -> Forecast:
    """Rows, tokens, time, memory, disk and cost.

    Raises:
        RecipeError: the recipe is none of an `evaluate` run, or its inputs are damaged.
    """
    recipe = parse_evaluate_recipe(spec.recipe)
    inputs = read_inputs(spec)
    if inputs is None:
        return build_unknown(spec, "it carries no suite that could be counted")
    return _Evaluate(spec, recipe, inputs, find_own_rate(spec, known), known).build()


def read_inputs(spec: RunSpec) -> EvaluateInputs | None:
    """What rows are counted from; None without a suite.

    Raises:
        CaiError: a file is damaged.
    """
    texts = {name: b"".join(build()).decode("utf-8") for name, build in spec.inputs.items()}
    if SUITE not in texts:
        return None
    rubric, constitution = texts.get(RUBRIC), texts.get(CONSTITUTION)
    return EvaluateInputs(
        suite=parse_suite(texts[SUITE], SUITE),
        rubric=None if rubric is None else parse_rubric(yaml.safe_load(rubric)),
        constitution=None
        if constitution is None
        else parse_constitution(constitution, CONSTITUTION),
    )


class _Evaluate:
    def __init__(
        self,
        spec: RunSpec,
        recipe: EvaluateRecipe,
        inputs: EvaluateInputs,
        rate: Rate | None,
        known: Known,
    ) -> None:
        self._spec, self._recipe, self._inputs = spec, recipe, inputs
        self._rate, self._known = rate, known
        self._rows = count_rows(recipe, inputs)
        self._prompt, self._completion = self._assume_lengths()

    def build(self) -> Forecast:
        rows, recipe = self._rows, self._recipe
        total = sum(rows.values())
        told = " + ".join(f"{count:,} {name}s" for name, count in rows.items() if count)
        parts = self._count_memory()
        figures = {
            "rows": Figure(value=total, formula=told, basis=COUNTED),
            "prompt_tokens": self._sum_tokens("prompt", self._prompt),
            "completion_tokens": self._sum_tokens("completion", self._completion),
            "seconds": self._count_seconds(total),
            "memory": sum_memory(recipe.model, parts, self._known),
            "disk": self._count_disk(total),
            "cost": self._count_cost(),
        }
        return Forecast(
            run_id=self._spec.run_id, kind=self._spec.kind, figures=figures, parts=parts
        )

    def _assume_lengths(self) -> tuple[dict[str, float], dict[str, float]]:
        """Tokens of a row of each kind, prompt and completion, every text as long as it may be."""
        prompts = self._inputs.suite.prompts
        mean = sum(len(one.text) for one in prompts) / max(1, len(prompts)) / CHARACTERS_A_TOKEN
        answer, judged = self._recipe.sampling.max_tokens, self._recipe.judge_tokens
        asked = mean + answer + REQUEST_TOKENS
        return (
            {
                "response": mean,
                **dict.fromkeys(("question", "rating", "principle"), asked),
                CHOICE: asked + answer,
            },
            {"response": answer, "question": judged, "rating": 1, "principle": judged, CHOICE: 1},
        )

    def _sum_tokens(self, what: str, lengths: Mapping[str, float]) -> Figure:
        measured = self._rate.measured.usage.work if self._rate else {}
        if self._rate and measured.get("rows") and measured.get(f"{what}_tokens"):
            each, total = measured[f"{what}_tokens"] / measured["rows"], sum(self._rows.values())
            told = f"{total:,} rows × {each:,.0f} {what} tokens"
            return Figure(value=round(total * each), formula=told, basis=self._rate.basis)
        kinds = [(name, count) for name, count in self._rows.items() if count]
        told = " + ".join(f"{count:,} {name}s × {lengths[name]:,.0f}" for name, count in kinds)
        return Figure(
            value=round(sum(count * lengths[name] for name, count in kinds)),
            formula=f"{told} {what} tokens",
            basis=f"{ASSUMED}: every text as long as its limit lets it be; at most",
        )

    def _count_seconds(self, total: int) -> Figure:
        if self._rate is None:
            why = "no evaluation was measured on this machine with a model of known size"
            return Figure.unknown(why)
        measured = self._rate.measured
        speed = measured.rows / measured.usage.seconds if measured.usage.seconds else 0.0
        if not speed:
            return Figure.unknown(f"{measured.run_id} told no time")
        return Figure(
            value=total / speed * self._rate.scale,
            formula=f"{total:,} rows / {speed:,.1f} a second"
            + (f" × {self._rate.scale:.3g}" if self._rate.scale != 1 else "")
            + "; few measured rows tell too long a time",
            basis=self._rate.basis,
        )

    def _count_memory(self) -> tuple[MemoryPart, ...]:
        worker = MemoryPart(name="worker", size=WORKER_BYTES, formula="one process: measured")
        recipe = self._recipe
        parts = [worker]
        models = [recipe.model]
        for other in (recipe.judge, recipe.feedback_model):
            if other is not None and other not in models:
                models.append(other)
        for number, model in enumerate(models):
            length = round(max(self._prompt.values()) + max(self._completion.values()))
            server = count_server(model, self._known, asks=sum(self._rows.values()), length=length)
            if not server and number:
                continue  # elsewhere, or not here yet
            parts += [
                part
                if number == 0
                else MemoryPart(name=f"judge: {part.name}", size=part.size, formula=part.formula)
                for part in server
            ]
        return tuple(parts)

    def _count_disk(self, total: int) -> Figure:
        if self._rate is not None and self._rate.measured.usage.disk:
            each = self._rate.measured.usage.disk / self._rate.measured.rows
            told = f"{total:,} rows × {each:,.0f} B"
            return Figure(value=total * each, formula=told, basis=self._rate.basis)
        responses = self._rows["response"]
        tokens = sum(count * self._completion[name] for name, count in self._rows.items())
        value = total * _BYTES_A_ROW + responses * _BYTES_A_RESPONSE + tokens * _BYTES_A_TOKEN
        told = (
            f"{total:,} rows × {_BYTES_A_ROW:,} B + {responses:,} responses × "
            f"{_BYTES_A_RESPONSE:,} B + {tokens:,.0f} tokens × {_BYTES_A_TOKEN} B"
        )
        return Figure(value=round(value), formula=told, basis=ASSUMED)

    def _count_cost(self) -> Figure:
        total, told = 0.0, []
        for name, count in self._rows.items():
            by_role = {
                "policy": self._recipe.model,
                "judge": self._recipe.judge,
                "feedback": self._recipe.feedback_model,
            }
            model = by_role[_ROLES[name]]
            if not count or model is None:
                continue
            price, words = count_price(
                model,
                self._known,
                prompt=count * self._prompt[name],
                completion=count * self._completion[name],
            )
            if price is None:
                return Figure.unknown(words)
            total += price
            told.append(f"{name}s: {words}")
        return Figure(value=total, formula="; ".join(told), basis=f"{ASSUMED}; at most")
