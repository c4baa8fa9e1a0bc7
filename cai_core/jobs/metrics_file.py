"""A run's metrics.jsonl for pages that look often: only new lines are read, many are thinned."""

from __future__ import annotations

import json
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FILE = "metrics.jsonl"
# More than a screen has columns.
MOST_POINTS = 2000
_MOST_RUNS = 16


class MetricsReader:
    """One run's lines so far; `read` takes in what is new. A file that was replaced begins anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._offset = 0
        self._steps: dict[int, dict[str, Any]] = {}
        self._notes: list[str] = []
        self._thinned: list[dict[str, Any]] | None = None
        self._lock = threading.Lock()

    def read(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Lines with a loss by step, thinned to MOST_POINTS; and what the trainer said beside."""
        with self._lock:
            self._take_in()
            if self._thinned is None:
                ordered = [self._steps[step] for step in sorted(self._steps)]
                self._thinned = thin_metrics(ordered, MOST_POINTS)
            return list(self._thinned), list(self._notes)

    def _take_in(self) -> None:
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                identity = (found.st_dev, found.st_ino)
                if identity != self._identity or found.st_size < self._offset:
                    self._forget(identity)
                if found.st_size == self._offset:
                    return
                file.seek(self._offset)
                for raw in file:
                    if not raw.endswith(b"\n"):  # still being written
                        break
                    self._offset += len(raw)
                    self._take(raw)
        except FileNotFoundError:
            self._forget(None)

    def _forget(self, identity: tuple[int, int] | None) -> None:
        self._identity, self._offset, self._thinned = identity, 0, None
        self._steps, self._notes = {}, []

    def _take(self, raw: bytes) -> None:
        try:
            record = json.loads(raw)
        except ValueError:  # damaged; `verify` tells
            return
        if not isinstance(record, dict):
            return
        if "event" in record:
            self._notes.append(str(record["event"]))
        elif isinstance(record.get("step"), int) and "loss" in record:
            # Of a step that was done twice the last one counts.
            self._steps[record["step"]] = record
            self._thinned = None


class _Readers:
    """The readers of the runs that were looked at last."""

    def __init__(self) -> None:
        self._found: OrderedDict[Path, MetricsReader] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: Path) -> MetricsReader:
        """The path's own."""
        with self._lock:
            reader = self._found.setdefault(path, MetricsReader(path))
            self._found.move_to_end(path)
            while len(self._found) > _MOST_RUNS:
                self._found.popitem(last=False)
            return reader


_readers = _Readers()


def read_metrics_file(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """`MetricsReader.read` of the run folder's metrics, with what was read before kept."""
    return _readers.get((folder / FILE).absolute()).read()


def thin_metrics(lines: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most `most` of the lines, in order: the first, the last, and every spike of the loss.

    Between those two the lines are cut into buckets of equal size, and of each the line with the
    lowest and that with the highest loss stay.

    Args:
        most: at least 4.
    """
    if len(lines) <= most:
        return list(lines)
    inner, buckets = len(lines) - 2, (most - 2) // 2
    kept = {0, len(lines) - 1}
    for number in range(buckets):
        begin, end = (1 + inner * at // buckets for at in (number, number + 1))
        places = range(begin, end)
        kept.add(min(places, key=lambda place: _rank(lines[place], math.inf)))
        kept.add(max(places, key=lambda place: _rank(lines[place], -math.inf)))
    return [lines[place] for place in sorted(kept)]


def _rank(line: dict[str, Any], missing: float) -> float:
    loss = line["loss"]
    is_number = isinstance(loss, int | float) and math.isfinite(loss)
    return float(loss) if is_number else missing
