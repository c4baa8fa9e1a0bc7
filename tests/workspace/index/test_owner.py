"""One owner, damaged files made anew, kills survived, and many readers at a time."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cai_core.errors import WorkspaceError, WorkspaceOwnedError
from cai_core.workspace.index import batch, owner, schema, sources
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.index.views import RoundFilter
from cai_core.workspace.writer import RunWriter
from tests.workspace.index.conftest import Opener
from tests.workspace.index.makers import (
    make_chain,
    make_run,
    make_workspace,
    read_all,
    take_answers,
    write_rows,
)

ROOT = Path(__file__).resolve().parents[3]
OPEN = "import sys, pathlib; from cai_core.workspace.index.owner import WorkspaceIndex as W; "


def run_python(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, stdin=pipe, text=True)


def ingest_and_die(workspace: Path) -> None:
    program = (
        f"{OPEN}import os; index = W.open(pathlib.Path(sys.argv[1])); index.ingest(); "
        "os.kill(os.getpid(), 9)"
    )
    assert run_python(program, workspace).wait() == -signal.SIGKILL


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def test_a_second_process_is_refused_and_told_who_owns_it(workspace: Path) -> None:
    program = f"{OPEN}i = W.open(pathlib.Path(sys.argv[1])); print('up', flush=True); input()"
    other = run_python(program, workspace)
    assert other.stdout is not None
    assert other.stdout.readline() == "up\n"
    with pytest.raises(WorkspaceOwnedError, match=rf"pid {other.pid}\)\. Close it first"):
        WorkspaceIndex.open(workspace)
    other.kill()
    other.wait()
    WorkspaceIndex.open(workspace).close()  # a dead owner holds nothing


def test_a_second_open_in_this_process_is_refused(workspace: Path, open_index: Opener) -> None:
    index = open_index()
    with pytest.raises(WorkspaceOwnedError, match=f"this process .*pid {os.getpid()}"):
        WorkspaceIndex.open(workspace)
    assert index.report().rows == 0
    index.close()
    WorkspaceIndex.open(workspace).close()


def test_a_workspace_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be made"):
        WorkspaceIndex.open(tmp_path / "file" / "workspace")


def test_closing_twice_is_fine_and_a_closed_index_says_so(workspace: Path) -> None:
    index = WorkspaceIndex.open(workspace)
    index.start(every=0.01)
    index.start(every=0.01)
    index.close()
    index.close()
    with pytest.raises(WorkspaceError, match="closed"):
        index.report()
    with pytest.raises(WorkspaceError, match="closed"):
        index.ingest()


def test_a_first_start_is_no_rebuild(workspace: Path, open_index: Opener) -> None:
    assert open_index().report().rebuilt is None


def _scribble(path: Path, share: float) -> None:
    """Overwrite a stretch with other bytes, from `share` of the file on."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(int(size * share))
        file.write(random.Random(7).randbytes(max(4096, size // 3)))


def _other_version(workspace: Path) -> None:
    with duckdb.connect(str(workspace / "index.duckdb")) as con:
        con.execute("update meta set value = '0' where name = 'version'")


def _drop_table(workspace: Path) -> None:
    con = sqlite3.connect(workspace / "search.sqlite")
    con.execute("drop table texts")
    con.commit()
    con.close()


def _other_token(workspace: Path) -> None:
    con = sqlite3.connect(workspace / "search.sqlite")
    con.execute("update meta set value = 'another'")
    con.commit()
    con.close()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "index: garbage": (
        lambda w: (w / "index.duckdb").write_bytes(random.Random(1).randbytes(50_000)),
        "index.duckdb cannot be read",
    ),
    "index: empty": (lambda w: (w / "index.duckdb").write_bytes(b""), "index.duckdb"),
    "index: cut": (lambda w: os.truncate(w / "index.duckdb", 20_000), "index.duckdb cannot"),
    "index: header": (lambda w: _scribble(w / "index.duckdb", 0), "index.duckdb cannot"),
    "index: end": (lambda w: _scribble(w / "index.duckdb", 0.6), "index.duckdb cannot"),
    "index: missing": (lambda w: (w / "index.duckdb").unlink(), "index.duckdb is missing"),
    "index: version": (_other_version, "version 0"),
    "search: garbage": (
        lambda w: (w / "search.sqlite").write_bytes(random.Random(1).randbytes(50_000)),
        "search.sqlite cannot be read",
    ),
    "search: cut": (lambda w: os.truncate(w / "search.sqlite", 9_000), "search.sqlite cannot"),
    "search: end": (lambda w: _scribble(w / "search.sqlite", 0.4), "search.sqlite cannot"),
    "search: missing": (lambda w: (w / "search.sqlite").unlink(), "search.sqlite is missing"),
    "search: empty": (lambda w: (w / "search.sqlite").write_bytes(b""), "search.sqlite cannot"),
    "search: table": (_drop_table, "search.sqlite cannot"),
    "search: of another": (_other_token, "belongs to another"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_moved_aside_and_made_anew(
    workspace: Path, open_index: Opener, damage: str
) -> None:
    make_workspace(workspace)
    index = open_index()
    before = take_answers(index)
    index.close()
    harm, reason = DAMAGES[damage]
    harm(workspace)
    index = open_index()
    assert reason in str(index.report().rebuilt)
    assert take_answers(index) == before
    assert list(workspace.glob("*.broken-1"))
    index.close()
    assert open_index().report().rebuilt is None


def test_a_wal_that_cannot_be_replayed_costs_nothing(workspace: Path, open_index: Opener) -> None:
    make_workspace(workspace)
    ingest_and_die(workspace)
    wal = workspace / "index.duckdb.wal"
    assert wal.stat().st_size > 0
    _scribble(wal, 0.1)
    assert take_answers(open_index())["counts"] == (52, 12, 3, 0)


def test_a_wal_left_alone_is_not_replayed_into_a_new_index(
    workspace: Path, open_index: Opener
) -> None:
    make_workspace(workspace)
    ingest_and_die(workspace)
    for name in ("index.duckdb", "search.sqlite"):
        (workspace / name).unlink()
    index = open_index()
    report = index.report()
    assert (report.rows, report.doubled) == (52, 0)
    assert index.list_rounds(RoundFilter(text="revision")).total == 24


def test_damage_that_shows_while_running_is_mended(
    workspace: Path, open_index: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workspace(workspace)
    index = open_index()
    before = take_answers(index)
    monkeypatch.setattr(owner, "_RETRY_SECONDS", 0.05)
    # As a bad block would: the next look at the texts fails, and the check at opening, too.
    index._stores.texts.close()
    (workspace / "search.sqlite").write_bytes(b"not a database" * 1000)
    write_rows(make_run(workspace / "runs", "new"), make_chain(make_run(workspace / "runs", "new")))
    index.start(every=0.02)
    wait_for(lambda: index.report().rebuilt is not None)
    wait_for(lambda: index.report().rows == 57)
    assert not index.report().problems
    shutil.rmtree(workspace / "runs" / "new")
    wait_for(lambda: index.report().rows == 52)
    assert take_answers(index) == before


def test_the_thread_outlives_errors_and_tells_them(
    workspace: Path, open_index: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workspace(workspace, runs=1)
    index = open_index(ingest=False)
    broken = True
    find = sources.RunFolders.find

    def fail(folders: sources.RunFolders) -> Any:
        if broken:
            raise RuntimeError("the disk is tired")
        return find(folders)

    monkeypatch.setattr(sources.RunFolders, "find", fail)
    monkeypatch.setattr(owner, "_RETRY_SECONDS", 0.02)
    index.start(every=0.02)
    wait_for(lambda: "the disk is tired" in " ".join(index.report().problems))
    broken = False
    wait_for(lambda: index.report().rows == 12)
    wait_for(lambda: not index.report().problems)


def test_nothing_is_skipped_after_a_pass_that_failed(
    workspace: Path, open_index: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workspace(workspace)
    index = open_index(ingest=False)
    with monkeypatch.context() as patch:
        patch.setattr(batch, "_save_files", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            index.ingest()
    assert index.report().rows == 0
    index.ingest()
    piecemeal = take_answers(index)
    assert piecemeal["counts"] == (52, 12, 3, 0)


def test_the_stores_are_shut_off_from_the_machine(workspace: Path, open_index: Opener) -> None:
    con = open_index()._stores.rows.cursor()
    with pytest.raises(duckdb.PermissionException):
        con.execute("select * from read_csv('/etc/passwd')")
    with pytest.raises(duckdb.InvalidInputException, match="locked"):
        con.execute("set enable_external_access = true")
    con.close()


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_a_kill_in_the_middle_loses_and_doubles_nothing(
    workspace: Path, open_index: Opener, delay: float
) -> None:
    run = make_run(workspace / "runs")
    for number in range(60):
        rows = make_chain(run, f"p#{number}", critiques=[f"c{number}", f"d{number}"])
        with RunWriter(run) as writer:
            writer.append_rows("chain", [row.as_dict() for row in rows])
    program = (
        f"{OPEN}from cai_core.workspace.index import batch; batch.BATCH_ROWS = 3; "
        "i = W.open(pathlib.Path(sys.argv[1])); print('up', flush=True); i.ingest(); input()"
    )
    for number in range(2):
        other = run_python(program, workspace)
        assert other.stdout is not None
        other.stdout.readline()
        time.sleep(delay * (1 + number))
        other.kill()
        other.wait()
    index = open_index()
    report = index.report()
    assert (report.rows, report.chains, report.doubled, report.damaged) == (300, 60, 0, 0)
    assert report.rebuilt is None
    for number in (0, 31, 59):
        assert index.list_rounds(RoundFilter(text=f'"p#{number}: revision"')).total == 2
    survived = take_answers(index)
    index.close()
    assert take_answers(open_index(fresh=True)) == survived


def test_many_threads_read_while_rows_come_in(workspace: Path, open_index: Opener) -> None:
    run = make_run(workspace / "runs")
    index = open_index()
    index.start(every=0.01)
    done = threading.Event()

    def browse() -> None:
        while not done.is_set():
            page = index.list_rounds(RoundFilter(text="revision"), limit=5)
            assert page.total == sum(count for _, count in page.facets["run"])
            for round_ in page.rounds:
                assert index.get_chain(round_.chain) is not None
            index.report()

    with ThreadPoolExecutor(5) as pool:
        browsing = [pool.submit(browse) for _ in range(5)]
        try:
            with RunWriter(run) as writer:
                for number in range(40):
                    rows = make_chain(run, f"p#{number}")
                    writer.append_rows("chain", [row.as_dict() for row in rows])
            wait_for(lambda: index.report().rows == 200)
        finally:
            done.set()
        for browser in browsing:
            browser.result()
    assert len(read_all(index, limit=25)) == 80


def test_ended_runs_are_looked_at_in_turn_when_there_are_many(
    workspace: Path, open_index: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = make_workspace(workspace, runs=5, chains=1)
    index = open_index()
    monkeypatch.setattr(sources, "_ENDED_AT_ONCE", 2)
    for run in runs:  # resumed, all of them
        write_rows(run, make_chain(run, "more", critique="4" not in run.run_id, rounds=1))
    for _ in range(3):
        index.ingest()
    assert index.report().rows == 4 * (5 + 3) + 3 + 2


def test_the_version_of_the_tables_is_in_the_file(workspace: Path, open_index: Opener) -> None:
    index = open_index()
    meta = dict(index._stores.rows.cursor().execute("select * from meta").fetchall())
    assert meta["version"] == schema.VERSION


def test_closing_ends_a_long_look_and_the_next_one_goes_on(
    workspace: Path, open_index: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(workspace / "runs")
    write_rows(run, [row for n in range(100) for row in make_chain(run, f"p#{n}")])
    monkeypatch.setattr(batch, "BATCH_ROWS", 2)
    index = open_index(ingest=False)
    index.start()
    wait_for(lambda: 0 < index.report().rows < 500)
    assert index.ingest(patience=0.0) is False  # a page does not wait for all of it
    index.close()
    monkeypatch.undo()
    index = open_index(ingest=False)
    assert 0 < index.report().rows < 500
    assert index.ingest() is True
    report = index.report()
    assert (report.rows, report.doubled) == (500, 0)
