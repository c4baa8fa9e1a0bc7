"""The other commands: what they print, what they return, and what they never import."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from cai_core import cli
from cai_core.commands import machine
from cai_core.commands.doctor import build_conclusions
from cai_core.commands.machine import Finding
from cai_core.commands.progress_line import ProgressLine, format_progress, format_seconds
from cai_core.constitution.store import SHIPPED
from cai_core.pipeline.import_samples import ROWS_STEP
from cai_core.pipeline.progress import Progress
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import open_run


def test_the_command_line_loads_nothing_heavy() -> None:
    code = (
        "import sys; from cai_core.cli import build_parser; build_parser();"
        "print(sorted({'torch', 'transformers', 'streamlit', 'duckdb'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [[], ["fly"], ["revise"], ["import", "nothing"]])
def test_a_wrong_command_line_exits_2(arguments: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_validate_tells_every_file(tmp_path: Path, capsys) -> None:
    good = "constitutions/harmlessness.yaml"
    assert cli.main(["constitution", "validate", good]) == 0
    assert "harmlessness, " in capsys.readouterr().out
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: x\ncolour: red\n")
    assert cli.main(["constitution", "validate", str(bad), good]) == 2
    told = capsys.readouterr()
    assert "colour" in told.err
    assert "harmlessness, " in told.out


def test_doctor_tells_machine_and_people(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path / "w"))
    assert cli.main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = {finding["name"]: finding for finding in document["findings"]}
    assert document["ok"]
    assert found["python"]["detail"] == ".".join(map(str, sys.version_info[:3]))
    assert str(tmp_path / "w") in found["workspace"]["detail"]
    assert not (tmp_path / "w").exists()
    assert cli.main(["doctor"]) == 0
    assert document["conclusions"][-1] in capsys.readouterr().out


def test_doctor_sees_a_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finding = machine._check_port("app", port)
    assert (finding.state, "in use" in finding.detail) == ("note", True)
    assert machine._check_port("app", port).state == "ok"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_doctor_sees_a_workspace_it_cannot_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert machine.check_workspace(tmp_path / "w").state == "missing"


def test_doctor_sees_holes_and_absence(monkeypatch) -> None:
    versions = {"torch": "2.5.1+cu124", "transformers": "5.3.0"}

    def version(name: str) -> str:
        if name not in versions:
            raise machine.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(machine.metadata, "version", version)
    states = {finding.name: finding.state for finding in machine.check_packages()}
    assert (states["torch"], states["transformers"]) == ("missing", "ok")
    assert (states["trl"], states["vllm"]) == ("missing", "note")


@pytest.mark.parametrize(
    ("version", "floor", "below"),
    [("5.3", "5.3.0", False), ("5.10.0", "5.3.0", False), ("2.5.9+cpu", "2.6", True),
     ("0.14.1rc1", "0.14.1", False), ("", "1", True)],
)  # fmt: skip
def test_versions_compare_as_numbers(version: str, floor: str, below: bool) -> None:
    assert machine.is_below(version, floor) is below


def test_conclusions_follow_from_the_findings() -> None:
    names = ("demo model", "gpu", "vllm", "browser")

    def told(**changed: str) -> str:
        states = dict.fromkeys(names, "ok") | changed
        findings = [Finding(name=name, state=s, detail="d") for name, s in states.items()]
        return "\n".join(build_conclusions(findings))

    assert "vLLM can serve" in told()
    assert "no vLLM" in told(vllm="note")
    assert "No GPU" in told(gpu="note")
    assert "Without the demo model" in told(**{"demo model": "note"})
    assert "To mend: torch" in told(torch="missing")


def test_import_brings_chains_in_and_tells_what_it_left_out(tmp_path: Path, capsys) -> None:
    sample = {"sample": " text"}
    step = {
        "cst_key": "k",
        "cst_value": {
            "prompt": ["\n\nCritiqueRequest: Say it.\n\nCritique:"],
            "edit_request": "\n\nRevisionRequest: Do it.\n\nRevision:",
        },
        "critique": sample,
        "revision": sample,
    }
    chain = {
        "rl_prompt": "\n\nHuman: Hi\n\nAssistant:",
        "initial_response": [sample],
        "cst": [step] * 4,
    }
    path = tmp_path / "x_SLMADISON.jsonl"
    path.write_text(json.dumps(chain) + "\n{\n")
    code = cli.main(["import", "anthropic-samples", str(path), "--out", str(tmp_path / "out")])
    told = capsys.readouterr()
    assert f"{path.name}:2: left out" in told.err
    if code == 0:
        assert "1 chains" in told.out
        assert len(RowIndex(open_run(tmp_path / "out"), ROWS_STEP)) == 9


def test_a_missing_import_exits_2(tmp_path: Path, capsys) -> None:
    arguments = ["import", "anthropic-samples", str(tmp_path / "none"), "--out", str(tmp_path)]
    assert cli.main(arguments) == 2
    assert "error: " in capsys.readouterr().err


PROGRESS = Progress(
    rows_done=12,
    rows_total=90,
    chains_done=1,
    chains_total=10,
    failed=0,
    tokens_per_second=85.4,
    remaining_seconds=83.0,
)


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal_and_plain_lines_elsewhere() -> None:
    text = "12/90 rows, 1/10 chains, 85 tokens/s, 1:23 left"
    assert format_progress(PROGRESS, bar=False) == text
    terminal, log = Terminal(), StringIO()
    for stream in (terminal, log):
        line = ProgressLine(stream)
        line(PROGRESS)
        line(PROGRESS)  # too soon after the first
        line.close()
    assert terminal.getvalue() == f"\r[###---------------------] {text}\x1b[K\n"
    assert log.getvalue() == f"{text}\n"
    assert [format_seconds(s) for s in (0, 59.6, 3600)] == ["0:00", "1:00", "1:00:00"]


def test_a_reader_that_has_left_is_no_traceback() -> None:
    files = [str(file) for file in sorted(SHIPPED.glob("*.yaml"))]
    command = [sys.executable, "-m", "cai_core", "constitution", "validate", *files]
    reader, writer = os.pipe()
    os.close(reader)
    buffered = {key: os.environ[key] for key in os.environ if key != "PYTHONUNBUFFERED"}
    told = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=buffered, check=False)
    os.close(writer)
    assert (told.returncode, told.stderr) == (141, b"")
