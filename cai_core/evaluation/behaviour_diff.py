"""What another constitution changes in what a model does: the same prompts and seeds, twice. Pure.

Chains are paired by prompt and sample, so a difference of two rates is that of pairs. What counts
as a behaviour is the reader's business: the demo world's oracle, phrases, or a judge.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cai_core.evaluation.metrics import (
    Difference,
    Rate,
    compute_clustered_rate,
    compute_paired_difference,
)
from cai_core.records import Finding

# Behaviour → whether the final response shows it. In the order in which they are to be told.
Flags = Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader says of one final response.

    Attributes:
        group: prompts of one group stand or fall together (those of one intent, say).
    """

    group: Hashable
    flags: Flags


# (prompt, final response) → what is true of it; None where the reader cannot tell.
Reader = Callable[[str, str], Reading | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainEnd:
    """How one chain ended under one constitution.

    Attributes:
        final: the last response.
        drafts: every response of the chain with the finding of the critique that followed it;
            None where none did.
        found: whether a critique found something; None without critiques.
        flags: what the reader says of `final`; empty where it cannot tell.
    """

    final: str
    drafts: tuple[tuple[str, Finding | None], ...]
    found: bool | None
    principles: tuple[str, ...]
    flags: Flags = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPair:
    """One prompt under both constitutions.

    Attributes:
        group: see `Reading`.
        likeness: of the two final responses' words, in [0, 1]; 1 where they are the same.
        flips: the behaviours that only one of the two shows.
    """

    prompt_id: str
    sample: int
    prompt: str
    kind: str
    group: Hashable
    before: ChainEnd
    after: ChainEnd
    likeness: float
    flips: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether the final responses differ in more than white space."""
        return self.before.final.split() != self.after.final.split()


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourChange:
    """How often a behaviour is shown under both, over the pairs whose two sides could be read.

    Attributes:
        gained, lost: pairs in which only the second, or only the first, shows it.
    """

    name: str
    before: Rate
    after: Rate
    difference: Difference
    gained: int
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourDiff:
    """Two runs of the same prompts, compared.

    Attributes:
        pairs: those with flips first, then those whose text changed most, then the others.
        changed: share of pairs whose final responses differ; None without pairs.
        unread: pairs of which the reader could not tell one side.
        unpaired: chains that ended in an error or have no partner.
    """

    pairs: tuple[ChainPair, ...]
    changed: Rate | None
    behaviours: tuple[BehaviourChange, ...]
    unread: int
    unpaired: int


def compute_behaviour_diff(
    before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]], read: Reader
) -> BehaviourDiff:
    """Compare two runs' chains.

    Args:
        before, after: lines of chains.jsonl (`pipeline.revise.build_chain_record`), each.
        read: asked once for each final response.
    """
    first = {_key(record): record for record in before}
    second = {_key(record): record for record in after}
    whole = [key for key in first if key in second and _is_whole(first[key], second[key])]
    pairs = [_build_pair(first[key], second[key], read) for key in whole]
    ranked = sorted(pairs, key=lambda pair: (-len(pair.flips), not pair.changed, pair.likeness))
    return BehaviourDiff(
        pairs=tuple(ranked),
        changed=compute_clustered_rate((pair.group, pair.changed) for pair in pairs),
        behaviours=tuple(_compare(pairs)),
        unread=sum(not (pair.before.flags and pair.after.flags) for pair in pairs),
        unpaired=len(first.keys() | second.keys()) - len(pairs),
    )


def _compare(pairs: Iterable[ChainPair]) -> Iterable[BehaviourChange]:
    cases: dict[str, list[tuple[Hashable, bool, bool]]] = {}
    for pair in pairs:
        for name, shown in pair.before.flags.items():
            if name in pair.after.flags:
                case = (pair.group, shown, pair.after.flags[name])
                cases.setdefault(name, []).append(case)
        if pair.before.found is not None and pair.after.found is not None:
            case = (pair.group, pair.before.found, pair.after.found)
            cases.setdefault(FOUND, []).append(case)
    # Told last: it is of the critic, the others are of the responses.
    for name in sorted(cases, key=lambda name: name == FOUND):
        told = cases[name]
        old_rate = compute_clustered_rate((group, old) for group, old, _ in told)
        new_rate = compute_clustered_rate((group, new) for group, _, new in told)
        difference = compute_paired_difference(told)
        assert old_rate is not None and new_rate is not None and difference is not None
        yield BehaviourChange(
            name=name,
            before=old_rate,
            after=new_rate,
            difference=difference,
            gained=sum(new and not old for _, old, new in told),
            lost=sum(old and not new for _, old, new in told),
        )


# The one behaviour that chains tell themselves.
FOUND = "critique found something"


def _build_pair(before: Mapping[str, Any], after: Mapping[str, Any], read: Reader) -> ChainPair:
    prompt = str(before["conversation"][-1]["content"])
    texts = [str(record["final"]) for record in (before, after)]
    readings = [read(prompt, text) for text in texts]
    ends = [
        _build_end(record, reading)
        for record, reading in zip((before, after), readings, strict=True)
    ]
    known = next((reading for reading in readings if reading is not None), None)
    flags = [end.flags for end in ends]
    return ChainPair(
        prompt_id=str(before["prompt_id"]),
        sample=int(before["sample"]),
        prompt=prompt,
        kind=str(before["kind"]),
        group=known.group if known is not None else str(before["prompt_hash"]),
        before=ends[0],
        after=ends[1],
        likeness=_compute_likeness(*texts),
        flips=tuple(n for n in flags[0] if n in flags[1] and flags[0][n] != flags[1][n]),
    )


def _build_end(record: Mapping[str, Any], reading: Reading | None) -> ChainEnd:
    drafts: list[tuple[str, Finding | None]] = []
    findings: list[Finding] = []
    for step in record["steps"]:
        if step["kind"] != "critique":
            drafts.append((str(step["text"]), None))
            continue
        findings.append(Finding(step["finding"]))
        drafts[-1] = (drafts[-1][0], findings[-1])
    principles = dict.fromkeys(step["principle_id"] for step in record["steps"])
    return ChainEnd(
        final=str(record["final"]),
        drafts=tuple(drafts),
        found=Finding.FOUND in findings if findings else None,
        principles=tuple(name for name in principles if name is not None),
        flags=reading.flags if reading is not None else {},
    )


def _compute_likeness(before: str, after: str) -> float:
    old, new = before.split(), after.split()
    return difflib.SequenceMatcher(None, old, new, autojunk=False).ratio()


def _key(record: Mapping[str, Any]) -> tuple[str, int]:
    return str(record["prompt_id"]), int(record["sample"])


def _is_whole(*records: Mapping[str, Any]) -> bool:
    return all(record["final"] is not None for record in records)
