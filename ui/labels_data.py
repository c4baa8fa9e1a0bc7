"""The labels that the page shows, read once for each state of their files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from cai_core.jobs.label_study import (
    LabelStudy,
    get_stamp,
    list_human_files,
    list_label_runs,
    load_study,
)
from ui import services

_Stamp = tuple[int, int]


def list_runs() -> list[str]:
    """Ids of the runs that have labels, the newest labels first."""
    return [folder.name for folder in list_label_runs(services.workspace())]


def load_labels(run: str, beside: str = "") -> LabelStudy:
    """A run's labels, examined and measured.

    Args:
        run: one of `list_runs`. beside: another, or empty.

    Raises:
        CaiError: it cannot be read.
    """
    runs = services.workspace() / "runs"
    humans = list_human_files(list_label_runs(services.workspace()))
    return _load(
        runs / run,
        get_stamp(runs / run),
        tuple((path, path.stat().st_mtime_ns) for path in humans),
        beside,
        get_stamp(runs / beside) if beside else (0, 0),
    )


@lru_cache(maxsize=4)
def _load(
    folder: Path,
    _stamp: _Stamp,
    humans: tuple[tuple[Path, int], ...],
    beside: str,
    _beside_stamp: _Stamp,
) -> LabelStudy:
    return load_study(folder, [path for path, _ in humans], beside)
