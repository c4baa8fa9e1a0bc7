"""`index rebuild` and `verify`, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cai_core.actions.suites import add_suite
from cai_core.cli import main
from cai_core.constitution import dump_constitution
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.events import Topic, append_event, get_journal_path
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.journal import append_records, encode_record
from cai_core.workspace.status import RunState
from tests.workspace.index.makers import CONSTITUTION, make_chain, make_run, write_rows


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two epochs of a run, one journal, one constitution version."""
    folder = tmp_path / "workspace"
    monkeypatch.setenv("CAI_WORKSPACE", str(folder))
    run = make_run(folder / "runs", "r1")
    rows = make_chain(run)
    write_rows(run, rows[:2])
    write_rows(run, rows[2:], state=RunState.SUCCEEDED)
    for number in range(3):
        append_event(folder, Topic.SETTINGS, LOCAL_ACTOR, "set", {"name": f"s{number}", "value": 1})
    version = folder / "constitutions" / CONSTITUTION.name / f"{CONSTITUTION.hash}.yaml"
    version.parent.mkdir(parents=True)
    version.write_text(dump_constitution(CONSTITUTION), "utf-8")
    return folder


def test_verify_finds_a_good_workspace_whole(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify"]) == 0
    out = capsys.readouterr().out
    counted = "1 journals, 1 runs, 5 rows, 1 constitution versions, 0 prompt set versions"
    assert out.endswith(f"{counted}: whole\n")
    assert out.count("\n") == 1
    assert not (workspace / "index.duckdb").exists()


def test_verify_works_while_an_app_owns_the_workspace(workspace: Path) -> None:
    index = WorkspaceIndex.open(workspace)
    try:
        assert main(["verify"]) == 0
    finally:
        index.close()


def _rows(workspace: Path, epoch: int = 2) -> Path:
    return workspace / "runs" / "r1" / "rows" / f"chain.{epoch}.jsonl"


def _edit_row(workspace: Path, **changes: object) -> None:
    lines = _rows(workspace).read_bytes().splitlines(keepends=True)
    lines[1] = encode_record(json.loads(lines[1]) | changes)
    _rows(workspace).write_bytes(b"".join(lines))


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def _append(path: Path, raw: bytes) -> None:
    with path.open("ab") as file:
        file.write(raw)


def _journal(workspace: Path) -> Path:
    return get_journal_path(workspace, Topic.SETTINGS)


def _version(workspace: Path) -> Path:
    return next((workspace / "constitutions").glob("*/*.yaml"))


def _drop_lines(path: Path, start: int, end: int | None = None) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[start:end]
    path.write_bytes(b"".join(lines))


def _name_version(workspace: Path, version: str) -> None:
    fields = {"name": "manners", "version": version}
    append_event(workspace, Topic.CONSTITUTIONS, LOCAL_ACTOR, "save constitution", fields)


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "event changed": (
        lambda w: _replace(_journal(w), '"name":"s1"', '"name":"s9"'),
        "settings.jsonl:3: its record was changed",
    ),
    "event deleted": (lambda w: _drop_lines(_journal(w), 2, 3), "does not follow the line before"),
    "event damaged": (lambda w: _replace(_journal(w), '{"at"', '{at"'), "settings.jsonl:2: not"),
    "row's prompt changed": (
        lambda w: _edit_row(w, prompt_id="p#2"),
        "chain.2.jsonl:2: its id is",
    ),
    "row of another run": (lambda w: _edit_row(w, run_id="r2"), "belongs to run 'r2', not 'r1'"),
    "row doubled": (
        lambda w: _append(_rows(w), _rows(w).read_bytes().splitlines(keepends=True)[1]),
        "chain.2.jsonl:5: row ",
    ),
    "row damaged": (lambda w: _append(_rows(w), b"{half\n"), "chain.2.jsonl:5: damaged, not JSON"),
    "no row": (lambda w: _append(_rows(w), b"{}\n"), "chain.2.jsonl:5: damaged, no row"),
    "sealed file cut": (lambda w: _drop_lines(_rows(w, 1), 2), "it was cut"),
    "strange file": (lambda w: (_rows(w).parent / "x.jsonl").touch(), "no name of a row file"),
    "recipe gone": (lambda w: (w / "runs/r1/recipe.yaml").unlink(), "rows and no recipe.yaml"),
    "recipe broken": (lambda w: (w / "runs/r1/recipe.yaml").write_text("a: ["), "broken"),
    "recipe edited": (
        lambda w: _replace(w / "runs/r1/recipe.yaml", CONSTITUTION.hash, "ab" * 32),
        "the recipe says abab",
    ),
    "run's constitution edited": (
        lambda w: _replace(w / "runs/r1/outputs/constitution.yaml", "kind in way 1", "rude"),
        "outputs/constitution.yaml: hash",
    ),
    "version edited": (lambda w: _replace(_version(w), "kind in way 1", "rude"), "its content's"),
    "version broken": (lambda w: _version(w).write_text("a: ["), f"{CONSTITUTION.hash}.yaml"),
    "version gone": (lambda w: _name_version(w, "ab" * 32), "names this version and it is gone"),
    "version of no name": (
        lambda w: _name_version(w, "../x"),
        "constitutions.jsonl: 'manners' and",
    ),
    "epochs damaged": (
        lambda w: _append(w / "runs/r1/epochs.jsonl", b"half\n"),
        "epochs.jsonl:4: not JSON",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_verify_finds_each_fault(
    workspace: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    harm, told = FAULTS[fault]
    harm(workspace)
    assert main(["verify"]) == 1
    *problems, summary = capsys.readouterr().out.splitlines()
    assert any(told in problem for problem in problems), problems
    assert f"{len(problems)} problem" in summary
    assert all(problem.startswith(str(workspace)) for problem in problems)


def test_late_bytes_are_told_and_are_no_problem(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _append(_rows(workspace, 1), b"late\n")
    assert main(["verify"]) == 0
    assert "5 bytes written after a takeover are ignored" in capsys.readouterr().out


def test_an_exported_head_finds_a_cut_and_a_rewritten_journal(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heads = tmp_path / "heads.json"
    assert main(["verify", "--export-head", str(heads)]) == 0
    append_event(workspace, Topic.SETTINGS, LOCAL_ACTOR, "set", {"name": "later", "value": 1})
    assert main(["verify", "--head", str(heads)]) == 0
    _drop_lines(_journal(workspace), 3)
    assert main(["verify"]) == 0  # a cut end can be seen by nobody who kept no head
    assert main(["verify", "--head", str(heads)]) == 1
    _journal(workspace).unlink()
    event = {"at": "now", "actor": "local", "action": "set"}
    append_records(_journal(workspace), [event], header={"topic": "settings"}, chained=True)
    assert main(["verify", "--head", str(heads)]) == 1
    assert "exported head" in capsys.readouterr().out
    _journal(workspace).unlink()
    assert main(["verify", "--head", str(heads)]) == 1
    assert "is gone; its head was exported" in capsys.readouterr().out


def test_no_head_is_exported_of_a_broken_journal(workspace: Path, tmp_path: Path) -> None:
    _drop_lines(_journal(workspace), 2, 3)
    assert main(["verify", "--export-head", str(tmp_path / "heads")]) == 1
    assert not (tmp_path / "heads").exists()


def test_verify_tells_bad_usage(
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "heads").write_text("[]")
    assert main(["verify", "--head", str(tmp_path / "heads")]) == 2
    assert main(["verify", "--head", str(tmp_path / "none")]) == 2
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path / "nowhere"))
    assert main(["verify"]) == 2
    assert "Set CAI_WORKSPACE" in capsys.readouterr().err


def test_rebuild_makes_the_indexes_and_tells_what_is_in_them(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["index", "rebuild"]) == 0
        out = capsys.readouterr().out
        assert "1 runs, 1 chains, 5 rows, 3 events; 0 lines damaged" in out
        assert out.endswith(" s\n")
    (workspace / "index.duckdb").write_bytes(b"garbage")
    assert main(["index", "rebuild"]) == 0
    assert not list(workspace.glob("*broken*"))


def test_rebuild_refuses_while_an_app_owns_the_workspace(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = WorkspaceIndex.open(workspace)
    index.ingest()
    try:
        assert main(["index", "rebuild"]) == 2
        assert "owns its indexes (pid " in capsys.readouterr().err
        assert index.report().rows == 5
    finally:
        index.close()


def test_verify_finds_a_suite_that_was_edited(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {"id": "a", "kind": "fine", "category": "home", "prompt": "How do I bake bread?"}
    add_suite(LOCAL_ACTOR, workspace, "mine", json.dumps(line).encode(), "first")
    assert main(["verify"]) == 0
    assert "1 suite versions" in capsys.readouterr().out
    (path,) = (workspace / "suites" / "mine").glob("*.jsonl")
    _replace(path, "bread", "cakes")
    assert main(["verify"]) == 1
    assert f"{path}: its hash is" in capsys.readouterr().out
    path.unlink()
    assert main(["verify"]) == 1
    assert str(path) in capsys.readouterr().out
