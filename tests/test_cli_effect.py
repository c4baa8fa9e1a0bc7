"""`constitution effect`, on the recorded chains that ship with the workbench."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cai_core.cli import main
from cai_core.constitution import find_constitution
from cai_core.jobs.principle_study import load_principle_study
from cai_core.workspace.index.owner import WorkspaceIndex

RULES = find_constitution("harmlessness")
RECORDINGS = Path(__file__).resolve().parents[1] / "data" / "recordings"


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("CAI_RECORDINGS", str(RECORDINGS))
    return tmp_path


def test_the_json_says_what_the_page_counts(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["constitution", "effect", "harmlessness", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    index = WorkspaceIndex.open(workspace, recordings=RECORDINGS)
    try:
        study = load_principle_study(index, RULES)
    finally:
        index.close()
    assert (document["hash"], document["rounds"]) == (RULES.hash, 40)
    assert [one["principle"] for one in document["principles"]] == [
        effect.principle for effect in study.effects
    ]
    for told, effect in zip(document["principles"], study.effects, strict=True):
        assert told["drawn"] == effect.drawn
        assert (told["measured"] is None) == (effect.drawn == 0)
        if effect.changed is not None:
            assert told["changed"]["rate"] == effect.changed.rate


def test_the_lines_tell_rates_and_what_was_never_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["constitution", "effect", "harmlessness"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"harmlessness, {RULES.hash[:12]}: 40 rounds drew a principle\n")
    assert "  changed    " in out
    assert "(n = " in out
    assert "keeps to the principle: " in out


def test_an_owned_workspace_and_an_unknown_name_are_told(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["constitution", "effect", "no-such"]) == 2
    assert "no-such" in capsys.readouterr().err
    index = WorkspaceIndex.open(workspace)
    try:
        assert main(["constitution", "effect", "harmlessness"]) == 2
    finally:
        index.close()
    assert "error: " in capsys.readouterr().err
