"""`python -m cai_core import`: what it prints and returns, and that it finds formats by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cai_core import cli
from cai_core.pipeline.label_records import read_labels
from cai_core.workspace.events import Topic, read_events
from tests.pipeline import foreign


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    monkeypatch.setenv("CAI_WORKSPACE", str(folder))
    return folder


def test_a_file_is_imported_told_and_journalled(tmp_path: Path, workspace: Path, capsys) -> None:
    path = foreign.write_jsonl(tmp_path / "own.jsonl", [foreign.transcripts(n) for n in range(4)])
    path.write_bytes(path.read_bytes() + b'{"chosen": 1}\n' * 30)
    assert cli.main(["import", str(path)]) == 0
    told = capsys.readouterr()
    assert "4 records (transcripts), 30 left out" in told.out
    assert "own.jsonl:5: left out: has no `rejected`; its fields are chosen" in told.err
    assert "and 10 more: " in told.err
    (folder,) = (workspace / "runs").glob("*")
    assert folder.name.startswith("import-own-")
    assert cli.main(["import", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["records"], document["added"], document["rejected"]) == (4, 0, 30)
    assert Path(document["rejected_file"]).is_file()
    events = read_events(workspace, Topic.LAUNCHES)
    assert [event["action"] for event in events] == ["import data"] * 2
    assert cli.main(["verify"]) == 0
    assert "1 runs" in capsys.readouterr().out


def test_every_setting_changes_what_comes_out(tmp_path: Path, capsys) -> None:
    record = {**foreign.comparison(), "label": "1"}
    path = tmp_path / "own.jsonl"
    path.write_bytes(json.dumps(record).encode("utf-16"))
    common = ["import", str(path), "--json", "--format", "comparisons"]
    assert cli.main(common) == 2
    assert json.loads(capsys.readouterr().out)["records"] == 0
    more = ["--encoding", "utf-16", "--verdict", "1=B", "--label-source", "feedback-model",
            "--prompt-kind", "red-team", "--tag", "x", "--out", str(tmp_path / "run")]  # fmt: skip
    assert cli.main([*common, *more]) == 0
    assert Path(json.loads(capsys.readouterr().out)["folder"]) == tmp_path / "run"
    (label,) = read_labels(tmp_path / "run")
    assert (label.verdict, label.label_source) == ("B", "feedback-model")
    assert (label.prompt_kind, label.tags) == ("red-team", ("x",))
    both = foreign.write_jsonl(tmp_path / "both.jsonl", [foreign.hhh()])
    assert cli.main(["import", str(both), "--kind", "questions"]) == 0
    assert "multiple-choice" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [["absent"], ["{file}", "{file}"], ["anthropic-samples", "{file}"],
     ["{file}", "--verdict", "1"],
     ["{file}", "--format", "xml"]],
)  # fmt: skip
def test_a_wrong_command_line_shows_the_usage(arguments: list[str], tmp_path: Path, capsys) -> None:
    path = foreign.write_jsonl(tmp_path / "own.jsonl", [foreign.pair()])
    with pytest.raises(SystemExit) as caught:
        cli.main(["import", *(one.format(file=path) for one in arguments)])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_what_is_impossible_is_an_error_with_a_fix(tmp_path: Path, capsys) -> None:
    (tmp_path / "empty").mkdir()
    assert cli.main(["import", str(tmp_path / "empty")]) == 2
    assert "holds no file that ends in" in capsys.readouterr().err
    path = foreign.write_jsonl(tmp_path / "own.jsonl", [foreign.pair()])
    assert cli.main(["import", str(path), "--verdict", "1=C"]) == 2
    assert "Choose one of A, B, tie" in capsys.readouterr().err
