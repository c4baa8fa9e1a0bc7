"""The forecasts of runs that train on preference labels: reward models and DPO."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cai_core.errors import CaiError
from cai_core.jobs.forecast import ASSUMED, COUNTED, Figure, Forecast, Known
from cai_core.jobs.forecast_comparisons import count_comparisons
from cai_core.jobs.forecast_revise import CHARACTERS_A_TOKEN
from cai_core.jobs.forecast_training import (
    NO_PRICE,
    assume_prompt_length,
    check_length,
    count_disk,
    count_seconds,
    count_steps,
    find_own_rate,
    sum_training_memory,
)
from cai_core.jobs.preference_sources import build_run_dataset
from cai_core.jobs.rates import Rate
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.label_records import LABELS
from cai_core.training.dpo_recipe import DpoRecipe, parse_dpo_recipe
from cai_core.training.memory import MemoryPart
from cai_core.training.memory_preferences import compute_dpo_memory, compute_reward_memory
from cai_core.training.preference_recipe import PairRecipe
from cai_core.training.reward_recipe import RewardRecipe, parse_reward_recipe

# A pair's fields beside its texts, and a character of those.
_BYTES_A_PAIR, _BYTES_A_CHARACTER = 400, 1.05
# Bytes of labels beyond which they are not read for a forecast: a page is drawn at every key.
_READ_AT_MOST = 64 * 2**20
_PARSERS: dict[str, Callable[..., RewardRecipe | DpoRecipe]] = {
    "reward": parse_reward_recipe,
    "dpo": parse_dpo_recipe,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCount:
    """Pairs of a run.

    Attributes:
        pairs: in all; `training` of them are trained on, the others held out to evaluate on.
        mean, longest: tokens of a prompt with one response.
        exact: they were built from labels; else at most.
        formula, basis: of the count; `length_basis` of the tokens.
    """

    pairs: int
    training: int
    mean: float
    longest: float
    exact: bool
    formula: str
    basis: str
    length_basis: str


def forecast_pairs(spec: RunSpec, known: Known) -> Forecast:
    """Examples, steps, tokens, time, memory and disk of a `reward` or `dpo` run.

    Raises:
        RecipeError: the recipe is none of such a run.
    """
    recipe = _PARSERS[spec.kind](spec.recipe)
    return _Pairs(spec, recipe, find_own_rate(spec, known), known).build()


def count_pairs(recipe: PairRecipe, known: Known) -> PairCount | None:
    """Exactly where the label runs have ended, else what the plan gives at most.

    Returns:
        None where a source's comparisons cannot be counted.
    """
    try:
        runs = known.workspace / "runs"
        paths = [runs / run / "outputs" / LABELS for run in recipe.parents]
        stamps = tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in paths)
        if sum(size for _, size in stamps) <= _READ_AT_MOST:
            kind = "dpo" if isinstance(recipe, DpoRecipe) else "reward"
            told = json.dumps(recipe.as_dict(), sort_keys=True)
            return _build(kind, told, known.workspace, stamps)
    except (CaiError, OSError):
        pass  # Not there yet, or damaged, which the run itself tells.
    return _count_planned(recipe, known)


class _Pairs:
    def __init__(
        self, spec: RunSpec, recipe: RewardRecipe | DpoRecipe, rate: Rate | None, known: Known
    ) -> None:
        self._spec, self._recipe, self._rate, self._known = spec, recipe, rate, known
        self._count = count_pairs(recipe, known)
        self._shape = known.plans.find_shape(recipe.base)
        longest = round(self._count.longest) if self._count else recipe.max_length
        self._length = max(1, min(recipe.max_length, longest))

    def build(self) -> Forecast:
        gpu, recipe = bool(self._known.machine.gpus), self._recipe
        compute = compute_dpo_memory if self._spec.kind == "dpo" else compute_reward_memory
        parts: tuple[MemoryPart, ...] = ()
        if self._shape is not None:
            parts = compute(self._shape, recipe, length=self._length, gpu=gpu)
        tokens, steps = self._count_tokens(), Figure.unknown("the pairs are not known")
        if self._count is not None:
            steps = count_steps(self._count.training, recipe)
        each = _BYTES_A_PAIR
        if self._count is not None:
            each += round(2 * self._count.mean * CHARACTERS_A_TOKEN * _BYTES_A_CHARACTER)
        disk, peak = count_disk(
            self._shape,
            recipe,
            steps=steps.value,
            save_steps=recipe.save_steps,
            beside=(self._count.pairs if self._count else 0) * each,
            what=f"pairs × {each:,} B",
        )
        faults, warnings = check_length(
            self._shape,
            recipe.max_length,
            longest=self._count.longest if self._count else None,
            mean=self._count.mean if self._count else None,
        )
        what = f"{recipe.method} {'DPO' if self._spec.kind == 'dpo' else 'reward training'}"
        return Forecast(
            run_id=self._spec.run_id,
            kind=self._spec.kind,
            figures={
                "examples": self._count_examples(),
                "steps": steps,
                "trained_tokens": tokens,
                "seconds": count_seconds(tokens.value, self._rate, what),
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
        count = self._count
        if count is None:
            return Figure.unknown("a source's comparisons cannot be counted")
        held = f"; {count.pairs - count.training:,} of them held out to evaluate on"
        return Figure(value=count.pairs, formula=count.formula + held, basis=count.basis)

    def _count_tokens(self) -> Figure:
        count, epochs = self._count, self._recipe.epochs
        if count is None:
            return Figure.unknown("the pairs are not known")
        each = min(count.mean, self._recipe.max_length)
        told = f"{count.training:,} pairs × 2 responses × {each:,.0f} tokens × {epochs} epochs"
        return Figure(
            value=round(count.training * 2 * each * epochs),
            formula=told,
            basis=count.length_basis,
        )


@lru_cache(maxsize=64)
def _build(kind: str, told: str, workspace: Path, stamps: tuple[tuple[int, int], ...]) -> PairCount:
    """What the run itself will do at its start."""
    del stamps  # of the labels: part of the key of what is remembered
    recipe = _PARSERS[kind](json.loads(told))
    dataset = build_run_dataset(recipe, workspace)
    lengths = []
    for pair in dataset.examples:
        prompt = sum(len(turn["content"]) for turn in pair.conversation)
        lengths += [assume_prompt_length(prompt + len(t)) for t in (pair.chosen, pair.rejected)]
    taken = " + ".join(f"{one.taken:,} labels of {one.run}" for one in dataset.counts)
    reviewed = recipe.human_hash is not None
    return PairCount(
        pairs=len(dataset.examples),
        training=sum(pair.split == "train" for pair in dataset.examples),
        mean=sum(lengths) / max(1, len(lengths)),
        longest=max(lengths, default=0),
        exact=not reviewed,
        formula=f"{taken}, as they can be trained on"
        + ("; less what people disagree about" if reviewed else ""),
        basis=f"{COUNTED}, at most" if reviewed else COUNTED,
        length_basis=f"{ASSUMED}: {CHARACTERS_A_TOKEN} characters a token",
    )


def _count_planned(recipe: PairRecipe, known: Known) -> PairCount | None:
    found = []
    for source in recipe.sources:
        spec = known.plans.find(source.run)
        count = count_comparisons(spec, known) if spec and spec.kind == "label" else None
        if count is None:
            return None
        found.append((source, count))
    shares = sum(source.share or 0.0 for source, _ in found)
    whole = sum(count.taught for source, count in found if source.share is None)
    total, words, lengths, longest = 0, [], [], 0.0
    for source, count in found:
        taken = count.taught
        if source.share is not None:
            taken = min(taken, round(source.share / (1 - shares) * whole))
        total += taken
        words.append(f"{taken:,} labels of {source.run}")
        lengths.append((taken, count.prompt + count.answer))
        longest = max(longest, count.longest)
    runs = dict.fromkeys(count.length_basis for _, count in found)
    return PairCount(
        pairs=total,
        training=total - round(total * recipe.eval_share),
        mean=sum(taken * each for taken, each in lengths) / max(1, total),
        longest=longest,
        exact=False,
        formula=f"{' + '.join(words)}; less what is unparsed, alike or too long",
        basis=f"{COUNTED}, at most",
        length_basis="; ".join(runs),
    )
