"""What each principle of a constitution did in this workspace's chains.

Counts are over all rounds. How much a revision changes, and whether responses keep to the
principle, is read from a fair draw of them; the latter by the demo world's oracle, or not at all.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from cai_core.demo_world.adherence import knows_principle, read_adherence
from cai_core.errors import CaiError
from cai_core.evaluation.critique_reviews import ReviewSummary, summarize_reviews
from cai_core.evaluation.metrics import (
    Rate,
    compute_clustered_rate,
    compute_paired_difference,
)
from cai_core.evaluation.principle_effect import (
    BeforeAfter,
    compute_summed_rate,
    compute_words_changed,
)
from cai_core.records import Constitution, Principle
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.index.principles import (
    OutcomeSums,
    PrincipleCounts,
    PrincipleReview,
    SampledRound,
)
from cai_core.workspace.versions import load_version

# Rounds of a principle that are read; a rate's interval is then about 7 points to each side.
MOST_READ = 200
KEEPS = "keeps to the principle"
_NO_ROUNDS = "no round of it has a revision yet"
_UNKNOWN = "the demo world’s oracle does not know what this principle asks for"
_OUTSIDE = "its prompts or responses are outside the demo world, where nobody knows the truth"
_NONE = OutcomeSums()


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipleEffect:
    """What came of one principle; every interval is clustered by prompt.

    Attributes:
        in_text: whether the text that is looked at has it.
        drawn: rounds. direct: of these, revised without a critique.
        untold: critiques whose finding nobody kept.
        found, not_touched, unparsed: of the critiques with a finding; None without any.
        changed: of the revisions, those that changed the text.
    """

    principle: str
    in_text: bool
    drawn: int
    direct: int
    untold: int
    found: Rate | None
    not_touched: Rate | None
    unparsed: Rate | None
    changed: Rate | None
    reviews: ReviewSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipleStudy:
    """A constitution's principles: those of the text in its order, then those it has no more.

    Attributes:
        rounds: all that drew one. unnamed: rounds that name no principle.
        reviews: of all critiques.
    """

    effects: tuple[PrincipleEffect, ...]
    rounds: int
    unnamed: int
    reviews: ReviewSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipleMeasure:
    """What reading up to MOST_READ rounds of one principle tells.

    Attributes:
        read: rounds. changed: of these, whose text changed.
        words_changed: median share of words, of these; see `compute_words_changed`.
        keeps: whether responses keep to the principle; None where the oracle cannot tell.
        asked: what a revision request asks of refusals, where the response before broke the
            principle and the prompt is harmful.
        outside: rounds that the oracle cannot read.
        unmeasured: why `keeps` is None, in words; empty where it is not.
    """

    read: int = 0
    changed: int = 0
    words_changed: float | None = None
    keeps: BeforeAfter | None = None
    asked: tuple[BeforeAfter, ...] = ()
    outside: int = 0
    unmeasured: str = _NO_ROUNDS


def load_principle_study(
    index: WorkspaceIndex, text: Constitution, *, all_versions: bool = False
) -> PrincipleStudy:
    """Count what came of a text's principles.

    Args:
        all_versions: count the rounds of every version of its name.

    Raises:
        WorkspaceError: the index cannot be read.
    """
    rows = index.count_principles(text.name, "" if all_versions else text.hash)
    reviews: dict[str, list[PrincipleReview]] = {}
    for review in rows.reviews:
        reviews.setdefault(review.principle, []).append(review)
    own = [principle.id for principle in text.principles]
    others = sorted(rows.counts.keys() - {*own, ""}, key=lambda p: (-rows.counts[p].drawn, p))
    return PrincipleStudy(
        effects=tuple(
            _build_effect(name, name in own, rows.counts.get(name), reviews.get(name, ()))
            for name in (*own, *others)
        ),
        rounds=sum(count.drawn for count in rows.counts.values()),
        unnamed=rows.counts[""].drawn if "" in rows.counts else 0,
        reviews=_sum_up(rows.reviews),
    )


def measure_principles(
    index: WorkspaceIndex,
    workspace: Path,
    text: Constitution,
    principles: Sequence[str],
    *,
    all_versions: bool = False,
    limit: int = MOST_READ,
) -> dict[str, PrincipleMeasure]:
    """Read rounds of some principles closer. The same rounds at each look, while there are they.

    A round is read under the text of its own version.

    Raises:
        WorkspaceError: the index cannot be read.
    """
    version = "" if all_versions else text.hash
    rounds: dict[str, list[SampledRound]] = {name: [] for name in principles}
    for one in index.sample_rounds(text.name, version, principles, limit=limit):
        rounds[one.principle].append(one)
    texts = _Versions(workspace, text)
    return {name: _measure(found, texts) for name, found in rounds.items()}


class _Versions:
    """The texts that rounds were made under, each read once."""

    def __init__(self, workspace: Path, text: Constitution):
        self._workspace = workspace
        self._name = text.name
        self._texts: dict[str, Constitution | None] = {text.hash: text}

    def find(self, one: SampledRound) -> Principle | None:
        """The principle as that round's version words it; None where it is not to be had."""
        version = one.constitution_hash
        if version not in self._texts:
            try:
                self._texts[version] = load_version(self._workspace, self._name, version)
            except CaiError:
                self._texts[version] = None
        text = self._texts[version]
        found = (p for p in (text.principles if text else ()) if p.id == one.principle)
        return next(found, None)


def _build_effect(
    name: str,
    in_text: bool,
    counts: PrincipleCounts | None,
    reviews: Iterable[PrincipleReview],
) -> PrincipleEffect:
    return PrincipleEffect(
        principle=name,
        in_text=in_text,
        drawn=counts.drawn if counts else 0,
        direct=counts.direct if counts else 0,
        untold=counts.untold if counts else 0,
        found=_rate(counts.found if counts else _NONE),
        not_touched=_rate(counts.not_touched if counts else _NONE),
        unparsed=_rate(counts.unparsed if counts else _NONE),
        changed=_rate(counts.changed if counts else _NONE),
        reviews=_sum_up(reviews),
    )


def _rate(sums: OutcomeSums) -> Rate | None:
    told = asdict(sums)
    return compute_summed_rate(clusters=told.pop("prompts"), **told)


def _sum_up(reviews: Iterable[PrincipleReview]) -> ReviewSummary:
    return summarize_reviews(((one.chain, one.round), one.reviewer, one.verdict) for one in reviews)


def _measure(rounds: Sequence[SampledRound], texts: _Versions) -> PrincipleMeasure:
    if not rounds:
        return PrincipleMeasure()
    shares = [compute_words_changed(one.before, one.after) for one in rounds if one.changed]
    cases: dict[str, list[tuple[Hashable, bool, bool]]] = {}
    outside, known = 0, False
    for one in rounds:
        principle = texts.find(one)
        if principle is None or not knows_principle(principle):
            outside += 1
            continue
        known = True
        before = read_adherence(principle, one.prompt, one.before)
        after = read_adherence(principle, one.prompt, one.after)
        if before is None or after is None:
            outside += 1
            continue
        cases.setdefault(KEEPS, []).append((before.intent, before.keeps, after.keeps))
        if not before.keeps:
            for name, done in before.asked.items():
                cases.setdefault(name, []).append((before.intent, done, after.asked[name]))
    told = {name: _compare(name, found) for name, found in cases.items()}
    keeps = told.pop(KEEPS, None)
    return PrincipleMeasure(
        read=len(rounds),
        changed=len(shares),
        words_changed=median(shares) if shares else None,
        keeps=keeps,
        asked=tuple(told.values()),
        outside=outside,
        unmeasured="" if keeps is not None else _OUTSIDE if known else _UNKNOWN,
    )


def _compare(name: str, cases: Sequence[tuple[Hashable, bool, bool]]) -> BeforeAfter:
    before = compute_clustered_rate((group, old) for group, old, _ in cases)
    after = compute_clustered_rate((group, new) for group, _, new in cases)
    difference = compute_paired_difference(cases)
    assert before is not None and after is not None and difference is not None
    return BeforeAfter(name=name, before=before, after=after, difference=difference)
