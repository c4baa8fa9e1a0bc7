"""The audit log: what people changed, one hash-chained journal a topic under `journal/`.

Only `cai_core.actions` appends here; whoever wants to know what happened reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from cai_core.errors import WorkspaceError
from cai_core.records import Actor
from cai_core.workspace.journal import append_records, read_journal
from cai_core.workspace.status import now

_RESERVED = {"at", "actor", "action", "prev", "hash"}


class Topic(StrEnum):
    """One journal each."""

    CONSTITUTIONS = "constitutions"
    LAUNCHES = "launches"
    PROMPTS = "prompts"
    REVIEWS = "reviews"
    SETTINGS = "settings"


def get_journal_path(workspace: Path, topic: Topic) -> Path:
    """Where the topic's journal lies."""
    return workspace / "journal" / f"{topic}.jsonl"


def append_event(
    workspace: Path, topic: Topic, actor: Actor, action: str, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Append one event durably; returns it as written, without its chain.

    Args:
        action: a verb with its object, e.g. `save constitution`.
        fields: what was changed; plain JSON values.

    Raises:
        WorkspaceError: the disk refuses, or a field has a name that belongs to the log.
    """
    if taken := sorted(_RESERVED & fields.keys()):
        raise WorkspaceError(f"{action}: {', '.join(taken)} belong to the log. Rename the field.")
    event = {"at": now(), "actor": actor.name, "action": action, **fields}
    append_records(
        get_journal_path(workspace, topic), [event], header={"topic": topic}, chained=True
    )
    return event


def read_events(workspace: Path, topic: Topic) -> list[dict[str, Any]]:
    """Every readable event of a topic, oldest first; damaged lines are left to `verify`."""
    return read_journal(get_journal_path(workspace, topic)).records
