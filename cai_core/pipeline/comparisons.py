"""From chains to comparisons: which responses stand against each other. Pure.

Two samples a prompt are compared, or all K(K−1)/2 pairs of K (InstructGPT, arXiv 2203.02155,
section 3.5), or a chain's initial response with its final revision. Responses that are nearly the
same teach nothing: such a pair is dropped and counted, and no other takes its place.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import SequenceMatcher
from itertools import combinations, groupby
from typing import Any

from cai_core.errors import RecipeError
from cai_core.pipeline.comparison_records import FormedComparison, build_comparison_id
from cai_core.pipeline.label_recipe import ComparisonSource
from cai_core.records import Message, PromptKind, Verdict, content_hash

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FormingCounts:
    """What became of the pairs of a run's sources.

    Attributes:
        formed: comparisons.
        held_out: of those, about prompts that nothing may be trained on.
        near_identical: pairs dropped for it.
        over_share: pairs that a source's share had no room for.
        errored, cut, empty: responses left out: their chain ended in an error, they were cut off
            at the token limit, or hold no text.
        unpaired: samples of one run whose prompt and sample the other run lacks.
    """

    formed: int = 0
    held_out: int = 0
    near_identical: int = 0
    over_share: int = 0
    errored: int = 0
    cut: int = 0
    empty: int = 0
    unpaired: int = 0

    def as_dict(self) -> dict[str, int]:
        """Plain form for comparisons.json."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class _Response:
    """A usable response and its place."""

    text: str
    place: dict[str, str]


Sourced = tuple[ComparisonSource, Iterable[Record], Iterable[Record]]


def form_comparisons(
    sources: Sequence[Sourced], *, seed: int, similarity: float
) -> tuple[list[FormedComparison], FormingCounts]:
    """Every comparison of the sources, in the order of their chains; the same for a seed.

    Args:
        sources: each with the chains (lines of chains.jsonl) of its `run`, and of the run
            `against` which it stands, empty where there is none.
        seed: draws which response is A, and what a share takes.
        similarity: pairs at least so alike (see `compute_similarity`) are dropped.

    Raises:
        RecipeError: no comparison can be formed, or two sources give the same one.
    """
    tally: dict[str, int] = defaultdict(int)
    formed = [
        list(_form(source, chains, against, seed, similarity, tally))
        for source, chains, against in sources
    ]
    kept = _keep_shares([source for source, _, _ in sources], formed, seed, tally)
    seen: set[str] = set()
    for comparison in kept:
        if comparison.comparison_id in seen or comparison.swapped_id in seen:
            raise RecipeError(
                f"two sources give the same comparison of prompt {comparison.prompt_id!r}. Name "
                "each run once for the same pairs."
            )
        seen.add(comparison.comparison_id)
    if not kept:
        told = ", ".join(f"{name} {count}" for name, count in tally.items() if count)
        raise RecipeError(
            f"no comparison can be formed ({told or 'the runs hold no two samples of a prompt'}). "
            "Sample at least two responses a prompt."
        )
    tally["formed"] = len(kept)
    tally["held_out"] = sum("split:held-out" in comparison.tags for comparison in kept)
    return kept, FormingCounts(**tally)


def compute_similarity(text: str, other: str) -> float:
    """How alike two texts are, in [0, 1]: 1 − (words to change) / (words of both).

    Case and white space do not matter; the order of the two does not either.
    """
    return SequenceMatcher(None, *_words(text, other), autojunk=False).ratio()


def are_near_identical(text: str, other: str, similarity: float) -> bool:
    """Whether two texts are at least so alike, or the same but for case and white space."""
    words = _words(text, other)
    if words[0] == words[1]:
        return True
    matcher = SequenceMatcher(None, *words, autojunk=False)
    # Two upper bounds first: most pairs are far from alike, and the ratio itself is quadratic.
    bounds = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)
    return all(bound() >= similarity for bound in bounds)


def _words(text: str, other: str) -> tuple[list[str], list[str]]:
    first, second = sorted((text.lower().split(), other.lower().split()))
    return first, second


def _form(
    source: ComparisonSource,
    chains: Iterable[Record],
    against: Iterable[Record],
    seed: int,
    similarity: float,
    tally: dict[str, int],
) -> Iterator[FormedComparison]:
    for chain, first, second in _list_pairs(source, chains, against, tally):
        if are_near_identical(first.text, second.text, similarity):
            tally["near_identical"] += 1
            continue
        yield _build(source, chain, first, second, seed)


def _list_pairs(
    source: ComparisonSource,
    chains: Iterable[Record],
    against: Iterable[Record],
    tally: dict[str, int],
) -> Iterator[tuple[Record, _Response, _Response]]:
    if source.against is not None:
        yield from _list_against(source, chains, against, tally)
    elif source.pairs == "revision":
        for chain in chains:
            first = _read(chain, source.run, tally, step="initial")
            second = _read(chain, source.run, tally)
            if first is not None and second is not None:
                yield chain, first, second
    else:
        for samples in _group(chains):
            chosen = samples[:2] if source.pairs == "two" else samples
            read = [(chain, _read(chain, source.run, tally)) for chain in chosen]
            usable = [(chain, response) for chain, response in read if response is not None]
            for (chain, first), (_, second) in combinations(usable, 2):
                yield chain, first, second


def _list_against(
    source: ComparisonSource,
    chains: Iterable[Record],
    against: Iterable[Record],
    tally: dict[str, int],
) -> Iterator[tuple[Record, _Response, _Response]]:
    others = {(chain["prompt_id"], chain["sample"]): chain for chain in against}
    for chain in chains:
        other = others.pop((chain["prompt_id"], chain["sample"]), None)
        if other is None or other["conversation"] != chain["conversation"]:
            tally["unpaired"] += 1
            continue
        first = _read(chain, source.run, tally)
        second = _read(other, str(source.against), tally)
        if first is not None and second is not None:
            yield chain, first, second
    tally["unpaired"] += len(others)


def _group(chains: Iterable[Record]) -> Iterator[list[Record]]:
    """The chains of each prompt, by sample; a run writes those of a prompt side by side."""
    for _, samples in groupby(chains, key=lambda chain: str(chain["prompt_id"])):
        yield sorted(samples, key=lambda chain: int(chain["sample"]))


def _read(
    chain: Record, run: str, tally: dict[str, int], *, step: str | None = None
) -> _Response | None:
    """The final response of a chain, or its initial one; None where it is of no use."""
    steps = chain["steps"]
    if not steps or (chain["final"] is None and step is None) or steps[0]["text"] is None:
        tally["errored"] += 1
        return None
    told = steps[0] if step else steps[-1]
    text = str(told["text"] if step else chain["final"])
    if told["finish_reason"] == "length":
        tally["cut"] += 1
        return None
    if not text.strip():
        tally["empty"] += 1
        return None
    place = {"run": run, "chain": f"{chain['prompt_id']}/{chain['sample']}"}
    return _Response(text, place | ({"step": step} if step else {}))


def _build(
    source: ComparisonSource, chain: Record, first: _Response, second: _Response, seed: int
) -> FormedComparison:
    """Which of the two is A is drawn, so that no place stands for one of them."""
    prompt_id = chain["prompt_id"]
    comparison = FormedComparison(
        comparison_id=build_comparison_id(prompt_id, first.place, second.place),
        prompt_id=prompt_id,
        prompt_kind=PromptKind(chain["kind"]),
        tags=tuple(chain["tags"]),
        conversation=tuple(
            Message(turn["role"], turn["content"]) for turn in chain["conversation"]
        ),
        response_a=first.text,
        response_b=second.text,
        source_a=first.place,
        source_b=second.place,
        principles=source.principles,
        preferred=Verdict.B if source.by == "revision" else None,
    )
    draw = int(content_hash(["a-or-b", seed, comparison.comparison_id])[:8], 16)
    return comparison.swapped() if draw % 2 else comparison


def _keep_shares(
    sources: Sequence[ComparisonSource],
    formed: Sequence[list[FormedComparison]],
    seed: int,
    tally: dict[str, int],
) -> list[FormedComparison]:
    """Of a source with a share so many, drawn without replacement, that it has this share."""
    shares = sum(source.share or 0.0 for source in sources)
    whole = sum(
        len(found) for source, found in zip(sources, formed, strict=True) if source.share is None
    )
    kept: list[FormedComparison] = []
    for number, (source, found) in enumerate(zip(sources, formed, strict=True)):
        if source.share is not None:
            wanted = round(whole * source.share / (1.0 - shares))
            rng = random.Random(f"share:{seed}:{number}")
            places = sorted(rng.sample(range(len(found)), min(wanted, len(found))))
            tally["over_share"] += len(found) - len(places)
            found = [found[place] for place in places]
        kept += found
    return kept
