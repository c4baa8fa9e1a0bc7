"""Pin an evaluation as the baseline that others are held against."""

from __future__ import annotations

from pathlib import Path

from cai_core.actions.check import check_note, require
from cai_core.jobs.drift_study import load_side
from cai_core.records import AccessRole, Actor
from cai_core.workspace.baselines import PIN, Baseline, find_baseline
from cai_core.workspace.events import Topic, append_event


def pin_baseline(actor: Actor, workspace: Path, run_id: str, note: str) -> Baseline:
    """Make an evaluation the baseline of its suite; the newest pin holds.

    Args:
        note: why, at most `check.MAX_NOTE` characters.

    Raises:
        NotAllowedError: the actor may not change what others are held against.
        CaiError: there is no note, or it is too long.
        WorkspaceError: there is no such evaluation, it has not succeeded, or the journal cannot
            be written.
    """
    require(actor, AccessRole.EDITOR, PIN)
    text = check_note(note)
    suite = load_side(workspace, run_id).header["suite"]
    fields = {"run": run_id, "suite": suite["name"], "suite_hash": suite["hash"], "note": text}
    append_event(workspace, Topic.SETTINGS, actor, PIN, fields)
    pinned = find_baseline(workspace, {run_id})
    assert pinned is not None
    return pinned
