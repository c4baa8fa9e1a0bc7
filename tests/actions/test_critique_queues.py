"""Queues of critiques through the actions: made, judged, edited, undone, exported, imported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cai_core.actions.critique_queues import discard_critique, make_critique_queue, vote_critique
from cai_core.actions.review_claims import claim_item, claim_next, note_look, undo_vote
from cai_core.actions.reviews import review_critique, undo_review
from cai_core.actions.vote_files import export_votes, import_votes
from cai_core.errors import CaiError, NotAllowedError, WorkspaceError
from cai_core.evaluation.review_critiques import measure_critiques
from cai_core.records import LOCAL_ACTOR, CritiqueVerdict
from cai_core.workspace.events import Topic, append_event, get_journal_path, read_events
from cai_core.workspace.index.views import RoundFilter
from cai_core.workspace.journal import verify_chain
from cai_core.workspace.review_critiques import CritiqueVote
from cai_core.workspace.review_queues import build_queue, list_queues, load_queue
from cai_core.workspace.review_rounds import RoundsFound, find_rounds
from cai_core.workspace.review_votes import (
    find_position,
    list_revisions,
    read_critique_votes,
    read_looks,
    read_votes,
)
from tests.chain_workspace import Round, Texts, write_chains
from tests.critique_makers import judge, make_chains, make_texts, open_index, queue_critiques
from tests.review_makers import ADA, BOB, VIEWER

RIGHT, PARTLY, WRONG, NOT_NEEDED = CritiqueVerdict


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    make_chains(tmp_path)
    return tmp_path


def standing(workspace: Path, queue: str) -> dict[tuple[str, str], str]:
    votes = read_critique_votes(workspace, queue)
    return {(v.item, v.reviewer): str(v.verdict.value if v.verdict else None) for v in votes}


def test_a_queue_is_a_filter_or_a_sample_and_immutable(workspace: Path) -> None:
    queue = queue_critiques(workspace, RoundFilter(finding="found"), selection="finding found")
    assert queue.kind == "critiques" and queue.run == "chains"
    assert (queue.population, queue.selection, queue.name) == (3, "finding found", "chains")
    assert {one.principle for one in queue.rounds} == {"p0"}
    assert {one.finding for one in queue.rounds} == {"found"}
    loaded = load_queue(workspace, queue.queue_id)
    assert loaded.rounds == queue.rounds and loaded.items == queue.items
    drawn = queue_critiques(workspace, width=0.8, seed=3)
    assert len(drawn.items) == 4 and drawn.population == 6
    assert queue_critiques(workspace, width=0.8, seed=3).queue_id == drawn.queue_id
    assert queue_critiques(workspace, width=0.8, seed=4).queue_id != drawn.queue_id
    queues, unread = list_queues(workspace)
    assert {one.queue_id for one in queues} >= {queue.queue_id, drawn.queue_id} and not unread
    path = workspace / "queues" / f"{queue.queue_id}.json"
    path.write_text(path.read_text().replace('"p0"', '"p1"'))
    with pytest.raises(WorkspaceError, match="was changed"):
        load_queue(workspace, queue.queue_id)


def test_a_queue_of_comparisons_keeps_the_id_it_had_before_there_were_others() -> None:
    told = build_queue(
        items=("c0", "c1"),
        name="n",
        run="r",
        overlap=2,
        blind=True,
        selection="",
        population=2,
        width=None,
        seed=0,
    )
    assert "kind" not in told.as_dict() and "rounds" not in told.as_dict()
    assert told.queue_id == "13d6f9c137a7b76b"


def test_rounds_without_a_critique_are_counted_and_left_out(tmp_path: Path) -> None:
    direct = Round(critique=None, finding=None, revision="So.")
    write_chains(tmp_path, "direct", [Texts(prompt="Why?", rounds=(direct,))])
    make_chains(tmp_path, 2)
    told: list[int] = []
    with open_index(tmp_path) as index:
        found = find_rounds(index.list_rounds, RoundFilter(), report=told.append)
        nothing = find_rounds(index.list_rounds, RoundFilter(finding="direct"))
    assert (len(found.rounds), found.without, told) == (4, 1, [5])
    with pytest.raises(CaiError, match="No critique matches"):
        make_critique_queue(LOCAL_ACTOR, tmp_path, found=nothing)


def test_more_than_can_be_read_is_refused_and_pages_are_joined(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cai_core.workspace.review_rounds._PAGE", 2)
    with open_index(workspace) as index:
        found = find_rounds(index.list_rounds, RoundFilter())
        assert len({one.item for one in found.rounds}) == 6
        monkeypatch.setattr("cai_core.workspace.review_rounds.MOST_ROUNDS", 5)
        with pytest.raises(WorkspaceError, match="Narrow the filter"):
            find_rounds(index.list_rounds, RoundFilter())
        drawn = [find_rounds(index.list_rounds, RoundFilter(), seed=seed) for seed in range(20)]
        again = find_rounds(index.list_rounds, RoundFilter(), seed=0)
    assert again == drawn[0]
    assert all((one.population, len(set(one.rounds))) == (6, 5) for one in drawn)
    # Whichever is left out is left out by chance.
    left_out = [set(found.rounds) - set(one.rounds) for one in drawn]
    assert len(set().union(*left_out)) > 3
    sample = make_critique_queue(LOCAL_ACTOR, workspace, found=drawn[0], width=0.8)
    assert (len(sample.items), sample.population) == (4, 6)
    # A card would promise more than the queue holds.
    for width in (None, 0.01):
        with pytest.raises(CaiError, match="a queue holds 5"):
            make_critique_queue(LOCAL_ACTOR, workspace, found=drawn[0], width=width)


def test_a_verdict_counts_beside_its_chain_too_and_can_be_taken_back_there(workspace: Path) -> None:
    queue = queue_critiques(workspace)
    item, place = queue.items[0], queue.rounds[0]
    review = judge(workspace, queue.queue_id, ADA, item, PARTLY, reason=" so ", revision=" Mine. ")
    (vote,) = read_critique_votes(workspace, queue.queue_id)
    assert (vote.vote, vote.verdict, vote.reason, vote.revision) == (review, PARTLY, "so", "Mine.")
    assert vote.blind and read_votes(workspace, queue.queue_id) == ()
    with open_index(workspace) as index:
        (told,) = index.list_reviews(place.chain)
        assert (told.reviewer, told.verdict, told.round) == ("ada", PARTLY, place.round)
        # What the model wrote is what it was.
        chain = index.get_chain(place.chain)
        assert chain is not None and "Mine." not in [step.text for step in chain.steps]
    where: dict[str, Any] = {"chain": place.chain, "run": place.run, "round": place.round}
    undo_review(BOB, workspace, **where, review=review)  # not his
    assert len(read_critique_votes(workspace, queue.queue_id)) == 1
    undo_review(ADA, workspace, **where, review=review)
    assert read_critique_votes(workspace, queue.queue_id) == ()
    # Put aside in the queue, what they said of it before counts nowhere.
    judge(workspace, queue.queue_id, ADA, item, PARTLY)
    discard_critique(ADA, workspace, queue=queue.queue_id, item=item, blind=True)
    with open_index(workspace) as index:
        assert index.list_reviews(place.chain) == ()
    undo_vote(ADA, workspace, queue=queue.queue_id)
    with open_index(workspace) as index:
        assert [one.verdict for one in index.list_reviews(place.chain)] == [PARTLY]
    undo_vote(ADA, workspace, queue=queue.queue_id)
    # One that is given beside the chain is none of the queue's.
    review_critique(ADA, workspace, **where, verdict=WRONG)
    assert read_critique_votes(workspace, queue.queue_id) == ()
    assert verify_chain(get_journal_path(workspace, Topic.REVIEWS)) == []


def test_claims_places_and_undo_are_those_of_every_queue(workspace: Path) -> None:
    queue = queue_critiques(workspace)
    first, second, third = queue.items[:3]
    told = {"queue": queue.queue_id}
    assert claim_next(ADA, workspace, **told) == first
    assert claim_next(BOB, workspace, **told) == second
    assert not claim_item(BOB, workspace, **told, item=first)
    judge(workspace, queue.queue_id, ADA, first, RIGHT)
    discard_critique(ADA, workspace, **told, item=third, blind=True)
    assert standing(workspace, queue.queue_id) == {(first, "ada"): "right", (third, "ada"): "None"}
    assert claim_next(BOB, workspace, **told, after=second) == third  # a discard takes no place
    assert undo_vote(ADA, workspace, **told) == third
    assert undo_vote(ADA, workspace, **told) == first
    with pytest.raises(CaiError, match="no vote of yours"):
        undo_vote(ADA, workspace, **told)
    judge(workspace, queue.queue_id, ADA, first, WRONG)
    (vote,) = read_critique_votes(workspace, queue.queue_id)
    assert (vote.verdict, vote.blind) == (WRONG, False)  # told by then
    with open_index(workspace) as index:
        assert [one.verdict for one in index.list_reviews(vote.chain)] == [WRONG]


def test_looks_at_harmful_text_are_counted_without_a_vote_and_after_undo(workspace: Path) -> None:
    queue = queue_critiques(workspace).queue_id
    first, second = load_queue(workspace, queue).items[:2]
    note_look(ADA, workspace, queue=queue, item=first)
    judge(workspace, queue, ADA, second, RIGHT, exposed=True)
    judge(workspace, queue, ADA, first, RIGHT, exposed=True)
    assert read_looks(workspace, queue) == {"ada": {first, second}}
    undo_vote(ADA, workspace, queue=queue)
    assert read_looks(workspace, queue) == {"ada": {first, second}}
    before = find_position(workspace, queue)
    note_look(BOB, workspace, queue=queue, item=first)
    assert find_position(workspace, queue) != before
    with pytest.raises(CaiError, match="not in the queue"):
        note_look(BOB, workspace, queue=queue, item="nothing.1")
    told = measure_critiques(
        read_critique_votes(workspace, queue),
        load_queue(workspace, queue).rounds,
        looks=read_looks(workspace, queue),
    )
    assert [(one.reviewer, one.exposed) for one in told.reviewers] == [("ada", 2)]


def test_peoples_revisions_are_found_by_their_chain(workspace: Path) -> None:
    queue = queue_critiques(workspace, overlap=2)
    judge(workspace, queue.queue_id, ADA, queue.items[0], PARTLY, revision="Mine.")
    judge(workspace, queue.queue_id, BOB, queue.items[0], RIGHT)
    (found,) = list_revisions(workspace, queue.rounds[0].chain)
    assert (found.reviewer, found.revision) == ("ada", "Mine.")
    undo_vote(ADA, workspace, queue=queue.queue_id)
    assert list_revisions(workspace, queue.rounds[0].chain) == ()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"verdict": "good"}, "no verdict on a critique"),
        ({"item": "nothing.1"}, "not in the queue"),
        ({"reason": "x" * 4001}, "The reason has 4001"),
        ({"revision": "x" * 20_001}, "The revision has 20001"),
        ({"queue": "0" * 16}, "cannot be read"),
    ],
)
def test_what_is_no_verdict_is_refused(workspace: Path, fields: Any, words: str) -> None:
    queue = queue_critiques(workspace)
    told = {"queue": queue.queue_id, "item": queue.items[0], "verdict": RIGHT, "blind": True}
    with pytest.raises(CaiError, match=words):
        vote_critique(ADA, workspace, **{**told, **fields})
    assert read_critique_votes(workspace, queue.queue_id) == ()


def test_each_action_asks_for_its_role(workspace: Path) -> None:
    queue = queue_critiques(workspace)
    told: dict[str, Any] = {"queue": queue.queue_id, "item": queue.items[0], "blind": True}
    for act in (
        lambda: vote_critique(VIEWER, workspace, **told, verdict=RIGHT),
        lambda: discard_critique(VIEWER, workspace, **told),
        lambda: make_critique_queue(
            VIEWER, workspace, found=RoundsFound(rounds=(), population=0, without=0)
        ),
    ):
        with pytest.raises(NotAllowedError):
            act()
    assert len(read_events(workspace, Topic.REVIEWS)) == 1


def test_broken_events_say_nothing(workspace: Path) -> None:
    queue = queue_critiques(workspace)
    place = {"chain": queue.rounds[0].chain, "round": queue.rounds[0].round}
    for fields in (
        {"queue": queue.queue_id},
        {"queue": queue.queue_id, **place, "verdict": "right"},
        {"queue": queue.queue_id, "chain": 3, "round": "x", "undone": []},
        {"queue": [1], "votes": [3, {"chain": "c"}], **place},
    ):
        for action in ("review critique", "discard critique", "undo review", "import votes"):
            append_event(workspace, Topic.REVIEWS, ADA, action, fields)
    assert read_critique_votes(workspace, queue.queue_id) == ()


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_an_export_imported_elsewhere_is_the_same(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory, format: Any
) -> None:
    queue = queue_critiques(workspace, overlap=2)
    first, second = queue.items[:2]
    judge(workspace, queue.queue_id, ADA, first, RIGHT, reason="=1+1 “ü”", revision="a\r\n-b")
    judge(workspace, queue.queue_id, BOB, first, WRONG, exposed=True, blind=False)
    discard_critique(BOB, workspace, queue=queue.queue_id, item=second, blind=True)
    file, card = export_votes(ADA, workspace, queue=queue.queue_id, format=format)
    assert "| votes | 2 |" in card and "| critiques with a person's revision | 1 |" in card
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    make_chains(elsewhere)
    assert queue_critiques(elsewhere, overlap=2).queue_id == queue.queue_id
    bad = b'{"vote": "x"}\n' if format == "jsonl" else b"three,cells,here\r\n"
    read = import_votes(LOCAL_ACTOR, elsewhere, queue=queue.queue_id, content=file + bad)
    assert (len(read.votes), read.known, len(read.refused)) == (3, 0, 1)
    again = import_votes(LOCAL_ACTOR, elsewhere, queue=queue.queue_id, content=file)
    assert (len(again.votes), again.known) == (0, 3)
    brought = read_critique_votes(elsewhere, queue.queue_id)
    here = read_critique_votes(workspace, queue.queue_id)
    assert [vote.as_dict() for vote in brought] == [vote.as_dict() for vote in here]
    assert {vote.imported_by for vote in brought} == {"local"}
    # Votes of comparisons are none of critiques.
    wrong = json.dumps({"vote": "x", "comparison": "c0"}).encode()
    refused = import_votes(LOCAL_ACTOR, elsewhere, queue=queue.queue_id, content=wrong).refused
    assert "queue is missing" in refused[0].reason


def test_peoples_revisions_are_data_to_fine_tune_on(tmp_path: Path) -> None:
    texts = [make_texts(n) for n in range(2)]
    write_chains(tmp_path, "chains", texts)
    queue = queue_critiques(tmp_path, RoundFilter(finding="found"), overlap=2)
    by_chain = {one.chain: one.item for one in queue.rounds}
    one, other = by_chain.values()
    judge(tmp_path, queue.queue_id, ADA, one, PARTLY, revision="What a person says.")
    judge(tmp_path, queue.queue_id, BOB, one, RIGHT)
    judge(tmp_path, queue.queue_id, BOB, other, RIGHT)
    file, card = export_votes(ADA, tmp_path, queue=queue.queue_id, format="sft")
    (line,) = map(json.loads, file.splitlines())
    question, answer = line["messages"]
    number = question["content"].removeprefix("How do I do thing ").rstrip("?")
    assert answer == {"role": "assistant", "content": "What a person says."}
    assert line["model_revision"] == f"Better {number}."
    assert (line["reviewer"], line["run"], line["round"]) == ("ada", "chains", 1)
    assert "| lines | 1 |" in card
    # A run that is gone takes the prompt with it; the vote stays.
    (tmp_path / "runs" / "chains" / "recipe.yaml").unlink()
    file, card = export_votes(ADA, tmp_path, queue=queue.queue_id, format="sft")
    assert file == b"" and "| left out: held out of training, or its run is gone | 1 |" in card
    with pytest.raises(CaiError, match="known are jsonl, csv, sft"):
        export_votes(ADA, tmp_path, queue=queue.queue_id, format="human")


def test_a_word_of_the_other_kind_is_not_the_queues(workspace: Path) -> None:
    queue = queue_critiques(workspace)
    place = queue.rounds[0]
    vote = CritiqueVote(
        vote="v", queue=queue.queue_id, chain=place.chain, round=place.round, reviewer="eve",
        at="2026-01-31T12:00:00Z", verdict=RIGHT, reason="", revision="", blind=True, seconds=1.0,
        exposed=False,
    )  # fmt: skip
    votes = [vote.as_dict(), {**vote.as_dict(), "vote": "w", "verdict": "good"}, 3]
    append_event(workspace, Topic.REVIEWS, ADA, "import votes", {"votes": votes, "queue": "q"})
    assert [one.vote for one in read_critique_votes(workspace, queue.queue_id)] == ["v"]
