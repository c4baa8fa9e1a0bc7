"""People's votes over all queues: the newest of each person, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.actions.comparison_reviews import make_queue, vote_comparison
from cai_core.actions.review_claims import undo_vote
from cai_core.evaluation.label_traits import LabelFilter
from cai_core.jobs.label_study import load_study
from cai_core.pipeline.human_labels import build_people, settle_verdict
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor, Verdict
from cai_core.workspace.comparison_votes import (
    AGREES,
    DISPUTED,
    OPEN,
    read_comparison_votes,
    settle_state,
)
from cai_core.workspace.review_votes import Vote, VoteChoice
from tests.label_workspace import write_labels
from tests.training.labels import make_label

ADA = Actor(name="ada", role=AccessRole.REVIEWER)


def make_vote(number: int, choice: VoteChoice) -> Vote:
    return Vote(
        vote=f"v{number}", queue="q", comparison="c", reviewer=f"r{number}", choice=choice,
        at=f"2026-01-01T00:00:{number:02}Z", reason="", blind=True, shown_first="A", seconds=1.0,
        exposed=False,
    )  # fmt: skip


@given(st.lists(st.sampled_from(VoteChoice), max_size=7), st.sampled_from([None, *Verdict]))
def test_a_state_is_what_recipes_that_drop_disputed_labels_see(
    choices: Sequence[VoteChoice], verdict: Verdict | None
) -> None:
    votes = [make_vote(number, choice) for number, choice in enumerate(choices)]
    state = settle_state(votes, verdict)
    people = build_people(votes).get("c", ())
    if verdict is None or not people:
        assert state == OPEN
    else:
        settled = settle_verdict(one.verdict for one in people)
        assert state == (AGREES if settled is verdict else DISPUTED)


@pytest.mark.parametrize("frozen", [False, True])
def test_the_newest_vote_in_any_queue_counts_until_it_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    if frozen:  # all in one millisecond
        monkeypatch.setattr(
            "cai_core.workspace.events.now", lambda: "2026-01-02T03:04:05.678+00:00"
        )
    write_labels(tmp_path, "one", [make_label(n) for n in range(3)])
    study = load_study(tmp_path / "runs" / "one")
    first, second = (
        make_queue(LOCAL_ACTOR, tmp_path, study=study, chosen=LabelFilter(), name=name)
        for name in ("first", "second")
    )
    assert read_comparison_votes(tmp_path) == {}
    for queue, choice in ((first, VoteChoice.A), (second, VoteChoice.BOTH_BAD)):
        vote_comparison(
            ADA, tmp_path, queue=queue.queue_id, comparison="c1", choice=choice, blind=True,
            shown_first="B",
        )  # fmt: skip
    votes = read_comparison_votes(tmp_path)
    assert read_comparison_votes(tmp_path) is votes
    assert [vote.choice for vote in votes["c1"]] == [VoteChoice.BOTH_BAD]
    undo_vote(ADA, tmp_path, queue=second.queue_id)
    assert [vote.choice for vote in read_comparison_votes(tmp_path)["c1"]] == [VoteChoice.A]
