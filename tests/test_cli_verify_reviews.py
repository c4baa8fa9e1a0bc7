"""`verify` on review queues: edited, gone and unknown ones, and votes that belong to none."""

from __future__ import annotations

from pathlib import Path

import pytest

from cai_core.cli import main
from cai_core.records import CritiqueVerdict
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.review_votes import VoteChoice, read_critique_votes, read_votes
from tests.critique_makers import judge, make_chains, queue_critiques
from tests.review_makers import ADA, BOB, make_workspace, queue_up, say


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    monkeypatch.setenv("CAI_WORKSPACE", str(folder))
    make_workspace(folder)
    make_chains(folder)
    return folder


def verify(capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    status = main(["verify"])
    return status, capsys.readouterr().out.splitlines()


@pytest.fixture
def queues(workspace: Path) -> tuple[str, str]:
    """A queue of comparisons and one of critiques, with three votes."""
    comparisons, critiques = queue_up(workspace).queue_id, queue_critiques(workspace)
    say(workspace, comparisons, ADA, "c0", VoteChoice.A)
    say(workspace, comparisons, BOB, "c1", VoteChoice.TIE)
    judge(workspace, critiques.queue_id, ADA, critiques.items[0], CritiqueVerdict.RIGHT)
    return comparisons, critiques.queue_id


def test_whole_queues_are_counted(
    queues: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, lines = verify(capsys)
    assert status == 0
    assert lines[-1].endswith("2 review queues, 3 votes in queues: whole")


def test_a_queue_that_was_edited_is_told(
    workspace: Path, queues: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for queue, old, new in zip(queues, ('"c1"', '"p0"'), ('"c9"', '"p1"'), strict=True):
        path = workspace / "queues" / f"{queue}.json"
        path.write_text(path.read_text().replace(old, new))
    (workspace / "queues" / "mine.json").write_text("{}")
    status, lines = verify(capsys)
    assert status == 1 and len(lines) == 4
    for queue in queues:
        assert any(queue in line and "it was changed" in line for line in lines)
    assert any("mine.json: no name of a review queue" in line for line in lines)


def test_a_queue_that_is_gone_is_told_once_with_its_votes(
    workspace: Path, queues: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / "queues" / f"{queues[0]}.json").unlink()
    status, lines = verify(capsys)
    assert status == 1 and len(lines) == 2
    assert f"{queues[0]}.json: the journal names this review queue" in lines[0]
    assert "2 votes with it" in lines[0]


def test_votes_that_belong_to_no_queue_are_told(
    workspace: Path, queues: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (vote,) = (one for one in read_votes(workspace, queues[0]) if one.reviewer == "ada")
    (review,) = read_critique_votes(workspace, queues[1])
    unknown = {**vote.as_dict(), "vote": "u", "queue": "0123456789abcdef"}
    stranger = {**vote.as_dict(), "vote": "s", "comparison": "c99"}
    other = {**review.as_dict(), "vote": "o", "round": 77}
    broken = {**vote.as_dict(), "vote": "b", "choice": "C"}
    votes = [unknown, {**unknown, "vote": "v"}, stranger, other, broken]
    append_event(
        workspace, Topic.REVIEWS, ADA, "import votes", {"queue": queues[0], "votes": votes}
    )
    status, lines = verify(capsys)
    assert status == 1 and len(lines) == 5
    told = "\n".join(lines)
    assert "'0123456789abcdef', which nobody made and of which there is no file (2 such" in told
    assert "a vote on 'c99', which the review queue" in told
    assert f".77', which the review queue {queues[1]} does not hold" in told
    assert "no vote: choice is 'C'" in told
    assert "reviews.jsonl:7:" in told
