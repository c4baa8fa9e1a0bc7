"""`prompts`: what it prints, what it returns, and that texts steer no terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from cai_core import cli


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "w"
    monkeypatch.setenv("CAI_WORKSPACE", str(folder))
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "p.csv"
    path.write_text('prompt,kind\nHow?,helpful\n"\x1b[2JWhy\nso?",red-team\n,\n', "utf-8")
    return path


def test_a_set_is_added_listed_and_shown(workspace: Path, source: Path, capsys) -> None:
    assert cli.main(["prompts", "add", "own", str(source), "--held-out", "0.5"]) == 0
    told = capsys.readouterr()
    assert told.err == f"{source}:5: rejected: the prompt is empty\n"
    assert "2 prompts; 1 helpful, 1 red-team; split " in told.out
    assert "1 lines rejected; from p.csv, 20" in told.out
    assert cli.main(["prompts", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("@")[0] for line in lines] == ["borderline", "helpful", "own", "redteam"]
    assert lines[0].endswith("; shipped")
    assert cli.main(["prompts", "show", "own"]) == 0
    shown = capsys.readouterr().out
    assert "?[2JWhy so?" in shown
    assert "\x1b" not in shown
    assert "2 of 2 prompts" in shown
    assert cli.main(["prompts", "show", "own", "--limit", "1"]) == 0
    assert "1 of 2 prompts" in capsys.readouterr().out


def test_rejected_lines_are_shown_later(workspace: Path, source: Path, capsys) -> None:
    cli.main(["prompts", "add", "own", str(source)])
    label = capsys.readouterr().out.split()[0]
    source.write_text("prompt\nother\n")
    cli.main(["prompts", "add", "own", str(source)])
    capsys.readouterr()
    for name, count in (("own", 0), (label, 1), ("redteam", 0)):
        assert cli.main(["prompts", "show", name, "--rejected"]) == 0
        told = capsys.readouterr().out
        assert f"{count} of {count} rejected lines" in told
        assert ("p.csv:5: the prompt is empty" in told) is bool(count)


def test_the_same_again_says_so(workspace: Path, source: Path, capsys) -> None:
    for expected in (False, True):
        assert cli.main(["prompts", "add", "own", str(source), "--kind", "red-team"]) == 0
        assert ("nothing was added" in capsys.readouterr().out) is expected


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["add", "own", "none.csv"], "no such file"),
        (["add", "a b", "SOURCE"], "no name of a prompt set"),
        (["add", "own", "SOURCE", "--column", "x"], "no column 'x'"),
        (["add", "own", "SOURCE", "--held-out", "2"], "held-out is 2.0"),
        (["show", "nobody"], "no prompt set 'nobody'"),
        (["show", "nobody", "--rejected"], "no prompt set 'nobody'"),
    ],
)
def test_what_cannot_be_exits_2(
    workspace: Path, source: Path, arguments: list[str], told: str, capsys
) -> None:
    given = [str(source) if text == "SOURCE" else text for text in arguments]
    assert cli.main(["prompts", *given]) == 2
    assert told in capsys.readouterr().err
