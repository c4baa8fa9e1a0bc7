"""Settings of the people who use the workspace."""

from __future__ import annotations

from pathlib import Path

from cai_core.actions.check import require
from cai_core.errors import CaiError
from cai_core.records import AccessRole, Actor
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.settings import DEFAULTS


def set_setting(actor: Actor, workspace: Path, name: str, value: bool) -> None:
    """Remember a setting for this actor.

    Raises:
        CaiError: no such setting, or a value of another type.
        WorkspaceError: the journal cannot be written.
    """
    require(actor, AccessRole.VIEWER, "change a setting")
    if name not in DEFAULTS or type(value) is not type(DEFAULTS[name]):
        known = ", ".join(f"{n} ({type(v).__name__})" for n, v in DEFAULTS.items())
        raise CaiError(f"Setting {name!r} = {value!r}: known are {known}.")
    append_event(workspace, Topic.SETTINGS, actor, "change setting", {"name": name, "value": value})
