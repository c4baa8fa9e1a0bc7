"""What the workspace's people have set: the last event of each name in `journal/settings.jsonl`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cai_core.workspace.events import Topic, read_events

# Every setting there is, with what holds until somebody sets it.
DEFAULTS: dict[str, Any] = {
    # Harmful text stays blurred until asked for.
    "show_harmful": False,
}


def load_settings(workspace: Path, actor: str) -> dict[str, Any]:
    """The settings that hold for an actor."""
    held = dict(DEFAULTS)
    for event in read_events(workspace, Topic.SETTINGS):
        if event.get("actor") == actor and event.get("name") in DEFAULTS:
            held[event["name"]] = event.get("value")
    return held
