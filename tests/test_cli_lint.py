"""`lint` and `constitution import`/`export` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cai_core import cli
from cai_core.constitution import find_constitution, load_constitution
from cai_core.constitution.exports import export_constitution
from cai_core.constitution.lint import RULES
from cai_core.inference.launcher import stop_server
from cai_core.pipeline.drawn import count_drawn
from cai_core.workspace.runs import open_run
from tests.constitution.inverted import invert

HARMLESSNESS = find_constitution("harmlessness")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    monkeypatch.setenv("CAI_WORKSPACE", str(folder))
    return folder


def lint(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["lint", *arguments])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_hints_alone_pass_and_strict_counts_them(capsys) -> None:
    status, out, _ = lint(capsys, "harmlessness")
    assert status == 0
    assert "harmlessness, 16 principles:" in out and "hint" in out
    assert "no-harm.text: hint:" in out and "[fix: Split it into 2 principles]" in out
    assert lint(capsys, "harmlessness", "--strict")[0] == 1


def test_an_inverted_file_fails_with_json_that_names_why(tmp_path: Path, capsys) -> None:
    path = tmp_path / "inverted.yaml"
    path.write_text(export_constitution(invert(HARMLESSNESS), "yaml"), encoding="utf-8")
    status, out, err = lint(capsys, str(path), "constitutions/healthcare.yaml", "--json")
    assert (status, err) == (1, "")
    document = json.loads(out)
    assert document["format"] == 1
    first, second = document["constitutions"]
    assert set(first) == {"source", "name", "hash", "principles", "counts", "findings"}
    assert first["source"] == str(path)
    assert first["counts"]["error"] > 10 and second["counts"]["error"] == 0
    for finding in first["findings"]:
        assert set(finding) == {
            "rule", "severity", "principle_id", "field", "message", "reason", "fix",
        }  # fmt: skip
        assert finding["rule"] in RULES
    # The same file says the same: CI may compare.
    assert lint(capsys, str(path), "constitutions/healthcare.yaml", "--json")[1] == out


def test_what_cannot_be_read_exits_2_and_the_rest_is_linted(tmp_path: Path, capsys) -> None:
    torn = tmp_path / "torn.yaml"
    torn.write_text("format: 1\nname: [", encoding="utf-8")
    status, out, err = lint(capsys, str(torn), "healthcare")
    assert status == 2
    assert "torn.yaml:2: broken YAML" in err
    assert "healthcare, 7 principles" in out
    status, out, _ = lint(capsys, str(torn), "nobody", "--json")
    assert status == 2
    assert [set(one) for one in json.loads(out)["constitutions"]] == [{"source", "error"}] * 2
    assert lint(capsys)[0] == 2


def test_other_formats_are_linted_as_imported(tmp_path: Path, capsys) -> None:
    path = tmp_path / "rules.md"
    path.write_text("- Be kind.\n- Be kind.\n", encoding="utf-8")
    status, out, _ = lint(capsys, str(path))
    assert status == 1
    assert "kind-2: error: It says what 'kind' says" in out


def test_context_and_rules(capsys) -> None:
    status, out, _ = lint(capsys, "harmlessness", "--context-tokens", "200")
    assert status == 1
    assert "of the model's 200 tokens" in out
    status, out, _ = lint(capsys, "--rules")
    assert status == 0
    assert all(rule.title in out for rule in RULES.values())


def test_what_a_run_never_drew_is_told(workspace: Path, tmp_path: Path, capsys) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"id": "1", "prompt": "How do I follow my sister?"}\n', encoding="utf-8")
    out = workspace / "runs" / "one"
    try:
        done = cli.main(
            [
                *("revise", str(prompts), "--constitution", "harmlessness", "--out", str(out)),
                *("--model", "demo", "--principles", "no-harm,privacy", "--revisions", "3"),
            ]
        )
    finally:
        stop_server("demo", workspace)
    capsys.readouterr()
    assert done == 0
    assert count_drawn(open_run(out)) == {"no-harm": 2, "privacy": 1}
    status, told, _ = lint(capsys, "harmlessness", "--run", "one")
    assert status == 0
    never = [line for line in told.splitlines() if line.endswith("(never-drawn)")]
    assert len(never) == 14
    assert not any("privacy:" in line for line in never)


def test_import_keeps_provenance_beside_the_file(tmp_path: Path, capsys) -> None:
    votes = tmp_path / "votes.csv"
    votes.write_text("statement,agree,disagree\nBe kind,9,1\nBe rude,1,9\nx,?,1\n")
    out = tmp_path / "collective.yaml"
    command = ["constitution", "import", str(votes), "--name", "collective", "--out", str(out)]
    assert cli.main(command) == 0
    told = capsys.readouterr()
    assert "collective, 2 principles, 1 of them off" in told.out
    assert "line 4: left out: its agree is '?'" in told.err
    constitution = load_constitution(out)
    beside = json.loads((tmp_path / "collective.yaml.provenance.json").read_text("utf-8"))
    assert beside["constitution_hash"] == constitution.hash
    assert beside["principles"]["kind"]["votes"] == {"agree": 9, "disagree": 1}
    assert cli.main(command) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize("format", ["yaml", "json", "markdown", "html"])
def test_export_by_the_ending(tmp_path: Path, capsys, format: str) -> None:
    ending = {"markdown": "md"}.get(format, format)
    out = tmp_path / f"mine.{ending}"
    assert cli.main(["constitution", "export", "harmlessness", "--out", str(out)]) == 0
    assert out.read_text("utf-8") == export_constitution(HARMLESSNESS, format)
    capsys.readouterr()
    assert cli.main(["constitution", "export", "harmlessness", "--format", format]) == 0
    assert capsys.readouterr().out == out.read_text("utf-8")
    if format != "html":
        back = tmp_path / "back.yaml"
        assert cli.main(["constitution", "import", str(out), "--out", str(back)]) == 0
        assert load_constitution(back) == HARMLESSNESS
