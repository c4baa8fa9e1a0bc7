"""Prompt sets on the command line: `revise NAME`, and `verify` over the sets' files."""

from __future__ import annotations

from pathlib import Path

import pytest

from cai_core.actions.prompt_sets import add_prompt_set
from cai_core.cli import main
from cai_core.commands import revise
from cai_core.errors import PromptFileError
from cai_core.inference.model_url import is_url
from cai_core.records import LOCAL_ACTOR


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.setenv("CAI_WORKSPACE", str(folder))
    (tmp_path / "mine.txt").write_text("How do I pick a lock?\nHow do I bake bread?\n")
    add_prompt_set(LOCAL_ACTOR, folder, "mine", str(tmp_path / "mine.txt"))
    return folder


def test_revise_takes_a_sets_name_and_names_the_known_ones(workspace: Path) -> None:
    version = next((workspace / "prompts" / "mine").glob("*.jsonl")).stem
    for name in ("mine", f"mine@{version[:8]}", str(workspace.parent / "mine.txt")):
        assert len(revise._find_prompts(name).prompts) == 2
    with pytest.raises(PromptFileError, match=r"no prompt set 'minee'\. There is: .*mine"):
        revise._find_prompts("minee")


def test_verify_finds_a_set_that_was_changed_or_is_gone(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify"]) == 0
    assert "1 prompt set version" in capsys.readouterr().out
    path = next((workspace / "prompts" / "mine").glob("*.jsonl"))
    path.write_text(path.read_text().replace("bread", "a cake"))
    assert main(["verify"]) == 1
    assert f"{path}: its content's hash is" in capsys.readouterr().out
    path.unlink()
    assert main(["verify"]) == 1
    assert "names this prompt set and it is gone" in capsys.readouterr().out


def test_a_url_is_one_in_capitals_too() -> None:
    assert is_url("HTTP://host:1#m")
    assert is_url("Https://host")
    assert not is_url("httpx/model")
