"""The forecast of a run of chains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cai_core.jobs.forecast import ASSUMED, COUNTED, Figure, Forecast, Known, build_unknown
from cai_core.jobs.forecast_counts import PromptCount, count_prompts
from cai_core.jobs.forecast_serving import count_price, count_server, find_context, sum_memory
from cai_core.jobs.rates import Rate, find_rate
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.recipe import ReviseRecipe, parse_revise_recipe
from cai_core.training.memory import MemoryPart

# Common of English text and large vocabularies.
CHARACTERS_A_TOKEN = 4
# What a template and a principle's request add to a prompt: about 240 characters of request.
TEMPLATE_TOKENS, REQUEST_TOKENS = 10, 60
# A worker of chains or labels; measured, resident.
WORKER_BYTES = 65 * 10**6
# Assumed until a run was measured: a row's fields, and each text twice (rows, chains).
_BYTES_A_ROW, _BYTES_A_TOKEN = 1500, 10


def forecast_revise(spec: RunSpec, known: Known) -> Forecast:
    """Rows, tokens, time, memory, disk and cost.

    Raises:
        RecipeError: the recipe is none of a `revise` run.
    """
    recipe = parse_revise_recipe(spec.recipe)
    count = count_prompts(spec)
    if count is None:
        return build_unknown(spec, "it carries no prompts that could be counted")
    rate = find_rate(
        known.measured, spec.kind, spec.recipe, known.machine.name, known.count_parameters
    )
    return _Revise(spec, recipe, count, rate, known).build()


class _Revise:
    def __init__(
        self,
        spec: RunSpec,
        recipe: ReviseRecipe,
        count: PromptCount,
        rate: Rate | None,
        known: Known,
    ) -> None:
        self._spec, self._recipe, self._count = spec, recipe, count
        self._rate, self._known = rate, known
        chain = recipe.chain
        self._chains = count.prompts * chain.samples
        rounds = self._chains * chain.revisions
        self._rows = {
            "response": self._chains,
            "critique": rounds if chain.critique else 0,
            "revision": rounds,
        }
        self._prompt, self._completion, self._basis = self._find_lengths()

    def build(self) -> Forecast:
        rows = sum(self._rows.values())
        chain = self._recipe.chain
        told = f"{self._count.prompts:,} prompts × {chain.samples} samples"
        told += f" × {chain.rows_per_chain} rows of a chain"
        parts = self._count_memory()
        faults, warnings = self._check_context()
        figures = {
            "rows": Figure(value=rows, formula=told, basis=COUNTED),
            "prompt_tokens": self._sum_tokens("prompt", self._prompt),
            "completion_tokens": self._sum_tokens("completion", self._completion),
            "seconds": self._count_seconds(),
            "memory": sum_memory(self._recipe.model, parts, self._known),
            "disk": self._count_disk(rows),
            "cost": self._count_cost(),
        }
        return Forecast(
            run_id=self._spec.run_id,
            kind=self._spec.kind,
            figures=figures,
            parts=parts,
            faults=tuple(faults),
            warnings=tuple(warnings),
        )

    def _find_lengths(self) -> tuple[dict[str, float], dict[str, float], str]:
        """Tokens of a row of each kind, prompt and completion, and the basis."""
        measured = self._rate.measured.usage.work.get("steps", {}) if self._rate else {}
        needed = [kind for kind, rows in self._rows.items() if rows]
        if self._rate and all(measured.get(kind, {}).get("rows") for kind in needed):
            means = {kind: measured[kind] for kind in needed}
            return (
                {kind: told["prompt"] / told["rows"] for kind, told in means.items()},
                {kind: told["completion"] / told["rows"] for kind, told in means.items()},
                self._rate.basis,
            )
        chain = self._recipe.chain
        prompts = max(1, self._count.prompts)
        first = self._count.characters / prompts / CHARACTERS_A_TOKEN + TEMPLATE_TOKENS
        answer, critique = chain.policy_sampling.max_tokens, chain.critic_sampling.max_tokens
        asked = first + answer + REQUEST_TOKENS
        revised = asked + (critique + REQUEST_TOKENS if chain.critique else 0)
        basis = f"{ASSUMED}: every text as long as max_tokens lets it be, {CHARACTERS_A_TOKEN} "
        return (
            {"response": first, "critique": asked, "revision": revised},
            {"response": answer, "critique": critique, "revision": answer},
            basis + "characters a token; at most",
        )

    def _sum_tokens(self, what: str, lengths: Mapping[str, float]) -> Figure:
        kinds = [(kind, rows) for kind, rows in self._rows.items() if rows]
        told = " + ".join(f"{rows:,} {kind}s × {lengths[kind]:,.0f}" for kind, rows in kinds)
        value = sum(rows * lengths[kind] for kind, rows in kinds)
        return Figure(value=round(value), formula=f"{told} {what} tokens", basis=self._basis)

    def _count_seconds(self) -> Figure:
        if self._rate is None:
            why = "no run of chains was measured on this machine with a model of known size"
            return Figure.unknown(why)
        usage = self._rate.measured.usage
        written = usage.work.get("completion_tokens", 0)
        if not written or not usage.seconds:
            return Figure.unknown(f"{self._rate.measured.run_id} told no tokens or time")
        tokens = self._sum_tokens("completion", self._completion).value or 0
        speed = written / usage.seconds
        return Figure(
            value=tokens / speed * self._rate.scale,
            formula=f"{tokens:,.0f} completion tokens / {speed:,.0f} a second"
            + (f" × {self._rate.scale:.3g}" if self._rate.scale != 1 else "")
            + "; few measured rows tell too long a time",
            basis=self._rate.basis,
        )

    def _count_memory(self) -> tuple[MemoryPart, ...]:
        worker = MemoryPart(name="worker", size=WORKER_BYTES, formula="one process: measured")
        chain = self._recipe.chain
        longest = max(chain.policy_sampling.max_tokens, chain.critic_sampling.max_tokens)
        length = round(max(self._prompt.values()) + longest)
        server = count_server(self._recipe.model, self._known, asks=self._chains, length=length)
        return worker, *server

    def _count_disk(self, rows: int) -> Figure:
        if self._rate is not None and self._rate.measured.usage.disk:
            each = self._rate.measured.usage.disk / self._rate.measured.rows
            told = f"{rows:,} rows × {each:,.0f} B"
            return Figure(value=rows * each, formula=told, basis=self._rate.basis)
        tokens = self._sum_tokens("completion", self._completion).value or 0
        return Figure(
            value=rows * _BYTES_A_ROW + tokens * _BYTES_A_TOKEN,
            formula=f"{rows:,} rows × {_BYTES_A_ROW:,} B + {tokens:,.0f} tokens × "
            f"{_BYTES_A_TOKEN} B",
            basis=ASSUMED,
        )

    def _count_cost(self) -> Figure:
        total, told = 0.0, []
        critic = self._recipe.critic_model or self._recipe.model
        for kind, rows in self._rows.items():
            if not rows:
                continue
            price, words = count_price(
                critic if kind == "critique" else self._recipe.model,
                self._known,
                prompt=rows * self._prompt[kind],
                completion=rows * self._completion[kind],
            )
            if price is None:
                return Figure.unknown(words)
            total += price
            told.append(f"{kind}s: {words}")
        return Figure(value=total, formula="; ".join(told), basis=self._basis)

    def _check_context(self) -> tuple[list[str], list[str]]:
        """Steps whose max_tokens do not fit behind their prompts: such requests are refused."""
        faults: list[str] = []
        warnings: list[str] = []
        for kind, rows in self._rows.items():
            critic = kind == "critique"
            name = self._recipe.critic_model if critic else None
            context = find_context(name or self._recipe.model, self._known)
            if not rows or context is None:
                continue
            chain = self._recipe.chain
            sampling = chain.critic_sampling if critic else chain.policy_sampling
            room = context - sampling.max_tokens
            key = "critic_sampling" if critic else "policy_sampling"
            certain = kind == "response" or not self._basis.startswith(ASSUMED)
            words = (
                f"{kind}s: prompts of {'about' if certain else 'up to'} "
                f"{self._prompt[kind]:,.0f} tokens and max_tokens {sampling.max_tokens:,} are more "
                f"than the model's context of {context:,}; such requests are refused. "
                f"Lower chain.{key}.max_tokens."
            )
            if self._prompt[kind] > room:
                (faults if certain else warnings).append(words)
        return faults, warnings


def get_longest_answer(recipe: Mapping[str, Any]) -> int:
    """The most tokens that a text of a `revise` run can have."""
    return parse_revise_recipe(recipe).chain.policy_sampling.max_tokens
