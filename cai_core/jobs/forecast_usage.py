"""What a run really took: each start of its worker leaves two lines in `usage.jsonl`.

The line at the end also says what all starts together have made, so that rates for forecasts are
read without opening rows. A worker that was killed leaves its first line alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from cai_core.errors import CaiError
from cai_core.jobs.forecast_machine import describe_machine, list_gpus
from cai_core.machine import read_peak_memory
from cai_core.pipeline.label_records import COMPARISONS
from cai_core.workspace.journal import append_records, read_journal, read_lines
from cai_core.workspace.runs import Run

USAGE = "usage.jsonl"
_STEPS = {"revise": "chain", "label": "label"}
_TOKENS = ("prompt", "completion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """All starts of a run.

    Attributes:
        machine: which it ran on last, as `describe_machine` tells; None before the first start.
        starts, killed: how often it was begun; of those, how often nothing was told at the end.
        seconds: of the starts that told.
        memory: bytes at most, of the worker alone.
        disk: bytes in the run's folder at the last end.
        work: what was made: rows, tokens, and of each kind of step; empty before the first end.
    """

    machine: str | None = None
    starts: int = 0
    killed: int = 0
    seconds: float = 0.0
    memory: int | None = None
    disk: int | None = None
    work: Mapping[str, Any] = field(default_factory=dict)


class UsageMeter:
    """A worker's own: writes a line when made, and one at the end.

    What it cannot write is left out: the disk is the run's trouble, and told by the run.
    """

    def __init__(self, run: Run) -> None:
        self._run, self._began = run, time.monotonic()
        with suppress(OSError, CaiError):
            machine = describe_machine(list_gpus())
            self._append({"event": "begin", "pid": os.getpid(), "machine": machine})

    def end(self) -> None:
        """Say what it took."""
        with suppress(OSError, CaiError):
            self._append(
                {
                    "event": "end",
                    "pid": os.getpid(),
                    "seconds": round(time.monotonic() - self._began, 3),
                    "memory": read_peak_memory(),
                    "disk": count_bytes(self._run.path),
                    "work": count_work(self._run),
                }
            )

    def _append(self, line: Mapping[str, Any]) -> None:
        append_records(self._run.path / USAGE, [line])


def load_usage(run_folder: Path) -> Usage:
    """Read what was told; an empty one where there is nothing."""
    begins: list[Mapping[str, Any]] = []
    ends: list[Mapping[str, Any]] = []
    for record in read_journal(run_folder / USAGE).records:
        (begins if record.get("event") == "begin" else ends).append(record)
    peaks = [end["memory"] for end in ends if end.get("memory") is not None]
    return Usage(
        machine=begins[-1].get("machine") if begins else None,
        starts=len(begins),
        killed=max(0, len(begins) - len(ends)),
        seconds=sum(end["seconds"] for end in ends),
        memory=max(peaks, default=None),
        disk=ends[-1]["disk"] if ends else None,
        work=ends[-1]["work"] if ends else {},
    )


def count_work(run: Run) -> dict[str, Any]:
    """Rows and tokens that a run has made so far, for each kind of step."""
    match run.kind:
        case "sft" | "reward" | "dpo":
            return {"rows": _count_lines(run.outputs / "dataset.jsonl"), **_count_steps(run)}
        case "rl":
            told = _count_steps(run)
            recipe = run.recipe
            each = recipe["prompts_per_step"] * recipe["generations"]
            return {"rows": told["steps"] * each // recipe["iterations"], **told}
        case "label":
            made = _count_lines(run.outputs / COMPARISONS)
            return {"comparisons": made, **_count_rows(run)}
    return _count_rows(run)


def count_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _count_rows(run: Run) -> dict[str, Any]:
    """One way through the files, holding no row: a run may have ten million."""
    kinds: dict[str, dict[str, int]] = {}
    rows = 0
    for file in run.row_files(_STEPS.get(run.kind)):
        for line in read_lines(file.path, limit=file.limit):
            row = line.record
            if row is None or "row_id" not in row:
                continue
            rows += 1
            told = kinds.setdefault(str(row.get("kind")), dict.fromkeys(("rows", *_TOKENS), 0))
            asked, written = row.get("prompt_tokens"), row.get("completion_tokens")
            if asked is not None and written is not None:
                told["rows"] += 1
                told["prompt"] += asked
                told["completion"] += written
    # An answer that is scored alone tells no tokens.
    known = any(told["rows"] for told in kinds.values())
    sums = {
        f"{name}_tokens": sum(told[name] for told in kinds.values()) if known else None
        for name in _TOKENS
    }
    return {"rows": rows, **sums, "steps": kinds}


def _count_steps(run: Run) -> dict[str, Any]:
    lines = [line for line in read_journal(run.path / "metrics.jsonl").records if "loss" in line]
    rates = [line["tokens_per_second"] for line in lines if line.get("tokens_per_second")]
    return {
        "steps": max((line["step"] for line in lines), default=0),
        "trained_tokens": int(max((line.get("num_tokens", 0) for line in lines), default=0)),
        "tokens_per_second": median(rates) if rates else None,
    }


def _count_lines(path: Path) -> int:
    lines: Iterable[Any] = read_lines(path) if path.exists() else ()
    # A file may begin with a header, which has but its own fields.
    return sum(bool({"messages", "conversation"} & (line.record or {}).keys()) for line in lines)
