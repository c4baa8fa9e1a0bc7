"""Metrics for a page that looks often: new lines alone are read, spikes survive the thinning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cai_core.jobs import metrics_file
from cai_core.jobs.looking import read_metrics, read_notes
from cai_core.jobs.metrics_file import MOST_POINTS, thin_metrics


def append(folder: Path, *lines: dict[str, Any]) -> None:
    with (folder / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def test_new_lines_alone_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(tmp_path, {"format": 1}, {"step": 1, "loss": 3.0}, {"event": "told"})
    assert [line["step"] for line in read_metrics(tmp_path)] == [1]
    assert read_notes(tmp_path) == ["told"]
    parsed: list[bytes] = []
    loads = json.loads
    monkeypatch.setattr(metrics_file.json, "loads", lambda raw: parsed.append(raw) or loads(raw))
    append(tmp_path, {"step": 2, "loss": 2.0}, {"step": 1, "loss": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    assert read_metrics(tmp_path) == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 2.0}]
    assert len(parsed) == 2
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('ss": 0.5}\n')
    assert read_metrics(tmp_path)[-1] == {"step": 3, "loss": 0.5}
    read_metrics(tmp_path)
    assert len(parsed) == 3


def test_a_file_that_was_replaced_or_deleted_begins_anew(tmp_path: Path) -> None:
    append(tmp_path, {"step": 1, "loss": 3.0}, {"step": 2, "loss": 3.0})
    assert len(read_metrics(tmp_path)) == 2
    (tmp_path / "metrics.jsonl").rename(tmp_path / "old")
    assert read_metrics(tmp_path) == []
    append(tmp_path, {"step": 7, "loss": 1.0})
    assert [line["step"] for line in read_metrics(tmp_path)] == [7]


def test_what_is_thinned_keeps_both_ends_and_each_spike() -> None:
    lines = [{"step": step, "loss": 1.0} for step in range(50_000)]
    lines[777]["loss"], lines[40_001]["loss"], lines[123]["loss"] = 9.0, -1.0, float("nan")
    thinned = thin_metrics(lines, MOST_POINTS)
    steps = [line["step"] for line in thinned]
    assert len(steps) <= MOST_POINTS
    assert steps == sorted(set(steps))
    assert {0, 777, 40_001, 49_999} <= set(steps)
    assert thin_metrics(lines[:MOST_POINTS], MOST_POINTS) == lines[:MOST_POINTS]
