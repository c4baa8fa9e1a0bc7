"""A judge against the people of a workspace, wherever both looked at the same thing.

Three things are looked at: answers of evaluations, comparisons of label runs, and critiques. Each
counts only for the very model that judged: by its weights where they are known, else by its name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from cai_core.errors import CaiError
from cai_core.evaluation.judge_calibration import (
    JudgeCalibration,
    Review,
    compute_judge_calibration,
)
from cai_core.jobs.drift_study import load_side
from cai_core.pipeline.label_records import LABELS, LabelRecord, read_labels
from cai_core.records import CritiqueVerdict, Finding, Verdict
from cai_core.workspace.answer_reviews import AnswerReview, read_answer_reviews
from cai_core.workspace.comparison_votes import read_comparison_votes
from cai_core.workspace.events import Topic, get_journal_path, read_events
from cai_core.workspace.index.sources import CHAIN_STEP
from cai_core.workspace.review_folding import fold_reviews, is_review
from cai_core.workspace.review_queues import list_queues
from cai_core.workspace.review_votes import Vote, VoteChoice
from cai_core.workspace.rows import Row, RowIndex, build_row_id
from cai_core.workspace.runs import open_run

Source = Literal["answers", "comparisons", "critiques"]
# What the two are asked where no measure says it.
BETTER, FOUND = "which response is better", "a critique finds something"
_CLEAR = {Verdict.A: True, Verdict.B: False}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeName:
    """A judge as an evaluation or a label run tells it; `name` is what people call it."""

    name: str
    model_id: str
    weights_hash: str | None = None

    def is_same(self, model_id: str, weights_hash: str | None) -> bool:
        """Whether that is this judge: by weights where both tell them, by name where not."""
        if self.weights_hash is not None and weights_hash is not None:
            return self.weights_hash == weights_hash
        return self.model_id == model_id


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedJudge:
    """What a judge's word is worth in one question.

    Attributes:
        question: a measure, or what was asked instead.
        blind: share of the words that people gave without seeing the judge's, in [0, 1].
        reviewers: how many people.
    """

    question: str
    source: Source
    calibration: JudgeCalibration
    blind: float
    reviewers: int


@dataclass(frozen=True, slots=True)
class _Said:
    """One person's word of one case; `human` None where they could not decide."""

    question: str
    source: Source
    case: tuple[Any, ...]
    cluster: str
    judge: bool | None
    probability: float | None
    human: bool | None
    reviewer: str
    blind: bool


def get_judge(header: Mapping[str, Any]) -> JudgeName | None:
    """Who judged an evaluation, by its metrics.json; None where nobody did."""
    judge = header.get("judge")
    if judge is None:
        return None
    return JudgeName(
        name=str(judge["name"]),
        model_id=str(judge["model_id"]),
        weights_hash=judge.get("weights_hash"),
    )


def study_calibration(workspace: Path, judge: JudgeName) -> tuple[CalibratedJudge, ...]:
    """What people's words say of a judge, question by question; empty where nobody said anything.

    Where several people looked at one case, what more of them say counts; where they disagree
    evenly it is undecided. What cannot be read any more is left out.
    """
    return _study(workspace, judge, _stamp(workspace))


@lru_cache(maxsize=32)
def _study(
    workspace: Path, judge: JudgeName, _stamp: tuple[int, ...]
) -> tuple[CalibratedJudge, ...]:
    groups: dict[tuple[str, Source], list[_Said]] = defaultdict(list)
    said = (_list_answers, _list_comparisons, _list_critiques)
    for read in said:
        for one in read(workspace, judge):
            groups[one.question, one.source].append(one)
    return tuple(
        CalibratedJudge(
            question=question,
            source=source,
            calibration=compute_judge_calibration(_settle(some)),
            blind=sum(one.blind for one in some) / len(some),
            reviewers=len({one.reviewer for one in some}),
        )
        for (question, source), some in sorted(groups.items())
    )


def _settle(said: Iterable[_Said]) -> Iterator[Review]:
    cases: dict[tuple[Any, ...], list[_Said]] = defaultdict(list)
    for one in said:
        cases[one.case].append(one)
    for some in cases.values():
        yes = sum(one.human is True for one in some)
        no = sum(one.human is False for one in some)
        yield Review(
            cluster=some[0].cluster,
            judge=some[0].judge,
            human=None if yes == no else yes > no,
            probability=some[0].probability,
        )


def _list_answers(workspace: Path, judge: JudgeName) -> Iterator[_Said]:
    by_run: dict[str, list[AnswerReview]] = defaultdict(list)
    for review in read_answer_reviews(workspace):
        by_run[review.run].append(review)
    for run, reviews in by_run.items():
        try:
            side = load_side(workspace, run)
        except CaiError:
            continue  # deleted since
        of = get_judge(side.header)
        if of is None or not judge.is_same(of.model_id, of.weights_hash):
            continue
        for review in reviews:
            line = side.lines.get((review.prompt_id, review.sample))
            verdicts = {} if line is None else line["verdicts"].get(review.measure, {})
            if line is not None and "judge" in verdicts:
                yield _Said(
                    question=review.measure,
                    source="answers",
                    case=(run, review.prompt_id, review.sample),
                    cluster=str(line["intent"]),
                    judge=verdicts["judge"],
                    probability=None,
                    human=review.shown,
                    reviewer=review.reviewer,
                    blind=review.blind,
                )


def _list_comparisons(workspace: Path, judge: JudgeName) -> Iterator[_Said]:
    runs = {queue.queue_id: queue.run for queue in list_queues(workspace)[0]}
    by_run: dict[str, list[Vote]] = defaultdict(list)
    # Of each person the newest vote in any queue: two queues may hold one comparison.
    for votes in read_comparison_votes(workspace).values():
        for vote in votes:
            by_run[runs.get(vote.queue, "")].append(vote)
    for run, some in by_run.items():
        path = workspace / "runs" / run / "outputs" / LABELS
        try:
            stat = path.stat()
            labels = _index_labels(path.parents[1], stat.st_mtime_ns, stat.st_size)
        except (CaiError, OSError):
            continue
        for vote in some:
            label = labels.get(vote.comparison)
            if label is None or vote.choice is VoteChoice.DISCARDED:
                continue
            if label.feedback_model is None or not judge.is_same(label.feedback_model, None):
                continue
            yield _Said(
                question=BETTER,
                source="comparisons",
                case=(vote.comparison,),
                cluster=label.conversation[-1].content,
                judge=_lean(label),
                probability=label.prob_a,
                human=_CLEAR.get(vote.verdict) if vote.verdict else None,
                reviewer=vote.reviewer,
                blind=vote.blind,
            )


def _list_critiques(workspace: Path, judge: JudgeName) -> Iterator[_Said]:
    events = read_events(workspace, Topic.REVIEWS)
    runs = {str(event.get("chain")): str(event.get("run")) for event in events if is_review(event)}
    rows: dict[str, RowIndex | None] = {}
    for review in fold_reviews(event for event in events if is_review(event)):
        run = runs.get(review["chain"], "")
        if run not in rows:
            rows[run] = _open_rows(workspace, run)
        row = _find_critique(rows[run], run, review["chain"], review["round"])
        if row is None or not judge.is_same(row.model_id, row.weights_hash):
            continue
        found = None if row.finding in (None, Finding.UNPARSED) else row.finding is Finding.FOUND
        yield _Said(
            question=FOUND,
            source="critiques",
            case=(review["chain"], review["round"]),
            cluster=row.prompt_id,
            judge=found,
            probability=None,
            human=_read_verdict(CritiqueVerdict(review["verdict"]), found),
            reviewer=review["reviewer"],
            blind=review["blind"],
        )


def _read_verdict(verdict: CritiqueVerdict, found: bool | None) -> bool | None:
    """Whether a person would have found something, by what they say of the critique."""
    match verdict:
        case CritiqueVerdict.NOT_NEEDED:
            return False
        case CritiqueVerdict.RIGHT:
            return found
        case CritiqueVerdict.WRONG:
            return None if found is None else not found
    return None


def _lean(label: LabelRecord) -> bool | None:
    """Which response is more probably the better one, a tie included; None where unreadable."""
    if label.verdict is Verdict.UNPARSED or label.prob_a is None or label.prob_a == 0.5:
        return None
    return label.prob_a > 0.5


def _open_rows(workspace: Path, run: str) -> RowIndex | None:
    try:
        return RowIndex(open_run(workspace / "runs" / run), CHAIN_STEP)
    except (CaiError, OSError):
        return None


def _find_critique(rows: RowIndex | None, run: str, chain: str, number: int) -> Row | None:
    first = None if rows is None else rows.get(chain)
    if rows is None or first is None:
        return None
    row_id = build_row_id(
        run_id=first.run_id,
        prompt_id=first.prompt_id,
        sample=first.sample,
        step=f"critique-{number}",
    )
    return rows.get(row_id)


@lru_cache(maxsize=16)
def _index_labels(folder: Path, _changed: int, _size: int) -> dict[str, LabelRecord]:
    return {label.comparison_id: label for label in read_labels(folder)}


def _stamp(workspace: Path) -> tuple[int, ...]:
    """What changes whenever somebody says something."""
    try:
        stat = get_journal_path(workspace, Topic.REVIEWS).stat()
    except OSError:
        return ()
    return stat.st_mtime_ns, stat.st_size
