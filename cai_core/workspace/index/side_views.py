"""What the index answers with about two runs side by side: frozen records, ready to be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cai_core.records import Finding, StepKind, Verdict
from cai_core.workspace.index.principles import OutcomeSums
from cai_core.workspace.rows import Row

Holds = Literal["chains", "labels"]
# How labels are brought together: by the same two responses, or by the prompt alone.
By = Literal["comparison", "prompt"]
# What a difference is looked for in; the first of each is what is meant where nothing is said.
CHAIN_ASPECTS = ("final", "findings", "response")
LABEL_ASPECTS = ("label", "confidence")
# What became of a pair.
SAME, DIFFER, LEFT, RIGHT = "same", "differ", "left", "right"
STATUSES = (SAME, DIFFER, LEFT, RIGHT)
# Probabilities that A is preferred differ from here on.
LEAST_MOVE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class SideRun:
    """One run, as a side to choose.

    Attributes:
        kind: of run. holds: what is compared of it.
        count: chains, or comparisons.
        recorded: one of the shipped recordings.
    """

    run: str
    kind: str
    holds: Holds
    count: int
    state: str
    started_at: str
    constitution: str
    constitution_hash: str
    model: str
    recorded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Who wrote the first row of a role: what the recipe's model name came to."""

    role: str
    model_id: str
    weights_hash: str | None
    engine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two runs, with what made it.

    Attributes:
        recipe: the run's frozen recipe document; empty where it cannot be read.
        makers: by role; none where the run has no rows yet.
    """

    run: SideRun
    recipe: Mapping[str, Any]
    makers: tuple[Maker, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFilter:
    """Which pairs of two runs to show; an empty field does not filter.

    Attributes:
        left, right: ids of the runs; different ones that hold the same.
        on: what counts as a difference: of CHAIN_ASPECTS or LABEL_ASPECTS.
        show: of STATUSES.
        kind: a `PromptKind`'s word.
        change: as in `SidePage.changes`: `LEFT > RIGHT`.
        text: words or "quoted phrases", each of which must occur in the prompt, an initial or a
            final response; case does not matter.
        by: how labels are brought together; where it is empty by comparison, if there is a common
            one, else by prompt. Chains go by prompt.
    """

    left: str
    right: str
    on: str = ""
    show: str = ""
    kind: str = ""
    change: str = ""
    text: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideStep:
    """One step of a chain; `text` is None where there is an error in its place."""

    kind: StepKind
    round: int
    principle: str | None
    text: str | None
    finding: Finding | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SideChain:
    """One chain of a pair; `chain` is its id."""

    chain: str
    steps: tuple[SideStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SideLabel:
    """One label of a pair.

    Attributes:
        verdict: None while the run has no labels; about its own A and B, as `prob_a` is.
        answers: of the feedback model, by principle, chain of thought and order.
    """

    comparison: str
    verdict: Verdict | None
    source: str
    model: str
    principles: tuple[str, ...]
    prob_a: float | None
    position_bias: float | None
    response_a: str
    response_b: str
    answers: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SidePair:
    """Both runs' chains or labels of one prompt; one is None where the other stands alone.

    Attributes:
        key: for the next page; opaque.
        prompt: all turns as one text.
        differs: aspect → whether it does; none where one stands alone.
        mirrored: the right label is about the same responses with A and B exchanged.
    """

    key: str
    prompt: str
    kind: str
    differs: Mapping[str, bool]
    left_chain: SideChain | None = None
    right_chain: SideChain | None = None
    left_label: SideLabel | None = None
    right_label: SideLabel | None = None
    mirrored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SidePage:
    """A page of pairs, in the left run's order; what the right one has alone comes last.

    Attributes:
        holds: what is compared. by: as in `SideFilter`, resolved.
        on: the aspect, resolved.
        shared: pairs with both sides, whatever is filtered.
        counts: status → pairs, counted with every filter but `show` and `change`.
        kinds: (kind, pairs) by falling count, with every filter but its own.
        changes: ((left word, right word), pairs) of pairs with both sides, by falling count: the
            verdicts of labels, as the left run's A and B; of chains how many critiques found a
            problem. With every filter but its own.
        sums: how often the aspect differs, of the counted pairs that have both sides.
        total: pairs that match every filter. next_key: None on the last page.
    """

    left: Side
    right: Side
    holds: Holds
    by: By
    on: str
    shared: int
    counts: Mapping[str, int]
    kinds: tuple[tuple[str, int], ...]
    changes: tuple[tuple[tuple[str, str], int], ...]
    sums: OutcomeSums
    pairs: tuple[SidePair, ...]
    total: int
    next_key: str | None = None
    aspects: tuple[str, ...] = field(default=CHAIN_ASPECTS)
