"""What the index answers with: frozen records, ready to be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cai_core.records import Conversation, Finding, StepKind


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFilter:
    """Which critique–revision rounds to show; an empty field does not filter.

    Attributes:
        constitution: its name.
        constitution_hash: of one version.
        principle, run, model: ids as the rows carry them.
        finding: a `Finding`'s word, or `direct` for rounds revised without a critique.
        kind: a `PromptKind`'s word.
        round: its number; category: of harm that the prompt is tagged with.
        changed: `yes` or `no` for rounds whose revision changed the text or did not, `none` for
            those without a revision.
        review: what people say of the critique: a `CritiqueVerdict`'s word where all of them do,
            `disputed` where they differ, `open` where nobody has judged it.
        mark: `saved`, `flagged`, `noted`, or `unmarked` for chains with none of these.
        text: words, parts of words or "quoted phrases". Each must occur in the round's critique
            or revision or in its chain's prompt or initial response; case does not matter.
        recorded: False leaves out the recorded chains that ship with the workbench.
    """

    constitution: str = ""
    constitution_hash: str = ""
    principle: str = ""
    run: str = ""
    model: str = ""
    finding: str = ""
    kind: str = ""
    round: str = ""
    category: str = ""
    changed: str = ""
    review: str = ""
    mark: str = ""
    text: str = ""
    recorded: bool = True


# The fields that `RoundPage.facets` counts, in the order in which pages show them.
FACETS = ("constitution", "principle", "finding", "kind", "run", "model")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainMarks:
    """What people said of a chain.

    Attributes:
        notes: oldest first, each with `at`, `actor` and `text`.
    """

    saved: bool = False
    flagged: bool = False
    notes: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundView:
    """One round of a chain, as a line of a list.

    A round is a critique with its revision, or a direct revision. It is there as soon as its
    critique (its direct revision) is; where that one is an error row there is no round, only a
    step of the chain.

    Attributes:
        key: for the next page; opaque.
        chain: the chain's id: the row id of its initial response.
        finding: None for a direct revision, and where the row has none (imported critiques).
        critique: None for a direct revision.
        revision: None where the chain ended before it.
        changed: whether the revision differs from the text it revised; None without a revision.
        objected: whether the revision's text is one that a critique of its chain found a problem
            in, or the initial response to a red-team prompt.
        model: who wrote the critique (the revision, for direct ones).
        recorded: one of the shipped recordings.
        review: as in `RoundFilter`. reviewers: who judged the critique.
    """

    key: str
    chain: str
    run: str
    round: int
    prompt: str
    kind: str
    constitution: str
    principle: str
    model: str
    finding: Finding | None
    critique: str | None
    revision: str | None
    changed: bool | None
    objected: bool
    recorded: bool
    marks: ChainMarks
    review: str = "open"
    reviewers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPage:
    """A page of rounds, newest first.

    Attributes:
        total: rounds that match, `total_is_least` when counting stopped there.
        next_key: pass it as `after` for the next page; None on the last.
        facets: field → (value, count) pairs by falling count, each field counted with every
            filter but its own, so that another value can be chosen. The 200 most frequent, and
            the chosen one.
    """

    rounds: tuple[RoundView, ...]
    total: int
    total_is_least: bool = False
    next_key: str | None = None
    facets: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One row of a chain with everything that made it.

    Attributes:
        text: as the chain goes on with it; `raw` is what the model wrote.
        error: why there is no text.
        record: the whole row as the file holds it.
    """

    row_id: str
    kind: StepKind
    index: int
    round: int
    principle: str | None
    text: str
    raw: str
    finding: Finding | None
    error: str | None
    cut_short: bool
    record: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainView:
    """One chain, whole.

    Attributes:
        recipe: the run's frozen recipe document.
        principle_texts: id → text, of the version that the run kept; empty where it kept none.
    """

    chain: str
    run: str
    run_kind: str
    run_state: str
    started_at: str
    prompt_id: str
    conversation: Conversation
    kind: str
    tags: tuple[str, ...]
    constitution: str
    constitution_hash: str
    principle_texts: dict[str, str]
    recipe: dict[str, Any]
    steps: tuple[StepView, ...]
    recorded: bool
    marks: ChainMarks


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run, as a line of a list."""

    run: str
    kind: str
    state: str
    reason: str | None
    started_at: str
    constitution: str
    model: str
    rows: int
    recorded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexReport:
    """What the indexes hold, and what could not be read.

    Attributes:
        damaged: lines that are no rows; they stay in their files.
        comparisons: of all runs; one that two runs form counts twice.
        doubled: rows and comparisons whose id was there already.
        late_bytes: written by workers after another had taken over; ignored.
        rebuilt: why the indexes were made anew at this start, None when they were not.
        seconds_behind: since the last look at the files.
        problems: what went wrong at the last look, in words; empty when nothing did.
    """

    rows: int
    chains: int
    runs: int
    events: int
    damaged: int
    doubled: int
    late_bytes: int
    rebuilt: str | None
    seconds_behind: float
    problems: tuple[str, ...] = ()
    comparisons: int = 0
