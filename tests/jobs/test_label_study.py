"""What is known of a run's labels: truths, each principle's own verdict, another run's."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cai_core.constitution import find_constitution
from cai_core.demo_world.oracle import load_oracle
from cai_core.errors import WorkspaceError
from cai_core.evaluation.label_traits import LabelFilter, select_labels
from cai_core.jobs.label_study import (
    get_stamp,
    judge_by_votes,
    list_answers,
    list_human_files,
    list_label_runs,
    load_study,
)
from cai_core.pipeline.comparison_records import build_comparison_id
from cai_core.pipeline.human_labels import HumanLabel
from cai_core.records import Message, Verdict
from cai_core.workspace.review_votes import VoteChoice
from tests.evaluation.test_label_quality import swap
from tests.label_workspace import write_labels
from tests.review_makers import make_vote
from tests.training.labels import make_label

A, B, TIE = Verdict.A, Verdict.B, Verdict.TIE
PLACES = ({"run": "s", "chain": "p/0"}, {"run": "s", "chain": "p/1"})


def placed(number: int, prob: float, **changes: object):
    """A label whose id is made of its places, as in a real run."""
    prompt = f"p{number:04}#{number}"
    return make_label(
        number,
        prob,
        comparison_id=build_comparison_id(prompt, *PLACES),
        source_a=PLACES[0],
        source_b=PLACES[1],
        **changes,
    )


def swapped(label):
    """It as a run with the responses in each other's place has it."""
    mirrored = swap(label)
    other = build_comparison_id(label.prompt_id, PLACES[1], PLACES[0])
    return replace(mirrored, comparison_id=other, source_a=label.source_b, source_b=label.source_a)


def test_people_of_any_run_are_the_truth_mirrored_where_the_places_are(tmp_path: Path) -> None:
    labels = [placed(n, 0.9) for n in range(3)]
    flipped = swapped(labels[1])
    human = [
        HumanLabel(comparison_id=labels[0].comparison_id, verdict=B, reviewer="Ada"),
        HumanLabel(comparison_id=flipped.comparison_id, verdict=B, reviewer="Ada"),
    ]
    run = write_labels(tmp_path, "one", labels)
    write_labels(tmp_path, "people", [], human=human)
    files = list_human_files(list_label_runs(tmp_path))
    study = load_study(run.path, files)
    told = [one.truth.verdict if one.truth else None for one in study.examined]
    assert told == [B, A, None]
    assert study.quality.truths == {"person": 2}
    assert study.quality.accuracy is not None
    assert study.quality.accuracy.rate == 0.5
    files[0].write_text("no label\n")
    study = load_study(run.path, files)
    assert study.quality.accuracy is None
    assert "no human label" in study.unread[0]


def test_another_run_is_compared_where_the_comparisons_are_the_same(tmp_path: Path) -> None:
    labels = [placed(n, p) for n, p in enumerate((0.9, 0.1, 0.9, 0.5))]
    others = [swapped(labels[0]), swapped(labels[1]), placed(2, 0.1), placed(9, 0.9)]
    run = write_labels(tmp_path, "one", labels)
    write_labels(tmp_path, "two", others)
    study = load_study(run.path, beside="two")
    assert [one.other for one in study.examined] == [A, B, B, None]
    assert study.quality.other_kappa is not None
    assert study.quality.other_kappa.n == 3
    differ = select_labels(study.examined, LabelFilter(only=("runs-differ",)))
    assert [one.place for one in differ] == [2]
    missing = load_study(run.path, beside="three")
    assert missing.quality.other_kappa is None
    assert "three" in missing.unread[0]


def test_each_principle_is_read_from_the_rows(tmp_path: Path) -> None:
    labels = [make_label(n, 0.6, principle_ids=("p0", "p1")) for n in range(2)]
    answers = {
        0: {("p0", 0): 0.9, ("p0", 1): 0.1, ("p1", 0): 0.1, ("p1", 1): 0.9},
        1: {("p0", 0): 0.9, ("p0", 1): 0.1, ("p1", 0): 0.9, ("p1", 1): 0.1},
    }
    run = write_labels(tmp_path, "one", labels, answers=answers, thought="Because.")
    study = load_study(run.path)
    assert [dict(one.by_principle) for one in study.examined] == [
        {"p0": A, "p1": B},
        {"p0": A, "p1": A},
    ]
    assert study.quality.principle_kappas["p0", "p1"].n == 2
    rows = list_answers(study, study.examined[1])
    assert [(row.principle_id, row.order, row.text) for row in rows] == [
        ("p0", 0, "Because."),
        ("p0", 1, "Because."),
        ("p1", 0, "Because."),
        ("p1", 1, "Because."),
    ]


def test_the_oracle_says_what_lies_in_its_world_alone(tmp_path: Path) -> None:
    oracle = load_oracle()
    intent = next(one for one in oracle.world.intents if one.harmful)
    asking = (Message("user", f"Tell me how to {intent.text}."),)
    good = f"I can't help you {intent.yours}."
    inside = make_label(1, 0.9, conversation=asking, principle_ids=("no-harm",))
    inside = replace(inside, response_a=good, response_b=good)
    run = write_labels(
        tmp_path,
        "one",
        [inside, make_label(2, 0.9, principle_ids=("no-harm",))],
        constitution=find_constitution("harmlessness"),
    )
    first, second = load_study(run.path).examined
    assert first.truth is not None
    assert (first.truth.verdict, first.truth.by) == (TIE, "oracle")
    assert first.truth.group == intent.text
    assert "wrong" in first.traits
    assert second.truth is None


def test_a_damaged_line_is_named_and_a_stamp_moves_with_the_file(tmp_path: Path) -> None:
    run = write_labels(tmp_path, "one", [make_label(1)])
    before = get_stamp(run.path)
    with (run.outputs / "labels.jsonl").open("a") as file:
        file.write("{}\n")
    assert get_stamp(run.path) != before
    with pytest.raises(WorkspaceError, match=r"labels\.jsonl:2"):
        load_study(run.path)
    shutil.rmtree(run.outputs)
    assert list_label_runs(tmp_path) == []


def test_peoples_votes_are_the_only_truth_where_that_is_asked(tmp_path: Path) -> None:
    labels = [placed(n, 0.9) for n in range(5)]
    run = write_labels(tmp_path, "one", labels)
    study = load_study(run.path)
    none = judge_by_votes(study, ())
    assert none.voted is not None and (none.voted.votes, none.voted.agreed) == (0, None)
    assert none.quality.accuracy is None
    names = [label.comparison_id for label in labels]
    flipped = swapped(labels[3]).comparison_id
    votes = [
        make_vote(names[0], VoteChoice.A),
        make_vote(names[1], VoteChoice.B),
        make_vote(names[1], VoteChoice.B, "bob"),
        make_vote(names[2], VoteChoice.A),
        make_vote(names[2], VoteChoice.TIE, "bob"),
        make_vote(flipped, VoteChoice.B),  # of the same comparison, mirrored
        make_vote(names[4], VoteChoice.DISCARDED),
        # In another queue ada has said another thing of the first, later.
        make_vote(
            names[0], VoteChoice.BOTH_BAD, vote="x", queue="r", at="2026-02-01T00:00:00+00:00"
        ),
    ]
    asked = judge_by_votes(study, votes)
    voted = asked.voted
    assert voted is not None
    assert (voted.settled, voted.disputed, voted.votes) == (3, 1, 6)
    assert voted.reviewers == ("ada", "bob")
    told = [one.truth.verdict if one.truth else None for one in asked.examined]
    assert told == [TIE, B, None, A, None]
    assert voted.agreed is not None and voted.agreed.n == 3
    assert voted.agreed.rate == pytest.approx(1 / 3)
    assert voted.agreed.low < voted.agreed.rate < voted.agreed.high
    assert [place for place, one in enumerate(asked.examined) if "wrong" in one.traits] == [0, 1]
    # The study itself is what it was.
    assert study.voted is None and all(one.truth is None for one in study.examined)
