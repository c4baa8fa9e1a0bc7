"""From chains to fine-tuning examples. Pure: which texts are taken, which are left out, and why."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from cai_core.errors import RecipeError
from cai_core.records import content_hash
from cai_core.training.recipe import ChainSource

# A prompt with this tag is for evaluation; nothing is ever trained on it.
HELD_OUT = "split:held-out"


@dataclass(frozen=True, slots=True, kw_only=True)
class SftExample:
    """A conversation and the answer that is taught; the loss is on the answer alone.

    Attributes:
        conversation: turns as `{"role", "content"}`, the last one the user's.
        run, prompt_id, sample, step: where the answer comes from.
    """

    conversation: tuple[dict[str, str], ...]
    answer: str
    run: str
    prompt_id: str
    sample: int
    step: int

    def as_dict(self) -> dict[str, Any]:
        """Plain form: a line of dataset.jsonl."""
        return {
            "messages": [*self.conversation, {"role": "assistant", "content": self.answer}],
            "run": self.run,
            "prompt_id": self.prompt_id,
            "sample": self.sample,
            "step": self.step,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCount:
    """What one source gave.

    Attributes:
        found: texts that can be taught.
        taken: of them, after the source's share.
        wanted: how many its share asked for; more than `found` where there were too few.
        left_out: why other texts were not taken → how many.
    """

    run: str
    use: str
    found: int
    taken: int
    wanted: int
    left_out: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Plain form."""
        return {
            "run": self.run,
            "use": self.use,
            "found": self.found,
            "taken": self.taken,
            "wanted": self.wanted,
            "left_out": dict(self.left_out),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SftDataset:
    """The examples, in the order in which they were drawn."""

    examples: tuple[SftExample, ...]
    counts: tuple[SourceCount, ...]

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of the examples in their order."""
        digest = hashlib.sha256()
        for example in self.examples:
            digest.update(content_hash(example.as_dict()).encode())
        return digest.hexdigest()


@dataclass(slots=True)
class _Found:
    source: ChainSource
    examples: list[SftExample] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def build_sft_dataset(
    sources: Sequence[tuple[ChainSource, Iterable[Mapping[str, Any]]]], seed: int
) -> SftDataset:
    """Choose, mix and shuffle.

    Args:
        sources: each with its run's chains, as in chains.jsonl.
        seed: of the drawing and the order. What is drawn depends on it and the texts alone.

    Raises:
        RecipeError: nothing is left to train on.
    """
    held = [(source, list(chains)) for source, chains in sources]
    # The same prompt may stand untagged in another source.
    held_out = {
        _prompt_key(chain) for _, chains in held for chain in chains if HELD_OUT in chain["tags"]
    }
    found = [_collect(source, chains, held_out) for source, chains in held]
    whole = sum(len(one.examples) for one in found if one.source.share is None)
    if not whole:
        reasons: Counter[str] = sum((one.left_out for one in found), Counter())
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        raise RecipeError(
            f"the sources without a share hold no text to train on ({told or 'no chains'})."
        )
    shares = sum(one.source.share or 0.0 for one in found)
    examples: list[SftExample] = []
    counts = []
    for one in found:
        share = one.source.share
        # With w whole examples and shares that add up to s, there are w / (1 - s) in all.
        wanted = len(one.examples) if share is None else round(share / (1 - shares) * whole)
        taken = one.examples
        if wanted < len(one.examples):
            taken = random.Random(f"{seed}:{one.source.run}").sample(one.examples, wanted)
        examples += taken
        counts.append(
            SourceCount(
                run=one.source.run,
                use=one.source.use,
                found=len(one.examples),
                taken=len(taken),
                wanted=wanted,
                left_out=dict(one.left_out),
            )
        )
    random.Random(f"{seed}:order").shuffle(examples)
    return SftDataset(examples=tuple(examples), counts=tuple(counts))


def parse_example(line: Mapping[str, Any]) -> SftExample:
    """The inverse of `SftExample.as_dict`."""
    *conversation, answer = line["messages"]
    return SftExample(
        conversation=tuple(conversation),
        answer=answer["content"],
        run=line["run"],
        prompt_id=line["prompt_id"],
        sample=line["sample"],
        step=line["step"],
    )


def _prompt_key(chain: Mapping[str, Any]) -> str:
    return content_hash(list(chain["conversation"]))


def _collect(
    source: ChainSource, chains: Iterable[Mapping[str, Any]], held_out: Set[str]
) -> _Found:
    found = _Found(source)
    for chain in chains:
        if _prompt_key(chain) in held_out:
            found.left_out["held out"] += 1
            continue
        for step in _choose_steps(source, chain, found.left_out):
            found.examples.append(
                SftExample(
                    conversation=tuple(chain["conversation"]),
                    answer=step["text"],
                    run=source.run,
                    prompt_id=chain["prompt_id"],
                    sample=chain["sample"],
                    step=step["index"],
                )
            )
    return found


def _choose_steps(
    source: ChainSource, chain: Mapping[str, Any], left_out: Counter[str]
) -> Iterator[Mapping[str, Any]]:
    steps = [step for step in chain["steps"] if step["kind"] in ("response", "revision")]
    match source.use:
        case "initial":
            chosen = [step for step in steps if step["kind"] == "response"]
        case "final":
            if chain["final"] is None:
                left_out["chain ended in an error"] += 1
                return
            chosen = steps[-1:]
        case "all":
            chosen = [step for step in steps if step["kind"] == "revision"]
            if not chosen:
                left_out["chain without a revision"] += 1
    for step in chosen:
        if reason := _find_fault(step):
            left_out[reason] += 1
        else:
            yield step


def _find_fault(step: Mapping[str, Any]) -> str | None:
    if step["error"] is not None or step["text"] is None:
        return "step ended in an error"
    if step["finish_reason"] == "length":
        # It would teach to stop in the middle, or not at all.
        return "cut at the token limit"
    return None if step["text"].strip() else "empty"
