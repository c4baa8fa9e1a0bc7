"""What people do with the labels of a constitution's versions: move them, take them away.

Moving is optimistic, as saving is: whoever moves a label says where it pointed when they looked.
"""

from __future__ import annotations

from pathlib import Path

from cai_core.actions.check import check_note, require
from cai_core.errors import CaiError, ConstitutionError, NotAllowedError, VersionConflictError
from cai_core.records import AccessRole, Actor
from cai_core.workspace.drafts import lock_constitutions
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.version_history import SHORT, find_authors
from cai_core.workspace.version_labels import (
    APPROVED,
    MOVE,
    PRODUCTION,
    REMOVE,
    RULE,
    check_label,
    find_approver,
    list_moves,
    needs_other_person,
    read_labels,
)
from cai_core.workspace.versions import list_versions, load_version, write_version


def move_label(
    actor: Actor,
    workspace: Path,
    name: str,
    label: str,
    version_hash: str,
    *,
    note: str,
    expected: str | None,
) -> None:
    """Put a label on a version of a name; going back to an older one is the same.

    Args:
        note: why; see `check_note`.
        expected: hash that the label pointed to when the person looked, None where it was not
            there.

    Raises:
        NotAllowedError: the actor may not edit; or another person has to approve the text.
        ConstitutionError: it cannot be a label, or there is no such version.
        VersionConflictError: the label was moved meanwhile. Nothing was changed.
        CaiError: no note, or it points there already.
        WorkspaceError: the disk refuses.
    """
    require(actor, AccessRole.EDITOR, f"{MOVE} {label!r:.80}")
    check_label(label)
    reason = check_note(note)
    with lock_constitutions(workspace):
        versions = list_versions(workspace, name)
        found = next((v for v in versions if v.hash == version_hash), None)
        if found is None:
            raise ConstitutionError(
                f"{name}@{version_hash:.{SHORT}}: no such version. Choose one from its history."
            )
        was = _check_unmoved(workspace, name, label, expected)
        if was == version_hash:
            raise CaiError(f"{name}: {label} points to {version_hash[:SHORT]} already.")
        if needs_other_person(workspace):
            _check_person(actor, workspace, name, label, version_hash)
        if found.shipped:
            # The next release may ship another text under this name; what a label points to stays.
            write_version(workspace, load_version(workspace, name, version_hash))
        fields = {"name": name, "label": label, "version": version_hash, "was": was, "note": reason}
        append_event(workspace, Topic.CONSTITUTIONS, actor, MOVE, fields)


def remove_label(
    actor: Actor, workspace: Path, name: str, label: str, *, note: str, expected: str
) -> None:
    """Take a label away from where it points.

    Args:
        note, expected: as in `move_label`.

    Raises:
        NotAllowedError: the actor may not edit.
        VersionConflictError: the label was moved or taken away meanwhile.
        CaiError: no note.
        WorkspaceError: the disk refuses.
    """
    require(actor, AccessRole.EDITOR, f"{REMOVE} {label!r:.80}")
    reason = check_note(note)
    with lock_constitutions(workspace):
        was = _check_unmoved(workspace, name, label, expected)
        fields = {"name": name, "label": label, "version": was, "was": was, "note": reason}
        append_event(workspace, Topic.CONSTITUTIONS, actor, REMOVE, fields)


def set_approval_rule(actor: Actor, workspace: Path, *, other_person: bool) -> None:
    """Say whether another person has to approve a version, for the whole workspace.

    Raises:
        NotAllowedError: the actor is no admin.
        WorkspaceError: the disk refuses.
    """
    require(actor, AccessRole.ADMIN, RULE)
    with lock_constitutions(workspace):
        if needs_other_person(workspace) != other_person:
            fields = {"other_person": other_person}
            append_event(workspace, Topic.SETTINGS, actor, RULE, fields)


def _check_unmoved(workspace: Path, name: str, label: str, expected: str | None) -> str | None:
    move = read_labels(workspace, name).get(label)
    now = move.hash if move is not None else None
    if now == expected:
        return now
    last = next((m for m in list_moves(workspace, name) if m.label == label), None)
    who = last.actor if last is not None else "somebody"
    where = f"points to {now[:SHORT]}" if now else "is gone"
    raise VersionConflictError(
        f"{name}: {who} moved {label} meanwhile; it {where}. Look again, then move it.",
        head=now or "",
    )


def _check_person(actor: Actor, workspace: Path, name: str, label: str, version_hash: str) -> None:
    versions = list_versions(workspace, name)
    if label == APPROVED and actor.name in find_authors(versions, version_hash):
        raise NotAllowedError(
            f"{name}@{version_hash[:SHORT]}: {actor.name} wrote in this version, and another "
            "person has to approve it here. Ask somebody else, or an admin to change that setting."
        )
    if label != PRODUCTION or find_approver(list_moves(workspace, name), versions, version_hash):
        return
    raise NotAllowedError(
        f"{name}@{version_hash[:SHORT]}: nobody but its authors has approved this version. Have it "
        f"approved first: put the label {APPROVED} on it."
    )
