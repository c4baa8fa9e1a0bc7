"""What the index answers with about comparisons: frozen records, ready to be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cai_core.records import Conversation, Verdict
from cai_core.workspace.comparison_votes import settle_state
from cai_core.workspace.review_votes import Vote


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonFilter:
    """Which comparisons to show; an empty field does not filter.

    Attributes:
        constitution: its name. constitution_hash: of one version.
        principle: id of one that was asked about.
        verdict: a `Verdict`'s word, or `pending` where the run has no labels yet.
        source: who prefers: `feedback-model`, `human` or `revision`.
        kind: a `PromptKind`'s word.
        run, model: ids; the model is the feedback model.
        traits: words of `prepare_labels.TRAITS`; a comparison has all of them.
        review: what people's votes come to beside the label: `open` where there are none, `agrees`,
            or `disputed` (`comparison_votes.settle_state`).
        confidence, bias: number of a bin, as `evaluation.label_traits` numbers them.
        text: words, parts of words or "quoted phrases". Each must occur in the prompt, a
            response, or what the feedback model wrote before it preferred one; case does not
            matter.
    """

    constitution: str = ""
    constitution_hash: str = ""
    principle: str = ""
    verdict: str = ""
    source: str = ""
    kind: str = ""
    run: str = ""
    model: str = ""
    traits: tuple[str, ...] = ()
    review: str = ""
    confidence: int | None = None
    bias: int | None = None
    text: str = ""


# The fields that `ComparisonPage.facets` counts, in the order in which pages show them.
COMPARISON_FACETS = (
    "constitution",
    "principle",
    "verdict",
    "source",
    "kind",
    "run",
    "model",
    "traits",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonView:
    """One comparison of a run, as a line of a list.

    Attributes:
        key: for the next page; opaque.
        comparison: its id; the same in every run that forms it.
        place: among the run's comparisons, from 0.
        verdict: None while the run has no labels.
        source: who prefers; empty likewise.
        prob_a, position_bias: as in the label; None where it has none.
        traits: words of `prepare_labels.TRAITS`.
        model: the feedback model; empty where none was asked.
        votes: each person's newest one, in any review queue, the oldest first.
    """

    key: str
    run: str
    comparison: str
    place: int
    prompt: str
    kind: str
    constitution: str
    principles: tuple[str, ...]
    verdict: Verdict | None
    source: str
    model: str
    prob_a: float | None
    position_bias: float | None
    traits: tuple[str, ...]
    response_a: str
    response_b: str
    votes: tuple[Vote, ...] = ()

    @property
    def review(self) -> str:
        """As in `ComparisonFilter`."""
        return settle_state(self.votes, self.verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonPage:
    """A page of comparisons, of the newest run first, its last ones first.

    Attributes:
        total, next_key: as in `RoundPage`.
        facets: as in `RoundPage`; `traits` counts with every filter, as traits add up.
    """

    comparisons: tuple[ComparisonView, ...]
    total: int
    total_is_least: bool = False
    next_key: str | None = None
    facets: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerView:
    """One answer of a feedback model about a comparison, with everything that made it.

    Attributes:
        order: 0 where response A was shown first, 1 where B was.
        cot: index of the chain of thought.
        verdict: what its text says, in the order shown; None where nothing was generated.
        record: the whole row as the file holds it.
    """

    row_id: str
    principle: str | None
    order: int
    cot: int
    text: str
    verdict: Verdict | None
    error: str | None
    record: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonDetail:
    """One comparison, whole.

    Attributes:
        record: the line of labels.jsonl (of comparisons.jsonl while there are no labels).
        answers: by principle, chain of thought, order.
        chain_a, chain_b: the chains that the responses come from, where the index has them.
        recipe, principle_texts: as in `ChainView`.
    """

    view: ComparisonView
    conversation: Conversation
    tags: tuple[str, ...]
    record: dict[str, Any]
    answers: tuple[AnswerView, ...]
    chain_a: str | None
    chain_b: str | None
    run_kind: str
    run_state: str
    started_at: str
    constitution_hash: str
    principle_texts: dict[str, str]
    recipe: dict[str, Any]
