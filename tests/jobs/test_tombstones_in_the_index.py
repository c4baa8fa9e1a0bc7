"""A deleted run's rows leave the index, and `verify` finds nothing wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from cai_core.actions.jobs import delete_run
from cai_core.cli import main
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.index.views import RoundFilter
from cai_core.workspace.status import RunState
from tests.workspace.index.makers import make_chain, make_run, write_rows


def test_rows_of_a_deleted_run_leave_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    for name in ("r1", "r2"):
        run = make_run(tmp_path / "runs", name)
        write_rows(run, make_chain(run), state=RunState.SUCCEEDED)
    index = WorkspaceIndex.open(tmp_path)
    try:
        index.ingest()
        assert index.list_rounds(RoundFilter(run="r1")).total == 2
        delete_run(LOCAL_ACTOR, tmp_path, "r1")
        for _ in range(2):  # the second look changes nothing
            index.ingest()
            report = index.report()
            assert (report.rows, report.runs, report.problems) == (5, 2, ())
            assert index.list_rounds(RoundFilter(run="r1")).total == 0
            assert index.list_rounds(RoundFilter(run="r2")).total == 2
            states = {view.run: view.state for view in index.list_runs()}
            assert states == {"r1": "deleted", "r2": "succeeded"}
    finally:
        index.close()
    assert main(["verify"]) == 0
    assert "2 runs, 5 rows" in capsys.readouterr().out
    fresh = WorkspaceIndex.open(tmp_path, fresh=True)
    try:
        fresh.ingest()
        assert (fresh.report().rows, fresh.report().runs) == (5, 2)
    finally:
        fresh.close()
