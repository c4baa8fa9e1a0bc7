"""Forecasts held against real runs of the demo model, the second one reckoned from the first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cai_core.commands.run import build_comparison_lines
from cai_core.inference.launcher import ensure_server, stop_server
from cai_core.jobs.forecast_runs import Compared, compare_forecast
from cai_core.workspace.status import RunState
from tests.jobs.background import ROWS_A_CHAIN, Background


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Background]:
    ensure_server("demo", tmp_path)
    found = Background(tmp_path)
    yield found
    found.end()
    stop_server("demo", tmp_path)


def do_run(background: Background, run_id: str, prompts: int, seed: int) -> dict[str, Compared]:
    background.submit(run_id, prompts=prompts, seed=seed)
    run = background.wait_for(run_id, RunState.SUCCEEDED)
    # The status is written first, what it took at the very end.
    background.wait(lambda: not background.is_busy(run_id), "the worker's end")
    return {row.key: row for row in compare_forecast(run.path)}


def test_forecast_and_actual_stand_side_by_side(background: Background) -> None:
    first = do_run(background, "first", 8, 1)
    assert first["rows"].ratio == 1
    # Nothing was measured: every text as long as it may be, and no word on time.
    assert first["completion_tokens"].basis.startswith("assumed")
    assert 0 < (first["completion_tokens"].ratio or 0) <= 1
    assert first["seconds"].forecast is None
    assert (first["seconds"].actual or 0) > 0

    second = do_run(background, "second", 16, 2)
    assert second["rows"].ratio == 1
    for name in ("prompt_tokens", "completion_tokens", "disk"):
        assert second[name].basis == f"measured: run first of this machine, {8 * ROWS_A_CHAIN} rows"
        assert 1 / 1.4 < (second[name].ratio or 0) < 1.4, second[name]
    assert second["seconds"].forecast is not None
    assert 0.3 < (second["memory"].ratio or 0) < 3

    lines = list(build_comparison_lines(background.workspace / "runs" / "second"))
    assert lines[0].split() == ["forecast", "actual", "ratio"]
    assert lines[1].split() == ["rows", "48", "48", "1.00"]
