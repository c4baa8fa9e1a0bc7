"""The matrix's figures are kept on disk, and made anew when files, readers or code change."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cai_core.actions.baselines import pin_baseline
from cai_core.errors import CaiError
from cai_core.jobs import drift_cache, drift_matrix
from cai_core.jobs.drift_cache import MatrixRow
from cai_core.jobs.drift_matrix import load_matrix
from cai_core.jobs.latest_drift import load_latest_drift
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.status import RunState, load_status, replace_status, save_status
from tests.drift_workspace import write_evaluation
from tests.evaluation.drift_makers import make_lines

ODD = {"suite": {"name": "odd", "hash": "7" * 64, "prompts": 4, "held_out": True}}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write_evaluation(tmp_path, "base", seed=1)
    write_evaluation(tmp_path, "again", seed=2)
    write_evaluation(tmp_path, "harmful", seed=3, rates={"harmful compliance": 0.6})
    return tmp_path


def forget() -> None:
    """As a process that has just started."""
    drift_matrix._rows.clear()
    drift_matrix._matrices.clear()


def look(workspace: Path, *runs: str) -> tuple[tuple[MatrixRow, ...], int]:
    """The matrix, and how many evaluations were read for it."""
    told: list[int] = []
    rows = load_matrix(
        workspace, "base", runs or ("again", "harmful"), None, lambda done, _: told.append(done)
    )
    return rows, len(told)


def test_a_second_process_reads_no_evaluation_and_tells_the_same(workspace: Path) -> None:
    first, read = look(workspace)
    assert read == 3
    forget()
    second, read = look(workspace)
    assert read == 0 and second == first and second is not first
    assert second[1].gate is not None and second[1].gate.status == "fail"
    # One more evaluation: the baseline and it.
    write_evaluation(workspace, "new", seed=4)
    forget()
    rows, read = look(workspace, "again", "harmful", "new")
    assert read == 2 and rows[:2] == first


def test_each_row_is_that_of_a_look_without_the_others(workspace: Path) -> None:
    together, _ = look(workspace)
    for path in (workspace / "cache" / "drift").iterdir():
        path.unlink()
    forget()
    alone = [look(workspace, run)[0][0] for run in ("again", "harmful")]
    assert tuple(alone) == together


def test_what_changed_is_computed_again(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look(workspace)
    metrics = workspace / "runs" / "again" / "outputs" / "metrics.json"
    header = json.loads(metrics.read_text("utf-8"))
    header["sampling"]["temperature"] = 0.5
    metrics.write_text(json.dumps(header), "utf-8")
    forget()
    rows, read = look(workspace)
    assert read == 2 and "the sampling differs" in rows[0].warnings[0]
    monkeypatch.setattr(drift_cache, "_hash_code", lambda: "other")
    forget()
    assert look(workspace)[1] == 3


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b'{"run": 1, "cases": "x"}'])
def test_a_damaged_file_is_made_anew(workspace: Path, damage: bytes) -> None:
    first, _ = look(workspace)
    files = list((workspace / "cache" / "drift").iterdir())
    assert len(files) == 2
    for path in files:
        path.write_bytes(damage)
    forget()
    assert look(workspace) == (first, 3)
    forget()
    assert look(workspace) == (first, 0)


def test_a_disk_that_refuses_and_a_run_that_is_resumed(workspace: Path) -> None:
    (workspace / "cache").write_text("no folder")
    first, _ = look(workspace)
    forget()
    assert look(workspace) == (first, 3)
    (workspace / "cache").unlink()
    forget()
    look(workspace)
    path = workspace / "runs" / "again" / "status.json"
    save_status(path, replace_status(load_status(path), state=RunState.QUEUED))
    forget()
    with pytest.raises(CaiError, match="queued, not succeeded"):
        look(workspace)


def test_old_rows_are_thrown_away(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_cache, "_MOST", 2)
    look(workspace)
    folder = workspace / "cache" / "drift"
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    write_evaluation(workspace, "new", seed=4)
    look(workspace, "new")
    assert len(list(folder.iterdir())) == 1
    forget()
    assert look(workspace, "new")[1] == 0


def test_the_latest_is_the_newest_of_the_pinned_baselines_suite(workspace: Path) -> None:
    assert load_latest_drift(workspace) is None
    pin_baseline(LOCAL_ACTOR, workspace, "base", "there")
    latest = load_latest_drift(workspace)
    assert latest is not None
    assert (latest.run, latest.baseline, latest.status) == ("harmful", "base", "fail")
    assert latest.reasons[0].startswith("harmful compliance: worse by")
    assert (latest.name, latest.baseline_name, latest.schedule) == ("harmful", "base", "")
    write_evaluation(workspace, "elsewhere", seed=5, prompts=2, **ODD)
    lines = [{**one, "prompt_id": f"x{one['prompt_id']}"} for one in make_lines({}, prompts=2)]
    write_evaluation(workspace, "apart", lines)
    assert load_latest_drift(workspace) == latest
    write_evaluation(workspace, "newest", seed=6)
    latest = load_latest_drift(workspace)
    assert latest is not None and (latest.run, latest.status) == ("newest", "pass")
    # A damaged one is passed over.
    path = workspace / "runs" / "newest" / "outputs" / "judgements.jsonl"
    path.write_bytes(path.read_bytes() + b'{"odd": 1}\n')
    latest = load_latest_drift(workspace)
    assert latest is not None and latest.run == "harmful"
