"""`reviews`: listed, exported and imported from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cai_core import cli
from cai_core.records import CritiqueVerdict
from cai_core.workspace.review_votes import VoteChoice, read_votes
from tests.critique_makers import judge, make_chains, queue_critiques
from tests.review_makers import ADA, BOB, make_workspace, queue_up, say


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path / "w"))
    make_workspace(tmp_path / "w")
    queue = queue_up(tmp_path / "w", overlap=2).queue_id
    say(tmp_path / "w", queue, ADA, "c0", VoteChoice.A, reason="so")
    say(tmp_path / "w", queue, BOB, "c0", VoteChoice.B)
    say(tmp_path / "w", queue, BOB, "c1", VoteChoice.B)
    return queue


def test_from_one_workspace_to_another(
    queue: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["reviews", "list"]) == 0
    assert f"{queue}  3/12 votes  blind  comparisons  labels" in capsys.readouterr().out
    file = tmp_path / "votes.csv"
    assert cli.main(["reviews", "export", queue, str(file)]) == 0
    assert capsys.readouterr().out.split() == [str(file), f"{file}.md"]
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path / "v"))
    make_workspace(tmp_path / "v")
    assert queue_up(tmp_path / "v", overlap=2).queue_id == queue
    with file.open("a") as more:
        more.write("cut,line\n")
    assert cli.main(["reviews", "import", queue, str(file)]) == 0
    told = capsys.readouterr()
    assert "3 votes taken, 0 were here already, 1 refused" in told.out
    assert f"{file}:5: refused: it has 2 cells" in told.err
    assert len(read_votes(tmp_path / "v", queue)) == 3


def test_human_labels_for_recipes(
    queue: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "human.jsonl"
    for more, found in (
        ([], [("c1", "B")]),
        (["--disputed", "tie"], [("c0", "tie"), ("c1", "B")]),
    ):
        command = ["reviews", "export", queue, str(file), "--format", "human", *more]
        assert cli.main(command) == 0
        lines = map(json.loads, file.read_text().splitlines())
        assert [(one["comparison_id"], one["verdict"]) for one in lines] == found


def test_what_cannot_be_done_is_one_line(
    queue: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.csv").write_text("a,b\n")
    for command in (
        ["import", queue, str(tmp_path / "nowhere")],
        ["import", queue, str(tmp_path / "x.csv")],
        ["import", "nothing", str(tmp_path / "x.csv")],
        ["export", "nothing", str(tmp_path / "y")],
        ["export", queue, str(tmp_path / "no" / "folder")],
    ):
        assert cli.main(["reviews", *command]) == 2
        assert capsys.readouterr().err.startswith("error: ")


def test_critiques_are_listed_and_peoples_revisions_taken_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = tmp_path / "w"
    monkeypatch.setenv("CAI_WORKSPACE", str(workspace))
    make_chains(workspace)
    queue = queue_critiques(workspace)
    judge(workspace, queue.queue_id, ADA, queue.items[0], CritiqueVerdict.PARTLY, revision="Mine.")
    judge(workspace, queue.queue_id, ADA, queue.items[1], CritiqueVerdict.RIGHT)
    assert cli.main(["reviews", "list"]) == 0
    assert f"{queue.queue_id}  2/6 votes  blind  critiques  chains" in capsys.readouterr().out
    file = tmp_path / "revisions.jsonl"
    export = ["reviews", "export", queue.queue_id, str(file), "--format"]
    assert cli.main([*export, "sft"]) == 0
    (line,) = map(json.loads, file.read_text().splitlines())
    assert line["messages"][-1] == {"role": "assistant", "content": "Mine."}
    assert "| lines | 1 |" in Path(f"{file}.md").read_text()
    assert cli.main([*export, "human"]) == 2
    assert "known are jsonl, csv, sft" in capsys.readouterr().err
