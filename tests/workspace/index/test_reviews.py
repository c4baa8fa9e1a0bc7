"""Reviews in the index: what counts of them, and the same whatever the pieces they come in."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cai_core.actions.chains import mark_chain
from cai_core.actions.reviews import review_critique, undo_review
from cai_core.records import AccessRole, Actor, CritiqueVerdict
from cai_core.workspace.events import Topic, get_journal_path
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.index.reviews import CritiqueReview
from tests.workspace.index.conftest import Opener

ADA = Actor(name="ada", role=AccessRole.REVIEWER)
BOB = Actor(name="bob\ud800", role=AccessRole.REVIEWER)
CHAINS = ("c1", "c2")
# A step is a review, an undo of the n-th review so far, a mark, or a look at the files.
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("say"),
            st.sampled_from([ADA, BOB]),
            st.sampled_from(CHAINS),
            st.integers(1, 2),
            st.sampled_from(list(CritiqueVerdict)),
            st.text(max_size=5),
        ),
        st.tuples(st.just("undo"), st.sampled_from([ADA, BOB]), st.integers(0, 5)),
        st.tuples(st.just("mark"), st.sampled_from(CHAINS)),
        st.tuples(st.just("look")),
    ),
    max_size=14,
)


def take(index: WorkspaceIndex) -> list[tuple[CritiqueReview, ...]]:
    return [index.list_reviews(chain) for chain in CHAINS]


def act(workspace: Path, index: WorkspaceIndex, steps: list[Any]) -> dict[Any, list[Any]]:
    """Do it; returns by place what each reviewer said and did not take back."""
    made: list[tuple[str, str, int]] = []
    stacks: dict[tuple[str, int, str], list[tuple[str, CritiqueVerdict]]] = {}
    for step in steps:
        match step:
            case ("say", actor, chain, round_, verdict, reason):
                fields = {"chain": chain, "run": "r", "round": round_, "verdict": verdict}
                review = review_critique(actor, workspace, **fields, reason=reason)
                made.append((review, chain, round_))
                stacks.setdefault((chain, round_, actor.name), []).append((review, verdict))
            case ("undo", actor, number) if number < len(made):
                review, chain, round_ = made[number]
                fields = {"chain": chain, "run": "r", "round": round_}
                undo_review(actor, workspace, **fields, review=review)
                stack = stacks.get((chain, round_, actor.name), [])
                stack[:] = [one for one in stack if one[0] != review]
            case ("mark", chain):
                mark_chain(ADA, workspace, chain=chain, run="r", saved=True, note="n")
            case ("look",):
                index.ingest()
    return stacks


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_incremental_is_as_a_rebuild_and_as_what_was_said(tmp_path: Path, steps: Any) -> None:
    workspace = tmp_path / "w"
    shutil.rmtree(workspace, ignore_errors=True)
    index = WorkspaceIndex.open(workspace)
    try:
        stacks = act(workspace, index, steps)
        index.ingest()
        piecemeal, marked = take(index), index.count_marked()
    finally:
        index.close()
    told = {
        (one.chain, one.round, one.reviewer.replace("\ufffd", "\ud800")): one.verdict
        for reviews in piecemeal
        for one in reviews
    }
    assert told == {place: stack[-1][1] for place, stack in stacks.items() if stack}
    index = WorkspaceIndex.open(workspace, fresh=True)
    try:
        index.ingest()
        assert (take(index), index.count_marked()) == (piecemeal, marked)
    finally:
        index.close()


def test_reviews_are_told_by_round_the_oldest_first(workspace: Path, open_index: Opener) -> None:
    index = open_index()
    where: dict[str, Any] = {"chain": "c1", "run": "r"}
    for round_, actor in ((2, ADA), (1, BOB), (1, ADA)):
        verdict = CritiqueVerdict.PARTLY
        review_critique(actor, workspace, **where, round=round_, verdict=verdict, reason="so")
    index.ingest()
    found = index.list_reviews("c1")
    assert [(one.round, one.reviewer) for one in found] == [
        (1, "bob\ufffd"),
        (1, "ada"),
        (2, "ada"),
    ]
    assert {(one.verdict, one.reason, one.blind) for one in found} == {
        (CritiqueVerdict.PARTLY, "so", False)
    }
    assert index.list_reviews("nothing") == ()


def test_a_journal_that_is_gone_takes_its_reviews_along(
    workspace: Path, open_index: Opener
) -> None:
    verdict = CritiqueVerdict.RIGHT
    review_critique(ADA, workspace, chain="c1", run="r", round=1, verdict=verdict)
    index = open_index()
    assert len(index.list_reviews("c1")) == 1
    get_journal_path(workspace, Topic.REVIEWS).unlink()
    index.ingest()
    assert index.list_reviews("c1") == ()


@pytest.mark.parametrize("chain", ["\ud800", "'; drop table critique_reviews; --", ""])
def test_any_chain_may_be_asked_about(workspace: Path, open_index: Opener, chain: str) -> None:
    assert open_index().list_reviews(chain) == ()
