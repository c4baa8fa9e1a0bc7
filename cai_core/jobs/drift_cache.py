"""Rows of the drift matrix on disk: an evaluation's figures against a baseline, computed once.

`cache/drift/<hash>.json` of the workspace, to be deleted at any time. The hash is of what a row is
computed from: the two evaluations' files as they stand (name, time of change, size), whose word
counts, and the code that computes it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from cai_core import evaluation
from cai_core.errors import WorkspaceError
from cai_core.evaluation.gate import Gate, MetricVerdict, Threshold
from cai_core.evaluation.measures import READERS, Reader
from cai_core.evaluation.paired import PairedChange
from cai_core.records import content_hash
from cai_core.workspace.files import replace_file
from cai_core.workspace.read_only import is_read_only

log = logging.getLogger(__name__)

Word = Literal["fail", "warn", "pass", "better", "worse", "changed", "may be chance", "no change"]
# A run's id, and time of change and size of each of its files that are read.
Stamp = tuple[str, tuple[int, ...]]
# A row takes some 10 kB; beyond this many the older half goes.
_MOST = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """How one measure changed from the baseline.

    Attributes:
        reader: who says so; None for a measure that nobody reads.
        word: the gate's where it holds the measure and it did not get better beyond chance.
        reason: the gate's; empty where it does not hold the measure.
        p: corrected by Holm: over the gate's measures where it holds this one, else over all.
        allowed: the largest loss that passes; None where the gate does not hold the measure.
    """

    change: PairedChange
    reader: Reader | None
    word: Word
    reason: str
    p: float
    allowed: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """One evaluation against the baseline.

    Attributes:
        cases: answers to the same prompts; 0 where they share none. unpaired: those that only one
            of them has.
        gate: None where it holds nothing that was measured.
    """

    run: str
    cases: int
    unpaired: int
    cells: Mapping[str, Cell]
    gate: Gate | None
    warnings: tuple[str, ...]


def load_row(
    workspace: Path, baseline: Stamp, candidate: Stamp, reader: Reader | None
) -> MatrixRow | None:
    """The row as it was computed before; None where it was not, or cannot be read."""
    try:
        document = json.loads(_get_path(workspace, baseline, candidate, reader).read_bytes())
        return _parse_row(document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save_rows(
    workspace: Path, baseline: Stamp, rows: Sequence[tuple[Stamp, MatrixRow]], reader: Reader | None
) -> None:
    """Keep rows; a disk that refuses changes nothing but the time it takes next time.

    Nothing is kept in a read-only demo.
    """
    if is_read_only():
        return
    try:
        for candidate, row in rows:
            path = _get_path(workspace, baseline, candidate, reader)
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, [json.dumps(asdict(row)).encode()])
        if rows:
            _trim(_get_folder(workspace))
    except (OSError, WorkspaceError) as error:
        log.info("drift's figures are not kept: %s", error)


def _trim(folder: Path) -> None:
    files = list(folder.glob("*.json"))
    if len(files) <= _MOST:
        return
    for path in sorted(files, key=lambda one: one.stat().st_mtime)[: len(files) - _MOST // 2]:
        with suppress(OSError):
            path.unlink()


def _get_folder(workspace: Path) -> Path:
    return workspace / "cache" / "drift"


def _get_path(workspace: Path, baseline: Stamp, candidate: Stamp, reader: Reader | None) -> Path:
    key = content_hash([_hash_code(), baseline, candidate, reader])
    return _get_folder(workspace) / f"{key}.json"


@cache
def _hash_code() -> str:
    """Of everything in `evaluation` and of this module: other code, other figures."""
    folder = Path(str(evaluation.__file__)).parent
    digest = sha256()
    for path in (*sorted(folder.glob("*.py")), *sorted(Path(__file__).parent.glob("drift_*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _parse_row(told: Mapping[str, Any]) -> MatrixRow:
    gate = told["gate"]
    return MatrixRow(
        run=str(told["run"]),
        cases=int(told["cases"]),
        unpaired=int(told["unpaired"]),
        cells={str(name): _parse_cell(cell) for name, cell in told["cells"].items()},
        gate=None if gate is None else _parse_gate(gate),
        warnings=tuple(map(str, told["warnings"])),
    )


def _parse_cell(told: Mapping[str, Any]) -> Cell:
    change = PairedChange(**told["change"])
    reader = next((one for one in READERS if one == told["reader"]), None)
    return Cell(**{**told, "change": change, "reader": reader})


def _parse_gate(told: Mapping[str, Any]) -> Gate:
    verdicts = tuple(
        MetricVerdict(
            **{
                **one,
                "threshold": Threshold(**one["threshold"]),
                "change": None if one["change"] is None else PairedChange(**one["change"]),
            }
        )
        for one in told["verdicts"]
    )
    return Gate(status=told["status"], verdicts=verdicts, reasons=tuple(told["reasons"]))
