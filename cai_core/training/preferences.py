"""From labels to training pairs. Pure: which are taken, which are left out, and why."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from cai_core.errors import RecipeError
from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import Verdict, content_hash
from cai_core.training.datasets import HELD_OUT
from cai_core.training.preference_recipe import PreferenceSource

# What a label that tells no probability, a person's as a rule, says by its verdict.
_CERTAIN = {Verdict.A: 1.0, Verdict.B: 0.0, Verdict.TIE: 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencePair:
    """Two responses to a prompt, the likelier winner first.

    Attributes:
        conversation: turns as `{"role", "content"}`, the last one the user's.
        prob: probability in [0.5, 1] that `chosen` is preferred; 1 for hard labels.
        tie: the label calls neither the winner.
        split: `train`, or `eval` for a prompt that is held out to evaluate on.
        run, comparison_id, prompt_id, prompt_kind: where the label comes from.
    """

    conversation: tuple[dict[str, str], ...]
    chosen: str
    rejected: str
    prob: float
    tie: bool
    split: Literal["train", "eval"]
    run: str
    comparison_id: str
    prompt_id: str
    prompt_kind: str

    @property
    def prompt_key(self) -> str:
        """Content hash of the prompt; the same in every run."""
        return content_hash(list(self.conversation))

    def as_dict(self) -> dict[str, Any]:
        """Plain form: a line of dataset.jsonl."""
        return {**asdict(self), "conversation": list(self.conversation)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairCount:
    """What one source gave.

    Attributes:
        found: labels that can be trained on.
        taken: of them, after the source's share; `ties` of these are ties, and `held_out_eval`
            are for evaluation.
        wanted: how many its share asked for; more than `found` where there were too few.
        left_out: why other labels were not taken → how many.
    """

    run: str
    use: str
    kinds: tuple[str, ...]
    found: int
    taken: int
    wanted: int
    ties: int
    held_out_eval: int
    left_out: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Plain form."""
        return {**asdict(self), "kinds": list(self.kinds), "left_out": dict(self.left_out)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceDataset:
    """The pairs, in the order in which they were drawn."""

    examples: tuple[PreferencePair, ...]
    counts: tuple[PairCount, ...]

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of the pairs in their order."""
        return compute_pairs_hash(self.examples)


@dataclass(slots=True)
class _Found:
    source: PreferenceSource
    pairs: list[PreferencePair] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def build_preference_dataset(
    sources: Sequence[tuple[PreferenceSource, Iterable[LabelRecord]]],
    *,
    soft: bool,
    eval_share: float,
    seed: int,
    shuffled: bool = False,
    review: Callable[[LabelRecord], LabelRecord | None] | None = None,
) -> PreferenceDataset:
    """Choose, mix, hold out and shuffle.

    Args:
        sources: each with its run's labels.
        soft: keep the labels' probabilities, and ties; else the winner alone, with ties left out.
        eval_share: of the prompts of each kind, in [0, 1), whose pairs get the split `eval`. No
            prompt is in both.
        seed: of the drawing, the holding out and the order.
        shuffled: a coin, by seed and comparison, turns each label around or leaves it: what is
            learned from it cannot come from the labels.
        review: what people make of a label: another one, the same, or None to leave it out.

    Raises:
        RecipeError: nothing is left to train on.
    """
    held = [(source, list(labels)) for source, labels in sources]
    # The same prompt may stand untagged in another source.
    held_out = {
        _prompt_key(label) for _, labels in held for label in labels if HELD_OUT in label.tags
    }
    found = [_collect(source, labels, held_out, soft, review) for source, labels in held]
    if shuffled:
        for one in found:
            one.pairs = [_toss(pair, seed) for pair in one.pairs]
    drawn, wanted = _draw(found, seed)
    evaluated = _choose_held_out([pair for pairs in drawn for pair in pairs], eval_share, seed)
    counts, examples = [], []
    for one, pairs, asked in zip(found, drawn, wanted, strict=True):
        marked = [_mark(pair, evaluated) for pair in pairs]
        examples += marked
        counts.append(_count(one, marked, asked))
    if not any(pair.split == "train" for pair in examples):
        raise RecipeError(
            "no pair is left to train on: all prompts are held out to evaluate on. Label more, or "
            "lower eval_share."
        )
    random.Random(f"{seed}:order").shuffle(examples)
    return PreferenceDataset(examples=tuple(examples), counts=tuple(counts))


def parse_pair(line: Mapping[str, Any]) -> PreferencePair:
    """The inverse of `PreferencePair.as_dict`."""
    return PreferencePair(**{**line, "conversation": tuple(line["conversation"])})


def compute_pairs_hash(pairs: Iterable[PreferencePair]) -> str:
    """SHA-256 (hex) of the pairs in their order."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(content_hash(pair.as_dict()).encode())
    return digest.hexdigest()


def _prompt_key(label: LabelRecord) -> str:
    return content_hash([turn.as_dict() for turn in label.conversation])


def _collect(
    source: PreferenceSource,
    labels: Iterable[LabelRecord],
    held_out: Set[str],
    soft: bool,
    review: Callable[[LabelRecord], LabelRecord | None] | None,
) -> _Found:
    found = _Found(source)
    for told in labels:
        label = told if review is None else review(told)
        if label is None:
            found.left_out["disputed by people"] += 1
        elif source.kinds and label.prompt_kind not in source.kinds:
            found.left_out["of another kind"] += 1
        elif source.use not in ("all", label.label_source):
            found.left_out["of another label source"] += 1
        elif _prompt_key(label) in held_out:
            found.left_out["held out"] += 1
        elif reason := _find_fault(label, soft):
            found.left_out[reason] += 1
        else:
            found.pairs.append(_build_pair(source, label, soft))
    return found


def _find_fault(label: LabelRecord, soft: bool) -> str | None:
    if label.verdict is Verdict.UNPARSED:
        return "unparsed"
    if label.response_a == label.response_b:
        return "both responses alike"
    if not label.response_a.strip() or not label.response_b.strip():
        return "empty response"
    if not soft and label.verdict is Verdict.TIE:
        return "tie"
    return None


def _build_pair(source: PreferenceSource, label: LabelRecord, soft: bool) -> PreferencePair:
    prob_a = label.prob_a_clamped
    if prob_a is None or not soft:
        prob_a = _CERTAIN[label.verdict]
    a_first = prob_a >= 0.5
    responses = label.response_a, label.response_b
    chosen, rejected = responses if a_first else responses[::-1]
    return PreferencePair(
        conversation=tuple(turn.as_dict() for turn in label.conversation),
        chosen=chosen,
        rejected=rejected,
        prob=prob_a if a_first else 1.0 - prob_a,
        tie=label.verdict is Verdict.TIE,
        split="train",
        run=source.run,
        comparison_id=label.comparison_id,
        prompt_id=label.prompt_id,
        prompt_kind=label.prompt_kind.value,
    )


def _toss(pair: PreferencePair, seed: int) -> PreferencePair:
    if random.Random(f"{seed}:coin:{pair.run}:{pair.comparison_id}").random() < 0.5:
        return pair
    return replace(pair, chosen=pair.rejected, rejected=pair.chosen)


def _draw(found: Sequence[_Found], seed: int) -> tuple[list[list[PreferencePair]], list[int]]:
    """What each source gives after its share, and how many pairs that share asks for."""
    whole = sum(len(one.pairs) for one in found if one.source.share is None)
    if not whole:
        reasons: Counter[str] = sum((one.left_out for one in found), Counter())
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        raise RecipeError(
            f"the sources without a share hold no label to train on ({told or 'no labels'})."
        )
    shares = sum(one.source.share or 0.0 for one in found)
    drawn, asked = [], []
    for number, one in enumerate(found):
        share = one.source.share
        # With w whole pairs and shares that add up to s, there are w / (1 - s) in all.
        wanted = len(one.pairs) if share is None else round(share / (1 - shares) * whole)
        pairs = one.pairs
        if wanted < len(pairs):
            pairs = random.Random(f"{seed}:{number}:{one.source.run}").sample(pairs, wanted)
        drawn.append(pairs)
        asked.append(wanted)
    return drawn, asked


def _choose_held_out(pairs: Iterable[PreferencePair], share: float, seed: int) -> set[str]:
    """Keys of the prompts to evaluate on: that share of each kind's."""
    by_kind: dict[str, list[str]] = {}
    for key, kind in {pair.prompt_key: pair.prompt_kind for pair in pairs}.items():
        by_kind.setdefault(kind, []).append(key)
    draw = random.Random(f"{seed}:eval")
    return {
        key
        for _, keys in sorted(by_kind.items())
        for key in draw.sample(sorted(keys), round(share * len(keys)))
    }


def _mark(pair: PreferencePair, evaluated: Set[str]) -> PreferencePair:
    split = "eval" if pair.prompt_key in evaluated else "train"
    return parse_pair({**pair.as_dict(), "split": split})


def _count(found: _Found, taken: Sequence[PreferencePair], wanted: int) -> PairCount:
    return PairCount(
        run=found.source.run,
        use=found.source.use,
        kinds=found.source.kinds,
        found=len(found.pairs),
        taken=len(taken),
        wanted=wanted,
        ties=sum(pair.tie for pair in taken),
        held_out_eval=sum(pair.split == "eval" for pair in taken),
        left_out=dict(found.left_out),
    )
