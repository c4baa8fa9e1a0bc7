"""The forecast of a run of labels."""

from __future__ import annotations

from cai_core.jobs.forecast import ASSUMED, Figure, Forecast, Known, build_unknown
from cai_core.jobs.forecast_comparisons import ComparisonCount, count_comparisons
from cai_core.jobs.forecast_revise import CHARACTERS_A_TOKEN, REQUEST_TOKENS, WORKER_BYTES
from cai_core.jobs.forecast_serving import count_price, count_server, find_context, sum_memory
from cai_core.jobs.forecast_training import find_own_rate
from cai_core.jobs.rates import Rate
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.inputs import FEW_SHOT
from cai_core.pipeline.label_recipe import LabelRecipe, parse_label_recipe
from cai_core.training.memory import MemoryPart

# Assumed until a run was measured: a row's fields, and a comparison with its label, both of which
# hold the prompt and the responses.
_BYTES_A_ROW, _BYTES_A_COMPARISON, _BYTES_A_TOKEN = 1100, 1000, 5
# An option is scored by one token.
_SCORED = 1


def forecast_label(spec: RunSpec, known: Known) -> Forecast:
    """Comparisons, answers, tokens, time, memory, disk and cost.

    Raises:
        RecipeError: the recipe is none of a `label` run.
    """
    recipe = parse_label_recipe(spec.recipe)
    count = count_comparisons(spec, known)
    if count is None:
        return build_unknown(spec, "a source's prompts cannot be counted")
    return _Label(spec, recipe, count, find_own_rate(spec, known), known).build()


class _Label:
    def __init__(
        self,
        spec: RunSpec,
        recipe: LabelRecipe,
        count: ComparisonCount,
        rate: Rate | None,
        known: Known,
    ) -> None:
        self._spec, self._recipe, self._count = spec, recipe, count
        self._rate, self._known = rate, known
        self._rows = count.asked * recipe.asks_per_comparison
        shown = sum(len(piece) for piece in spec.inputs.get(FEW_SHOT, list)())
        beside = REQUEST_TOKENS + shown / CHARACTERS_A_TOKEN
        self._prompt = count.prompt + 2 * count.answer + beside
        self._longest = count.longest + beside
        self._thought = recipe.sampling.max_tokens if recipe.reasoned else 0
        self._completion, self._basis = self._find_completion()

    def build(self) -> Forecast:
        recipe, count = self._recipe, self._count
        worker = MemoryPart(name="worker", size=WORKER_BYTES, formula="one process: measured")
        length = round(self._longest + self._thought + _SCORED)
        model = recipe.feedback_model
        server = count_server(model, self._known, asks=max(1, self._rows), length=length)
        parts = (worker, *server)
        faults, warnings = self._check_context()
        return Forecast(
            run_id=self._spec.run_id,
            kind=self._spec.kind,
            figures={
                "comparisons": Figure(
                    value=count.comparisons, formula=count.formula, basis=count.basis
                ),
                "rows": Figure(value=self._rows, formula=self._tell_rows(), basis=count.basis),
                "prompt_tokens": self._sum_tokens("prompt", self._prompt, count.length_basis),
                "completion_tokens": self._sum_tokens("completion", self._completion, self._basis),
                "seconds": self._count_seconds(),
                "memory": sum_memory(model, parts, self._known),
                "disk": self._count_disk(),
                "cost": self._count_cost(),
            },
            parts=parts,
            faults=tuple(faults),
            warnings=tuple(warnings),
        )

    def _tell_rows(self) -> str:
        recipe = self._recipe
        orders = 2 if recipe.orders == "both" else 1
        told = f"{self._count.asked:,} comparisons that are asked about × {orders} orders × "
        told += f"{recipe.principles_per_comparison} principles"
        if recipe.reasoned:
            told += f" × {recipe.thoughts} chains of thought"
        return told + ("; less those that people labelled" if recipe.human_hash else "")

    def _find_completion(self) -> tuple[float, str]:
        """Tokens written for an answer."""
        if not self._recipe.reasoned:
            return _SCORED, f"{ASSUMED}: a verdict is one token, and is scored"
        work = self._rate.measured.usage.work if self._rate else {}
        if self._rate and work.get("completion_tokens") and work.get("rows"):
            return work["completion_tokens"] / work["rows"], self._rate.basis
        return self._thought, f"{ASSUMED}: every chain of thought as long as max_tokens; at most"

    def _sum_tokens(self, what: str, each: float, basis: str) -> Figure:
        told = f"{self._rows:,} answers × {each:,.0f} {what} tokens"
        return Figure(value=round(self._rows * each), formula=told, basis=basis)

    def _count_seconds(self) -> Figure:
        how = "reasoned" if self._recipe.reasoned else "plain"
        if self._rate is None:
            return Figure.unknown(
                f"no run of {how} labels was measured on this machine with a model of known size"
            )
        measured = self._rate.measured
        speed = measured.rows / measured.usage.seconds if measured.usage.seconds else 0.0
        if not speed:
            return Figure.unknown(f"{measured.run_id} told no time")
        scale = f" × {self._rate.scale:.3g}" if self._rate.scale != 1 else ""
        return Figure(
            value=self._rows / speed * self._rate.scale,
            formula=f"{self._rows:,} answers / {speed:,.1f} a second{scale}"
            "; few measured rows tell too long a time",
            basis=self._rate.basis,
        )

    def _count_disk(self) -> Figure:
        if self._rate is not None and self._rate.measured.usage.disk:
            each = self._rate.measured.usage.disk / self._rate.measured.rows
            told = f"{self._rows:,} answers × {each:,.0f} B"
            return Figure(value=self._rows * each, formula=told, basis=self._rate.basis)
        written = self._completion if self._recipe.reasoned else 0
        row = _BYTES_A_ROW + written * _BYTES_A_TOKEN
        # Comparisons, and labels: each holds the texts once.
        texts = (self._count.prompt + 2 * self._count.answer) * _BYTES_A_TOKEN
        pair = _BYTES_A_COMPARISON + 2 * texts
        return Figure(
            value=self._rows * row + self._count.comparisons * pair,
            formula=f"{self._rows:,} answers × {row:,.0f} B + {self._count.comparisons:,} "
            f"comparisons with their labels × {pair:,.0f} B",
            basis=ASSUMED,
        )

    def _count_cost(self) -> Figure:
        # A reasoned answer's verdict is scored behind its chain of thought, which is read again.
        prompt, completion = self._prompt, self._completion
        if self._recipe.reasoned:
            prompt, completion = 2 * prompt + completion, completion + _SCORED
        price, told = count_price(
            self._recipe.feedback_model,
            self._known,
            prompt=self._rows * prompt,
            completion=self._rows * completion,
        )
        if price is None:
            return Figure.unknown(told)
        return Figure(value=price, formula=told, basis=self._basis)

    def _check_context(self) -> tuple[list[str], list[str]]:
        """Questions that do not fit: such requests are refused, and their labels unparsed."""
        context = find_context(self._recipe.feedback_model, self._known)
        if context is None:
            return [], []
        room = context - self._thought - _SCORED
        whole = self._prompt if self._count.length_basis.startswith("measured") else None
        mean = self._prompt if self._count.exact else whole
        words = f"max_tokens {self._thought:,} of a chain of thought do" if self._thought else "do"

        def tell(how: str, tokens: float) -> str:
            with_thought = " and" if self._thought else ""
            fix = "Lower sampling.max_tokens, or" if self._thought else "Shorten the answers, or"
            return (
                f"questions of {how} {tokens:,.0f} tokens{with_thought} {words} not fit the "
                f"feedback model's context of {context:,}; such requests are refused. {fix} choose "
                "a model with a longer context."
            )

        if mean is not None and mean > room:
            return [tell("about", mean)], []
        return [], [tell("up to", self._longest)] if self._longest > room else []
