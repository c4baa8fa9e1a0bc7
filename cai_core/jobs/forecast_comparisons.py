"""The comparisons that a label run will ask about, counted before it does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cai_core.errors import CaiError
from cai_core.jobs.forecast import ASSUMED, COUNTED, Known
from cai_core.jobs.forecast_counts import count_prompts
from cai_core.jobs.forecast_revise import CHARACTERS_A_TOKEN, get_longest_answer
from cai_core.jobs.forecast_training import assume_prompt_length, find_answer_length
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.compared_answers import get_compared_path, read_compared
from cai_core.pipeline.comparison_records import FormedComparison, read_comparisons
from cai_core.pipeline.comparisons import form_comparisons
from cai_core.pipeline.evaluate import KIND as EVALUATE_KIND
from cai_core.pipeline.label import FORMED
from cai_core.pipeline.label_recipe import ComparisonSource, LabelRecipe, parse_label_recipe
from cai_core.pipeline.recipe import parse_revise_recipe

# Bytes of chains beyond which they are not read for a forecast: a page is drawn at every key.
_READ_AT_MOST = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonCount:
    """Comparisons of a label run.

    Attributes:
        comparisons: in all; `asked` of a feedback model, `taught` about prompts that may be
            trained on.
        prompt: tokens of a prompt, `answer` of one response, as a mean; `longest` of a prompt with
            both of its responses.
        exact: they were formed; else at most.
        formula, basis: of the count; `length_basis` of the tokens.
    """

    comparisons: int
    asked: int
    taught: int
    prompt: float
    answer: float
    longest: float
    exact: bool
    formula: str
    basis: str
    length_basis: str


def count_comparisons(spec: RunSpec, known: Known) -> ComparisonCount | None:
    """Exactly where the source runs have ended, else what the plan gives at most.

    Returns:
        None where a source's prompts cannot be counted.
    """
    recipe = parse_label_recipe(spec.recipe)
    own = known.workspace / "runs" / spec.run_id
    try:
        if (own / "outputs" / FORMED).exists():
            return _describe(tuple(read_comparisons(own)), "frozen by the run")
        runs = known.workspace / "runs"
        paths = tuple(get_compared_path(runs / run) for run in recipe.parents)
        stamps = tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in paths)
        if sum(size for _, size in stamps) <= _READ_AT_MOST:
            return _form(json.dumps(recipe.as_dict(), sort_keys=True), runs, stamps)
    except (CaiError, OSError):
        pass  # Not there yet, or damaged, which the run itself tells.
    return _count_planned(recipe, known)


@lru_cache(maxsize=64)
def _form(told: str, runs: Path, stamps: tuple[tuple[int, int], ...]) -> ComparisonCount:
    """What the run itself will do at its start."""
    del stamps  # of the chains: part of the key of what is remembered
    recipe = parse_label_recipe(json.loads(told))
    formed, counts = form_comparisons(
        [
            (
                source,
                read_compared(runs / source.run),
                read_compared(runs / source.against) if source.against else (),
            )
            for source in recipe.sources
        ],
        seed=recipe.seed,
        similarity=recipe.similarity,
    )
    words = f"formed from {', '.join(recipe.parents)}; {counts.near_identical:,} near-identical "
    return _describe(formed, words + "pairs are dropped")


def _describe(formed: Sequence[FormedComparison], words: str) -> ComparisonCount:
    prompts = [sum(len(turn.content) for turn in one.conversation) for one in formed]
    answers = [len(one.response_a) + len(one.response_b) for one in formed]
    whole = max((a + b for a, b in zip(prompts, answers, strict=True)), default=0)
    number = max(1, len(formed))
    return ComparisonCount(
        comparisons=len(formed),
        asked=sum(one.preferred is None for one in formed),
        taught=sum("split:held-out" not in one.tags for one in formed),
        prompt=assume_prompt_length(sum(prompts) / number),
        answer=sum(answers) / number / 2 / CHARACTERS_A_TOKEN,
        longest=assume_prompt_length(whole),
        exact=True,
        formula=f"{len(formed):,} comparisons {words}",
        basis=COUNTED,
        length_basis=f"{ASSUMED}: {CHARACTERS_A_TOKEN} characters a token",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    source: ComparisonSource
    pairs: int
    held_out: int
    prompt: float
    answer: float
    longest: float
    measured: str | None


def _count_planned(recipe: LabelRecipe, known: Known) -> ComparisonCount | None:
    found = [_count_source(source, known) for source in recipe.sources]
    planned = [one for one in found if one is not None]
    if len(planned) < len(found):
        return None
    taken = _take_shares([(one.source.share, one.pairs) for one in planned])
    both = list(zip(planned, taken, strict=True))
    total = max(1, sum(taken))
    runs = ", ".join(dict.fromkeys(one.measured for one in planned if one.measured))
    measured = all(one.measured for one in planned)
    return ComparisonCount(
        comparisons=sum(taken),
        asked=sum(count for one, count in both if one.source.by == "feedback"),
        taught=sum(count - round(one.held_out * count / max(1, one.pairs)) for one, count in both),
        prompt=sum(one.prompt * count for one, count in both) / total,
        answer=sum(one.answer * count for one, count in both) / total,
        longest=max((one.longest for one in planned), default=0),
        exact=False,
        formula=" + ".join(f"{count:,} pairs of {one.source.run}" for one, count in both)
        + "; less what is near-identical, cut or an error",
        basis=f"{COUNTED}, at most",
        length_basis=f"measured: texts of {runs}"
        if measured
        else f"{ASSUMED}: every answer as long as max_tokens lets it be; at most",
    )


def _count_source(source: ComparisonSource, known: Known) -> _Planned | None:
    spec = known.plans.find(source.run)
    if spec is not None and spec.kind == EVALUATE_KIND:
        return None  # what it will answer is counted once it is there
    prompts = None if spec is None else count_prompts(spec)
    if spec is None or prompts is None:
        return None
    chain = parse_revise_recipe(spec.recipe).chain
    samples = chain.samples
    asked_about = prompts.prompts
    if source.against is not None:
        other = known.plans.find(source.against)
        opposite = None if other is None else count_prompts(other)
        if other is None or opposite is None:
            return None
        # Only what both runs answered stands against something.
        asked_about = min(asked_about, opposite.prompts)
        each = min(samples, parse_revise_recipe(other.recipe).chain.samples)
    elif source.pairs == "revision":
        each = samples if chain.revisions else 0
    else:
        each = min(1, samples - 1) if source.pairs == "two" else samples * (samples - 1) // 2
    most = get_longest_answer(spec.recipe)
    asked = assume_prompt_length(prompts.characters / max(1, prompts.prompts))
    length = find_answer_length(source.run, known, initial=False)
    return _Planned(
        source=source,
        pairs=asked_about * each,
        held_out=min(prompts.held_out, asked_about) * each,
        prompt=length.whole - length.answer if length else asked,
        answer=length.answer if length else most,
        longest=assume_prompt_length(prompts.longest) + 2 * most,
        measured=length.basis if length else None,
    )


def _take_shares(found: Iterable[tuple[float | None, int]]) -> list[int]:
    """Of each source so many, that those with a share have it of all."""
    pairs = list(found)
    shares = sum(share or 0.0 for share, _ in pairs)
    whole = sum(count for share, count in pairs if share is None)
    return [
        count if share is None else min(count, round(whole * share / (1 - shares)))
        for share, count in pairs
    ]
