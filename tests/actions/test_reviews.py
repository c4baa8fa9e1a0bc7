"""Reviews of critiques: journalled with their actor, checked, and taken back by who said them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cai_core.actions.reviews import review_critique, undo_review
from cai_core.errors import CaiError
from cai_core.records import AccessRole, Actor, CritiqueVerdict
from cai_core.workspace.events import Topic, get_journal_path, read_events
from cai_core.workspace.journal import verify_chain
from cai_core.workspace.review_fields import MAX_REASON
from cai_core.workspace.review_folding import fold_reviews

ADA = Actor(name="ada", role=AccessRole.REVIEWER)
BOB = Actor(name="bob", role=AccessRole.REVIEWER)
WHERE: dict[str, Any] = {"chain": "c", "run": "r", "round": 1}


def say(workspace: Path, actor: Actor, verdict: CritiqueVerdict, **fields: Any) -> str:
    return review_critique(actor, workspace, **{**WHERE, **fields}, verdict=verdict)


def standing(workspace: Path) -> dict[tuple[int, str], str]:
    rows = fold_reviews(read_events(workspace, Topic.REVIEWS))
    return {(row["round"], row["reviewer"]): row["verdict"] for row in rows}


def test_a_review_is_journalled_with_its_actor(tmp_path: Path) -> None:
    review = say(tmp_path, ADA, CritiqueVerdict.NOT_NEEDED, reason=" why? ", blind=True)
    (event,) = read_events(tmp_path, Topic.REVIEWS)
    assert (event["actor"], event["action"], event["review"]) == ("ada", "review critique", review)
    said = (event["chain"], event["run"], event["round"], event["verdict"], event["reason"])
    assert said == ("c", "r", 1, "not needed", "why?")
    assert event["blind"] is True
    assert verify_chain(get_journal_path(tmp_path, Topic.REVIEWS)) == []


def test_the_newest_word_counts_and_undoing_it_brings_the_one_before(tmp_path: Path) -> None:
    first = say(tmp_path, ADA, CritiqueVerdict.RIGHT)
    second = say(tmp_path, ADA, CritiqueVerdict.WRONG)
    say(tmp_path, BOB, CritiqueVerdict.PARTLY)
    say(tmp_path, ADA, CritiqueVerdict.RIGHT, round=2)
    others = {(1, "bob"): "partly", (2, "ada"): "right"}
    assert standing(tmp_path) == {(1, "ada"): "wrong", **others}
    undo_review(ADA, tmp_path, **WHERE, review=second)
    assert standing(tmp_path) == {(1, "ada"): "right", **others}
    undo_review(ADA, tmp_path, **WHERE, review=second)  # twice is once
    assert standing(tmp_path) == {(1, "ada"): "right", **others}
    undo_review(ADA, tmp_path, **WHERE, review=first)
    assert standing(tmp_path) == others


def test_nobody_takes_back_what_another_said(tmp_path: Path) -> None:
    review = say(tmp_path, ADA, CritiqueVerdict.RIGHT)
    undo_review(BOB, tmp_path, **WHERE, review=review)
    undo_review(ADA, tmp_path, **{**WHERE, "round": 2}, review=review)
    assert standing(tmp_path) == {(1, "ada"): "right"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"verdict": "perhaps"}, "Choose one of right, partly, wrong, not needed"),
        ({"verdict": None}, "no verdict"),
        ({"round": 0}, "numbered from 1"),
        ({"round": True}, "numbered from 1"),
        ({"reason": "x" * (MAX_REASON + 1)}, "Shorten it to 4000"),
    ],
)
def test_what_is_no_review_is_refused(tmp_path: Path, fields: Any, words: str) -> None:
    with pytest.raises(CaiError, match=words):
        review_critique(ADA, tmp_path, **{**WHERE, "verdict": CritiqueVerdict.RIGHT, **fields})
    assert read_events(tmp_path, Topic.REVIEWS) == []


def test_nothing_to_take_back_is_said(tmp_path: Path) -> None:
    with pytest.raises(CaiError, match="no review to take back"):
        undo_review(ADA, tmp_path, **WHERE, review="")


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"chain": "c", "round": 1, "actor": "ada"},
        {"chain": "c", "round": "1", "actor": "ada", "verdict": "right"},
        {"chain": "c", "round": True, "actor": "ada", "verdict": "right"},
        {"chain": "c", "round": 2**40, "actor": "ada", "verdict": "right"},
        {"chain": "", "round": 1, "actor": "ada", "verdict": "right"},
        {"chain": "c", "round": 1, "actor": ["ada"], "verdict": "right"},
        {"chain": "c", "round": 1, "actor": "ada", "verdict": ["right"]},
        {"chain": "c", "round": 1, "actor": "ada", "saved": True, "note": "n"},
    ],
)
def test_events_that_are_no_reviews_say_nothing(event: dict[str, Any]) -> None:
    assert fold_reviews([event]) == []
