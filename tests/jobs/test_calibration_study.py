"""A judge against people: what they say of answers, comparisons and critiques."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cai_core.actions.answer_reviews import review_answer
from cai_core.actions.comparison_reviews import make_queue, vote_comparison
from cai_core.actions.reviews import review_critique
from cai_core.errors import CaiError
from cai_core.evaluation.label_traits import LabelFilter
from cai_core.jobs.calibration_study import (
    BETTER,
    FOUND,
    JudgeName,
    get_judge,
    study_calibration,
)
from cai_core.jobs.label_study import load_study
from cai_core.records import AccessRole, Actor, CritiqueVerdict, Finding, StepKind, Verdict
from cai_core.workspace.answer_reviews import read_answer_reviews
from cai_core.workspace.review_votes import VoteChoice
from cai_core.workspace.rows import build_row_id
from cai_core.workspace.runs import create_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter
from tests.drift_workspace import write_evaluation
from tests.evaluation.drift_makers import HEADER, make_line
from tests.label_workspace import write_labels
from tests.training.labels import make_label
from tests.workspace.rows_of import make_row

HARM = "harmful compliance"
JUDGE = JudgeName(name="judge", model_id="judge", weights_hash="w" * 64)
ANN, BOB = (Actor(name=name, role=AccessRole.REVIEWER) for name in ("ann", "bob"))


def say(workspace: Path, number: int, shown: bool | None, actor: Actor = ANN, **more: Any) -> None:
    review_answer(
        actor,
        workspace,
        run="evaluated",
        prompt_id=f"p{number}",
        sample=0,
        measure=HARM,
        shown=shown,
        **more,
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Six judged answers: the judge finds harm in the first three, and cannot read the last."""
    told = [True, True, True, False, False, None]
    lines = [
        make_line(f"p{n}", "harmful", 0, {HARM: {"judge": shown}}) for n, shown in enumerate(told)
    ]
    write_evaluation(tmp_path, "evaluated", lines)
    return tmp_path


def test_nobody_has_said_anything(workspace: Path) -> None:
    assert get_judge(HEADER) == JUDGE
    assert get_judge({**HEADER, "judge": None}) is None
    assert study_calibration(workspace, JUDGE) == ()


def test_words_on_answers_are_counted_by_hand(workspace: Path) -> None:
    for number, shown in enumerate([True, True, False, False, None, True]):
        say(workspace, number, shown, blind=True)
    (found,) = study_calibration(workspace, JUDGE)
    told = found.calibration
    assert (found.question, found.source, found.blind, found.reviewers) == (HARM, "answers", 1.0, 1)
    assert (told.n, told.both, told.judge_only, told.human_only, told.neither) == (4, 2, 1, 0, 1)
    assert (told.undecided, told.unparsed) == (1, 1)
    assert told.agreement.rate == 0.75 and told.bias == 0.25
    # Another judge's words are not calibrated by these.
    assert study_calibration(workspace, JudgeName(name="o", model_id="o")) == ()
    other = JudgeName(name="judge", model_id="judge", weights_hash="0" * 64)
    assert study_calibration(workspace, other) == ()


def test_the_newest_word_counts_and_an_even_split_is_undecided(workspace: Path) -> None:
    say(workspace, 0, False, blind=True)
    say(workspace, 0, True, blind=True)
    (one,) = read_answer_reviews(workspace)
    # A word that is said again has seen the judge's.
    assert (one.shown, one.blind) == (True, False)
    say(workspace, 0, False, BOB, blind=True)
    (found,) = study_calibration(workspace, JUDGE)
    assert (found.calibration.n, found.calibration.undecided, found.reviewers) == (0, 1, 2)
    assert found.blind == 0.5


def test_what_is_no_answer_or_no_measure_is_refused(workspace: Path) -> None:
    with pytest.raises(CaiError, match="has no answer 'p9'"):
        say(workspace, 9, True)
    with pytest.raises(CaiError, match="is no measure"):
        review_answer(
            ANN, workspace, run="evaluated", prompt_id="p0", sample=0, measure="x", shown=True
        )
    with pytest.raises(CaiError, match="Shorten it to 4000"):
        say(workspace, 0, True, reason="x" * 4001)
    assert read_answer_reviews(workspace) == ()


def test_votes_of_review_queues_calibrate_who_labelled(workspace: Path) -> None:
    probs = [0.9, 0.8, 0.2, 0.55, 0.5]
    labels = [make_label(n, prob, feedback_model="judge") for n, prob in enumerate(probs)]
    labels[3] = make_label(3, 0.55, feedback_model="judge", verdict=Verdict.TIE)
    run = write_labels(workspace, "labels", labels)
    queue = make_queue(ANN, workspace, study=load_study(run.path), chosen=LabelFilter())
    choices = [VoteChoice.A, VoteChoice.B, VoteChoice.B, VoteChoice.A, VoteChoice.TIE]
    for label, choice in zip(labels, choices, strict=True):
        vote_comparison(
            ANN,
            workspace,
            queue=queue.queue_id,
            comparison=label.comparison_id,
            choice=choice,
            blind=True,
            shown_first="A",
        )
    (found,) = study_calibration(workspace, JUDGE)
    told = found.calibration
    assert (found.question, found.source) == (BETTER, "comparisons")
    # A tie's lean counts; an even label, or a person's tie, decides nothing.
    assert (told.n, told.both, told.judge_only, told.neither) == (4, 2, 1, 1)
    assert told.undecided == 1 and told.error is not None
    # Who says it again in another queue is still one person: against Bob’s word it is even.
    again = make_queue(ANN, workspace, study=load_study(run.path), chosen=LabelFilter(), name="2")
    one: dict[str, Any] = {"comparison": labels[1].comparison_id, "blind": True, "shown_first": "A"}
    vote_comparison(ANN, workspace, queue=again.queue_id, choice=VoteChoice.B, **one)
    vote_comparison(BOB, workspace, queue=queue.queue_id, choice=VoteChoice.A, **one)
    (found,) = study_calibration(workspace, JUDGE)
    assert found.reviewers == 2
    assert (found.calibration.judge_only, found.calibration.undecided) == (0, 2)


def test_reviews_of_critiques_calibrate_who_criticised(workspace: Path) -> None:
    run = create_run(workspace / "runs" / "chains", kind="revise", recipe={"a": 1})
    findings = [Finding.FOUND, Finding.NOT_TOUCHED, Finding.FOUND]
    rows, chains = [], []
    for number, finding in enumerate(findings):
        prompt = f"q{number}"
        ids = {
            step: build_row_id(run_id="chains", prompt_id=prompt, sample=0, step=step)
            for step in ("response", "critique-1")
        }
        chains.append(ids["response"])
        rows.append(make_row("chains", prompt, row_id=ids["response"], step="response"))
        rows.append(
            make_row(
                "chains",
                prompt,
                row_id=ids["critique-1"],
                step="critique-1",
                kind=StepKind.CRITIQUE,
                finding=finding,
                model_id="judge",
                weights_hash="w" * 64,
            )
        )
    with RunWriter(run) as writer:
        writer.append_rows("chain", [row.as_dict() for row in rows])
        writer.set_status(RunState.SUCCEEDED)
    verdicts = (CritiqueVerdict.RIGHT, CritiqueVerdict.WRONG, CritiqueVerdict.NOT_NEEDED)
    for chain, verdict in zip(chains, verdicts, strict=True):
        review_critique(ANN, workspace, chain=chain, run="chains", round=1, verdict=verdict)
    (found,) = study_calibration(workspace, JUDGE)
    told = found.calibration
    assert (found.question, told.n) == (FOUND, 3)
    assert (told.both, told.judge_only, told.human_only) == (1, 1, 1)
