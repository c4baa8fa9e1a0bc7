"""Queues, claims and votes through the actions: leases between processes, undo, export, import."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cai_core.actions.comparison_reviews import discard_comparison, vote_comparison
from cai_core.actions.review_claims import claim_item, claim_next, undo_vote
from cai_core.actions.vote_files import export_votes, export_votes_to, import_votes
from cai_core.errors import CaiError, NotAllowedError, WorkspaceError
from cai_core.evaluation.label_traits import LabelFilter
from cai_core.evaluation.review_export import build_votes_file
from cai_core.jobs.label_study import load_study
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.events import Topic, append_event, get_journal_path, read_events
from cai_core.workspace.journal import verify_chain
from cai_core.workspace.review_claims import LEASE_SECONDS, read_claims
from cai_core.workspace.review_fields import MAX_REASON
from cai_core.workspace.review_queues import list_queues, load_queue
from cai_core.workspace.review_votes import Vote, VoteChoice, read_votes
from tests.review_makers import ADA, BOB, RUN, VIEWER, make_workspace, queue_up, say

A, B, TIE, BAD = VoteChoice.A, VoteChoice.B, VoteChoice.TIE, VoteChoice.BOTH_BAD


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    make_workspace(tmp_path)
    return tmp_path


def standing(workspace: Path, queue: str) -> dict[tuple[str, str], str]:
    votes = read_votes(workspace, queue)
    return {(vote.comparison, vote.reviewer): vote.choice.value for vote in votes}


def test_a_queue_is_a_filters_or_a_sample_and_immutable(workspace: Path) -> None:
    queue = queue_up(workspace, LabelFilter(verdict="A"), name=" mine  own ", overlap=2)
    assert queue.items == ("c0", "c2", "c4")
    assert (queue.name, queue.selection, queue.population) == ("mine own", "verdict A", 3)
    again = queue_up(workspace, LabelFilter(verdict="A"), name="mine own", overlap=2)
    assert again.queue_id == queue.queue_id
    drawn = queue_up(workspace, width=0.8, seed=3)
    assert len(drawn.items) == 4 and drawn.population == 6
    assert queue_up(workspace, width=0.8, seed=4).queue_id != drawn.queue_id
    queues, unread = list_queues(workspace)
    assert {one.queue_id for one in queues} >= {queue.queue_id, drawn.queue_id} and not unread
    assert all(one.actor == "local" and one.at for one in queues)
    assert load_queue(workspace, queue.queue_id).items == queue.items


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"overlap": 0}, "from 1 to 9"),
        ({"overlap": True}, "from 1 to 9"),
        ({"width": 1.5}, "less than 1"),
        ({"chosen": LabelFilter(text="nowhere")}, "No comparison matches"),
        ({"name": "x" * 121}, "Shorten it to 120"),
    ],
)
def test_what_makes_no_queue_is_refused(workspace: Path, settings: Any, words: str) -> None:
    with pytest.raises(CaiError, match=words):
        queue_up(workspace, **settings)
    assert list_queues(workspace) == ([], [])


def test_a_queue_that_was_changed_is_not_used(workspace: Path) -> None:
    queue = queue_up(workspace)
    path = workspace / "queues" / f"{queue.queue_id}.json"
    path.write_text(path.read_text().replace("c1", "c9"))
    with pytest.raises(WorkspaceError, match="was changed"):
        load_queue(workspace, queue.queue_id)
    assert "was changed" in list_queues(workspace)[1][0]
    for name in ("../x", "0" * 16, ""):
        with pytest.raises(WorkspaceError):
            load_queue(workspace, name)


def test_a_reviewer_is_given_the_next_and_keeps_it(workspace: Path) -> None:
    queue = queue_up(workspace).queue_id
    assert claim_next(ADA, workspace, queue=queue, now=0) == "c0"
    assert claim_next(ADA, workspace, queue=queue, now=1) == "c0"  # a reload
    assert claim_next(BOB, workspace, queue=queue, now=2) == "c1"
    assert claim_next(ADA, workspace, queue=queue, after="c0", now=3) == "c2"
    assert claim_next(BOB, workspace, queue=queue, after="c1", backwards=True, now=4) == "c0"
    assert not claim_item(BOB, workspace, queue=queue, item="c2", now=5)
    assert not claim_item(BOB, workspace, queue=queue, item="c99", now=5)
    assert claim_item(BOB, workspace, queue=queue, item="c5", now=5)
    held = {who: claim.item for who, claim in read_claims(workspace, queue, now=6).items()}
    assert held == {"ada": "c2", "bob": "c5"}


def test_a_holder_that_crashed_is_waited_for_no_longer_than_the_lease(workspace: Path) -> None:
    queue = queue_up(workspace, LabelFilter(text="thing 3")).queue_id
    assert claim_next(ADA, workspace, queue=queue, now=0) == "c3"
    assert claim_next(BOB, workspace, queue=queue, now=LEASE_SECONDS - 1) is None
    assert claim_item(ADA, workspace, queue=queue, item="c3", now=400)  # renewed
    assert claim_next(BOB, workspace, queue=queue, now=LEASE_SECONDS + 1) is None
    assert claim_next(BOB, workspace, queue=queue, now=400 + LEASE_SECONDS) == "c3"
    assert not claim_item(ADA, workspace, queue=queue, item="c3", now=1001)
    # What she made of it all the same is not thrown away.
    say(workspace, queue, ADA, "c3", B)
    say(workspace, queue, BOB, "c3", A)
    assert standing(workspace, queue) == {("c3", "ada"): "B", ("c3", "bob"): "A"}


def test_a_damaged_file_of_claims_stops_nobody(workspace: Path) -> None:
    queue = queue_up(workspace).queue_id
    (workspace / "queues" / f"{queue}.claims.json").write_text('{"ada": [1')
    assert claim_next(ADA, workspace, queue=queue) == "c0"


WORKER = """
import sys
from pathlib import Path
from cai_core.actions.comparison_reviews import vote_comparison
from cai_core.actions.review_claims import claim_next
from cai_core.records import AccessRole, Actor
from cai_core.workspace.review_votes import VoteChoice
workspace, queue, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
actor = Actor(name=name, role=AccessRole.REVIEWER)
print("ready", flush=True)
sys.stdin.readline()
while (found := claim_next(actor, workspace, queue=queue)) is not None:
    print(found, flush=True)
    vote_comparison(actor, workspace, queue=queue, comparison=found, choice=VoteChoice.A,
                    blind=True, shown_first="A")
"""


@pytest.mark.parametrize("overlap", [1, 2])
def test_processes_at_once_share_a_queue_without_doubles(tmp_path: Path, overlap: int) -> None:
    make_workspace(tmp_path, 40)
    queue = queue_up(tmp_path, overlap=overlap)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), queue.queue_id, f"r{n}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(3)
    ]
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    given = [worker.communicate(timeout=60)[0].split() for worker in workers]
    assert all(worker.returncode == 0 for worker in workers)
    for mine in given:
        assert len(set(mine)) == len(mine)
    every = sorted(one for mine in given for one in mine)
    assert every == sorted(list(queue.items) * overlap)
    assert sum(bool(mine) for mine in given) > 1  # they did work at once
    assert len(read_votes(tmp_path, queue.queue_id)) == 40 * overlap
    assert verify_chain(get_journal_path(tmp_path, Topic.REVIEWS)) == []


def test_threads_at_once_are_never_given_one_place(workspace: Path) -> None:
    queue = queue_up(workspace, overlap=2).queue_id
    people = [Actor(name=f"r{n}", role=AccessRole.REVIEWER) for n in range(12)]
    begin = threading.Barrier(12)

    def claim(actor: Actor) -> str | None:
        begin.wait()
        return claim_next(actor, workspace, queue=queue)

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(claim, people))
    assert sorted(map(str, found)) == sorted([f"c{n}" for n in range(6)] * 2)


def test_the_newest_word_counts_and_undo_brings_the_one_before(workspace: Path) -> None:
    queue = queue_up(workspace).queue_id
    say(workspace, queue, ADA, "c0", A, reason=" why? ", seconds=2.34, exposed=True)
    say(workspace, queue, ADA, "c0", BAD)
    say(workspace, queue, BOB, "c0", B)
    other = queue_up(workspace, name="another").queue_id
    say(workspace, other, ADA, "c0", TIE)
    assert standing(workspace, queue) == {("c0", "ada"): "both bad", ("c0", "bob"): "B"}
    assert undo_vote(ADA, workspace, queue=queue) == "c0"
    (vote,) = (one for one in read_votes(workspace, queue) if one.reviewer == "ada")
    assert (vote.choice, vote.reason, vote.seconds, vote.exposed) == (A, "why?", 2.3, True)
    assert undo_vote(ADA, workspace, queue=queue) == "c0"
    assert standing(workspace, queue) == {("c0", "bob"): "B"}
    with pytest.raises(CaiError, match="no vote of yours"):
        undo_vote(ADA, workspace, queue=queue)
    assert standing(workspace, other) == {("c0", "ada"): "tie"}


def test_a_vote_is_blind_once(workspace: Path) -> None:
    """After it the reviewer has been told: neither a change nor a vote given again is blind."""
    queue = queue_up(workspace).queue_id
    say(workspace, queue, ADA, "c0", A)
    undo_vote(ADA, workspace, queue=queue)
    say(workspace, queue, ADA, "c0", A)
    discard_comparison(ADA, workspace, queue=queue, comparison="c1", blind=True, shown_first="A")
    say(workspace, queue, ADA, "c1", A)
    say(workspace, queue, ADA, "c2", A)
    say(workspace, queue, BOB, "c0", A)
    found = {(v.comparison, v.reviewer): v.blind for v in read_votes(workspace, queue)}
    assert [name for name, blind in found.items() if not blind] == [("c0", "ada"), ("c1", "ada")]


@pytest.mark.parametrize("frozen", [False, True])
def test_undo_takes_the_newest_of_several_back_and_frees_its_place(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    if frozen:  # all in one millisecond
        monkeypatch.setattr(
            "cai_core.workspace.events.now", lambda: "2026-01-02T03:04:05.678+00:00"
        )
    queue = queue_up(workspace).queue_id
    for name in ("c0", "c1"):
        say(workspace, queue, ADA, name, A)
    discard_comparison(ADA, workspace, queue=queue, comparison="c2", blind=True, shown_first="B")
    assert claim_next(BOB, workspace, queue=queue) == "c2"  # a discard takes no place
    assert undo_vote(ADA, workspace, queue=queue) == "c2"
    assert undo_vote(ADA, workspace, queue=queue) == "c1"
    assert claim_next(ADA, workspace, queue=queue) == "c1"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"choice": "C"}, "Choose one of A, B, tie, both bad"),
        ({"choice": VoteChoice.DISCARDED}, "is no vote"),
        ({"comparison": "c99"}, "not in the queue"),
        ({"shown_first": "left"}, "Give A or B"),
        ({"reason": "x" * (MAX_REASON + 1)}, "Shorten it to 4000"),
        ({"queue": "nothing"}, "no review queue's id"),
    ],
)
def test_what_is_no_vote_is_refused(workspace: Path, fields: Any, words: str) -> None:
    queue = queue_up(workspace).queue_id
    told = {"queue": queue, "comparison": "c0", "choice": A, "blind": True, "shown_first": "A"}
    with pytest.raises(CaiError, match=words):
        vote_comparison(ADA, workspace, **{**told, **fields})
    assert read_votes(workspace, queue) == ()


def test_each_action_asks_for_its_role(workspace: Path) -> None:
    queue = queue_up(workspace).queue_id
    told: dict[str, Any] = {"queue": queue}
    vote = {**told, "comparison": "c0", "blind": True, "shown_first": "A"}
    refused = [
        lambda: claim_next(VIEWER, workspace, **told),
        lambda: claim_item(VIEWER, workspace, **told, item="c0"),
        lambda: vote_comparison(VIEWER, workspace, **vote, choice=A),
        lambda: discard_comparison(VIEWER, workspace, **vote),
        lambda: undo_vote(VIEWER, workspace, **told),
        lambda: export_votes(VIEWER, workspace, **told, format="jsonl"),
        lambda: import_votes(ADA, workspace, **told, content=b"{}"),  # for others to say
    ]
    for act in refused:
        with pytest.raises(NotAllowedError):
            act()
    assert len(read_events(workspace, Topic.REVIEWS)) == 1


def test_broken_events_say_nothing(workspace: Path) -> None:
    queue = queue_up(workspace).queue_id
    for fields in ({}, {"queue": queue}, {"queue": [queue], "vote": 1, "votes": 3}):
        for action in ("vote on comparison", "undo vote", "import votes"):
            append_event(workspace, Topic.REVIEWS, ADA, action, fields)
    with get_journal_path(workspace, Topic.REVIEWS).open("ab") as file:
        file.write(b'{"queue": half\n')
    assert read_votes(workspace, queue) == ()
    say(workspace, queue, ADA, "c0", A)
    assert len(read_votes(workspace, queue)) == 1


def test_a_journal_that_is_another_one_is_read_anew(workspace: Path) -> None:
    queue = queue_up(workspace).queue_id
    say(workspace, queue, ADA, "c0", A)
    assert len(read_votes(workspace, queue)) == 1
    get_journal_path(workspace, Topic.REVIEWS).unlink()
    assert read_votes(workspace, queue) == ()
    say(workspace, queue, ADA, "c1", A)
    assert standing(workspace, queue) == {("c1", "ada"): "A"}


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_an_export_imported_elsewhere_is_the_same(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory, format: Any
) -> None:
    queue = queue_up(workspace, overlap=2).queue_id
    say(workspace, queue, ADA, "c0", A, reason="=1+1 “ü”\nsecond line")
    say(workspace, queue, BOB, "c0", B, blind=False, exposed=True)
    discard_comparison(BOB, workspace, queue=queue, comparison="c1", blind=True, shown_first="B")
    study = load_study(workspace / "runs" / RUN)
    file, card = export_votes(ADA, workspace, queue=queue, format=format, study=study)
    assert "| votes | 2 |" in card and "kappa" in card
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    make_workspace(elsewhere)
    assert queue_up(elsewhere, overlap=2).queue_id == queue
    read = import_votes(LOCAL_ACTOR, elsewhere, queue=queue, content=file, file="v")
    assert (len(read.votes), read.known, read.refused) == (3, 0, ())
    again = import_votes(LOCAL_ACTOR, elsewhere, queue=queue, content=file, file="v")
    assert (len(again.votes), again.known) == (0, 3)
    brought = read_votes(elsewhere, queue)
    assert build_votes_file(brought, format) == file
    assert {vote.imported_by for vote in brought} == {"local"}
    here = [vote.as_dict() for vote in read_votes(workspace, queue)]
    assert [vote.as_dict() for vote in brought] == here
    # Undo is for what was said here; a newer word counts over an imported one.
    with pytest.raises(CaiError, match="no vote of yours"):
        undo_vote(ADA, elsewhere, queue=queue)
    say(elsewhere, queue, ADA, "c0", TIE)
    assert standing(elsewhere, queue)["c0", "ada"] == "tie"


def test_an_older_vote_that_is_imported_does_not_undo_a_newer_one(workspace: Path) -> None:
    queue = queue_up(workspace).queue_id
    say(workspace, queue, ADA, "c0", A)
    (vote,) = read_votes(workspace, queue)
    old = Vote(
        **{
            **{name: getattr(vote, name) for name in Vote.__dataclass_fields__},
            "vote": "old",
            "choice": B,
            "at": "2020-01-01T00:00:00+00:00",
        }
    )
    content = build_votes_file([old], "jsonl")
    assert import_votes(LOCAL_ACTOR, workspace, queue=queue, content=content).votes == (old,)
    assert standing(workspace, queue) == {("c0", "ada"): "A"}


def test_an_export_brings_nothing_back_that_was_replaced_or_taken_back(workspace: Path) -> None:
    queue = queue_up(workspace).queue_id
    say(workspace, queue, ADA, "c0", A)
    say(workspace, queue, ADA, "c1", A)
    old = build_votes_file(read_votes(workspace, queue), "jsonl")
    undo_vote(ADA, workspace, queue=queue)
    say(workspace, queue, ADA, "c0", B)
    read = import_votes(LOCAL_ACTOR, workspace, queue=queue, content=old)
    assert (read.votes, read.known, read.refused) == ((), 2, ())
    assert standing(workspace, queue) == {("c0", "ada"): "B"}


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_no_other_zone_has_is_no_vote(workspace: Path, at: str) -> None:
    queue = queue_up(workspace).queue_id
    say(workspace, queue, ADA, "c0", A)
    plain = read_votes(workspace, queue)[0].as_dict()
    content = json.dumps({**plain, "vote": "v", "at": at}).encode()
    read = import_votes(LOCAL_ACTOR, workspace, queue=queue, content=content)
    assert not read.votes and "not a time" in read.refused[0].reason


def test_many_votes_are_imported_in_few_lines(workspace: Path) -> None:
    queue = queue_up(workspace).queue_id
    say(workspace, queue, ADA, "c0", A)
    plain = read_votes(workspace, queue)[0].as_dict()
    lines = [json.dumps({**plain, "vote": f"v{n}", "reviewer": f"r{n}"}) for n in range(1201)]
    read = import_votes(LOCAL_ACTOR, workspace, queue=queue, content="\n".join(lines).encode())
    assert len(read.votes) == 1201
    assert len(read_votes(workspace, queue)) == 1202
    assert len(read_events(workspace, Topic.REVIEWS)) == 2 + 3


def test_a_file_and_its_card_are_written_together(workspace: Path, tmp_path: Path) -> None:
    queue = queue_up(workspace).queue_id
    say(workspace, queue, ADA, "c0", A)
    out = tmp_path / "votes.csv"
    card = export_votes_to(ADA, workspace, queue=queue, format="csv", out=out)
    assert card.read_text().startswith("---") and out.read_bytes().startswith(b"vote,")
    with pytest.raises(WorkspaceError, match="no such folder"):
        export_votes_to(ADA, workspace, queue=queue, format="csv", out=tmp_path / "x" / "y")
    events = [event["action"] for event in read_events(workspace, Topic.LAUNCHES)]
    assert events == ["export votes"]
