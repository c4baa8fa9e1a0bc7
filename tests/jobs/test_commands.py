"""`runs`, `stop`, `resume`, `logs` as a person types them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cai_core.actions import jobs
from cai_core.cli import main
from cai_core.jobs.queue import load_queue
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.runs import open_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter
from tests.jobs.background import make_spec

Run = Callable[..., str]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three queued runs; nobody begins them."""
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    monkeypatch.setattr(jobs, "ensure_dispatcher", lambda _: False)
    for name in ("apple-1", "apple-2", "pear"):
        jobs.submit(LOCAL_ACTOR, tmp_path, make_spec(name, prompts=2))
    return tmp_path


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str, code: int = 0) -> str:
        assert main(list(arguments)) == code
        captured = capsys.readouterr()
        return captured.out if code == 0 else captured.err

    return run


def list_runs(told: Run) -> list[tuple[str, str, int | None]]:
    views = json.loads(told("runs", "--json"))
    return [(view["run"], view["state"], view["position"]) for view in views]


def test_the_list_shows_running_then_queue_then_ended(workspace: Path, told: Run) -> None:
    with RunWriter(open_run(workspace / "runs" / "apple-2")) as writer:
        counts = {"rows_done": 3, "rows_total": 6}
        writer.set_status(RunState.RUNNING, counts=counts, reason="a\nreason \x1b[31m")
        jobs.stop_run(LOCAL_ACTOR, workspace, "apple-1")
        lines = told("runs").splitlines()
    assert lines[0].split() == ["RUN", "KIND", "STATE", "PLACE", "PROGRESS", "REASON"]
    assert lines[1].split()[:3] == ["apple-2", "revise", "running"]
    assert lines[1].endswith("3/6       a reason ?[31m")
    assert lines[2].split() == ["pear", "revise", "queued", "2"]
    assert lines[3].split()[:3] == ["apple-1", "revise", "cancelled"]


def test_an_empty_workspace_is_told(tmp_path: Path, monkeypatch, told: Run) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path / "new"))
    assert "no runs yet" in told("runs")
    assert told("runs", "--json").strip() == "[]"
    assert not (tmp_path / "new").exists()


def test_move_stop_resume(workspace: Path, told: Run) -> None:
    told("runs", "move", "pear", "1")
    assert load_queue(workspace) == ["pear", "apple-1", "apple-2"]
    assert "pear: is stopping" in told("stop", "pe")
    assert list_runs(told) == [
        ("apple-1", "queued", 1),
        ("apple-2", "queued", 2),
        ("pear", "cancelled", None),
    ]
    assert told("resume", "pear") == "pear: queued\n"
    assert list_runs(told)[-1] == ("pear", "queued", 3)


def test_clone_and_delete(workspace: Path, told: Run) -> None:
    name = told("runs", "clone", "pear", "--set", "chain.seed=7").split(":")[0]
    run = open_run(workspace / "runs" / name)
    assert run.recipe["chain"]["seed"] == 7
    told("stop", name)
    assert "files, " in told("runs", "delete", name)
    assert run.status().state is RunState.DELETED
    assert "no such key" in told("runs", "clone", "pear", "--set", "chain.sed=7", code=2)
    assert "KEY=VALUE" in told("runs", "clone", "pear", "--set", "chain.seed", code=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("stop", "apple"), "2 runs' ids begin with 'apple': apple-1, apple-2"),
        (("resume", "nobody"), "No run's id begins with 'nobody'"),
        (("stop", ""), "No run's id begins with ''"),
        (("stop", "pear", "--kill"), "does not run: it is queued"),
        (("runs", "move", "pear", "0"), "no place 0"),
        (("logs", "pear"), "no worker was at this run yet"),
        (("runs", "delete", "pear"), "runs or is queued"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    workspace: Path, told: Run, arguments: tuple[str, ...], message: str
) -> None:
    assert message in told(*arguments, code=2)
    assert len(load_queue(workspace)) == 3


def test_a_log_is_followed_to_its_last_word(workspace: Path, told: Run) -> None:
    run = open_run(workspace / "runs" / "pear")
    log = run.path / "worker.log"
    log.write_text("first\x1b\n")

    def go_on() -> None:
        time.sleep(0.5)
        with log.open("a") as file:
            file.write("second\n")
        jobs.stop_run(LOCAL_ACTOR, workspace, "pear")

    writing = threading.Thread(target=go_on)
    writing.start()
    assert told("logs", "pear", "-f") == "first?\nsecond\n"
    writing.join()
    assert told("logs", "pear") == "first?\nsecond\n"
