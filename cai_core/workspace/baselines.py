"""Pinned baselines: the evaluation that others are held against, as the journal of settings has it.

Nothing here writes: see `actions.baselines`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cai_core.workspace.events import Topic, read_events

PIN = "pin baseline"
_TEXTS = ("run", "suite", "note", "actor", "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """One pin.

    Attributes:
        run: id of the evaluation.
        suite: name of the suite that it asked.
        note: why it was pinned.
        at: when (UTC, ISO 8601).
    """

    run: str
    suite: str
    note: str
    actor: str
    at: str


def list_baselines(workspace: Path) -> list[Baseline]:
    """Every pin, the newest first."""
    events = read_events(workspace, Topic.SETTINGS)
    return [found for event in reversed(events) if (found := _parse(event)) is not None]


def find_baseline(workspace: Path, runs: Collection[str] | None = None) -> Baseline | None:
    """The newest pin, of any evaluation or of these; None where there is none."""
    pins = list_baselines(workspace)
    return next((pin for pin in pins if runs is None or pin.run in runs), None)


def _parse(event: Mapping[str, Any]) -> Baseline | None:
    """A foreign or damaged event is no pin."""
    texts = {key: event.get(key) for key in _TEXTS}
    if event.get("action") != PIN or not all(isinstance(text, str) for text in texts.values()):
        return None
    return Baseline(**texts)  # type: ignore[arg-type]  # each is a text, as was just seen
