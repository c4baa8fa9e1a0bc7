"""A run's status.json: written aside and renamed, so readers see a whole one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from cai_core.errors import WorkspaceError
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import FORMAT


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    DELETED = "deleted"  # its files are gone; recipe and tombstone stay


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """The content of status.json.

    Attributes:
        reason: why it failed or stopped, None while there is nothing to say.
        pid: of the last writer, None before the first.
        epoch: of the last writer, 0 before the first.
        sequence: grows by one with each change; clocks may jump.
        counts: whatever the stage counts, e.g. rows done and in total.
    """

    state: RunState
    reason: str | None = None
    pid: int | None = None
    epoch: int = 0
    sequence: int = 0
    updated_at: str = ""
    counts: dict[str, int] = field(default_factory=dict)


def load_status(path: Path) -> RunStatus:
    """Read it. Raises WorkspaceError when it is missing or broken."""
    try:
        document = json.loads(path.read_text("utf-8"))
        known = {item.name for item in fields(RunStatus)}
        values = {key: value for key, value in document.items() if key in known}
        status = RunStatus(**{**values, "state": RunState(values["state"])})
        if not isinstance(status.updated_at, str) or not isinstance(status.counts, dict):
            raise TypeError("updated_at is no text, or counts are no object")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WorkspaceError(f"{path}: cannot be read: {error}.") from error
    return status


def save_status(path: Path, status: RunStatus) -> None:
    """Write it, one number further."""
    status = replace_status(status, sequence=status.sequence + 1, updated_at=now())
    text = json.dumps({"format": FORMAT, **asdict(status)}, indent=1) + "\n"
    replace_file(path, [text.encode()])


def replace_status(status: RunStatus, **changes: Any) -> RunStatus:
    """The status with some fields changed."""
    return RunStatus(**{**asdict(status), **changes})


def now() -> str:
    """UTC in ISO 8601, for people; nothing is ordered by it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
