"""`run`: a plan is handed in once, followed to its end, and its end is the exit status."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from cai_core import cli
from cai_core.actions import jobs
from cai_core.commands import follow as following
from cai_core.commands import run as command
from cai_core.commands.follow import Follower
from cai_core.errors import WorkspaceError
from cai_core.jobs.queue import hold_queue, load_queue
from cai_core.workspace.runs import Run, create_run, open_run
from cai_core.workspace.status import RunState, load_status, replace_status, save_status
from cai_core.workspace.writer import RunWriter
from tests.jobs.plans import CHAINS, SL, write_plan

# Lines before the runs are followed.
_FORECAST = ("forecast ", "warning ", "feedback model ")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace where runs are queued for real, and no dispatcher takes them."""
    folder = tmp_path / "w"
    monkeypatch.setenv("CAI_WORKSPACE", str(folder))
    monkeypatch.setattr(jobs, "ensure_dispatcher", lambda workspace: False)
    return folder


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Workspaces for which a follower wanted a dispatcher; it gets none."""
    found: list[Path] = []
    monkeypatch.setattr(following, "ensure_dispatcher", found.append)
    return found


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    return write_plan(tmp_path / "plan.yaml", CHAINS, SL)


def put(run: Run, state: RunState, reason: str | None = None, **counts: int) -> None:
    path = run.path / "status.json"
    changes: dict[str, Any] = {"state": state, "reason": reason, "counts": counts}
    save_status(path, replace_status(load_status(path), **changes))


def follow_with(monkeypatch: pytest.MonkeyPatch, *looks: Callable[[], None]) -> None:
    """Have something happen between the looks of whoever follows."""
    left = iter(looks)

    def sleep(_: float) -> None:
        next(left)()

    monkeypatch.setattr(command, "Follower", lambda runs: Follower(runs, sleep=sleep))


def get_runs(workspace: Path) -> dict[str, Run]:
    found = [open_run(path) for path in sorted((workspace / "runs").iterdir())]
    return {run.run_id.split("-")[1]: run for run in found}


def test_a_dry_run_tells_all_and_does_nothing(workspace: Path, plan: Path, capsys) -> None:
    assert cli.main(["run", str(plan), "--dry-run"]) == 0
    told = capsys.readouterr().out
    first, second = yaml.safe_load_all(told)
    assert (first["kind"], second["kind"]) == ("revise", "sft")
    assert second["parents"] == [first["run_id"]]
    assert second["recipe"]["sources"][0]["run"] == first["run_id"]
    assert f"# {first['run_id']}: would be new" in told
    assert not workspace.exists()
    cli.main(["run", str(plan), "--detach"])
    capsys.readouterr()
    cli.main(["run", str(plan), "--dry-run"])
    assert f"# {first['run_id']}: is there, queued" in capsys.readouterr().out


def test_handed_in_once_in_order(workspace: Path, plan: Path, capsys) -> None:
    for _ in range(2):
        assert cli.main(["run", str(plan), "--detach"]) == 0
        ids = capsys.readouterr().out.split()
        assert load_queue(workspace) == ids
    assert [name.split("-")[1] for name in ids] == ["chains", "sl"]


def test_all_good_is_0(
    workspace: Path, plan: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def work() -> None:
        with RunWriter(get_runs(workspace)["chains"]) as writer:
            writer.set_status(RunState.SUCCEEDED, counts={"rows_done": 9, "rows_total": 9})

    def end() -> None:
        put(get_runs(workspace)["sl"], RunState.SUCCEEDED, "two chains failed")

    follow_with(monkeypatch, work, end)
    assert cli.main(["run", str(plan)]) == 0
    told = capsys.readouterr()
    followed = [line for line in told.err.splitlines() if not line.startswith(_FORECAST)]
    lines = [line.split("  ")[1:] for line in followed]
    assert lines == [["queued"], ["queued"], ["succeeded", "9/9 rows"], ["succeeded"]]


def test_a_bad_end_is_2_with_the_reason(
    workspace: Path, plan: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def fail() -> None:
        put(get_runs(workspace)["chains"], RunState.FAILED, "no\x1b[2J disk\nleft")

    # Nothing more happens: the second run waits for the first one, and will for ever.
    follow_with(monkeypatch, fail)
    assert cli.main(["run", str(plan)]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "failed  no?[2J disk left" in errors[0]
    assert "queued" in errors[1]


def test_ctrl_c_stops_following_alone(
    workspace: Path, plan: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    follow_with(monkeypatch, interrupt)
    assert cli.main(["run", str(plan)]) == 130
    assert "the runs go on" in capsys.readouterr().err
    assert len(load_queue(workspace)) == 2


def test_what_was_handed_in_before_an_error_is_told(
    workspace: Path, plan: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    cli.main(["run", str(plan), "--detach"])
    chains, sl = load_queue(workspace)
    put(get_runs(workspace)["sl"], RunState.DELETED)
    capsys.readouterr()
    assert cli.main(["run", str(plan)]) == 2
    told = capsys.readouterr().err
    assert f"they go on: {chains}" in told
    assert sl in told
    assert "was deleted" in told


@pytest.mark.parametrize(
    ("runs", "told"), [([], "no list of runs"), ([SL], "there is no run 'chains'")]
)
def test_a_broken_plan_hands_in_nothing(
    workspace: Path, tmp_path: Path, runs: list[Any], told: str, capsys
) -> None:
    path = write_plan(tmp_path / "plan.yaml", *runs)
    assert cli.main(["run", str(path)]) == 2
    assert told in capsys.readouterr().err
    assert not workspace.exists()


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def make_runs(folder: Path, count: int) -> list[Run]:
    return [create_run(folder / f"r{n}", kind="revise", recipe={}) for n in range(count)]


def test_a_terminal_is_drawn_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    first, second = make_runs(tmp_path, 2)
    put(first, RunState.SUCCEEDED)
    terminal = Terminal()
    ends = [lambda: put(second, RunState.CANCELLED, "stopped by the person")]
    found = Follower([first, second], terminal, sleep=lambda _: ends.pop()()).follow()
    assert [status.state for status in found.values()] == [RunState.SUCCEEDED, RunState.CANCELLED]
    assert terminal.getvalue() == (
        "\rr0  succeeded\x1b[K\n\rr1  queued\x1b[K\n"
        "\x1b[2A\rr0  succeeded\x1b[K\n\rr1  cancelled  stop\x1b[K\n"
    )


def test_a_log_gets_a_line_for_each_change_and_now_and_then(tmp_path: Path) -> None:
    (run,) = make_runs(tmp_path, 1)
    log, times = StringIO(), iter(range(100))
    with RunWriter(run) as writer:
        left = list(range(30))

        def sleep(_: float) -> None:
            writer.set_status(RunState.RUNNING, counts={"steps_done": 30 - len(left)})
            left.pop()
            if not left:
                writer.set_status(RunState.SUCCEEDED)

        Follower([run], log, clock=lambda: float(next(times)), sleep=sleep).follow()
    lines = log.getvalue().splitlines()
    assert lines[0] == "r0  running"
    assert all("  running  " in line and "/? steps" in line for line in lines[1:-1])
    assert 2 <= len(lines[1:-1]) <= 6
    assert "succeeded" in lines[-1]


def test_a_run_whose_worker_is_gone_has_ended(tmp_path: Path) -> None:
    (run,) = make_runs(tmp_path, 1)
    put(run, RunState.RUNNING)
    found = Follower([run], StringIO()).follow()
    assert found["r0"].state is RunState.INTERRUPTED


def test_a_run_whose_parent_is_gone_has_ended(tmp_path: Path) -> None:
    run = create_run(tmp_path / "child", kind="sft", recipe={}, parents=["nobody"])
    assert Follower([run], StringIO()).follow()["child"].state is RunState.QUEUED


def make_chain(workspace: Path) -> list[Run]:
    """failed → sl → last, each made from the one before; the last two are in the queue."""
    folder = workspace / "runs"
    first = create_run(folder / "first", kind="revise", recipe={})
    sl = create_run(folder / "sl", kind="sft", recipe={}, parents=["first"])
    last = create_run(folder / "last", kind="revise", recipe={}, parents=["sl"])
    with hold_queue(workspace) as queue:
        queue.enqueue("sl")
        queue.enqueue("last")
    return [first, sl, last]


@pytest.mark.parametrize("followed", [slice(None), slice(2, None)])
def test_what_waits_through_others_for_a_failed_run_has_ended(
    tmp_path: Path, followed: slice
) -> None:
    runs = make_chain(tmp_path)
    put(runs[0], RunState.FAILED)
    slept: list[float] = []
    Follower(runs[followed], StringIO(), sleep=slept.append).follow()
    assert slept == []


def refuse(_: Path) -> None:
    raise WorkspaceError("no process can be started")


@pytest.mark.parametrize("start", [refuse, lambda _: True])
def test_without_a_dispatcher_following_ends(tmp_path: Path, start: Callable[[Path], Any]) -> None:
    runs = make_chain(tmp_path)
    put(runs[0], RunState.SUCCEEDED)
    slept: list[float] = []
    found = Follower(runs, StringIO(), sleep=slept.append, start=start).follow()
    assert found["sl"].state is RunState.QUEUED
    assert 2 <= len(slept) <= 10


def test_a_queued_run_that_is_not_in_the_queue_has_ended(tmp_path: Path, asked: list[Path]) -> None:
    runs = make_chain(tmp_path)
    put(runs[0], RunState.SUCCEEDED)
    with hold_queue(tmp_path) as queue:
        queue.remove("sl")
        queue.remove("last")
    Follower(runs[:2], StringIO(), sleep=lambda _: None).follow()
    assert asked == []
